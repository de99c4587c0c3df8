//! What one pass knows of a `ColonyProcess` and of all that it depends on.

use jiff::Timestamp;

use super::{ColonyReference, Observed, Values};
use crate::{api::colony_process::ColonyProcess, colony::model::Process};

/// What one pass knows of a `ColonyProcess`.
#[derive(Clone, Debug)]
pub struct ColonyProcessSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ColonyProcess,
    /// UID of this cluster's `kube-system` namespace: part of every process label.
    pub cluster: String,
    /// The colony in which it runs.
    pub colony: ColonyReference,
    /// The process of the last attempt: by its id when bound, else everything that has its label, oldest first. While
    /// nothing is on record and the spec names a process, that one, if it is there.
    pub processes: Observed<Vec<Process>>,
    /// The object that has the process which the spec names, while it is not adopted yet: kind, namespace and name.
    pub holder: Observed<Option<String>>,
    /// Name of the executor that the process is or was assigned to, if the colony reports it.
    pub executor: Option<String>,
    /// What the environment refers to; read only while something may be submitted.
    pub values: Values,
    /// Before this moment nothing may be submitted, since an earlier submit could still arrive.
    pub submit_not_before: Option<Timestamp>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}
