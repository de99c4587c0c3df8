//! What to do for a `ColonyWorkflow`: beside what is done for all work, it is followed node by node. Pure.

use super::{
    Mirror, Plan,
    attempt::Attempts as _,
    mirror::MirrorPlan,
    work::of_mirror,
    work_plan::{WorkPlan, hold},
};
use crate::{
    api::{colony_workflow::NodeStatus, mirror::MirrorStatus},
    colony::Process,
    kinds::SpecError,
    snapshot::ColonyWorkflowSnapshot,
};

impl WorkPlan for ColonyWorkflowSnapshot {
    fn nodes(&self) -> Option<&[NodeStatus]> {
        Some(recorded_nodes(self))
    }

    fn follow_bound(&self, mirror: &MirrorStatus) -> Plan {
        let mut plan = MirrorPlan::default();
        let due = plan.follow_graph(&self.known(), recorded_nodes(self), mirror);
        let mut plan = Plan { due, ..of_mirror(plan) };
        plan.steps.extend(hold(self));
        plan
    }

    fn verify_adoptable(&self, _: &Process, all: &[Process]) -> Result<(), SpecError> {
        let id = self.object.spec.graph_id.as_deref().unwrap_or_default();
        let nodes = &self.object.spec.nodes;
        let is_extra = |process: &&Process| nodes.iter().all(|node| node.name != process.spec.node_name);
        if let Some(more) = all.iter().find(is_extra) {
            let name = &more.spec.node_name;
            let remedy = format!(
                "workflow {id} has a node {name:?} that spec.nodes lacks: list all of its nodes, or set another graphId"
            );
            return Err(SpecError::invalid("spec.nodes", format!("{} nodes", nodes.len()), remedy));
        }
        for (index, node) in nodes.iter().enumerate() {
            let Some(process) = all.iter().find(|process| process.spec.node_name == node.name) else {
                let remedy = format!(
                    "workflow {id} has no such node: write the nodes that it has, or another graphId"
                );
                return Err(SpecError::invalid(format!("spec.nodes[{index}].name"), &node.name, remedy));
            };
            let (said, theirs) = (&node.call, &process.spec);
            let fields = [
                ("function", &said.function, &theirs.function),
                ("conditions.executorType", &said.conditions.executor_type, &theirs.conditions.executor_type),
            ];
            if let Some((field, said, theirs)) = fields.into_iter().find(|(_, said, theirs)| said != theirs) {
                let remedy = format!("workflow {id} has {theirs:?} there: write that, or another graphId");
                return Err(SpecError::invalid(format!("spec.nodes[{index}].{field}"), said, remedy));
            }
        }
        Ok(())
    }

    fn bind(&self, first: &Process, attempt: (String, i64)) -> Plan {
        let id = first.graph_id.as_str();
        let names: Vec<&str> = self.object.spec.nodes.iter().map(|node| node.name.as_str()).collect();
        let mut plan = MirrorPlan::default();
        let due = plan.adopt_graph(&self.known(), id, &names, attempt);
        let mut plan = Plan { due, ..of_mirror(plan) };
        if plan.mirror != Mirror::Unchanged {
            plan.steps.extend(hold(self));
        }
        plan
    }
}

fn recorded_nodes(snapshot: &ColonyWorkflowSnapshot) -> &[NodeStatus] {
    snapshot.object.status.as_ref().map_or(&[], |status| &status.nodes)
}

#[cfg(test)]
mod tests;
