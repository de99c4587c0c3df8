//! What one pass knows of a `ColonyWorkflow` and of all that it depends on.

use std::collections::BTreeMap;

use super::{Observed, Values, WorkHeader, WorkSnapshot};
use crate::{api::colony_workflow::ColonyWorkflow, colony::model::Id};

/// What one pass knows of a `ColonyWorkflow`.
#[derive(Clone, Debug)]
pub struct ColonyWorkflowSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ColonyWorkflow,
    /// What the snapshots of work share.
    pub header: WorkHeader,
    /// The object that has the workflow which the spec names, while it is not adopted yet: kind, namespace and name.
    pub holder: Observed<Option<String>>,
    /// Names of the executors that they are or were assigned to, as far as the colony reports them.
    pub executors: BTreeMap<Id, String>,
    /// What the environments refer to; read only while something may be submitted.
    pub values: Values,
}

impl WorkSnapshot for ColonyWorkflowSnapshot {
    type Object = ColonyWorkflow;

    fn object(&self) -> &ColonyWorkflow {
        &self.object
    }

    fn header(&self) -> &WorkHeader {
        &self.header
    }

    fn holder(&self) -> &Observed<Option<String>> {
        &self.holder
    }
}
