//! `ColonyProcesses`: their stages are those of all work.

use super::work_stages::WorkStages;
use crate::{snapshot::ColonyProcessSnapshot, watch::work::WorkReader};

/// The stages of processes of users.
pub struct ProcessStages {
    /// Reads the world.
    pub reader: WorkReader,
}

impl WorkStages for ProcessStages {
    type Snapshot = ColonyProcessSnapshot;

    fn reader(&self) -> &WorkReader {
        &self.reader
    }
}
