//! Follows the processes that objects are bound to, so that what happens to them in a colony reaches their status: by
//! listing them all together from time to time, which is the truth, and by websockets, which are quicker and no more than
//! hints. Both only doubt what is known of a process and wake its object; the pass of the object asks and decides.

mod decide;
mod poll;
mod subscribe;

use std::{collections::HashSet, sync::Arc};

use kube::runtime::reflector::{ObjectRef, Store};

use super::context::{Hints, Machinery};
use crate::{
    api::{executor_deployment::ExecutorDeployment, mirror::MirrorState},
    colony::{Id, ProcessId, ProcessState},
    memory::processes::Seen,
    watch::{
        stores::{Filled, GuardedExecutorDeployment},
        triggers,
    },
};

/// The processes of one colony that carry objects.
#[derive(Clone)]
pub(super) struct Followed {
    /// Name of the `Colony`.
    pub colony: String,
    /// The machinery.
    pub machinery: Arc<Machinery>,
    /// The objects.
    pub objects: Vec<(Store<GuardedExecutorDeployment>, Filled)>,
    /// Wakes objects.
    pub hints: Hints,
}

/// A process that an object is bound to and that is not over, as far as status knows.
#[derive(Clone)]
struct Bound {
    /// The object.
    object: ObjectRef<GuardedExecutorDeployment>,
    /// Its state as status has it.
    recorded: ProcessState,
    /// What was last read of it.
    seen: Seen,
}

impl Followed {
    /// Follows them for ever.
    pub async fn follow(self) {
        for (_, filled) in &self.objects {
            filled.reached().await;
        }
        tokio::join!(poll::Polls::new(self.clone()).run(), subscribe::run(&self));
    }

    /// The processes that were read as this member. One that was not read yet is for the pass of its object to read.
    fn bound(&self, member: &Id) -> Vec<Bound> {
        let mut found = Vec::new();
        for (store, _) in &self.objects {
            for guarded in store.state() {
                if let Some(bound) = guarded.0.as_ref().ok().and_then(|object| self.bound_to(object, member))
                {
                    found.push(bound);
                }
            }
        }
        let ids: HashSet<ProcessId> = found.iter().map(|bound| bound.seen.process.id.clone()).collect();
        self.machinery.processes.keep_only(member, &ids);
        found
    }

    fn bound_to(&self, object: &ExecutorDeployment, member: &Id) -> Option<Bound> {
        let mirror = object.status.as_ref()?.mirror.as_ref()?;
        let recorded = match mirror.state {
            MirrorState::Waiting => ProcessState::Waiting,
            MirrorState::Running => ProcessState::Running,
            _ => return None,
        };
        let id = ProcessId::new(mirror.process_id.as_ref()?);
        let seen = self.machinery.processes.last_seen(member, &id)?;
        Some(Bound { object: triggers::reference(object), recorded, seen })
    }

    /// Has the pass of an object ask what became of its process.
    fn doubt(&self, object: &ObjectRef<GuardedExecutorDeployment>, id: &ProcessId) {
        self.machinery.processes.doubt(id, self.machinery.clock.instant());
        self.hints.wake(object);
    }
}
