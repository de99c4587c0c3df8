//! The processes that are followed, and what is known of them.

use std::{collections::HashSet, sync::Arc};

use kube::core::DeserializeGuard;

use super::mirrored_kinds::{Kind, LiveProcessRef, MirroredKinds, Reference};
use crate::{
    api::colony::Colony,
    colony::{Id, ProcessId, ProcessState},
    controllers::engine::context::{Requeuer, Services},
    memory::processes::Seen,
};

/// The processes of one colony that carry objects.
#[derive(Clone)]
pub(in crate::controllers) struct FollowedProcesses {
    /// Name of the `Colony`.
    pub colony: String,
    /// The shared services.
    pub services: Arc<Services>,
    /// The objects.
    pub mirrored_kinds: MirroredKinds,
    /// Wakes the `Colony`.
    pub own: Requeuer<DeserializeGuard<Colony>>,
}

/// A process that an object is bound to and that is not over, as far as status knows.
#[derive(Clone)]
pub(super) struct BoundProcess {
    /// The object.
    pub(super) object: Reference,
    /// Its state as status has it.
    pub(super) recorded: ProcessState,
    /// The states to subscribe to.
    pub(super) watched_states: &'static [ProcessState],
    /// Whether others carry it out.
    pub(super) run_by_others: bool,
    /// Whether its status shows the last line of the log.
    pub(super) shows_log: bool,
    /// What was last read of it.
    pub(super) seen: Seen,
}

impl FollowedProcesses {
    /// The processes that were read as this member. One that was not read yet is for the pass of its object to read.
    pub(super) fn bound(&self, member: &Id) -> Vec<BoundProcess> {
        let carried = self.mirrored_kinds.all().into_iter().flat_map(Kind::carried);
        let found: Vec<BoundProcess> = carried
            .filter_map(|carried| {
                let seen = self.services.processes.last_seen(member, &carried.process_id)?;
                let LiveProcessRef { object, recorded, watched_states, run_by_others, shows_log, .. } =
                    carried;
                Some(BoundProcess { object, recorded, watched_states, run_by_others, shows_log, seen })
            })
            .collect();
        let ids: HashSet<ProcessId> = found.iter().map(|bound| bound.seen.process.id.clone()).collect();
        self.services.processes.retain(member, &ids, self.services.clock.instant());
        found
    }

    /// Has the pass of an object ask what became of its process.
    pub(super) fn invalidate(&self, object: &Reference, id: &ProcessId) {
        self.services.processes.invalidate(id, self.services.clock.instant());
        object.kind.wake(&object.namespace, &object.name);
    }
}
