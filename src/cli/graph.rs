//! `colonyos-operator graph`: a `ColonyWorkflow` as a drawing of who waits for whom, with where each node stands.
//!
//! Reads only, with the permissions of its user: the object alone. What stands there is bounded; `colonyos-operator
//! process ID` shows all of a node's process.

use std::collections::BTreeMap;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Failure, connection::Connection, output::Output, process::shown, table::aligned};
use crate::{
    api::{
        colony_workflow::{ColonyWorkflow, NodeStatus, WorkflowNode},
        kind::Kind,
        work::WorkState,
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
};

/// Arguments of `graph`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the `ColonyWorkflow`, alone or as `colonyworkflow/NAME`
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    connection: Connection,
    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints a workflow.
///
/// # Errors
///
/// When the object cannot be read.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let object = Runtime::new()?.block_on(find(arguments))?;
    arguments.output.print(|| text_of(&object, Clock::system().now()), || json_of(&object))
}

async fn find(arguments: &Arguments) -> Result<ColonyWorkflow, Failure> {
    let kubernetes = arguments.connection.connect().await?;
    let namespace = kubernetes.namespace.as_str();
    let api = Api::<ColonyWorkflow>::namespaced(kubernetes.calls.clone(), namespace);
    let name = name_of(&arguments.name)?;
    call(CALL_TIME_LIMIT, api.get(name))
        .await
        .map_err(|error| error.explain(&format!("get ColonyWorkflow {namespace}/{name}")).into())
}

/// The name of a workflow, which may stand behind its kind.
fn name_of(object: &str) -> Result<&str, Failure> {
    match object.split_once('/') {
        None => Ok(object),
        Some((kind, name)) if Kind::called(kind) == Some(Kind::ColonyWorkflow) => Ok(name),
        Some((kind, _)) => Err(format!("{kind:?} has no graph: give the name of a ColonyWorkflow").into()),
    }
}

/// A node, how deep it stands below those that wait for nothing, and its status.
struct Row<'a> {
    node: &'a WorkflowNode,
    depth: usize,
    status: Option<&'a NodeStatus>,
}

/// The nodes, each after all that it waits for. Those that wait for each other in a circle come last.
fn rows(object: &ColonyWorkflow) -> Vec<Row<'_>> {
    let status = |name: &str| {
        let nodes = object.status.as_ref().map_or(&[][..], |status| status.nodes.as_slice());
        nodes.iter().find(|node| node.name == name)
    };
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    let mut left: Vec<&WorkflowNode> = object.spec.nodes.iter().collect();
    let mut rows = Vec::new();
    loop {
        let depth = |node: &&WorkflowNode| -> Option<usize> {
            let needed = node.dependencies.iter().map(|needed| depths.get(needed.as_str()));
            needed.map(|depth| Some(depth? + 1)).try_fold(0, |deepest, depth| Some(deepest.max(depth?)))
        };
        let (ready, waiting): (Vec<_>, Vec<_>) =
            left.iter().map(|node| (*node, depth(node))).partition(|(_, depth)| depth.is_some());
        if ready.is_empty() {
            break;
        }
        left = waiting.into_iter().map(|(node, _)| node).collect();
        for (node, depth) in ready {
            let depth = depth.unwrap_or_default();
            depths.insert(&node.name, depth);
            rows.push(Row { node, depth, status: status(&node.name) });
        }
    }
    rows.extend(left.into_iter().map(|node| Row { node, depth: 0, status: status(&node.name) }));
    rows
}

fn json_of(object: &ColonyWorkflow) -> Value {
    let status = object.status.as_ref();
    let nodes = rows(object).into_iter().map(|row| {
        json!({
            "name": row.node.name,
            "dependencies": row.node.dependencies,
            "function": row.node.call.function,
            "executorType": row.node.call.conditions.executor_type,
            "state": row.status.map_or(WorkState::Pending, |status| status.state).as_str(),
            "processId": row.status.and_then(|status| status.process_id.as_ref()),
            "executor": row.status.and_then(|status| status.executor.as_ref()),
            "startedAt": row.status.and_then(|status| status.start_time.as_ref()),
            "endedAt": row.status.and_then(|status| status.completion_time.as_ref()),
            "errors": row.status.map_or(&[][..], |status| status.errors.as_slice()),
            "output": row.status.map_or(&[][..], |status| status.output.as_slice()),
        })
    });
    json!({
        "name": object.name_any(),
        "namespace": object.namespace(),
        "graphId": status.and_then(|status| status.graph_id.as_ref()),
        "state": status.and_then(|status| status.state).unwrap_or(WorkState::Pending).as_str(),
        "progress": status.and_then(|status| status.progress.as_ref()),
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn text_of(object: &ColonyWorkflow, now: Timestamp) -> String {
    let status = object.status.as_ref();
    let state = status.and_then(|status| status.state).unwrap_or(WorkState::Pending);
    let id = status.and_then(|status| status.graph_id.as_deref()).unwrap_or("-");
    let progress = status.and_then(|status| status.progress.as_deref()).unwrap_or("-");
    let mut lines = vec![
        format!("Workflow {}", shown(&object.name_any())),
        format!("Graph    {}", shown(id)),
        format!("State    {}, {progress} nodes have succeeded", state.as_str()),
        String::new(),
    ];
    let rows = rows(object);
    let mut table = vec![["NODE", "AFTER", "STATE", "EXECUTOR", "DURATION"].map(str::to_owned)];
    table.extend(rows.iter().map(|row| cells(row, now)));
    lines.extend(aligned(&table));
    let errors = rows.iter().filter_map(|row| Some((row.node, row.status?)));
    for (node, status) in errors.filter(|(_, status)| !status.errors.is_empty()) {
        lines.push(String::new());
        lines.push(format!("{} failed:", shown(&node.name)));
        lines.extend(status.errors.iter().map(|error| format!("  {}", shown(error))));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn cells(row: &Row<'_>, now: Timestamp) -> [String; 5] {
    let arrow = if row.depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(row.depth - 1)) };
    let after = row.node.dependencies.join(", ");
    let status = row.status;
    [
        format!("{arrow}{}", shown(&row.node.name)),
        if after.is_empty() { "-".to_owned() } else { shown(&after) },
        status.map_or(WorkState::Pending, |status| status.state).as_str().to_owned(),
        status.and_then(|status| status.executor.as_deref()).map_or("-".to_owned(), shown),
        status.and_then(|status| duration(status, now)).unwrap_or_else(|| "-".to_owned()),
    ]
}

/// How long a node has run: up to now if it still does.
fn duration(status: &NodeStatus, now: Timestamp) -> Option<String> {
    let started_at = status.start_time.as_ref()?.0;
    let ended_at = match &status.completion_time {
        Some(ended_at) => ended_at.0,
        None if status.state == WorkState::Running => now,
        None => return None,
    };
    let seconds = ended_at.duration_since(started_at).max(SignedDuration::ZERO).as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest:02}s"),
        _ => format!("{hours}h{minutes:02}m"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::documented::printed;

    fn workflow() -> ColonyWorkflow {
        let node = |name: &str, needs: &[&str]| json!({ "name": name, "dependencies": needs, "function": "f", "conditions": { "executorType": "t" } });
        serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow", "metadata": { "name": "render" },
            "spec": { "nodes": [node("join", &["left", "right"]), node("left", &["start"]), node("right", &["start"]), node("start", &[])] },
            "status": { "state": "Failed", "graphId": "g1", "progress": "1/4", "nodes": [
                { "name": "join", "state": "Failed" },
                { "name": "left", "state": "Failed", "processId": "p2", "executor": "worker-2", "errors": ["\u{1b}[31mdisk full"],
                  "startTime": "2026-11-21T10:01:00Z", "completionTime": "2026-11-21T10:02:05Z" },
                { "name": "right", "state": "Running", "executor": "worker-3", "startTime": "2026-11-21T10:01:00Z" },
                { "name": "start", "state": "Succeeded", "executor": "worker-1",
                  "startTime": "2026-11-21T10:00:00Z", "completionTime": "2026-11-21T10:00:07Z" },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn a_workflow_is_named_alone_or_behind_its_kind() {
        for object in ["render", "colonyworkflow/render", "cwf/render"] {
            assert_eq!(name_of(object).unwrap(), "render");
        }
        assert!(name_of("colonyprocess/render").unwrap_err().to_string().contains("no graph"));
    }

    /// Read from top to bottom it is the order in which things happen, whatever the order of the manifest.
    #[test]
    fn nodes_stand_below_what_they_wait_for_and_steer_no_terminal() {
        let text = text_of(&workflow(), "2026-11-21T11:03:00Z".parse().unwrap());
        let expected = "\
Workflow render
Graph    g1
State    Failed, 1/4 nodes have succeeded

NODE      AFTER        STATE      EXECUTOR  DURATION
start     -            Succeeded  worker-1  7s
└ left    start        Failed     worker-2  1m05s
└ right   start        Running    worker-3  1h02m
  └ join  left, right  Failed     -         -

left failed:
  \u{fffd}[31mdisk full
";
        assert_eq!(text, expected);
        let shown = text.replace("\u{fffd}[31m", "");
        assert_eq!(shown, printed("kubectl colony graph render"), "as the page shows it");
    }

    /// The object may be one that is refused for its circle: it can be looked at all the same.
    #[test]
    fn a_circle_is_shown_too() {
        let mut object = workflow();
        object.spec.nodes[3].dependencies = vec!["join".to_owned()];
        object.status = None;
        let names: Vec<Value> =
            json_of(&object)["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect();
        assert_eq!(names, ["join", "left", "right", "start"]);
    }
}
