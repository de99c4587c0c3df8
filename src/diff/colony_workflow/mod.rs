//! What to do for a `ColonyWorkflow`: submit it, follow it, end it, finalize it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Mirror, Plan, Step,
    attempt::{Attempts, Submittable},
    mirror::MirrorPlan,
    work::{Terms, check_adoptable, hold_adopted, of_mirror},
};
use crate::{
    api::{
        colony_workflow::{ColonyWorkflowStatus, NodeStatus},
        mirror::MirrorStatus,
        names::{COLONY_WORKFLOW_FINALIZER, process_label},
        policy::ManagementPolicy,
    },
    colony::Process,
    desired::DesiredWorkflow,
    kinds::SpecError,
    snapshot::{ColonyWorkflowSnapshot, Observed, WorkHeader},
};

impl Attempts for ColonyWorkflowSnapshot {
    type Submission = DesiredWorkflow;

    fn header(&self) -> &WorkHeader {
        &self.header
    }

    fn terms(&self) -> Terms<'_> {
        terms(self)
    }

    fn nodes(&self) -> &[NodeStatus] {
        self.object.status.as_ref().map_or(&[], |status| &status.nodes)
    }
}

/// Plans an object that is to exist. `desired` is the workflow of the attempt that may be submitted now.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &ColonyWorkflowSnapshot,
    desired: &Result<Option<DesiredWorkflow>, SpecError>,
) -> Result<Plan, SpecError> {
    let status = snapshot.object.status.as_ref();
    if let Some(plan) = snapshot.stop(status.and_then(|status| status.stopping)) {
        return Ok(plan);
    }
    let terms = terms(snapshot);
    let desired = if terms.wanted_stop().is_none() { desired.as_ref().map(Option::as_ref) } else { Ok(None) };
    let mut plan = match terms.mirror {
        Some(mirror) if mirror.is_unbound() => match snapshot.hold() {
            Some(hold) => hold,
            None => snapshot.submit(mirror, desired)?,
        },
        Some(mirror) if mirror.state.is_live() => follow(snapshot, mirror),
        None if snapshot.object.spec.graph_id.is_some() => adopt(snapshot, desired)?,
        _ => snapshot.begin(desired)?,
    };
    plan.due = plan.due.into_iter().chain(terms.deadline()).min();
    Ok(plan)
}

/// Plans an object that is being deleted. It never needs a valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ColonyWorkflowSnapshot) -> Plan {
    snapshot.finalize(|| snapshot.end("the object is deleted"))
}

/// The policies of an object of work.
#[must_use]
pub fn terms(snapshot: &ColonyWorkflowSnapshot) -> Terms<'_> {
    terms_with(snapshot, snapshot.object.status.as_ref())
}

/// As [`terms`], with a status that is not written yet.
#[must_use]
pub fn terms_with<'a>(
    snapshot: &'a ColonyWorkflowSnapshot,
    status: Option<&'a ColonyWorkflowStatus>,
) -> Terms<'a> {
    let spec = &snapshot.object.spec;
    let moment = |time: Option<&Time>| time.map(|time| time.0);
    Terms {
        metadata: &snapshot.object.metadata,
        finalizer: COLONY_WORKFLOW_FINALIZER,
        suspend: spec.suspend,
        cancel: spec.cancel,
        active_deadline_seconds: spec.active_deadline_seconds,
        ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
        may_update: spec.management_policies.allow(ManagementPolicy::Update),
        deletion_policy: spec.management_policies.deletion(spec.deletion_policy),
        state: status.and_then(|status| status.state),
        active_since: moment(status.and_then(|status| status.active_since.as_ref())),
        completed_at: moment(status.and_then(|status| status.completion_time.as_ref())),
        mirror: status.and_then(|status| status.mirror.as_ref()),
        colony: &snapshot.header.colony,
        now: snapshot.header.now,
    }
}

/// Binds the workflow that the spec names, if it is what stands there and no other object has it. Only the colony can
/// report that there is none; then one is submitted, if that may be.
fn adopt(
    snapshot: &ColonyWorkflowSnapshot,
    desired: Submittable<'_, DesiredWorkflow, SpecError>,
) -> Result<Plan, SpecError> {
    let waiting = |awaited: String| Plan { awaiting: vec![awaited], ..Plan::default() };
    let id = snapshot.object.spec.graph_id.as_deref().unwrap_or_default();
    let processes = match &snapshot.header.processes {
        Observed::Unknown(why) => {
            return Ok(waiting(format!("the colony to report whether workflow {id} exists: {why}")));
        }
        Observed::Known(processes) => processes,
    };
    if processes.is_empty() {
        return Ok(match desired.map_err(Clone::clone)? {
            Some(desired) => snapshot.intend(desired),
            None => waiting(format!("workflow {id} to be there: it is only adopted, and none is submitted")),
        });
    }
    verify_adoptable(snapshot, id, processes)?;
    if let Some(waiting) = check_adoptable(&snapshot.holder, "spec.graphId", "workflow", id)? {
        return Ok(waiting);
    }
    let uid = snapshot.object.metadata.uid.as_deref().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let attempt = snapshot.object.status.as_ref().map_or(0, |status| status.attempts) + 1;
    let names: Vec<&str> = snapshot.object.spec.nodes.iter().map(|node| node.name.as_str()).collect();
    let mut plan = MirrorPlan::default();
    let due = plan.adopt_graph(
        &snapshot.known(),
        id,
        &names,
        (process_label(&snapshot.header.cluster, uid, attempt), attempt),
    );
    let mut plan = Plan { due, ..of_mirror(plan) };
    if plan.mirror != Mirror::Unchanged {
        plan.steps.extend(hold(snapshot));
    }
    Ok(plan)
}

/// An adopted process must match the spec of the object: a wrong id would show, or cancel, work of others.
fn verify_adoptable(
    snapshot: &ColonyWorkflowSnapshot,
    id: &str,
    processes: &[Process],
) -> Result<(), SpecError> {
    let nodes = &snapshot.object.spec.nodes;
    let is_extra = |process: &&Process| nodes.iter().all(|node| node.name != process.spec.node_name);
    if let Some(more) = processes.iter().find(is_extra) {
        let name = &more.spec.node_name;
        let remedy = format!(
            "workflow {id} has a node {name:?} that spec.nodes lacks: list all of its nodes, or set another graphId"
        );
        return Err(SpecError::invalid("spec.nodes", format!("{} nodes", nodes.len()), remedy));
    }
    for (index, node) in nodes.iter().enumerate() {
        let Some(process) = processes.iter().find(|process| process.spec.node_name == node.name) else {
            let remedy =
                format!("workflow {id} has no such node: write the nodes that it has, or another graphId");
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

fn hold(snapshot: &ColonyWorkflowSnapshot) -> Option<Step> {
    let spec = &snapshot.object.spec;
    hold_adopted(&terms(snapshot), spec.graph_id.is_some(), &spec.management_policies)
}

fn follow(snapshot: &ColonyWorkflowSnapshot, mirror: &MirrorStatus) -> Plan {
    let mut plan = MirrorPlan::default();
    let due = plan.follow_graph(&snapshot.known(), snapshot.nodes(), mirror);
    let mut plan = Plan { due, ..of_mirror(plan) };
    plan.steps.extend(hold(snapshot));
    plan
}

#[cfg(test)]
mod tests;
