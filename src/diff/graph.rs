//! The protocol that makes one attempt one workflow: the same as for processes, but that what is bound is a graph, and
//! that the server may have kept only a part of it. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    ColonyStep, Mirror,
    mirror::{MirrorPlan, ProcessFacts},
    process_state::is_live,
    submission::Submission,
};
use crate::{
    api::{
        colony_workflow::NodeStatus,
        mirror::{MirrorState, MirrorStatus},
        work::WorkState,
    },
    colony::{Process, ProcessState},
    snapshot::Observed,
};

/// How long the server may take to write the reasons of a failure, which it does after the state.
const REASONS: SignedDuration = SignedDuration::from_secs(2);

/// How long the server is given to release a node once those that it waits for have succeeded.
const RELEASE: SignedDuration = SignedDuration::from_secs(1);
/// How seldom one is looked at that the server does not release.
const LONGEST_RELEASE: SignedDuration = SignedDuration::from_mins(1);

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
    /// Its recorded status.
    pub recorded: &'a NodeStatus,
    /// Its process, if it was read.
    pub process: Option<&'a Process>,
    /// Where it stands.
    pub state: WorkState,
}

/// The nodes of graph `id`, brought up to date. None while nothing is known, or something that is about to change:
/// the server has not yet reported why a node failed.
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
    // When a node fails that others wait for, the server reports all nodes as failed, including those that had
    // succeeded.
    let had_succeeded = |process: &Process| {
        process.errors.is_empty()
            && process.ended_at.is_some_and(|ended_at| has_reason || Some(ended_at) < last_end)
    };
    let node = |recorded: &'a NodeStatus| {
        let process = processes.iter().find(|process| process.spec.node_name == recorded.name).copied();
        let process = process.filter(|_| !recorded.state.is_final() || recorded.state == WorkState::Lost);
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

/// When to look again at a node that waits for others although these have all succeeded: the server releases it after that. The
/// longer ago that was, the later.
fn release_due(nodes: &[Node<'_>], now: Timestamp) -> Option<Timestamp> {
    let ended_at = |name: &String| {
        let node = nodes.iter().find(|node| node.recorded.name == *name)?;
        let ended_at = node.process.and_then(|process| process.ended_at);
        let recorded = node.recorded.completion_time.as_ref().map(|time| time.0);
        (node.state == WorkState::Succeeded).then(|| ended_at.or(recorded).unwrap_or(now))
    };
    let waits = nodes.iter().filter_map(|node| node.process);
    let waits = waits.filter(|process| process.state == ProcessState::Waiting && process.waits_for_parents);
    let released = waits.filter_map(|process| {
        let ends: Option<Vec<Timestamp>> =
            process.spec.conditions.dependencies.iter().map(ended_at).collect();
        ends?.into_iter().max()
    });
    let pause = |since: Timestamp| now.duration_since(since).clamp(RELEASE, LONGEST_RELEASE);
    released.filter_map(|since| now.checked_add(pause(since)).ok()).min()
}

/// Where a workflow stands as a whole.
#[must_use]
pub fn aggregate(states: &[WorkState]) -> MirrorState {
    let any = |wanted: &[WorkState]| states.iter().any(|state| wanted.contains(state));
    if any(&[WorkState::Waiting, WorkState::Running]) {
        let has_started =
            states.iter().any(|state| !matches!(state, WorkState::Waiting | WorkState::Pending));
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
        known: &ProcessFacts<'_>,
        recorded: &[NodeStatus],
        mirror: &MirrorStatus,
        desired: Option<&impl Submission>,
    ) {
        let processes = match known.processes {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to list what has label {}: {why}", mirror.label));
                return;
            }
            Observed::Known(processes) => processes,
        };
        let names: Vec<&str> = recorded.iter().map(|node| node.name.as_str()).collect();
        let graphs = graphs(processes);
        let is_partial = graphs.iter().any(|graph| !graph.lacks(&names).is_empty());
        // The server writes the nodes one after the other: one that is not there may be on its way.
        if (is_partial || graphs.is_empty()) && !self.quiet_period_over(known) {
            return;
        }
        let whole = graphs.iter().position(|graph| graph.lacks(&names).is_empty());
        let why = if whole.is_some() {
            "a duplicate of the same label"
        } else {
            "the server lacks some of its nodes"
        };
        let others = graphs.iter().enumerate().filter(|(index, _)| whole != Some(*index));
        for (_, graph) in others.filter(|(_, graph)| graph.can_be_cancelled()) {
            self.cancel_graph(graph.id, why);
        }
        // Once the id is recorded, the label is not looked up again.
        if !self.steps.is_empty() {
            return;
        }
        match (whole.and_then(|whole| graphs.get(whole)), graphs.first()) {
            (Some(adopted), _) => self.adopt(known, recorded, mirror, adopted),
            (None, Some(part)) => {
                let errors = format!(
                    "workflow {}: the server has kept only a part of it and lacks {}",
                    part.id,
                    part.lacks(&names).join(", ")
                );
                self.mirror = observed(mirror, part, MirrorState::Failed, Some(errors));
            }
            (None, None) => match desired.filter(|desired| desired.label() == mirror.label) {
                Some(desired) => self.steps.push(desired.step()),
                None => self.mirror = Mirror::Forget,
            },
        }
    }

    fn adopt(
        &mut self,
        known: &ProcessFacts<'_>,
        recorded: &[NodeStatus],
        mirror: &MirrorStatus,
        adopted: &Graph<'_>,
    ) {
        match nodes(recorded, adopted.id, known.processes, known.now) {
            Some(nodes) => {
                let node_states: Vec<WorkState> = nodes.iter().map(|node| node.state).collect();
                self.mirror = observed(mirror, adopted, aggregate(&node_states), None);
            }
            None => self.awaiting.push("the server to report why a node failed".to_owned()),
        }
    }

    /// Binds workflow `id`, of which all processes are known and whose nodes have these `names`; it is known by
    /// `label` and `generation` from now on. When to look again, if the server has not yet reported why a node
    /// failed.
    pub(super) fn adopt_graph(
        &mut self,
        known: &ProcessFacts<'_>,
        id: &str,
        names: &[&str],
        (label, generation): (String, i64),
    ) -> Option<Timestamp> {
        let processes = known.processes.known().map_or(&[][..], Vec::as_slice);
        let pending: Vec<NodeStatus> =
            names.iter().map(|name| NodeStatus::pending((*name).to_owned())).collect();
        let Some(nodes) = nodes(&pending, id, known.processes, known.now) else {
            self.awaiting.push("the server to report why a node failed".to_owned());
            return reasons_due(&processes.iter().collect::<Vec<_>>(), known.now);
        };
        let node_states: Vec<WorkState> = nodes.iter().map(|node| node.state).collect();
        let submitted_at = processes.iter().map(|process| process.submitted_at).min().unwrap_or(known.now);
        let (process_id, state) = (id.to_owned(), aggregate(&node_states));
        self.mirror = Mirror::Found { label, generation, process_id, state, submitted_at };
        None
    }

    /// Records the nodes of a workflow with a known id, as the server reports them; when to look again, if that is
    /// sooner than something happens.
    pub(super) fn follow_graph(
        &mut self,
        known: &ProcessFacts<'_>,
        recorded: &[NodeStatus],
        mirror: &MirrorStatus,
    ) -> Option<Timestamp> {
        let id = mirror.process_id.as_deref()?;
        if let Observed::Unknown(why) = known.processes {
            self.awaiting.push(format!("the colony to report the workflow: {why}"));
            return None;
        }
        let Some(nodes) = nodes(recorded, id, known.processes, known.now) else {
            self.awaiting.push("the server to report why a node failed".to_owned());
            let processes: Vec<&Process> = known.processes.known().into_iter().flatten().collect();
            return reasons_due(&processes, known.now);
        };
        let node_states: Vec<WorkState> = nodes.iter().map(|node| node.state).collect();
        let state = aggregate(&node_states);
        if state == MirrorState::Lost {
            self.mirror = Mirror::Lost;
        } else if state != mirror.state {
            self.mirror =
                Mirror::Observed { process_id: id.to_owned(), state, submitted_at: None, errors: None };
        }
        if state.is_live() {
            self.awaiting.push(format!("executors to run the nodes of workflow {id}"));
        }
        release_due(&nodes, known.now)
    }

    /// Ends what runs of an object. It has ended when the server reports it.
    pub(super) fn end_graph(&mut self, known: &ProcessFacts<'_>, recorded: &[NodeStatus], why: &str) {
        let Some(mirror) = known.recorded else { return };
        if !mirror.may_live() {
            // Its attempt is over, as far as status knows: what lives under its label all the same is ended.
            let left = graphs(known.processes.known().map_or(&[][..], Vec::as_slice));
            for graph in left.iter().filter(|graph| graph.nodes.iter().any(|node| is_live(node))) {
                self.cancel_graph(graph.id, why);
            }
            return;
        }
        let processes = match known.processes {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to list what runs: {why}"));
                return;
            }
            Observed::Known(processes) => processes,
        };
        if let Some(id) = &mirror.process_id {
            if processes.iter().any(is_live) {
                self.cancel_graph(id, why);
            } else {
                self.follow_graph(known, recorded, mirror);
            }
            return;
        }
        let graphs = graphs(processes);
        for graph in graphs.iter().filter(|graph| graph.can_be_cancelled()) {
            self.cancel_graph(graph.id, why);
        }
        // A submit without a reply could still arrive, and would then have no owner.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::colony_workflow::ColonyWorkflowStatus;

    const NAMES: [&str; 2] = ["a", "b"];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A node of a graph, with more fields; `b` depends on `a`.
    fn process(graph: &str, name: &str, state: u8, more: &Value) -> Process {
        let (id, of) = (format!("{graph}-{name}"), |name: &str| vec![format!("{graph}-{name}")]);
        let mut whole = json!({
            "processid": id, "state": state, "processgraphid": graph, "assignedexecutorid": "",
            "submissiontime": "2026-11-21T09:58:00Z", "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
            "parents": if name == "b" { of("a") } else { vec![] }, "children": if name == "a" { of("b") } else { vec![] },
            "spec": { "nodename": name, "funcname": "f", "label": "l", "conditions": { "colonyname": "c", "executortype": "t" } },
        });
        for (field, value) in more.as_object().unwrap() {
            whole[field] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    fn pair(graph: &str, states: [u8; 2]) -> Vec<Process> {
        NAMES.iter().zip(states).map(|(name, state)| process(graph, name, state, &json!({}))).collect()
    }

    fn status(mirror: &MirrorStatus) -> ColonyWorkflowStatus {
        let nodes = NAMES.iter().map(|name| NodeStatus::pending((*name).to_owned())).collect();
        ColonyWorkflowStatus { nodes, mirror: Some(mirror.clone()), ..ColonyWorkflowStatus::default() }
    }

    fn mirror(id: Option<&str>) -> MirrorStatus {
        let state = if id.is_some() { "Waiting" } else { "Intended" };
        let mirror = json!({ "label": "l", "generation": 1, "state": state, "intendedAt": "2026-11-21T09:58:00Z", "processId": id });
        serde_json::from_value(mirror).unwrap()
    }

    /// What is planned for an intent, at a moment at which the quiet period is over or not.
    fn intended(processes: Vec<Process>, is_quiet: bool) -> MirrorPlan {
        let (mirror, processes) = (mirror(None), Observed::Known(processes));
        let known = ProcessFacts {
            recorded: Some(&mirror),
            processes: &processes,
            submit_not_before: (!is_quiet).then(|| at(10)),
            now: at(0),
        };
        let mut plan = MirrorPlan::default();
        plan.intended_graph(
            &known,
            &status(&mirror).nodes,
            &mirror,
            None::<&crate::desired::DesiredWorkflow>,
        );
        plan
    }

    fn steps(plan: &MirrorPlan) -> Vec<String> {
        plan.steps.iter().map(ToString::to_string).collect()
    }

    fn bound(plan: &MirrorPlan) -> Option<(&str, MirrorState)> {
        match &plan.mirror {
            Mirror::Observed { process_id, state, .. } => Some((process_id, *state)),
            _ => None,
        }
    }

    #[test]
    fn the_oldest_that_is_whole_is_bound_once_the_others_are_over() {
        let plan = intended([pair("g1", [0, 0]), pair("g2", [0, 0])].concat(), false);
        assert_eq!(steps(&plan), ["cancel workflow g2 (a duplicate of the same label)"]);
        assert_eq!(plan.mirror, Mirror::Unchanged, "the other one is still alive");
        let plan = intended([pair("g1", [1, 0]), pair("g2", [4, 4])].concat(), false);
        assert_eq!((steps(&plan), bound(&plan)), (vec![], Some(("g1", MirrorState::Running))));
    }

    /// The server writes nodes one after the other, in no order.
    #[test]
    fn a_part_is_waited_for_and_then_ended_for_good() {
        let part = |state| vec![process("g1", "a", state, &json!({ "children": [] }))];
        let plan = intended(part(0), false);
        assert_eq!((steps(&plan), &plan.mirror), (vec![], &Mirror::Unchanged));
        assert_eq!(plan.awaiting, ["an earlier submit that may still arrive"]);
        let plan = intended(part(0), true);
        assert_eq!(steps(&plan), ["cancel workflow g1 (the server lacks some of its nodes)"]);
        let plan = intended(part(4), true);
        assert_eq!((steps(&plan), bound(&plan)), (vec![], Some(("g1", MirrorState::Failed))));
        // The server refuses to cancel what it cannot find all of: waiting for that would be for ever.
        let plan = intended(vec![process("g1", "a", 0, &json!({}))], true);
        assert_eq!((steps(&plan), bound(&plan)), (vec![], Some(("g1", MirrorState::Failed))));
        let plan = intended([vec![process("g1", "a", 4, &json!({}))], pair("g2", [0, 0])].concat(), true);
        assert_eq!(bound(&plan), Some(("g2", MirrorState::Waiting)), "the one that is whole");
    }

    #[test]
    fn nothing_found_is_submitted_only_when_nothing_can_arrive() {
        let plan = intended(vec![], false);
        assert_eq!((steps(&plan), &plan.mirror), (vec![], &Mirror::Unchanged));
        assert_eq!(intended(vec![], true).mirror, Mirror::Forget, "nothing is wanted any more");
    }

    fn seen(processes: Vec<Process>, recorded: [WorkState; 2]) -> Option<Vec<WorkState>> {
        let processes = Observed::Known(processes);
        let recorded: Vec<NodeStatus> = NAMES
            .iter()
            .zip(recorded)
            .map(|(name, state)| NodeStatus {
                state,
                process_id: Some(format!("g-{name}")),
                ..NodeStatus::pending((*name).to_owned())
            })
            .collect();
        nodes(&recorded, "g", &processes, at(0)).map(|nodes| nodes.iter().map(|node| node.state).collect())
    }

    /// The server reports all nodes of a workflow as failed when one fails that others depend on.
    #[test]
    fn what_had_succeeded_is_no_failure() {
        use WorkState::{Failed, Lost, Running, Succeeded, Waiting};
        let ended = |at: Timestamp, errors: &[&str]| json!({ "endtime": at.to_string(), "errors": errors });
        let failed = process("g", "b", 3, &ended(at(-5), &["disk full"]));
        let dragged = process("g", "a", 3, &ended(at(-9), &[]));
        assert_eq!(
            seen(vec![dragged.clone(), failed.clone()], [Running, Waiting]),
            Some(vec![Succeeded, Failed])
        );
        assert_eq!(
            seen(vec![failed], [Succeeded, Waiting]),
            Some(vec![Succeeded, Failed]),
            "as it was known"
        );
        let silent = process("g", "b", 3, &ended(at(-5), &[]));
        assert_eq!(
            seen(vec![dragged, silent], [Running, Waiting]),
            Some(vec![Succeeded, Failed]),
            "the last to end"
        );
        let never_ran = process("g", "b", 3, &json!({}));
        let failed = process("g", "a", 3, &ended(at(-5), &["no"]));
        assert_eq!(seen(vec![failed, never_ran], [Running, Waiting]), Some(vec![Failed, Failed]));
        let fresh = process("g", "a", 3, &ended(at(-1), &[]));
        assert_eq!(seen(vec![fresh], [Running, Waiting]), None, "the server may still say why");
        assert_eq!(seen(pair("g", [1, 0])[..1].to_vec(), [Waiting, Waiting]), Some(vec![Running, Lost]));
        assert_eq!(seen(pair("other", [1, 0]), [Succeeded, Waiting]), Some(vec![Succeeded, Lost]));
    }

    /// Its input may be too large for any list in which that would show.
    #[test]
    fn what_is_about_to_be_released_is_looked_at_again_soon_and_ever_less() {
        let due = |ended_at: i64, state: u8, waits: bool| {
            let first = process("g", "a", state, &json!({ "endtime": at(ended_at).to_string() }));
            let mut second = process("g", "b", 0, &json!({ "waitforparents": waits }));
            second.spec.conditions.dependencies = vec!["a".to_owned()];
            let (mirror, processes) = (mirror(Some("g")), Observed::Known(vec![first, second]));
            let known = ProcessFacts {
                recorded: Some(&mirror),
                processes: &processes,
                submit_not_before: None,
                now: at(0),
            };
            MirrorPlan::default().follow_graph(&known, &status(&mirror).nodes, &mirror)
        };
        assert_eq!(due(0, 2, true), Some(at(1)));
        assert_eq!(due(-7, 2, true), Some(at(7)));
        assert_eq!(due(-500, 2, true), Some(at(60)));
        assert_eq!(due(500, 2, true), Some(at(1)), "clocks differ");
        assert_eq!(due(-7, 1, true), None, "its end is told");
        assert_eq!(due(-7, 2, false), None);
    }

    #[test]
    fn a_workflow_is_over_when_none_of_its_nodes_is_alive() {
        use WorkState::{Cancelled, Failed, Lost, Running, Succeeded, Waiting};
        for (states, expected) in [
            (&[Waiting, Waiting][..], MirrorState::Waiting),
            (&[Succeeded, Waiting], MirrorState::Running),
            (&[Failed, Running], MirrorState::Running),
            (&[Succeeded, Failed, Cancelled], MirrorState::Failed),
            (&[Succeeded, Cancelled, Lost], MirrorState::Cancelled),
            (&[Succeeded, Lost], MirrorState::Lost),
            (&[Succeeded, Succeeded], MirrorState::Successful),
        ] {
            assert_eq!(aggregate(states), expected, "{states:?}");
        }
    }

    /// The reported state counts, not the requested one.
    #[test]
    fn what_is_to_end_is_cancelled_as_a_whole() {
        let end = |id: Option<&str>, processes: Vec<Process>, is_quiet: bool| {
            let (mirror, processes) = (mirror(id), Observed::Known(processes));
            let known = ProcessFacts {
                recorded: Some(&mirror),
                processes: &processes,
                submit_not_before: (!is_quiet).then(|| at(10)),
                now: at(0),
            };
            let mut plan = MirrorPlan::default();
            let mut status = status(&mirror);
            for node in &mut status.nodes {
                node.process_id = id.map(|id| format!("{id}-{}", node.name));
            }
            plan.end_graph(&known, &status.nodes, "spec.cancel is true");
            plan
        };
        let plan = end(Some("g"), pair("g", [2, 0]), true);
        assert_eq!(steps(&plan), ["cancel workflow g (spec.cancel is true)"]);
        let plan = end(Some("g"), pair("g", [2, 4]), true);
        assert_eq!(bound(&plan), Some(("g", MirrorState::Cancelled)));
        let plan = end(None, [pair("g", [0, 0]), pair("h", [0, 0])].concat(), false);
        assert_eq!(plan.steps.len(), 2);
        assert_eq!(end(None, vec![], false).mirror, Mirror::Unchanged, "it may still arrive");
        assert_eq!(end(None, vec![], true).mirror, Mirror::Forget);
    }
}
