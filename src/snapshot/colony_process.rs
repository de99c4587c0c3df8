//! What one pass knows of a `ColonyProcess` and of all that it depends on.

use super::{Observed, Values, WorkHeader, WorkSnapshot};
use crate::api::colony_process::ColonyProcess;

/// What one pass knows of a `ColonyProcess`.
#[derive(Clone, Debug)]
pub struct ColonyProcessSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ColonyProcess,
    /// What the snapshots of work share.
    pub header: WorkHeader,
    /// The object that has the process which the spec names, or that keeps what this one is bound to as well: kind, namespace and
    /// name.
    pub holder: Observed<Option<String>>,
    /// Name of the executor that the process is or was assigned to, if the colony reports it.
    pub executor: Option<String>,
    /// What the environment refers to; read only while something may be submitted.
    pub values: Values,
}

impl WorkSnapshot for ColonyProcessSnapshot {
    type Object = ColonyProcess;

    fn object(&self) -> &ColonyProcess {
        &self.object
    }

    fn header(&self) -> &WorkHeader {
        &self.header
    }

    fn holder(&self) -> &Observed<Option<String>> {
        &self.holder
    }
}
