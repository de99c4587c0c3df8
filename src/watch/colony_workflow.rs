//! Puts together what one pass knows of a `ColonyWorkflow`.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;

use super::{
    freshness::CacheBehind,
    work::{WorkReader, named},
};
use crate::{
    api::{colony_workflow::ColonyWorkflow, kind::HasKind as _, mirror::Mirrored as _, work::WorkState},
    colony::{Id, Process, ProcessId},
    memory::connections::Connection,
    snapshot::{ColonyWorkflowSnapshot, Observed, Values},
};

impl WorkReader {
    /// Builds a snapshot.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote.
    pub async fn colony_workflow(
        &self,
        object: &ColonyWorkflow,
    ) -> Result<ColonyWorkflowSnapshot, CacheBehind> {
        let namespace = object.namespace().unwrap_or_default();
        self.ensure_cache_fresh(ColonyWorkflow::KIND.name(), &namespace, &object.name_any())?;
        // Before anything is asked: what was not there is known to have been absent then.
        let now = self.clock.now();
        let (colony, connection) = self.colonies.find(object.spec.colony.as_deref(), &namespace);
        self.ensure_colony_read(&colony)?;
        let mirror = object.mirror();
        let live: Vec<ProcessId> =
            object.live_processes().iter().map(|process| ProcessId::new(process.id)).collect();
        let is_over = object.status.as_ref().and_then(|status| status.state).is_some_and(WorkState::is_final);
        let is_terminating = object.metadata.deletion_timestamp.is_some();
        let adopted_id =
            object.spec.graph_id.as_deref().filter(|_| mirror.is_none() && !is_over && !is_terminating);
        let (processes, holder) = match adopted_id {
            None => {
                let found = self.processes.of_workflow(mirror, &live, connection.as_deref()).await;
                (found, Observed::Known(None))
            }
            Some(id) => {
                let found = self.processes.find_workflow(id, connection.as_deref()).await;
                let holder = self.holder(&object.uid().unwrap_or_default(), id, &found);
                (found, holder)
            }
        };
        let mut header = self.header(colony, processes, mirror, now);
        if mirror.is_none() && !is_over && !is_terminating {
            header.is_owner_gone = self.is_cron_gone(&object.metadata).await;
        }
        let may_submit = !is_over && !is_terminating && mirror.is_none_or(|mirror| !mirror.state.is_live());
        Ok(ColonyWorkflowSnapshot {
            object: object.clone(),
            executors: executors(&header.processes, connection.as_deref()).await,
            holder,
            values: if may_submit {
                self.values(&namespace, object.spec.nodes.iter().flat_map(|node| &node.call.env)).await
            } else {
                Values::default()
            },
            header,
        })
    }
}

/// Names of the executors of these processes, as far as the colony reports them.
async fn executors(
    processes: &Observed<Vec<Process>>,
    connection: Option<&Connection>,
) -> BTreeMap<Id, String> {
    let mut names = BTreeMap::new();
    let (Some(processes), Some(connection)) = (processes.known(), connection) else { return names };
    let ids: BTreeSet<&Id> =
        processes.iter().filter_map(|process| process.assigned_executor.as_ref()).collect();
    for id in ids {
        if let Some(name) = named(connection, id).await {
            names.insert(id.clone(), name);
        }
    }
    names
}
