//! Workflows: processes that wait for each other.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    answer::{Answer, Refusal, done, list, read, refuse, time},
    record::{CANCELLED, FAILED, GraphRecord, ProcessRecord, RUNNING, SUCCESSFUL, WAITING, Workflow},
    server::ColonyServer,
};

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "processgraphid", default)]
    id: String,
    #[serde(rename = "colonyname", default)]
    colony: String,
    #[serde(default)]
    count: i64,
    #[serde(default)]
    state: i64,
}

impl ColonyServer {
    pub(super) fn workflow_call(
        &mut self,
        now: Timestamp,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "submitworkflowspecmsg" => self.submit_workflow(now, caller, inner),
            "getprocessgraphmsg" => self.process_graph(caller, inner),
            "getprocessgraphsmsg" => self.process_graphs(caller, inner),
            "cancelprocessgraphmsg" => self.cancel_graph(now, caller, inner),
            "removeprocessgraphmsg" => self.remove_graph(caller, inner),
            _ => return None,
        };
        Some(answer)
    }

    fn submit_workflow(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            spec: Workflow,
        }
        let Payload { spec } = read(inner)?;
        self.require_member(caller, &spec.colony, true)?;
        let (id, processes) = self.add_workflow(now, caller, spec, &[])?;
        let graph = self.graphs.iter().find(|graph| graph.id == id);
        let mut shown = graph.map(|graph| graph.to_json(&processes)).unwrap_or_default();
        if let Some(at) = shown.get_mut("submissiontime") {
            *at = time(None);
        }
        Ok(shown)
    }

    /// Adds a workflow, the graph before what is in it; gives its id and those of its processes.
    pub(super) fn add_workflow(
        &mut self,
        now: Timestamp,
        caller: &str,
        workflow: Workflow,
        input: &[Value],
    ) -> Result<(String, Vec<String>), Refusal> {
        let Workflow { colony, nodes } = workflow;
        let graph = self.mint();
        let Some(initiator) = self.initiator(&colony, caller) else {
            return refuse(500, "Could not derive InitiatorName");
        };
        let mut processes: Vec<ProcessRecord> = Vec::new();
        for mut node in nodes {
            if node.nodename.is_empty() {
                return refuse(500, "Nodename is missing, check function spec for errors");
            }
            if processes.iter().any(|process| process.spec.nodename == node.nodename) {
                return refuse(500, format!("Duplicate nodename: {}", node.nodename));
            }
            if node.maxexectime == 0 {
                node.maxexectime = -1;
            }
            node.conditions.colonyname.clone_from(&colony);
            let is_root = node.conditions.dependencies.is_empty();
            let id = self.mint();
            let mut process = ProcessRecord::new(id, node, (caller, &initiator), now)?;
            process.waits_for_parents = !is_root;
            process.graph.clone_from(&graph);
            if is_root {
                process.input = input.to_vec();
            }
            processes.push(process);
        }
        let roots = processes.iter().filter(|process| !process.waits_for_parents);
        self.graphs.push(GraphRecord {
            id: graph.clone(),
            colony,
            state: WAITING,
            roots: roots.map(|process| process.id.clone()).collect(),
            initiator: (caller.to_owned(), initiator),
            submitted_at: now,
            started_at: None,
            ended_at: None,
        });
        connect(&mut processes)?;
        let ids = processes.iter().map(|process| process.id.clone()).collect();
        for process in processes {
            self.add_process(process);
        }
        Ok((graph, ids))
    }

    /// The processes of a graph, from its roots on. Unknown when one of them is missing.
    fn processes_of(&self, graph: &GraphRecord) -> Result<Vec<String>, Refusal> {
        let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
        let mut next: Vec<_> = graph.roots.iter().rev().cloned().collect();
        while let Some(id) = next.pop() {
            let Some(process) = self.process(&id) else {
                let message = format!("Failed to iterate processgraph, process with ID={id} not found");
                return refuse(400, message);
            };
            if seen.insert(id.clone()) {
                next.extend(process.children.iter().rev().cloned());
                order.push(id);
            }
        }
        Ok(order)
    }

    /// The graph and its processes, for a member.
    fn graph_for(
        &self,
        caller: &str,
        id: &str,
        action: &str,
    ) -> Result<(&GraphRecord, Vec<String>), Refusal> {
        let Some(graph) = self.graphs.iter().find(|graph| graph.id == id) else {
            return refuse(500, format!("Failed to {action} processgraph, graph is nil"));
        };
        let processes = self.processes_of(graph)?;
        self.require_member(caller, &graph.colony, true)?;
        Ok((graph, processes))
    }

    fn process_graph(&self, caller: &str, inner: &Value) -> Answer {
        let Payload { id, .. } = read(inner)?;
        let (graph, processes) = self.graph_for(caller, &id, "get")?;
        Ok(graph.to_json(&processes))
    }

    fn process_graphs(&self, caller: &str, inner: &Value) -> Answer {
        let Payload { colony, count, state, .. } = read(inner)?;
        self.require_member(caller, &colony, true)?;
        if !(0..=4).contains(&state) {
            return refuse(400, "invalid msg.State");
        }
        if count > 100 {
            return refuse(400, "Count is larger than MaxCount limit <100>");
        }
        let Ok(count) = usize::try_from(count) else {
            return refuse(400, "pq: LIMIT must not be negative");
        };
        let of_state =
            self.graphs.iter().filter(|graph| graph.colony == colony && i64::from(graph.state) == state);
        let shown: Result<Vec<_>, Refusal> =
            of_state.rev().take(count).map(|graph| Ok(graph.to_json(&self.processes_of(graph)?))).collect();
        Ok(list(shown?))
    }

    /// Whatever the state: one that has ended is then cancelled, too.
    fn cancel_graph(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let Payload { id, .. } = read(inner)?;
        let (_, processes) = self.graph_for(caller, &id, "cancel")?;
        for process in processes {
            if let Some(process) = self.process_mut(&process).filter(|process| process.state <= RUNNING) {
                process.state = CANCELLED;
                process.ended_at = Some(now);
            }
        }
        self.set_graph_state(now, &id, CANCELLED);
        done()
    }

    fn remove_graph(&mut self, caller: &str, inner: &Value) -> Answer {
        let Payload { id, .. } = read(inner)?;
        let (graph, _) = self.graph_for(caller, &id, "remove")?;
        if graph.state == RUNNING {
            return refuse(400, "Failed to remove processgraph, cannot remove a running processgraph");
        }
        self.graphs.retain(|graph| graph.id != id);
        self.remove_processes(|process| process.graph == id);
        done()
    }

    fn set_graph_state(&mut self, now: Timestamp, id: &str, state: u8) {
        if let Some(graph) = self.graphs.iter_mut().find(|graph| graph.id == id) {
            graph.set_state(now, state);
        }
    }

    /// Works out where a graph stands after one of its processes has moved, and who may go on. A failed parent fails
    /// **every** process of the graph, those that had succeeded too.
    pub(super) fn resolve_graph(&mut self, now: Timestamp, id: &str) {
        let Some(graph) = self.graphs.iter().find(|graph| graph.id == id) else { return };
        let Ok(processes) = self.processes_of(graph) else { return };
        let mut counts = [0_usize; 5];
        for id in &processes {
            let Some(process) = self.process(id) else { continue };
            if let Some(count) = counts.get_mut(usize::from(process.state)) {
                *count += 1;
            }
            let states: Vec<_> = process
                .parents
                .iter()
                .filter_map(|parent| self.process(parent))
                .map(|parent| parent.state)
                .collect();
            // Up to the first parent that has failed.
            if states.contains(&FAILED) {
                for id in &processes {
                    if let Some(process) = self.process_mut(id) {
                        process.state = FAILED;
                    }
                }
            } else if states.iter().all(|state| *state == SUCCESSFUL)
                && let Some(process) = self.process_mut(id)
            {
                process.waits_for_parents = false;
            }
        }
        let [_, running, successful, failed, cancelled] = counts;
        let state = if failed > 0 {
            FAILED
        } else if cancelled > 0 {
            CANCELLED
        } else if successful == processes.len() {
            SUCCESSFUL
        } else if successful > 0 || running > 0 {
            RUNNING
        } else {
            WAITING
        };
        self.set_graph_state(now, id, state);
    }

    /// Wakes those that wait for a process of a workflow.
    pub(super) fn wake_children(&mut self, process: &ProcessRecord) {
        let children: Vec<_> =
            process.children.iter().filter_map(|child| self.process(child).cloned()).collect();
        for child in children {
            self.tell(&child, child.state);
        }
    }

    /// What the parents of a process that was just assigned have put out is its input.
    pub(super) fn set_input_from_parents(&mut self, now: Timestamp, id: &str) {
        let Some(process) = self.process(id).filter(|process| !process.graph.is_empty()) else { return };
        let (graph, parents) = (process.graph.clone(), process.parents.clone());
        self.resolve_graph(now, &graph);
        if parents.is_empty() {
            return;
        }
        let input =
            parents.iter().filter_map(|parent| self.process(parent)).flat_map(|parent| parent.output.clone());
        let input = input.collect();
        if let Some(process) = self.process_mut(id) {
            process.input = input;
        }
    }

    /// What the last processes of a workflow have put out.
    pub(super) fn output_of_leaves(&self, graph: &str) -> Vec<Value> {
        let graph = self.graphs.iter().find(|record| record.id == graph);
        let processes = graph.and_then(|graph| self.processes_of(graph).ok()).unwrap_or_default();
        let processes = processes.iter().filter_map(|id| self.process(id));
        processes.filter(|process| process.children.is_empty()).flat_map(|leaf| leaf.output.clone()).collect()
    }

    pub(super) fn graph_state(&self, id: &str) -> Option<u8> {
        self.graphs.iter().find(|graph| graph.id == id).map(|graph| graph.state)
    }
}

/// Ties nodes to those that they depend on.
fn connect(processes: &mut [ProcessRecord]) -> Result<(), Refusal> {
    for child in 0..processes.len() {
        let Some(process) = processes.get(child) else { continue };
        let (id, dependencies) = (process.id.clone(), process.spec.conditions.dependencies.clone());
        for needed in dependencies {
            let Some(parent) = processes.iter_mut().find(|process| process.spec.nodename == needed) else {
                return refuse(
                    500,
                    "Failed to submit workflow, invalid dependencies, are you depending on a nodename that does not exits?",
                );
            };
            parent.children.push(id.clone());
            let parent = parent.id.clone();
            if let Some(process) = processes.get_mut(child) {
                process.parents.push(parent);
            }
        }
    }
    Ok(())
}
