//! Puts together what one pass knows of a `ColonyProcess`.

use kube::ResourceExt as _;

use super::{
    freshness::CacheBehind,
    work::{WorkReader, executor},
};
use crate::{
    api::{colony_process::ColonyProcess, kind::HasKind as _, mirror::Mirrored as _, work::WorkState},
    snapshot::{ColonyProcessSnapshot, Observed, Values},
};

impl WorkReader {
    /// Builds a snapshot.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote.
    pub async fn colony_process(&self, object: &ColonyProcess) -> Result<ColonyProcessSnapshot, CacheBehind> {
        let namespace = object.namespace().unwrap_or_default();
        self.ensure_cache_fresh(ColonyProcess::KIND.name(), &namespace, &object.name_any())?;
        // Before anything is asked: what was not there is known to have been absent then.
        let now = self.clock.now();
        let (colony, connection) = self.colonies.find(object.spec.colony.as_deref(), &namespace);
        self.ensure_colony_read(&colony)?;
        let mirror = object.mirror();
        let is_over = object.status.as_ref().and_then(|status| status.state).is_some_and(WorkState::is_final);
        let is_terminating = object.metadata.deletion_timestamp.is_some();
        let adopted_id =
            object.spec.process_id.as_deref().filter(|_| mirror.is_none() && !is_over && !is_terminating);
        let (processes, holder) = match adopted_id {
            None => (self.processes.of(mirror, connection.as_deref()).await, Observed::Known(None)),
            Some(id) => {
                let found = self.processes.find_process(id, connection.as_deref()).await;
                let holder = self.holder(&object.uid().unwrap_or_default(), id, &found);
                (found, holder)
            }
        };
        let mut header = self.header(colony, processes, mirror, now);
        if mirror.is_none() && !is_over && !is_terminating {
            header.is_owner_gone = self.is_cron_gone(&object.metadata).await;
        }
        let may_submit = !is_over && !is_terminating && mirror.is_none_or(|mirror| !mirror.state.is_live());
        Ok(ColonyProcessSnapshot {
            object: object.clone(),
            executor: executor(
                &header.processes,
                mirror.and_then(|mirror| mirror.process_id.as_deref()),
                connection.as_ref(),
            )
            .await,
            holder,
            values: if may_submit {
                self.values(&namespace, &object.spec.call.env).await
            } else {
                Values::default()
            },
            header,
        })
    }
}
