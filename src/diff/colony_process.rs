//! What to do for a `ColonyProcess`: submit it, follow it, end it, repeat it, let it go. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    KubernetesStep, Mirror, Plan, Step,
    mirror::{Known, MirrorPlan, is_live, lacks_reasons},
    work::{Terms, of_mirror, stop_text},
};
use crate::{
    api::{
        colony_process::ColonyProcessStatus,
        mirror::{MirrorState, MirrorStatus},
        names::COLONY_PROCESS_FINALIZER,
    },
    colony::ProcessState,
    desired::{DesiredProcess, Error},
    watch::snapshot::ColonyProcessSnapshot,
};

/// How long after the first failure it is submitted again; twice as long after each further one. As Jobs do it.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest such time.
const LONGEST_BACKOFF: Duration = Duration::from_mins(6);

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
    plan.due = plan.due.into_iter().chain(terms.deadline()).min();
    Ok(plan)
}

/// Plans an object that is being deleted. It never needs a valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ColonyProcessSnapshot) -> Plan {
    terms(snapshot).let_go(|| end(snapshot, "the object is deleted"))
}

/// What an object says of how it is to be worked on.
#[must_use]
pub fn terms(snapshot: &ColonyProcessSnapshot) -> Terms<'_> {
    terms_with(snapshot, snapshot.object.status.as_ref())
}

/// As [`terms`], with a status that is not written yet.
#[must_use]
pub fn terms_with<'a>(
    snapshot: &'a ColonyProcessSnapshot,
    status: Option<&'a ColonyProcessStatus>,
) -> Terms<'a> {
    let spec = &snapshot.object.spec;
    let moment = |time: Option<&Time>| time.map(|time| time.0);
    Terms {
        metadata: &snapshot.object.metadata,
        finalizer: COLONY_PROCESS_FINALIZER,
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
    mirror.intend(&snapshot.colony, &desired.label, desired.generation);
    let mut plan = of_mirror(mirror);
    if !terms(snapshot).has_finalizer() {
        plan.steps.push(Step::Kubernetes(KubernetesStep::AddFinalizer));
    }
    plan
}

fn submit(
    snapshot: &ColonyProcessSnapshot,
    mirror: &MirrorStatus,
    desired: Result<DesiredProcess, Error>,
) -> Result<Plan, Error> {
    if !terms(snapshot).has_finalizer() {
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
    if let Some((due, awaited)) = process.and_then(|process| lacks_reasons(process, snapshot.now)) {
        return Plan { due: Some(due), awaiting: vec![awaited], ..Plan::default() };
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

fn end(snapshot: &ColonyProcessSnapshot, why: &str) -> Plan {
    let mut plan = MirrorPlan::default();
    plan.end(&known(snapshot), why);
    of_mirror(plan)
}

/// When a failed attempt is followed by the next.
fn again_at(status: &ColonyProcessStatus) -> Option<Timestamp> {
    let doublings = status.failed_attempts.saturating_sub(1).clamp(0, 16);
    let delay = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    status.completion_time.as_ref()?.0.checked_add(delay).ok()
}
