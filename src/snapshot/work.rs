//! What one pass knows of every object that processes of a colony carry out, whatever its kind.

use std::sync::Arc;

use jiff::Timestamp;
use kube::core::object::HasStatus;

use super::{ColonyReference, Observed, Workforce};
use crate::{
    api::work::{WorkObject, WorkRecord},
    colony::model::Process,
};

/// What the snapshots of work share besides their objects.
#[derive(Clone, Debug)]
pub struct WorkHeader {
    /// UID of this cluster's `kube-system` namespace: part of every process label.
    pub cluster: String,
    /// The colony in which the object is carried out.
    pub colony: ColonyReference,
    /// The process, or the nodes of the workflow, that is on record: by its id when bound, else everything that has its
    /// label, oldest first. Of a workflow that is bound, the nodes that are not over as far as status knows. While nothing is
    /// on record and the spec names a process or a workflow, that one, if it is there.
    pub processes: Observed<Vec<Process>>,
    /// Before this moment nothing may be submitted, since an earlier submit could still arrive.
    pub submit_not_before: Option<Timestamp>,
    /// Whether the object was created for a controller, such as a `ColonyCron`, that is deleted. Looked at while nothing is on record: a create that
    /// arrives late, or one by a cache that lags, makes a run again that the garbage collector has taken away, and will again.
    pub is_owner_gone: Observed<bool>,
    /// What was submitted for the object before it was restored from a backup, which gave it another UID and no status. Looked at
    /// while nothing is on record.
    pub restored: Observed<Option<Restored>>,
    /// The same for kinds of which each generation has its process: those of the earlier ones, the last one last, and after it that of
    /// a clean-up.
    pub earlier: Observed<Vec<Process>>,
    /// Who could take work in the colony, if the colony could be asked.
    pub workforce: Option<Arc<Workforce>>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}

impl WorkHeader {
    /// A process that was read, by its id.
    #[must_use]
    pub fn process(&self, id: &str) -> Option<&Process> {
        let read = self.processes.known().into_iter().flatten();
        let mut read = read.chain(self.earlier.known().into_iter().flatten());
        read.find(|process| process.id.as_str() == id)
    }
}

/// The last attempt of an object before it was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Its label, with the UID of then.
    pub label: String,
    pub attempt: i64,
    /// The id of the process, or workflow.
    pub id: String,
}

/// What one pass knows of an object whose spec is work.
pub trait WorkSnapshot: Send + Sync {
    /// Its kind.
    type Object: WorkObject;

    /// The object as applied, with the status that was last written.
    fn object(&self) -> &Self::Object;
    /// What the snapshots of work share.
    fn header(&self) -> &WorkHeader;
    /// The object that has what is to be adopted, or that keeps what this one is bound to as well: kind, namespace and name.
    fn holder(&self) -> &Observed<Option<String>>;

    /// What status records.
    fn record(&self) -> WorkRecord<'_> {
        self.object().status().map(Self::Object::record).unwrap_or_default()
    }
}

/// The status of the object of a snapshot.
pub type StatusOf<W> = <<W as WorkSnapshot>::Object as HasStatus>::Status;
