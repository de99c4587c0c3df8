//! What one pass reads of a `ColonyWorkflow` alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    mirror::ProcessReader,
    work::{ReadWork, WorkRead, named},
};
use crate::{
    api::{
        colony_workflow::ColonyWorkflow,
        function::Variable,
        mirror::{MirrorState, Mirrored as _},
        work::WorkState,
    },
    colony::{Id, Process, ProcessId},
    memory::connections::Connection,
    snapshot::{ColonyWorkflowSnapshot, Observed},
};

impl ReadWork for ColonyWorkflowSnapshot {
    async fn recorded(
        object: &ColonyWorkflow,
        reader: &ProcessReader,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        let mut live: Vec<ProcessId> =
            object.live_processes().iter().map(|process| ProcessId::new(process.id)).collect();
        if object.mirror().is_some_and(|mirror| mirror.state == MirrorState::Lost) {
            let nodes = object.status.iter().flat_map(|status| &status.nodes);
            let lost = nodes.filter(|node| node.state == WorkState::Lost);
            live = lost.filter_map(|node| node.process_id.as_deref()).map(ProcessId::new).collect();
        }
        reader
            .of_workflow(object.mirror(), &live, object.metadata.deletion_timestamp.is_some(), connection)
            .await
    }

    async fn named(
        id: &str,
        reader: &ProcessReader,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        reader.find_workflow(id, connection).await
    }

    fn id_of(labelled: &[Process]) -> Option<String> {
        labelled.iter().map(|process| &process.graph_id).find(|id| !id.is_empty()).cloned()
    }

    fn variables(object: &ColonyWorkflow) -> Vec<&Variable> {
        object.spec.nodes.iter().flat_map(|node| &node.call.env).collect()
    }

    async fn complete(read: WorkRead<ColonyWorkflow>) -> Self {
        let WorkRead { object, header, holder, values, connection } = read;
        let executors = executors(&header.processes, connection.as_deref()).await;
        Self { object, header, holder, executors, values }
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
