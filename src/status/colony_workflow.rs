//! The status of a `ColonyWorkflow`. Pure.

use std::collections::BTreeSet;

use super::{
    condition::{clean, merge, whole_seconds},
    mirror,
    output::{LARGEST_OUTPUT, bounded_by},
    work::{
        StateSummary, blocker, findings, not_resubmitted, not_submitted, state_summary, stop_withheld,
        stopped,
    },
};
use crate::{
    act::outcome::Outcome,
    api::{
        colony_workflow::{ColonyWorkflowStatus, NodeStatus},
        condition::Reason,
        mirror::{MirrorState, MirrorStatus},
        work::{StopReason, WorkState},
    },
    colony::Process,
    diff::{Mirror, Problem, colony_workflow::terms_with, graph},
    snapshot::ColonyWorkflowSnapshot,
};

/// Most errors of a node that stand in status.
const MOST_ERRORS: usize = 4;
/// Most bytes of errors that stand in status, over all nodes.
const LARGEST_ERRORS: usize = 16 * 1024;
/// Most nodes that a message names.
const MOST_NAMED: usize = 5;

/// The status after a pass.
#[must_use]
pub fn compute(
    snapshot: &ColonyWorkflowSnapshot,
    outcome: Result<&Outcome, &Problem>,
) -> ColonyWorkflowStatus {
    let before = snapshot.object.status.clone().unwrap_or_default();
    if before.state.is_some_and(WorkState::is_final) {
        return before;
    }
    let mut status = before.clone();
    status.observed_generation = snapshot.object.metadata.generation;
    if let Ok(outcome) = outcome {
        status.mirror = mirror::record(before.mirror.as_ref(), outcome, snapshot.header.now);
        status.stopping = outcome.plan.stop.or(before.stopping);
        if matches!(outcome.plan.mirror, Mirror::Intend { .. } | Mirror::Found { .. }) {
            begin(&mut status, snapshot);
        }
    }
    status.graph_id = status.mirror.as_ref().and_then(|mirror| mirror.process_id.clone());
    // Of one that was bound and is over already, nothing was asked.
    let is_adopted = before.mirror.is_none();
    let was_asked = is_adopted || before.mirror.as_ref().is_some_and(MirrorStatus::may_live);
    if let Some(id) = status.graph_id.clone().filter(|_| was_asked) {
        describe(&mut status, snapshot, &id);
    }
    let done = status.nodes.iter().filter(|node| node.state == WorkState::Succeeded).count();
    status.progress = Some(format!("{done}/{}", snapshot.object.spec.nodes.len()));
    let end = judge(snapshot, &status, outcome);
    if end.state == WorkState::Suspended {
        status.active_since = None;
    }
    if end.state.is_final() {
        let ended_at = status.nodes.iter().filter_map(|node| node.completion_time.as_ref()).max();
        status.completion_time =
            Some(ended_at.cloned().unwrap_or_else(|| whole_seconds(snapshot.header.now)));
    }
    status.state = Some(end.state);
    let adopted_id = snapshot.object.spec.graph_id.as_ref();
    let submitted = status.graph_id.as_ref().map(|id| {
        if adopted_id == Some(id) {
            format!("workflow {id} was adopted")
        } else {
            format!("attempt {} is workflow {id}", status.attempts)
        }
    });
    let blocker =
        blocker(&snapshot.header.processes, status.mirror.is_some() || adopted_id.is_some(), outcome);
    let mut findings = findings(&end, submitted, blocker.as_ref());
    let what = status.graph_id.as_ref().map(|id| format!("workflow {id}"));
    findings.extend(stop_withheld(&terms_with(snapshot, Some(&status)), what.as_deref()));
    status.conditions = merge(&before.conditions, findings, status.observed_generation, snapshot.header.now);
    status
}

/// A new attempt: what the last one left is no longer so.
fn begin(status: &mut ColonyWorkflowStatus, snapshot: &ColonyWorkflowSnapshot) {
    status.attempts = status.mirror.as_ref().map_or(status.attempts, |mirror| mirror.generation);
    status.active_since.get_or_insert_with(|| whole_seconds(snapshot.header.now));
    status.stopping = None;
    status.start_time = None;
    status.completion_time = None;
    status.output_truncated = false;
    let names = snapshot.object.spec.nodes.iter().map(|node| node.name.clone());
    status.nodes = names.map(NodeStatus::pending).collect();
}

/// Brings the nodes of graph `id` up to date.
fn describe(status: &mut ColonyWorkflowStatus, snapshot: &ColonyWorkflowSnapshot, id: &str) {
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
        let mut described = NodeStatus { state: node.state, ..node.recorded.clone() };
        let Some(process) = node.process else { return described };
        described.process_id = Some(process.id.to_string());
        described.executor = executor(snapshot, process);
        described.start_time = process.started_at.map(whole_seconds);
        described.completion_time = process.ended_at.filter(|_| node.state.is_final()).map(whole_seconds);
        if node.state == WorkState::Succeeded && !needed.contains(&described.name) {
            let (output, is_whole) = bounded_by(&process.output, &mut output_left);
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

fn executor(snapshot: &ColonyWorkflowSnapshot, process: &Process) -> Option<String> {
    let id = process.assigned_executor.as_ref()?;
    Some(snapshot.executors.get(id).cloned().unwrap_or_else(|| id.to_string()))
}

fn judge(
    snapshot: &ColonyWorkflowSnapshot,
    status: &ColonyWorkflowStatus,
    outcome: Result<&Outcome, &Problem>,
) -> StateSummary {
    use WorkState::{Failed, Lost, Pending, Running, Succeeded, Waiting};
    let (spec, terms) = (&snapshot.object.spec, terms_with(snapshot, Some(status)));
    let wanted = status.stopping.or_else(|| terms.wanted_stop());
    let deadline = spec.active_deadline_seconds;
    let Some(mirror) = &status.mirror else {
        let adopted_id = spec.graph_id.as_ref().map(|id| format!("workflow {id}"));
        let kept =
            not_submitted(adopted_id.as_deref(), spec.may_submit(), outcome).filter(|_| wanted.is_none());
        return kept.unwrap_or_else(|| stopped(wanted, None, deadline));
    };
    // What may not be ended was not ended for that.
    let stop = wanted.filter(|_| status.stopping.is_some() || terms.may_update);
    let id = mirror.process_id.as_deref().unwrap_or_default();
    let what = mirror.process_id.as_ref().map(|id| format!("workflow {id}"));
    match mirror.state {
        MirrorState::Intended => state_summary(
            Pending,
            Reason::SubmitIntended,
            format!("attempt {} is about to be submitted", mirror.generation),
        ),
        MirrorState::Waiting => {
            state_summary(Waiting, Reason::ProcessWaiting, format!("workflow {id} waits for executors"))
        }
        MirrorState::Running => {
            let message = match named(status, Running) {
                running if running.is_empty() => format!("workflow {id} waits for executors"),
                running => format!("executors run {running} of workflow {id}"),
            };
            state_summary(Running, Reason::ProcessRunning, message)
        }
        MirrorState::Successful => {
            let message = format!("executors closed all nodes of workflow {id}");
            state_summary(Succeeded, Reason::ClosedSuccessfully, message)
        }
        // What is bound as a whole has a process for each node.
        MirrorState::Failed if status.nodes.iter().any(|node| node.process_id.is_none()) => {
            let errors = mirror.errors.as_deref().unwrap_or("the server has kept only a part of it");
            let message = format!("{errors}; it is not submitted again, since that part may have run");
            state_summary(Failed, Reason::WorkflowIncomplete, message)
        }
        MirrorState::Failed => match stop {
            Some(StopReason::Cancelled | StopReason::DeadlineExceeded) => {
                stopped(stop, what.as_deref(), deadline)
            }
            _ => state_summary(Failed, Reason::ProcessFailed, failure(status, id)),
        },
        MirrorState::Cancelled | MirrorState::Lost
            if stop == Some(StopReason::Suspended) && !spec.suspend && !spec.may_submit() =>
        {
            not_resubmitted(&format!("workflow {id}"), spec.adoption_policy)
        }
        MirrorState::Cancelled => stopped(stop, what.as_deref(), deadline),
        MirrorState::Lost if stop.is_some() => stopped(stop, what.as_deref(), deadline),
        MirrorState::Lost => {
            let nodes = named(status, Lost);
            let message =
                format!("the server no longer has {nodes} of workflow {id}; it is not submitted again");
            state_summary(Lost, Reason::ProcessLost, message)
        }
    }
}

/// The nodes that are in a state, by name.
fn named(status: &ColonyWorkflowStatus, state: WorkState) -> String {
    let names: Vec<&str> =
        status.nodes.iter().filter(|node| node.state == state).map(|node| node.name.as_str()).collect();
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
