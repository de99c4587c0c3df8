//! What one pass knows of a `ColonyWorkflow` and of all that it depends on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ColonyReference, Observed, Values};
use crate::{
    api::colony_workflow::ColonyWorkflow,
    colony::model::{Id, Process},
};

/// What one pass knows of a `ColonyWorkflow`.
#[derive(Clone, Debug)]
pub struct ColonyWorkflowSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ColonyWorkflow,
    /// UID of this cluster's `kube-system` namespace: part of every process label.
    pub cluster: String,
    /// The colony in which it runs.
    pub colony: ColonyReference,
    /// The processes of its nodes: when the workflow is bound, those that are not over as far as status knows; else
    /// everything that has its label, the oldest first. While nothing is on record and the spec names a workflow, all of that
    /// one, if it is there.
    pub processes: Observed<Vec<Process>>,
    /// The object that has the workflow which the spec names, while it is not adopted yet: kind, namespace and name.
    pub holder: Observed<Option<String>>,
    /// Names of the executors that they are or were assigned to, as far as the colony reports them.
    pub executors: BTreeMap<Id, String>,
    /// What the environments refer to; read only while something may be submitted.
    pub values: Values,
    /// Before this moment nothing may be submitted, since an earlier submit could still arrive.
    pub submit_not_before: Option<Timestamp>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}
