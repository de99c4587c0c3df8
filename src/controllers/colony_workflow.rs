//! `ColonyWorkflows`: their stages are those of all work.

use super::work_stages::WorkStages;
use crate::{snapshot::ColonyWorkflowSnapshot, watch::work::WorkReader};

/// The stages of workflows of users.
pub struct WorkflowStages {
    /// Reads the world.
    pub reader: WorkReader,
}

impl WorkStages for WorkflowStages {
    type Snapshot = ColonyWorkflowSnapshot;

    fn reader(&self) -> &WorkReader {
        &self.reader
    }
}
