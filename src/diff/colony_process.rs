//! What to do for a `ColonyProcess`: submit it, follow it, end it, repeat it, let it go. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::{
    KubernetesStep, Mirror, Plan, Step,
    mirror::{Known, MirrorPlan, is_live},
};
use crate::{
    api::{
        colony_process::{ColonyProcess, ColonyProcessState, ColonyProcessStatus, StopReason},
        executor_deployment::DeletionPolicy,
        mirror::{MirrorState, MirrorStatus},
        names::{ABANDON_ANNOTATION, COLONY_PROCESS_FINALIZER, FOREGROUND_FINALIZER},
    },
    colony::{Process, ProcessState},
    desired::{DesiredProcess, Error},
    watch::snapshot::{ColonyProcessSnapshot, ColonyReference},
};

/// How long after the first failure it is submitted again; twice as long after each further one. As Jobs do it.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest such time.
const LONGEST_BACKOFF: Duration = Duration::from_secs(360);
/// How long the server may take to write the reasons of a failure, which it does after the state.
const REASONS: SignedDuration = SignedDuration::from_secs(2);

/// Plans an object that is to exist. `desired` makes the process of an attempt.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &ColonyProcessSnapshot,
    desired: impl Fn(i64) -> Result<DesiredProcess, Error>,
) -> Result<Plan, Error> {
    let none = ColonyProcessStatus::default();
    let status = snapshot.object.status.as_ref().unwrap_or(&none);
    if status.state.is_some_and(ColonyProcessState::is_final) {
        return Ok(expire(snapshot, status));
    }
    let mirror = status.mirror.as_ref();
    let live = mirror.filter(|mirror| mirror.may_live());
    if let (Some(reason), Some(_)) = (status.stopping, live) {
        return Ok(stop(snapshot, reason));
    }
    if let Some(reason) = wanted_stop(snapshot, status) {
        // On record before anything is cancelled: whoever sees the end knows whose doing it was.
        return Ok(Plan { stop: live.map(|_| reason), ..Plan::default() });
    }
    let mut plan = match mirror {
        Some(mirror) if mirror.is_unbound() => submit(snapshot, mirror, desired(mirror.generation))?,
        Some(mirror) if mirror.state.is_live() => follow(snapshot, mirror),
        Some(mirror) if mirror.state == MirrorState::Failed && again_at(status) > Some(snapshot.now) => {
            Plan {
                due: again_at(status),
                awaiting: vec![format!("the time to submit attempt {}", mirror.generation + 1)],
                ..Plan::default()
            }
        }
        _ => intend(snapshot, &desired(status.attempts + 1)?),
    };
    plan.due = plan.due.into_iter().chain(deadline(snapshot, status)).min();
    Ok(plan)
}

/// Plans an object that is being deleted. It never needs a valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ColonyProcessSnapshot) -> Plan {
    if !has_finalizer(&snapshot.object) {
        return Plan::default();
    }
    let others = finalizers_of_others(&snapshot.object);
    if !others.is_empty() {
        return Plan {
            awaiting: vec![format!("finalizers of others to be removed: {}", others.join(", "))],
            ..Plan::default()
        };
    }
    let mut plan = Plan::default();
    if snapshot.object.spec.deletion_policy != DeletionPolicy::Orphan && !is_abandoned(snapshot) {
        plan = end(snapshot, "the object is deleted");
    }
    if plan.steps.is_empty() && plan.awaiting.is_empty() {
        plan.steps.push(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    }
    plan
}

/// What is left of an object that is let go while its process may run on, for a person; none if nothing is.
#[must_use]
pub fn left_behind(snapshot: &ColonyProcessSnapshot) -> Option<String> {
    if !is_abandoned(snapshot) {
        return None;
    }
    let mirror = snapshot.object.status.as_ref()?.mirror.as_ref()?;
    let id = mirror.process_id.as_ref().filter(|_| mirror.state.is_live())?;
    Some(format!("left in the colony: process {id}"))
}

fn known(snapshot: &ColonyProcessSnapshot) -> Known<'_> {
    Known {
        recorded: snapshot.object.status.as_ref().and_then(|status| status.mirror.as_ref()),
        processes: &snapshot.processes,
        submit_not_before: snapshot.submit_not_before,
        now: snapshot.now,
    }
}

/// Holds the object and records what is about to be submitted. Nothing is until both have been seen.
fn intend(snapshot: &ColonyProcessSnapshot, desired: &DesiredProcess) -> Plan {
    let mut mirror = MirrorPlan::default();
    mirror.intend(&snapshot.colony, desired);
    let mut plan = of_mirror(mirror);
    if !has_finalizer(&snapshot.object) {
        plan.steps.push(Step::Kubernetes(KubernetesStep::AddFinalizer));
    }
    plan
}

fn submit(
    snapshot: &ColonyProcessSnapshot,
    mirror: &MirrorStatus,
    desired: Result<DesiredProcess, Error>,
) -> Result<Plan, Error> {
    if !has_finalizer(&snapshot.object) {
        return Ok(Plan { steps: vec![Step::Kubernetes(KubernetesStep::AddFinalizer)], ..Plan::default() });
    }
    let mut plan = MirrorPlan::default();
    plan.intended(&known(snapshot), mirror, desired.as_ref().ok());
    match desired {
        // An attempt stays the same attempt: what hinders its submit is waited for, and its intent stays on record.
        Err(error) if plan.mirror == Mirror::Forget => Err(error),
        _ => Ok(of_mirror(plan)),
    }
}

fn follow(snapshot: &ColonyProcessSnapshot, mirror: &MirrorStatus) -> Plan {
    let mut plan = MirrorPlan::default();
    let process = plan.look(&known(snapshot), mirror);
    if let Some(failed) = process.filter(|process| lacks_reasons(process, snapshot.now)) {
        return Plan {
            due: failed.ended_at.map(|ended_at| ended_at + REASONS),
            awaiting: vec![format!("the server to say why process {} failed", failed.id)],
            ..Plan::default()
        };
    }
    if let Some(process) = process.filter(|process| is_live(process)) {
        if process.waits_for_parents {
            plan.open_gate(
                &snapshot.colony,
                process,
                snapshot.processes.known().map_or(&[][..], Vec::as_slice),
            );
        } else {
            let whom = if process.state == ProcessState::Waiting {
                "an executor to take"
            } else {
                "its executor to close"
            };
            plan.awaiting.push(format!("{whom} process {}", process.id));
        }
    }
    of_mirror(plan)
}

/// A failure that the server has just noted, whose reasons it may still add.
fn lacks_reasons(process: &Process, now: Timestamp) -> bool {
    process.state == ProcessState::Failed
        && process.errors.is_empty()
        && process.ended_at.is_some_and(|ended_at| ended_at <= now && now < ended_at + REASONS)
}

fn end(snapshot: &ColonyProcessSnapshot, why: &str) -> Plan {
    let mut plan = MirrorPlan::default();
    plan.end(&known(snapshot), why);
    of_mirror(plan)
}

fn stop(snapshot: &ColonyProcessSnapshot, reason: StopReason) -> Plan {
    let why = match reason {
        StopReason::Suspended => "spec.suspend is true",
        StopReason::Cancelled => "spec.cancel is true",
        StopReason::DeadlineExceeded => "spec.activeDeadlineSeconds has passed",
    };
    end(snapshot, why)
}

fn of_mirror(plan: MirrorPlan) -> Plan {
    Plan {
        steps: plan.steps.into_iter().map(Step::Colony).collect::<Vec<Step>>(),
        awaiting: plan.awaiting,
        mirror: plan.mirror,
        ..Plan::default()
    }
}

/// Why the object is not to be worked on, if so.
#[must_use]
pub fn wanted_stop(snapshot: &ColonyProcessSnapshot, status: &ColonyProcessStatus) -> Option<StopReason> {
    let spec = &snapshot.object.spec;
    if spec.cancel {
        Some(StopReason::Cancelled)
    } else if deadline(snapshot, status).is_some_and(|deadline| deadline <= snapshot.now) {
        Some(StopReason::DeadlineExceeded)
    } else {
        spec.suspend.then_some(StopReason::Suspended)
    }
}

fn deadline(snapshot: &ColonyProcessSnapshot, status: &ColonyProcessStatus) -> Option<Timestamp> {
    let seconds = snapshot.object.spec.active_deadline_seconds?;
    status.active_since.as_ref()?.0.checked_add(SignedDuration::from_secs(seconds.into())).ok()
}

/// When a failed attempt is followed by the next.
fn again_at(status: &ColonyProcessStatus) -> Option<Timestamp> {
    let doublings = status.failed_attempts.saturating_sub(1).clamp(0, 16);
    let delay = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    status.completion_time.as_ref()?.0.checked_add(delay).ok()
}

/// Deletes a finished object when its time is over.
fn expire(snapshot: &ColonyProcessSnapshot, status: &ColonyProcessStatus) -> Plan {
    let ttl = snapshot.object.spec.ttl_seconds_after_finished;
    let ended_at = status.completion_time.as_ref().map(|time| time.0);
    let (Some(ttl), Some(ended_at)) = (ttl, ended_at) else { return Plan::default() };
    let Ok(over_at) = ended_at.checked_add(SignedDuration::from_secs(ttl.into())) else {
        return Plan::default();
    };
    if snapshot.now < over_at {
        return Plan { due: Some(over_at), ..Plan::default() };
    }
    let why = format!("it finished {ttl} s ago");
    Plan { steps: vec![Step::Kubernetes(KubernetesStep::DeleteObject { why })], ..Plan::default() }
}

fn has_finalizer(object: &ColonyProcess) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == COLONY_PROCESS_FINALIZER)
}

fn finalizers_of_others(object: &ColonyProcess) -> Vec<&str> {
    let ours = [COLONY_PROCESS_FINALIZER, FOREGROUND_FINALIZER];
    object.finalizers().iter().map(String::as_str).filter(|finalizer| !ours.contains(finalizer)).collect()
}

/// Whether the colony's side is left as it is: the colony is gone for good, or somebody says that it is.
fn is_abandoned(snapshot: &ColonyProcessSnapshot) -> bool {
    matches!(snapshot.colony, ColonyReference::NotFound { .. })
        || snapshot.object.annotations().get(ABANDON_ANNOTATION).is_some_and(|value| value == "true")
}
