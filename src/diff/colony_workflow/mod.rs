//! What to do for a `ColonyWorkflow`: submit it, follow it, end it, finalize it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    KubernetesStep, Mirror, Plan, Step,
    mirror::{MirrorPlan, ProcessFacts},
    work::{Terms, check_adoptable, of_mirror, stop_message},
};
use crate::{
    api::{
        colony_workflow::ColonyWorkflowStatus,
        mirror::MirrorStatus,
        names::{COLONY_WORKFLOW_FINALIZER, process_label},
        policy::ManagementPolicy,
    },
    colony::Process,
    desired::DesiredWorkflow,
    kinds::SpecError,
    snapshot::{ColonyWorkflowSnapshot, Observed},
};

/// Plans an object that is to exist. `desired` makes the workflow of an attempt.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &ColonyWorkflowSnapshot,
    desired: impl Fn(i64) -> Result<DesiredWorkflow, SpecError>,
) -> Result<Plan, SpecError> {
    let none = ColonyWorkflowStatus::default();
    let status = snapshot.object.status.as_ref().unwrap_or(&none);
    let terms = terms(snapshot);
    if terms.is_finished() {
        return Ok(terms.expire());
    }
    let mirror = status.mirror.as_ref();
    let live = mirror.filter(|mirror| mirror.may_live());
    if let (Some(reason), Some(_), true) = (status.stopping, live, terms.may_update) {
        return Ok(end(snapshot, stop_message(reason)));
    }
    let stop = terms.wanted_stop();
    if let Some(reason) = stop.filter(|_| live.is_none() || terms.may_update) {
        // On record before anything is cancelled: whoever observes the end can attribute it.
        return Ok(Plan { stop: live.map(|_| reason), ..Plan::default() });
    }
    let may_submit = stop.is_none() && snapshot.object.spec.may_submit();
    let desired = |attempt| may_submit.then(|| desired(attempt)).transpose();
    let mut plan = match mirror {
        Some(mirror) if mirror.is_unbound() => submit(snapshot, status, mirror, desired(mirror.generation))?,
        Some(mirror) if mirror.state.is_live() => follow(snapshot, status, mirror),
        None if snapshot.object.spec.graph_id.is_some() => adopt(snapshot, || desired(status.attempts + 1))?,
        _ => desired(status.attempts + 1)?.map_or_else(Plan::default, |desired| intend(snapshot, &desired)),
    };
    plan.due = plan.due.into_iter().chain(terms.deadline()).min();
    Ok(plan)
}

/// Plans an object that is being deleted. It never needs a valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ColonyWorkflowSnapshot) -> Plan {
    terms(snapshot).finalize(|| end(snapshot, "the object is deleted"))
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
        colony: &snapshot.colony,
        now: snapshot.now,
    }
}

fn known(snapshot: &ColonyWorkflowSnapshot) -> ProcessFacts<'_> {
    ProcessFacts {
        recorded: snapshot.object.status.as_ref().and_then(|status| status.mirror.as_ref()),
        processes: &snapshot.processes,
        submit_not_before: snapshot.submit_not_before,
        now: snapshot.now,
    }
}

/// Holds the object and records what is about to be submitted. Nothing is until both have been seen.
fn intend(snapshot: &ColonyWorkflowSnapshot, desired: &DesiredWorkflow) -> Plan {
    let mut mirror = MirrorPlan::default();
    mirror.intend(&snapshot.colony, &desired.label, desired.generation);
    let mut plan = of_mirror(mirror);
    if !terms(snapshot).has_finalizer() {
        plan.steps.push(Step::Kubernetes(KubernetesStep::AddFinalizer));
    }
    plan
}

/// An intent is on record. Where nothing may be submitted any more, what was sent for it is looked for all the same.
fn submit(
    snapshot: &ColonyWorkflowSnapshot,
    status: &ColonyWorkflowStatus,
    mirror: &MirrorStatus,
    desired: Result<Option<DesiredWorkflow>, SpecError>,
) -> Result<Plan, SpecError> {
    if !terms(snapshot).has_finalizer() {
        return Ok(Plan { steps: vec![Step::Kubernetes(KubernetesStep::AddFinalizer)], ..Plan::default() });
    }
    let mut plan = MirrorPlan::default();
    let wanted = desired.as_ref().ok().and_then(Option::as_ref);
    plan.intended_graph(&known(snapshot), status, mirror, wanted);
    match desired {
        // An attempt stays the same attempt: what hinders its submit is waited for, and its intent stays on record.
        Err(error) if plan.mirror == Mirror::Forget => Err(error),
        _ => Ok(of_mirror(plan)),
    }
}

/// Binds the workflow that the spec names, if it is what stands there and no other object has it. Only the colony can
/// report that there is none; then one is submitted, if that may be.
fn adopt(
    snapshot: &ColonyWorkflowSnapshot,
    desired: impl FnOnce() -> Result<Option<DesiredWorkflow>, SpecError>,
) -> Result<Plan, SpecError> {
    let waiting = |awaited: String| Plan { awaiting: vec![awaited], ..Plan::default() };
    let id = snapshot.object.spec.graph_id.as_deref().unwrap_or_default();
    let processes = match &snapshot.processes {
        Observed::Unknown(why) => {
            return Ok(waiting(format!("the colony to report whether workflow {id} exists: {why}")));
        }
        Observed::Known(processes) => processes,
    };
    if processes.is_empty() {
        return Ok(match desired()? {
            Some(desired) => intend(snapshot, &desired),
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
        &known(snapshot),
        id,
        &names,
        (process_label(&snapshot.cluster, uid, attempt), attempt),
    );
    let mut plan = Plan { due, ..of_mirror(plan) };
    if plan.mirror != Mirror::Unchanged {
        plan.steps.extend(hold_adopted(snapshot));
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

/// Holds an object that has adopted its workflow, where its deletion ends that. Which it does can change at any time.
fn hold_adopted(snapshot: &ColonyWorkflowSnapshot) -> Option<Step> {
    let spec = &snapshot.object.spec;
    let is_to_be_held = spec.graph_id.is_some()
        && spec.management_policies.allow(ManagementPolicy::Delete)
        && !terms(snapshot).has_finalizer();
    is_to_be_held.then_some(Step::Kubernetes(KubernetesStep::AddFinalizer))
}

fn follow(snapshot: &ColonyWorkflowSnapshot, status: &ColonyWorkflowStatus, mirror: &MirrorStatus) -> Plan {
    let mut plan = MirrorPlan::default();
    let due = plan.follow_graph(&known(snapshot), status, mirror);
    let mut plan = Plan { due, ..of_mirror(plan) };
    plan.steps.extend(hold_adopted(snapshot));
    plan
}

fn end(snapshot: &ColonyWorkflowSnapshot, why: &str) -> Plan {
    let none = ColonyWorkflowStatus::default();
    let status = snapshot.object.status.as_ref().unwrap_or(&none);
    let mut plan = MirrorPlan::default();
    plan.end_graph(&known(snapshot), status, why);
    of_mirror(plan)
}

#[cfg(test)]
mod tests;
