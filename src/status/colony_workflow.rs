//! The status of a `ColonyWorkflow`, beside what is reported of all work. Pure.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    awaited::{self, Awaited},
    condition::{clean, whole_seconds},
    inexact::inexact,
    output::{LARGEST_OUTPUT, bounded_by},
    work::{StateSummary, state_summary},
    work_status::{Submitted, WorkStatus},
};
use crate::{
    api::{
        colony_workflow::{ColonyWorkflowStatus, NodeStatus},
        condition::Reason,
        mirror::MirrorStatus,
        work::{StopReason, WorkState},
    },
    colony::{Process, ProcessState},
    diff::graph,
    snapshot::ColonyWorkflowSnapshot,
};

pub use super::work_status::compute;

/// Most errors of a node that stand in status.
const MOST_ERRORS: usize = 4;
/// Most bytes of errors that stand in status, over all nodes.
const LARGEST_ERRORS: usize = 16 * 1024;
/// Most nodes that a message names.
const MOST_NAMED: usize = 5;

impl WorkStatus for ColonyWorkflowSnapshot {
    fn begin(&self, status: &mut ColonyWorkflowStatus) {
        let names = self.object.spec.nodes.iter().map(|node| node.name.clone());
        status.nodes = names.map(NodeStatus::pending).collect();
    }

    fn describe(&self, status: &mut ColonyWorkflowStatus, before: &ColonyWorkflowStatus) {
        // Of one that was bound and is over already, nothing was asked.
        let was_asked = before.mirror.as_ref().is_none_or(MirrorStatus::may_live);
        if let Some(id) = status.graph_id.clone().filter(|_| was_asked) {
            describe_nodes(status, self, &id);
        }
        let done = status.nodes.iter().filter(|node| node.state == WorkState::Succeeded).count();
        status.progress = Some(format!("{done}/{}", self.object.spec.nodes.len()));
    }

    fn ended_at(&self, status: &ColonyWorkflowStatus) -> Option<Time> {
        status.nodes.iter().filter_map(|node| node.completion_time.as_ref()).max().cloned()
    }

    fn awaited(&self) -> Awaited {
        let nodes = self.header.processes.known().into_iter().flatten();
        let waiting = nodes.filter(|node| node.state == ProcessState::Waiting && !node.waits_for_parents);
        let awaited = waiting.map(|node| {
            let awaited = executor_for(self, node);
            Awaited { what: format!("{} for node {}", awaited.what, node.spec.node_name), ..awaited }
        });
        // What will not be taken first; in the order of the texts, whatever the order in which they were read.
        let first = awaited.min_by_key(|awaited| (!awaited.is_unserved, awaited.what.clone()));
        first.unwrap_or_else(|| Awaited::usual("executors"))
    }

    fn stalled_since(&self, status: &ColonyWorkflowStatus) -> Option<Time> {
        let is_running = status.nodes.iter().any(|node| node.state == WorkState::Running);
        if is_running || !self.awaited().is_unserved {
            return None;
        }
        self.ended_at(status).or_else(|| status.mirror.as_ref()?.submitted_at.clone())
    }

    fn running(&self, status: &ColonyWorkflowStatus, id: &str) -> String {
        match named(status, WorkState::Running) {
            running if running.is_empty() => format!("workflow {id} waits for {}", self.awaited().what),
            running => {
                let awaited = Some(self.awaited()).filter(|awaited| awaited.is_unserved);
                let waits = awaited.map(|awaited| format!("; it waits for {}", awaited.what));
                format!("executors run {running} of workflow {id}{}", waits.unwrap_or_default())
            }
        }
    }

    fn closed(&self, _: &ColonyWorkflowStatus, id: &str) -> String {
        format!("executors closed all nodes of workflow {id}")
    }

    fn lost(&self, status: &ColonyWorkflowStatus, id: &str) -> String {
        format!("{} of workflow {id}", named(status, WorkState::Lost))
    }

    fn warning(&self) -> Option<(Reason, String)> {
        let spec = &self.object.spec;
        let at_risk = spec.nodes.iter().filter(|node| node.is_at_risk()).map(|node| node.name.as_str());
        let at_risk: Vec<&str> = at_risk.collect();
        if spec.graph_id.is_some() {
            return None;
        }
        if at_risk.is_empty() {
            return spec.nodes.iter().find_map(|node| {
                let path = format!("spec.nodes[{}].conditions", node.name);
                awaited::too_many_nodes(&self.header, &node.call.conditions, &path)
                    .or_else(|| inexact(&node.call, &format!("spec.nodes[{}]", node.name)))
            });
        }
        let named = listed(&at_risk);
        let remedy = "give each a maxExecTime, and no maxRetries: 0";
        let message = format!(
            "spec.nodes: the server can lose nodes that depend on no other, and does not give {named} to an executor again: {remedy}"
        );
        Some((Reason::RootNotRetried, message))
    }

    fn failed(&self, status: &ColonyWorkflowStatus, submitted: &Submitted<'_>) -> StateSummary {
        // What is bound as a whole has a process for each node.
        if status.nodes.iter().any(|node| node.process_id.is_none()) {
            let errors = submitted.mirror.errors.as_deref();
            let errors = errors.unwrap_or("the server has kept only a part of it");
            let message = format!("{errors}; it is not submitted again, since that part may have run");
            return state_summary(WorkState::Failed, Reason::WorkflowIncomplete, message);
        }
        if let Some(StopReason::Cancelled | StopReason::DeadlineExceeded) = submitted.stop {
            return submitted.stopped(submitted.stop);
        }
        state_summary(WorkState::Failed, Reason::ProcessFailed, failure(status, submitted.id))
    }
}

/// Brings the nodes of graph `id` up to date.
fn describe_nodes(status: &mut ColonyWorkflowStatus, snapshot: &ColonyWorkflowSnapshot, id: &str) {
    let Some(nodes) = graph::nodes(&status.nodes, id, &snapshot.header.processes, snapshot.header.now) else {
        return;
    };
    let needed: BTreeSet<&String> =
        snapshot.object.spec.nodes.iter().flat_map(|node| &node.dependencies).collect();
    let size = |node: &NodeStatus| node.output.iter().map(|value| value.to_string().len()).sum::<usize>();
    let mut output_left = LARGEST_OUTPUT.saturating_sub(status.nodes.iter().map(size).sum());
    let size = |node: &NodeStatus| node.errors.iter().map(String::len).sum::<usize>();
    let mut errors_left = LARGEST_ERRORS.saturating_sub(status.nodes.iter().map(size).sum());
    let mut is_truncated = status.output_truncated;
    let described = nodes.iter().map(|node| {
        let mut described = NodeStatus { state: node.state, waits_for: None, ..node.recorded.clone() };
        let Some(process) = node.process else { return described };
        described.waits_for = waits_for(snapshot, process, &nodes);
        described.process_id = Some(process.id.to_string());
        described.executor = executor(snapshot, process);
        described.start_time = process.started_at.map(whole_seconds);
        described.completion_time = process.ended_at.filter(|_| node.state.is_final()).map(whole_seconds);
        if node.state == WorkState::Succeeded && !needed.contains(&described.name) {
            let (output, is_whole) = bounded_by(process, &mut output_left);
            described.output = output;
            is_truncated |= !is_whole;
        }
        for error in process.errors.iter().take(MOST_ERRORS).map(|error| clean(error)) {
            if let Some(left) = errors_left.checked_sub(error.len()) {
                errors_left = left;
                described.errors.push(error);
            }
        }
        described
    });
    let described: Vec<NodeStatus> = described.collect();
    status.start_time = described.iter().filter_map(|node| node.start_time.clone()).min();
    status.nodes = described;
    status.output_truncated = is_truncated;
}

/// What a node waits for, if it waits: nodes that have not ended well, or an executor.
fn waits_for(
    snapshot: &ColonyWorkflowSnapshot,
    process: &Process,
    nodes: &[graph::Node<'_>],
) -> Option<String> {
    if process.state != ProcessState::Waiting {
        return None;
    }
    if !process.waits_for_parents {
        return Some(executor_for(snapshot, process).what);
    }
    let is_open = |name: &&String| {
        let found = nodes.iter().find(|node| node.recorded.name == **name);
        found.is_none_or(|node| node.state != WorkState::Succeeded)
    };
    let open: Vec<&str> =
        process.spec.conditions.dependencies.iter().filter(is_open).map(String::as_str).collect();
    Some(listed(&open)).filter(|named| !named.is_empty())
}

fn executor_for(snapshot: &ColonyWorkflowSnapshot, process: &Process) -> Awaited {
    Awaited::executor(&snapshot.header, &awaited::of_process(&process.spec.conditions), Some(&process.id))
}

fn executor(snapshot: &ColonyWorkflowSnapshot, process: &Process) -> Option<String> {
    let id = process.assigned_executor.as_ref()?;
    Some(snapshot.executors.get(id).cloned().unwrap_or_else(|| id.to_string()))
}

/// The nodes that are in a state, by name.
fn named(status: &ColonyWorkflowStatus, state: WorkState) -> String {
    let names: Vec<&str> =
        status.nodes.iter().filter(|node| node.state == state).map(|node| node.name.as_str()).collect();
    listed(&names)
}

/// Nodes, for a person.
fn listed(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().take(MOST_NAMED).copied().collect();
    let rest = names.len() - shown.len();
    match (shown.len(), rest) {
        (0, _) => String::new(),
        (1, _) => format!("node {}", shown.join("")),
        (_, 0) => format!("nodes {}", shown.join(", ")),
        _ => format!("nodes {} and {rest} more", shown.join(", ")),
    }
}

/// Which nodes failed, and why. Those that only went with them have no errors.
fn failure(status: &ColonyWorkflowStatus, id: &str) -> String {
    let failed = status.nodes.iter().filter(|node| !node.errors.is_empty());
    let told: Vec<String> = failed
        .take(MOST_NAMED)
        .map(|node| format!("node {} failed: {}", node.name, node.errors.join("; ")))
        .collect();
    if told.is_empty() {
        return format!("{} of workflow {id} failed: no reason was given", named(status, WorkState::Failed));
    }
    format!("{} (workflow {id})", told.join("; "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        act::outcome::Outcome,
        snapshot::{Observed, Workforce, fixtures},
    };

    /// Of a graph, each node waits for something else.
    #[test]
    fn each_node_says_what_it_waits_for() {
        let node = |name: &str, needs: &[&str]| {
            json!({ "name": name, "function": "f", "dependencies": needs,
                    "conditions": { "executorType": "t", "nodes": 4 }, "maxExecTime": "1m" })
        };
        let process = |id: &str, name: &str, needs: &[&str]| {
            serde_json::from_value(json!({
                "processid": id, "state": 0, "submissiontime": "2026-11-26T10:00:00Z", "processgraphid": "g",
                "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
                "waitforparents": !needs.is_empty(),
                "spec": { "funcname": "f", "label": "l", "nodename": name,
                          "conditions": { "executortype": "t", "dependencies": needs } },
            }))
            .unwrap()
        };
        let object = serde_json::from_value(json!({
            "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 1 },
            "spec": { "nodes": [node("a", &[]), node("b", &["a"]), node("c", &["a", "b"])] },
            "status": {
                "attempts": 1, "graphId": "g",
                "mirror": { "label": "l", "generation": 1, "processId": "g", "state": "Waiting",
                            "intendedAt": "2026-11-26T10:00:00Z", "submittedAt": "2026-11-26T10:00:00Z" },
                "nodes": [{ "name": "a", "state": "Pending" }, { "name": "b", "state": "Pending" },
                          { "name": "c", "state": "Pending" }],
            },
        }))
        .unwrap();
        let processes =
            vec![process("1", "a", &[]), process("2", "b", &["a"]), process("3", "c", &["a", "b"])];
        let mut header = fixtures::header(fixtures::colony(), Observed::Known(processes));
        let small = json!({
            "executorid": "0".repeat(64), "executorname": "e", "executortype": "t", "colonyname": "dev", "state": 1,
            "commissiontime": "2026-11-21T09:58:00Z", "lastheardfromtime": "2026-11-21T09:58:00Z",
            "capabilities": { "hardware": [{ "nodes": 2 }] },
        });
        let small = serde_json::from_value(small).unwrap();
        header.workforce = Some(Arc::new(Workforce::new(&[small], false, None)));
        let mut snapshot = ColonyWorkflowSnapshot {
            object,
            header,
            holder: Observed::Known(None),
            executors: std::collections::BTreeMap::default(),
            values: crate::snapshot::Values::default(),
        };
        let status = compute(&snapshot, Ok(&Outcome::default()));
        let waits: Vec<&str> = status.nodes.iter().filter_map(|node| node.waits_for.as_deref()).collect();
        assert_eq!(waits, ["an executor of type t", "node a", "nodes a, b"]);
        let warnings = status.conditions.iter().find(|condition| condition.type_ == "Warnings").unwrap();
        assert_eq!(warnings.reason, "TooManyNodes");
        assert!(
            warnings.message.starts_with("spec.nodes[a].conditions.nodes: needs 4 nodes, and the largest executor of type t that fits has 2;"),
            "{}",
            warnings.message
        );
        snapshot.header.workforce = Some(Arc::new(Workforce::default()));
        let status = compute(&snapshot, Ok(&Outcome::default()));
        let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished").unwrap();
        let says = "workflow g waits for an executor of type t: none is registered in colony dev (there are none) for node a";
        assert_eq!(finished.message, says);
        snapshot.object.status = Some(status.clone());
        assert_eq!(compute(&snapshot, Ok(&Outcome::default())), status, "and nothing is written again");
    }
}
