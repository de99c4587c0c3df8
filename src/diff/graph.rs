//! The protocol that makes one attempt one workflow: the same as for processes, but that what is bound is a graph, and
//! that the server may have kept only a part of it. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    ColonyStep, Mirror,
    mirror::{Known, MirrorPlan, is_live},
};
use crate::{
    api::{
        colony_workflow::{ColonyWorkflowStatus, NodeStatus},
        mirror::{MirrorState, MirrorStatus},
        work::WorkState,
    },
    colony::{Process, ProcessState},
    desired::DesiredWorkflow,
    watch::snapshot::Observed,
};

/// How long the server may take to write the reasons of a failure, which it does after the state.
const REASONS: SignedDuration = SignedDuration::from_secs(2);

/// A workflow on the server, as a look-up of its label shows it.
struct Graph<'a> {
    id: &'a str,
    nodes: Vec<&'a Process>,
}

impl Graph<'_> {
    fn lacks<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        let there: BTreeSet<&str> = self.nodes.iter().map(|node| node.spec.node_name.as_str()).collect();
        names.iter().filter(|name| !there.contains(*name)).copied().collect()
    }

    /// Whether something of it is alive that can be ended. The server finds the nodes of a graph by following parents to
    /// their children, and refuses to cancel one of which it has lost a node.
    fn can_be_cancelled(&self) -> bool {
        let ids: BTreeSet<_> = self.nodes.iter().map(|node| &node.id).collect();
        let related = self.nodes.iter().flat_map(|node| node.parents.iter().chain(&node.children));
        self.nodes.iter().any(|node| is_live(node)) && related.into_iter().all(|id| ids.contains(id))
    }
}

/// What was found by its label, by graph. The oldest first, since the processes come so: every operator that looks comes to
/// the same choice.
fn graphs(processes: &[Process]) -> Vec<Graph<'_>> {
    let mut graphs: Vec<Graph<'_>> = Vec::new();
    for process in processes.iter().filter(|process| !process.graph_id.is_empty()) {
        match graphs.iter_mut().find(|graph| graph.id == process.graph_id) {
            Some(graph) => graph.nodes.push(process),
            None => graphs.push(Graph { id: &process.graph_id, nodes: vec![process] }),
        }
    }
    graphs
}

/// A node and what is known of it now.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// What status says of it.
    pub recorded: &'a NodeStatus,
    /// Its process, if it was read.
    pub process: Option<&'a Process>,
    /// Where it stands.
    pub state: WorkState,
}

/// The nodes of graph `id`, brought up to date. None while nothing is known, or something that is about to change: the
/// server is still to say why a node has failed.
#[must_use]
pub fn nodes<'a>(
    recorded: &'a [NodeStatus],
    id: &str,
    processes: &'a Observed<Vec<Process>>,
    now: Timestamp,
) -> Option<Vec<Node<'a>>> {
    let processes: Vec<&Process> =
        processes.known()?.iter().filter(|process| process.graph_id == id).collect();
    if reasons_due(&processes, now).is_some() {
        return None;
    }
    let failed = |process: &&&Process| process.state == ProcessState::Failed;
    let has_reason = processes.iter().any(|process| !process.errors.is_empty())
        || recorded.iter().any(|node| !node.errors.is_empty());
    let last_end = processes.iter().filter(failed).filter_map(|process| process.ended_at).max();
    // When a node fails that others wait for, the server tells all of them as failed, those that had succeeded too.
    let had_succeeded = |process: &Process| {
        process.errors.is_empty()
            && process.ended_at.is_some_and(|ended_at| has_reason || Some(ended_at) < last_end)
    };
    let node = |recorded: &'a NodeStatus| {
        let process = processes.iter().find(|process| process.spec.node_name == recorded.name).copied();
        let process = process.filter(|_| !recorded.state.is_final());
        let state = match process {
            None if recorded.state.is_final() || recorded.process_id.is_none() => recorded.state,
            None => WorkState::Lost,
            Some(process) => match process.state {
                ProcessState::Waiting => WorkState::Waiting,
                ProcessState::Running => WorkState::Running,
                ProcessState::Successful => WorkState::Succeeded,
                ProcessState::Failed if had_succeeded(process) => WorkState::Succeeded,
                ProcessState::Failed => WorkState::Failed,
                ProcessState::Cancelled => WorkState::Cancelled,
            },
        };
        Node { recorded, process, state }
    };
    Some(recorded.iter().map(node).collect())
}

/// When the reasons of a failure are to be there that the server has just noted.
fn reasons_due(processes: &[&Process], now: Timestamp) -> Option<Timestamp> {
    let lacks = |process: &&&Process| process.state == ProcessState::Failed && process.errors.is_empty();
    let ends = processes.iter().filter(lacks).filter_map(|process| process.ended_at);
    ends.filter(|ended_at| *ended_at <= now && now < *ended_at + REASONS).max().map(|at| at + REASONS)
}

/// Where a workflow stands as a whole.
#[must_use]
pub fn aggregate(states: &[WorkState]) -> MirrorState {
    let any = |wanted: &[WorkState]| states.iter().any(|state| wanted.contains(state));
    if any(&[WorkState::Waiting, WorkState::Running]) {
        let has_started = states.iter().any(|state| !matches!(state, WorkState::Waiting | WorkState::Pending));
        if has_started { MirrorState::Running } else { MirrorState::Waiting }
    } else if any(&[WorkState::Failed]) {
        MirrorState::Failed
    } else if any(&[WorkState::Cancelled]) {
        MirrorState::Cancelled
    } else if any(&[WorkState::Succeeded]) && !any(&[WorkState::Lost, WorkState::Pending]) {
        MirrorState::Successful
    } else {
        MirrorState::Lost
    }
}

impl MirrorPlan {
    /// The intent is on record, the id is not. `desired` is what may be submitted for it, if anything still may.
    pub(super) fn intended_graph(
        &mut self,
        known: &Known<'_>,
        status: &ColonyWorkflowStatus,
        mirror: &MirrorStatus,
        desired: Option<&DesiredWorkflow>,
    ) {
        let processes = match known.processes {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to say what has label {}: {why}", mirror.label));
                return;
            }
            Observed::Known(processes) => processes,
        };
        let names: Vec<&str> = status.nodes.iter().map(|node| node.name.as_str()).collect();
        let graphs = graphs(processes);
        let is_judged = graphs.iter().all(|graph| graph.lacks(&names).is_empty());
        // The server writes the nodes one after the other: one that is not there may be on its way.
        if !(is_judged && !graphs.is_empty()) && !self.quiet_period_over(known) {
            return;
        }
        let whole = graphs.iter().position(|graph| graph.lacks(&names).is_empty());
        let why = if whole.is_some() { "a duplicate of the same label" } else { "the server lacks some of its nodes" };
        let others = graphs.iter().enumerate().filter(|(index, _)| whole != Some(*index));
        for (_, graph) in others.filter(|(_, graph)| graph.can_be_cancelled()) {
            self.cancel_graph(graph.id, why);
        }
        // Once the id is on record, nobody looks at the label again.
        if !self.steps.is_empty() {
            return;
        }
        match (whole.and_then(|whole| graphs.get(whole)), graphs.first()) {
            (Some(adopted), _) => self.adopt(known, status, mirror, adopted),
            (None, Some(part)) => {
                let errors = format!(
                    "workflow {}: the server has kept only a part of it and lacks {}",
                    part.id,
                    part.lacks(&names).join(", ")
                );
                self.mirror = observed(mirror, part, MirrorState::Failed, Some(errors));
            }
            (None, None) => match desired.filter(|desired| desired.label == mirror.label) {
                Some(desired) => self.steps.push(ColonyStep::SubmitWorkflow(Box::new(desired.clone()))),
                None => self.mirror = Mirror::Forget,
            },
        }
    }

    fn adopt(
        &mut self,
        known: &Known<'_>,
        status: &ColonyWorkflowStatus,
        mirror: &MirrorStatus,
        adopted: &Graph<'_>,
    ) {
        match nodes(&status.nodes, adopted.id, known.processes, known.now) {
            Some(nodes) => {
                let states: Vec<WorkState> = nodes.iter().map(|node| node.state).collect();
                self.mirror = observed(mirror, adopted, aggregate(&states), None);
            }
            None => self.awaiting.push("the server to say why a node failed".to_owned()),
        }
    }

    /// Records what the server says of the nodes of a workflow that is known by its id; when to look again, if that is
    /// sooner than something happens.
    pub(super) fn follow_graph(
        &mut self,
        known: &Known<'_>,
        status: &ColonyWorkflowStatus,
        mirror: &MirrorStatus,
    ) -> Option<Timestamp> {
        let id = mirror.process_id.as_deref()?;
        if let Observed::Unknown(why) = known.processes {
            self.awaiting.push(format!("the colony to say how the workflow is: {why}"));
            return None;
        }
        let Some(nodes) = nodes(&status.nodes, id, known.processes, known.now) else {
            self.awaiting.push("the server to say why a node failed".to_owned());
            let processes: Vec<&Process> = known.processes.known().into_iter().flatten().collect();
            return reasons_due(&processes, known.now);
        };
        let states: Vec<WorkState> = nodes.iter().map(|node| node.state).collect();
        let state = aggregate(&states);
        if state == MirrorState::Lost {
            self.mirror = Mirror::Lost;
        } else if state != mirror.state {
            self.mirror = Mirror::Observed { process_id: id.to_owned(), state, submitted_at: None, errors: None };
        }
        if state.is_live() {
            self.awaiting.push(format!("executors to run the nodes of workflow {id}"));
        }
        None
    }

    /// Ends what runs of an object. It is over when the server says so.
    pub(super) fn end_graph(&mut self, known: &Known<'_>, status: &ColonyWorkflowStatus, why: &str) {
        let Some(mirror) = known.recorded.filter(|mirror| mirror.may_live()) else { return };
        let processes = match known.processes {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to say what runs: {why}"));
                return;
            }
            Observed::Known(processes) => processes,
        };
        if let Some(id) = &mirror.process_id {
            if processes.iter().any(is_live) {
                self.cancel_graph(id, why);
            } else {
                self.follow_graph(known, status, mirror);
            }
            return;
        }
        let graphs = graphs(processes);
        for graph in graphs.iter().filter(|graph| graph.can_be_cancelled()) {
            self.cancel_graph(graph.id, why);
        }
        // A submit whose answer never came could still arrive and would then belong to nobody.
        if self.steps.is_empty() && self.quiet_period_over(known) {
            self.mirror = match graphs.first() {
                Some(graph) => observed(mirror, graph, MirrorState::Cancelled, None),
                None => Mirror::Forget,
            };
        }
    }

    fn cancel_graph(&mut self, id: &str, why: &str) {
        self.steps.push(ColonyStep::CancelGraph { graph_id: id.to_owned(), why: why.to_owned() });
        self.awaiting.push(format!("workflow {id} to be over"));
    }
}

fn observed(
    recorded: &MirrorStatus,
    graph: &Graph<'_>,
    state: MirrorState,
    errors: Option<String>,
) -> Mirror {
    let submitted_at = graph.nodes.iter().map(|node| node.submitted_at).min();
    Mirror::Observed {
        process_id: graph.id.to_owned(),
        state,
        submitted_at: submitted_at.filter(|_| recorded.submitted_at.is_none()),
        errors,
    }
}
