//! What to do for an instance of a defined kind: submit each generation, follow it, clean up, finalize it. Pure.

mod blueprint;

use std::time::Duration;

use jiff::Timestamp;

use super::{
    KubernetesStep, Mirror, Plan, Step,
    mirror::{MirrorPlan, ProcessFacts, awaits_failure_reasons, is_live},
    work::{Terms, of_mirror},
};
use crate::{
    api::{
        mirror::{MirrorState, MirrorStatus, Mirrored as _},
        names::{INSTANCE_FINALIZER, cleanup_attempt, cleanup_generation},
        policy::{ManagementPolicy, UpdatePolicy},
    },
    colony::ProcessState,
    desired::DesiredProcess,
    kinds::SpecError,
    snapshot::InstanceSnapshot,
};

pub use blueprint::{
    plan as plan_blueprint, plan_deletion as plan_blueprint_deletion,
    remaining_in_colony as left_behind_of_blueprint,
};

/// How long after the first clean-up that failed another is submitted; twice as long after each further one. As Jobs do it.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest such time.
const LONGEST_BACKOFF: Duration = Duration::from_mins(6);

/// Plans an object that is to exist. `desired` makes the process of a generation.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &InstanceSnapshot,
    desired: impl Fn(i64) -> Result<DesiredProcess, SpecError>,
) -> Result<Plan, SpecError> {
    if snapshot.kind.terms().is_released {
        return Ok(release(snapshot));
    }
    let generation =
        snapshot.object.metadata.generation.ok_or(SpecError::Incomplete("metadata.generation"))?;
    let withheld = withheld(snapshot);
    let desired = |generation| withheld.is_none().then(|| desired(generation)).transpose();
    let begin = || -> Result<Plan, SpecError> {
        Ok(desired(generation)?.map_or_else(Plan::default, |desired| intend(snapshot, &desired)))
    };
    let mut plan = match snapshot.object.mirror() {
        // A user removed it, or a definition that orphaned its instances; another has taken them up again since.
        Some(_) if !terms(snapshot).has_finalizer() => {
            Plan { steps: vec![Step::Kubernetes(KubernetesStep::AddFinalizer)], ..Plan::default() }
        }
        Some(mirror) if mirror.is_unbound() => submit(snapshot, mirror, desired(generation))?,
        Some(mirror) if mirror.state.is_live() => follow(snapshot, mirror, generation),
        Some(mirror) if mirror.generation >= generation => return Ok(Plan::default()),
        None | Some(_) => begin()?,
    };
    if snapshot.object.mirror().is_none_or(|mirror| mirror.generation < generation) {
        plan.left.extend(withheld.map(|what| {
            let remedy = what.remedy();
            format!("generation {generation} is not submitted: handler.{remedy} in the ResourceDefinition")
        }));
    }
    Ok(plan)
}

/// What would have to be allowed for the current generation to be submitted, if it is not: the first one that reaches the colony
/// is a creation there, each later one a change.
fn withheld(snapshot: &InstanceSnapshot) -> Option<ManagementPolicy> {
    let submitted = snapshot.object.status.as_ref().and_then(|status| status.submitted_generation);
    let what = if submitted.is_some() { ManagementPolicy::Update } else { ManagementPolicy::Create };
    Some(what).filter(|what| !snapshot.kind.handler().management_policies.allow(*what))
}

/// Plans an object that is being deleted. It needs no valid spec.
#[must_use]
pub fn plan_deletion(
    snapshot: &InstanceSnapshot,
    desired: impl Fn(i64) -> Result<DesiredProcess, SpecError>,
) -> Plan {
    if snapshot.kind.terms().is_released {
        return release(snapshot);
    }
    terms(snapshot).finalize(|| {
        let recorded = snapshot.object.mirror();
        match recorded {
            Some(mirror) if cleanup_attempt(mirror.generation).is_some() => {
                clean_up(snapshot, mirror, &desired)
            }
            Some(mirror) if mirror.may_live() => {
                let mut plan = end(snapshot);
                if plan.awaiting.is_empty() && snapshot.kind.handler().cleanup_function.is_some() {
                    plan.awaiting
                        .push("the end of the process to be on record, before the clean-up".to_owned());
                }
                plan
            }
            _ if wants_cleanup(snapshot) => begin_cleanup(snapshot, 0, &desired),
            _ => Plan::default(),
        }
    })
}

/// The policies of an object of work.
#[must_use]
pub fn terms(snapshot: &InstanceSnapshot) -> Terms<'_> {
    Terms {
        metadata: &snapshot.object.metadata,
        finalizer: INSTANCE_FINALIZER,
        suspend: false,
        cancel: false,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        may_update: true,
        deletion_policy: snapshot
            .kind
            .handler()
            .management_policies
            .deletion(snapshot.kind.terms().accepted.deletion_policy),
        state: None,
        active_since: None,
        completed_at: None,
        mirror: snapshot.object.mirror(),
        colony: &snapshot.colony,
        now: snapshot.now,
    }
}

/// What reached the colony is to be taken away there.
fn wants_cleanup(snapshot: &InstanceSnapshot) -> bool {
    let submitted = snapshot.object.status.as_ref().and_then(|status| status.submitted_generation);
    submitted.is_some() && snapshot.kind.handler().cleanup_function.is_some()
}

fn known(snapshot: &InstanceSnapshot) -> ProcessFacts<'_> {
    ProcessFacts {
        recorded: snapshot.object.mirror(),
        processes: &snapshot.processes,
        submit_not_before: snapshot.submit_not_before,
        now: snapshot.now,
    }
}

/// The definition goes and leaves its instances: the finalizer would never be removed later.
fn release(snapshot: &InstanceSnapshot) -> Plan {
    let is_held = terms(snapshot).has_finalizer();
    let steps = is_held.then_some(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    Plan { steps: steps.into_iter().collect(), ..Plan::default() }
}

/// Holds the object and records what is about to be submitted. Nothing is until both have been seen.
fn intend(snapshot: &InstanceSnapshot, desired: &DesiredProcess) -> Plan {
    let mut mirror = MirrorPlan::default();
    mirror.intend(&snapshot.colony, &desired.label, desired.generation);
    let mut plan = of_mirror(mirror);
    if !terms(snapshot).has_finalizer() {
        plan.steps.push(Step::Kubernetes(KubernetesStep::AddFinalizer));
    }
    plan
}

/// An intent is on record. Of an older generation, what was sent is looked for and nothing is sent any more.
fn submit(
    snapshot: &InstanceSnapshot,
    mirror: &MirrorStatus,
    desired: Result<Option<DesiredProcess>, SpecError>,
) -> Result<Plan, SpecError> {
    let mut plan = MirrorPlan::default();
    plan.intended(&known(snapshot), mirror, desired.as_ref().ok().and_then(Option::as_ref));
    match desired {
        // What hinders the submit is waited for, and the intent stays on record.
        Err(error) if plan.mirror == Mirror::Forget => Err(error),
        _ => Ok(of_mirror(plan)),
    }
}

fn follow(snapshot: &InstanceSnapshot, mirror: &MirrorStatus, generation: i64) -> Plan {
    let mut plan = MirrorPlan::default();
    let process = plan.look(&known(snapshot), mirror);
    if let Some((due, awaited)) = process.and_then(|process| awaits_failure_reasons(process, snapshot.now)) {
        return Plan { due: Some(due), awaiting: vec![awaited], ..Plan::default() };
    }
    if let Some(process) = process.filter(|process| is_live(process)) {
        let is_superseded = mirror.generation < generation;
        let handler = snapshot.kind.handler();
        let may_end = handler.update_policy == UpdatePolicy::CancelRunning
            && handler.management_policies.allow(ManagementPolicy::Update);
        if is_superseded && may_end {
            plan.cancel(process, "a newer generation takes its place");
        } else {
            plan.awaiting.push(awaited(process.state, process.id.as_str()));
        }
    }
    of_mirror(plan)
}

fn awaited(state: ProcessState, id: &str) -> String {
    match state {
        ProcessState::Waiting => format!("an executor to take process {id}"),
        _ => format!("its executor to close process {id}"),
    }
}

fn end(snapshot: &InstanceSnapshot) -> Plan {
    let mut plan = MirrorPlan::default();
    plan.end(&known(snapshot), "the object is deleted");
    of_mirror(plan)
}

/// Follows a clean-up to its end. As long as something is awaited, the object is held.
fn clean_up(
    snapshot: &InstanceSnapshot,
    mirror: &MirrorStatus,
    desired: &impl Fn(i64) -> Result<DesiredProcess, SpecError>,
) -> Plan {
    let attempt = cleanup_attempt(mirror.generation).unwrap_or_default();
    let known = known(snapshot);
    match mirror.state {
        MirrorState::Intended => {
            let process = desired(mirror.generation);
            let mut plan = MirrorPlan::default();
            plan.intended(&known, mirror, process.as_ref().ok());
            if plan.mirror == Mirror::Forget {
                // It was not submitted, and still is to be.
                plan.mirror = Mirror::Unchanged;
            }
            let why = process.err().map(|error| format!(": {error}")).unwrap_or_default();
            plan.awaiting.push(format!("the clean-up to be submitted{why}"));
            of_mirror(plan)
        }
        MirrorState::Waiting | MirrorState::Running => {
            let mut plan = MirrorPlan::default();
            let process = plan.look(&known, mirror);
            if let Some((due, awaited)) =
                process.and_then(|process| awaits_failure_reasons(process, snapshot.now))
            {
                return Plan { due: Some(due), awaiting: vec![awaited], ..Plan::default() };
            }
            match process {
                Some(process) if is_live(process) => {
                    plan.awaiting.push(awaited(process.state, process.id.as_str()));
                }
                Some(_) => plan.awaiting.push("the end of the clean-up to be on record".to_owned()),
                None => {}
            }
            of_mirror(plan)
        }
        MirrorState::Failed | MirrorState::Cancelled => {
            let due = again_at(mirror, attempt);
            if due.is_some_and(|due| snapshot.now < due) {
                let awaiting = vec!["the time to submit the clean-up again".to_owned()];
                return Plan { awaiting, due, ..Plan::default() };
            }
            begin_cleanup(snapshot, attempt + 1, desired)
        }
        // What the server no longer has is not submitted again: it may well have been done.
        MirrorState::Successful | MirrorState::Lost => Plan::default(),
    }
}

/// Records that a clean-up is about to be submitted.
fn begin_cleanup(
    snapshot: &InstanceSnapshot,
    attempt: i64,
    desired: &impl Fn(i64) -> Result<DesiredProcess, SpecError>,
) -> Plan {
    let mut plan = MirrorPlan::default();
    match desired(cleanup_generation(attempt)) {
        Ok(process) => {
            plan.intend(&snapshot.colony, &process.label, process.generation);
            plan.awaiting.push("the clean-up".to_owned());
        }
        Err(error) => plan.awaiting.push(format!("the cleanup, which cannot be submitted: {error}")),
    }
    of_mirror(plan)
}

/// When a clean-up that failed is followed by the next.
fn again_at(mirror: &MirrorStatus, attempt: i64) -> Option<Timestamp> {
    let doublings = u32::try_from(attempt.clamp(0, 16)).unwrap_or_default();
    let delay = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    mirror.intended_at.0.checked_add(delay).ok()
}

#[cfg(test)]
mod tests;
