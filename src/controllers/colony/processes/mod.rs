//! Follows the processes that objects are bound to, so that what happens to them in a colony reaches their status: by
//! listing them all together from time to time, which is the truth, and by websockets, which are quicker and no more than
//! hints. Both only doubt what is known of a process and wake its object; the pass of the object asks and decides.

mod decide;
mod expected;
mod holders;
mod mirrored_kinds;
mod poll;
mod subscribe;

use std::{collections::HashSet, sync::Arc};

use crate::{
    colony::{Id, ProcessId, ProcessState},
    controllers::engine::context::Services,
    memory::processes::Seen,
};
pub(in crate::controllers) use holders::ProcessHolders;
pub(in crate::controllers) use mirrored_kinds::{Kind, MirroredKind, MirroredKinds, Objects};

/// The processes of one colony that carry objects.
#[derive(Clone)]
pub(in crate::controllers) struct FollowedProcesses {
    /// Name of the `Colony`.
    pub colony: String,
    /// The shared services.
    pub services: Arc<Services>,
    /// The objects.
    pub mirrored_kinds: MirroredKinds,
}

/// A process that an object is bound to and that is not over, as far as status knows.
#[derive(Clone)]
struct BoundProcess {
    /// The object.
    object: mirrored_kinds::Reference,
    /// Its state as status has it.
    recorded: ProcessState,
    /// The states to subscribe to.
    watched_states: &'static [ProcessState],
    /// Whether others carry it out.
    run_by_others: bool,
    /// Whether its status shows the last line of the log.
    shows_log: bool,
    /// What was last read of it.
    seen: Seen,
}

impl FollowedProcesses {
    /// Follows them for ever.
    pub async fn follow(self) {
        for objects in self.mirrored_kinds.all() {
            objects.filled().reached().await;
        }
        tokio::join!(poll::ProcessPoller::new(self.clone()).run(), subscribe::run(&self));
    }

    /// The processes that were read as this member. One that was not read yet is for the pass of its object to read.
    fn bound(&self, member: &Id) -> Vec<BoundProcess> {
        let carried = self.mirrored_kinds.all().into_iter().flat_map(Kind::carried);
        let found: Vec<BoundProcess> = carried
            .filter_map(|carried| {
                let seen = self.services.processes.last_seen(member, &carried.process_id)?;
                let mirrored_kinds::LiveProcessRef {
                    object,
                    recorded,
                    watched_states,
                    run_by_others,
                    shows_log,
                    ..
                } = carried;
                Some(BoundProcess { object, recorded, watched_states, run_by_others, shows_log, seen })
            })
            .collect();
        let ids: HashSet<ProcessId> = found.iter().map(|bound| bound.seen.process.id.clone()).collect();
        self.services.processes.retain(member, &ids, self.services.clock.instant());
        found
    }

    /// Has the pass of an object ask what became of its process.
    fn invalidate(&self, object: &mirrored_kinds::Reference, id: &ProcessId) {
        self.services.processes.invalidate(id, self.services.clock.instant());
        object.kind.wake(&object.namespace, &object.name);
    }
}
