//! What to do for a `ColonyWorkflow`: submit it, follow it, end it, let it go. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    KubernetesStep, Mirror, Plan, Step,
    mirror::{Known, MirrorPlan},
    work::{Terms, of_mirror, stop_text},
};
use crate::{
    api::{colony_workflow::ColonyWorkflowStatus, mirror::MirrorStatus, names::COLONY_WORKFLOW_FINALIZER},
    desired::{DesiredWorkflow, Error},
    watch::snapshot::ColonyWorkflowSnapshot,
};

/// Plans an object that is to exist. `desired` makes the workflow of an attempt.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &ColonyWorkflowSnapshot,
    desired: impl Fn(i64) -> Result<DesiredWorkflow, Error>,
) -> Result<Plan, Error> {
    let none = ColonyWorkflowStatus::default();
    let status = snapshot.object.status.as_ref().unwrap_or(&none);
    let terms = terms(snapshot);
    if terms.is_finished() {
        return Ok(terms.expire());
    }
    let mirror = status.mirror.as_ref();
    let live = mirror.filter(|mirror| mirror.may_live());
    if let (Some(reason), Some(_)) = (status.stopping, live) {
        return Ok(end(snapshot, stop_text(reason)));
    }
    if let Some(reason) = terms.wanted_stop() {
        // On record before anything is cancelled: whoever sees the end knows whose doing it was.
        return Ok(Plan { stop: live.map(|_| reason), ..Plan::default() });
    }
    let mut plan = match mirror {
        Some(mirror) if mirror.is_unbound() => submit(snapshot, status, mirror, desired(mirror.generation))?,
        Some(mirror) if mirror.state.is_live() => follow(snapshot, status, mirror),
        _ => intend(snapshot, &desired(status.attempts + 1)?),
    };
    plan.due = plan.due.into_iter().chain(terms.deadline()).min();
    Ok(plan)
}

/// Plans an object that is being deleted. It never needs a valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ColonyWorkflowSnapshot) -> Plan {
    terms(snapshot).let_go(|| end(snapshot, "the object is deleted"))
}

/// What an object says of how it is to be worked on.
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
        deletion_policy: spec.deletion_policy,
        state: status.and_then(|status| status.state),
        active_since: moment(status.and_then(|status| status.active_since.as_ref())),
        completed_at: moment(status.and_then(|status| status.completion_time.as_ref())),
        mirror: status.and_then(|status| status.mirror.as_ref()),
        colony: &snapshot.colony,
        now: snapshot.now,
    }
}

fn known(snapshot: &ColonyWorkflowSnapshot) -> Known<'_> {
    Known {
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

fn submit(
    snapshot: &ColonyWorkflowSnapshot,
    status: &ColonyWorkflowStatus,
    mirror: &MirrorStatus,
    desired: Result<DesiredWorkflow, Error>,
) -> Result<Plan, Error> {
    if !terms(snapshot).has_finalizer() {
        return Ok(Plan { steps: vec![Step::Kubernetes(KubernetesStep::AddFinalizer)], ..Plan::default() });
    }
    let mut plan = MirrorPlan::default();
    plan.intended_graph(&known(snapshot), status, mirror, desired.as_ref().ok());
    match desired {
        // An attempt stays the same attempt: what hinders its submit is waited for, and its intent stays on record.
        Err(error) if plan.mirror == Mirror::Forget => Err(error),
        _ => Ok(of_mirror(plan)),
    }
}

fn follow(snapshot: &ColonyWorkflowSnapshot, status: &ColonyWorkflowStatus, mirror: &MirrorStatus) -> Plan {
    let mut plan = MirrorPlan::default();
    let due = plan.follow_graph(&known(snapshot), status, mirror);
    Plan { due, ..of_mirror(plan) }
}

fn end(snapshot: &ColonyWorkflowSnapshot, why: &str) -> Plan {
    let none = ColonyWorkflowStatus::default();
    let status = snapshot.object.status.as_ref().unwrap_or(&none);
    let mut plan = MirrorPlan::default();
    plan.end_graph(&known(snapshot), status, why);
    of_mirror(plan)
}
