//! Tells a collector of the work of an object once its status is written.

use kube::{Resource as _, ResourceExt as _, core::object::HasStatus as _};
use serde_json::Value;

use super::{
    context::Services,
    stages::{DynamicType, Stages, Status},
};
use crate::{
    act::kinds::WritableKind as _,
    api::{mirror::UsedColony, work::WorkState},
    colony::ProcessId,
    status::trace::{Run, Traced, spans},
};

/// Tells of what has ended with a status that was written.
pub(super) fn tell<S: Stages>(
    services: &Services,
    kind: &DynamicType<S>,
    object: &S::Object,
    status: &Status<S>,
) {
    let Some(after) = S::recorded(status) else { return };
    services.traces.tell(|| {
        let mut written = object.clone();
        *written.status_mut() = Some(status.clone());
        // What was sent to the API server can be sent here.
        let shown = serde_json::to_value(&written).unwrap_or_default();
        let colony = S::mirrored(&written).and_then(|mirrored| mirrored.used_colony().cloned());
        let mut runs = runs(&shown["status"]);
        if runs.is_empty() {
            runs.extend(last_seen(services, colony.as_ref(), after.process_id.as_deref()));
        }
        let (namespace, name) = (object.namespace(), object.name_any());
        spans(&Traced {
            kind: &S::Object::name_of(kind),
            namespace: namespace.as_deref(),
            name: &name,
            uid: object.meta().uid.as_deref().unwrap_or_default(),
            created_at: object.creation_timestamp().map(|time| time.0),
            colony: colony.as_ref().map(|colony| colony.name.as_str()),
            before: object.status().and_then(S::recorded),
            after,
            runs: &runs,
            now: services.clock.now(),
        })
    });
}

/// What executors did, as status has it: of a process, or of each node of a workflow.
fn runs(status: &Value) -> Vec<Run> {
    let run = |run: &Value| {
        let text = |field: &str| run[field].as_str().map(str::to_owned);
        let time = |field: &str| run[field].as_str().and_then(|time| time.parse().ok());
        Some(Run {
            node: text("name"),
            process_id: text("processId"),
            executor: text("executor"),
            started_at: Some(time("startTime")?),
            ended_at: time("completionTime"),
            has_failed: run["state"].as_str() == Some(WorkState::Failed.as_str()),
        })
    };
    match status["nodes"].as_array() {
        Some(nodes) => nodes.iter().filter_map(run).collect(),
        None => run(status).into_iter().collect(),
    }
}

/// The same of a process whose times are not in status, as the colony last described it.
fn last_seen(services: &Services, colony: Option<&UsedColony>, process: Option<&str>) -> Option<Run> {
    let connection = services.connections.get(&colony?.name)?;
    let process = services.processes.last_seen(connection.member.id(), &ProcessId::new(process?))?.process;
    Some(Run {
        node: None,
        process_id: Some(process.id.to_string()),
        executor: process.assigned_executor.as_ref().map(ToString::to_string),
        started_at: process.started_at,
        ended_at: process.ended_at,
        has_failed: process.state == crate::colony::ProcessState::Failed,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_executors_did_is_taken_from_status() {
        let (start, end) = ("2026-11-21T09:55:02Z", "2026-11-21T09:57:40Z");
        let one = json!({ "state": "Failed", "processId": "p", "executor": "e", "startTime": start, "completionTime": end });
        let found = runs(&one);
        let run = &found[0];
        assert_eq!((run.node.as_deref(), run.executor.as_deref(), run.has_failed), (None, Some("e"), true));
        assert_eq!((run.started_at, run.ended_at), (start.parse().ok(), end.parse().ok()));
        assert!(runs(&json!({ "state": "Cancelled", "processId": "p" })).is_empty(), "nothing took it");
        let nodes = json!({ "startTime": start, "nodes": [
            { "name": "a", "state": "Succeeded", "processId": "p", "startTime": start, "completionTime": end },
            { "name": "b", "state": "Pending" },
        ] });
        let found = runs(&nodes);
        assert_eq!((found.len(), found[0].node.as_deref()), (1, Some("a")));
    }
}
