//! What one pass reads of a `ColonyProcess` alone.

use super::{
    mirror::ProcessReader,
    work::{ReadWork, WorkRead, executor},
};
use crate::{
    api::{colony_process::ColonyProcess, function::Variable, mirror::Mirrored as _, names::GATE_NODE},
    colony::Process,
    memory::connections::Connection,
    snapshot::{ColonyProcessSnapshot, Observed},
};

impl ReadWork for ColonyProcessSnapshot {
    async fn recorded(
        object: &ColonyProcess,
        reader: &ProcessReader,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        reader.of(object.mirror(), object.metadata.deletion_timestamp.is_some(), connection).await
    }

    async fn named(
        id: &str,
        reader: &ProcessReader,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        reader.find_process(id, connection).await
    }

    fn id_of(labelled: &[Process]) -> Option<String> {
        let run = labelled.iter().find(|process| process.spec.node_name != GATE_NODE)?;
        Some(run.id.to_string())
    }

    fn variables(object: &ColonyProcess) -> Vec<&Variable> {
        object.spec.call.env.iter().collect()
    }

    async fn complete(read: WorkRead<ColonyProcess>) -> Self {
        let WorkRead { object, header, holder, values, connection } = read;
        let id = object.mirror().and_then(|mirror| mirror.process_id.as_deref());
        let executor = executor(&header.processes, id, connection.as_ref()).await;
        Self { object, header, holder, executor, values }
    }
}
