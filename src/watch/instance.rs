//! Puts together what one pass knows of an instance of a defined kind.

use kube::ResourceExt as _;

use super::{executor_deployment::CacheBehind, snapshot::InstanceSnapshot, work::WorkReader};
use crate::{
    api::{
        instance::{Instance, InstanceKind},
        mirror::Mirrored as _,
    },
    colony::ProcessId,
};

impl WorkReader {
    /// Puts a snapshot together.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote.
    pub async fn instance(
        &self,
        kind: &InstanceKind,
        object: &Instance,
    ) -> Result<InstanceSnapshot, CacheBehind> {
        let namespace = object.namespace().unwrap_or_default();
        self.caught_up(kind.name(), &namespace, &object.name_any())?;
        // Before anything is asked: what was not there is known to have been absent then.
        let now = self.clock.now();
        let (colony, connection) = self.colonies.find(kind.handler().colony.as_deref(), &namespace);
        let mirror = object.mirror();
        let process = mirror.and_then(|mirror| mirror.process_id.as_ref());
        Ok(InstanceSnapshot {
            object: object.clone(),
            kind: kind.clone(),
            cluster: self.cluster.clone(),
            colony,
            processes: self.processes.of(mirror, connection.as_deref()).await,
            last_line: process.and_then(|id| self.lines.latest(&ProcessId::new(id))),
            submit_not_before: self.processes.submit_not_before(mirror),
            now,
        })
    }
}
