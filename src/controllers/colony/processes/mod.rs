//! Follows the processes that objects are bound to, so that what happens to them in a colony reaches their status: by
//! listing them all together from time to time, which is the truth, and by websockets, which are quicker and no more than
//! hints. Both only doubt what is known of a process and wake its object; the pass of the object asks and decides.

mod carriers;
mod decide;
mod expected;
mod holders;
mod poll;
mod subscribe;

use std::{collections::HashSet, sync::Arc};

use crate::{
    colony::{Id, ProcessId, ProcessState},
    controllers::engine::context::Machinery,
    memory::processes::Seen,
};
pub(in crate::controllers) use carriers::{Carrier, Carriers, Kind, Objects};
pub(in crate::controllers) use holders::Holders;

/// The processes of one colony that carry objects.
#[derive(Clone)]
pub(in crate::controllers) struct Followed {
    /// Name of the `Colony`.
    pub colony: String,
    /// The machinery.
    pub machinery: Arc<Machinery>,
    /// The objects.
    pub carriers: Carriers,
}

/// A process that an object is bound to and that is not over, as far as status knows.
#[derive(Clone)]
struct Bound {
    /// The object.
    object: carriers::Reference,
    /// Its state as status has it.
    recorded: ProcessState,
    /// The states that are worth being told of.
    told_of: &'static [ProcessState],
    /// Whether others carry it out.
    is_others: bool,
    /// Whether its status shows the last line of the log.
    shows_log: bool,
    /// What was last read of it.
    seen: Seen,
}

impl Followed {
    /// Follows them for ever.
    pub async fn follow(self) {
        for objects in self.carriers.all() {
            objects.filled().reached().await;
        }
        tokio::join!(poll::Polls::new(self.clone()).run(), subscribe::run(&self));
    }

    /// The processes that were read as this member. One that was not read yet is for the pass of its object to read.
    fn bound(&self, member: &Id) -> Vec<Bound> {
        let carried = self.carriers.all().into_iter().flat_map(Kind::carried);
        let found: Vec<Bound> = carried
            .filter_map(|carried| {
                let seen = self.machinery.processes.last_seen(member, &carried.process_id)?;
                let carriers::Carried { object, recorded, told_of, is_others, shows_log, .. } = carried;
                Some(Bound { object, recorded, told_of, is_others, shows_log, seen })
            })
            .collect();
        let ids: HashSet<ProcessId> = found.iter().map(|bound| bound.seen.process.id.clone()).collect();
        self.machinery.processes.keep_only(member, &ids, self.machinery.clock.instant());
        found
    }

    /// Has the pass of an object ask what became of its process.
    fn doubt(&self, object: &carriers::Reference, id: &ProcessId) {
        self.machinery.processes.doubt(id, self.machinery.clock.instant());
        object.kind.wake(&object.namespace, &object.name);
    }
}
