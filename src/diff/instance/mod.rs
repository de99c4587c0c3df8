//! What to do for an instance of a defined kind: submit each generation, follow it, clean up, finalize it. Pure.

mod blueprint;
mod policies;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Mirror, Plan,
    attempt::Attempts,
    mirror::MirrorPlan,
    process_state::{is_followed, is_live},
    work::{Terms, of_mirror, retried_at},
};
use crate::{
    api::{
        mirror::{MirrorState, MirrorStatus, Mirrored as _},
        names::{cleanup_attempt, parse_process_label},
        policy::{ManagementPolicy, UpdatePolicy},
        resource_definition::HandlerMode,
    },
    colony::ProcessState,
    desired::{DesiredInstance, DesiredProcess, Problem, SharedSpec, instance::desired, problem},
    kinds::SpecError,
    snapshot::{InstanceSnapshot, Observed, WorkHeader},
};

pub use blueprint::{plan as plan_blueprint, plan_deletion as plan_blueprint_deletion};
use policies::release;
pub use policies::terms;

/// Stage 3.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan_desired(snapshot: &InstanceSnapshot, desired: &DesiredInstance) -> Result<Plan, Problem> {
    match desired {
        DesiredInstance::Process(process) => plan(snapshot, process).map_err(|error| problem(&error)),
        DesiredInstance::Cleanup(cleanup) => Ok(plan_deletion(snapshot, cleanup)),
        DesiredInstance::Blueprint(Some(blueprint)) => Ok(plan_blueprint(snapshot, blueprint)),
        DesiredInstance::Blueprint(None) => Ok(plan_blueprint_deletion(snapshot)),
    }
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &InstanceSnapshot) -> Result<Plan, Problem> {
    plan_desired(snapshot, &desired(snapshot)?)
}

/// What is left in the colony of an instance that is released, for a person.
#[must_use]
pub fn remaining_in_colony(snapshot: &InstanceSnapshot) -> Option<String> {
    match snapshot.kind.handler().mode {
        HandlerMode::Blueprint => blueprint::remaining_in_colony(snapshot),
        HandlerMode::Process | HandlerMode::Compose => terms(snapshot).remaining_in_colony("process"),
    }
}

impl Attempts for InstanceSnapshot {
    type Submission = DesiredProcess;

    fn header(&self) -> &WorkHeader {
        &self.header
    }

    fn terms(&self) -> Terms<'_> {
        terms(self)
    }
}

/// Plans an object that is to exist. `desired` is the process of the current generation, if it may be submitted now.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &InstanceSnapshot,
    desired: &Result<Option<DesiredProcess>, SpecError>,
) -> Result<Plan, SpecError> {
    if snapshot.kind.terms().is_released {
        return Ok(release(snapshot));
    }
    let generation =
        snapshot.object.metadata.generation.ok_or(SpecError::Incomplete("metadata.generation"))?;
    let withheld = withheld(snapshot);
    let desired = if withheld.is_none() { desired.as_ref().map(Option::as_ref) } else { Ok(None) };
    let recorded = snapshot.object.mirror();
    // The note by which a restored object has its process stays until it has another one.
    let is_of_earlier = recorded.is_some_and(|mirror| snapshot.is_of_earlier(mirror));
    // A user removed it, or a definition that orphaned its instances; another has taken them up again since.
    let unheld = snapshot.hold().filter(|_| recorded.is_some() && !is_of_earlier);
    let mut plan = match (unheld, recorded) {
        (Some(hold), _) => hold,
        (None, Some(mirror)) if mirror.is_unbound() => snapshot.submit(mirror, desired)?,
        (None, Some(mirror)) if is_followed(mirror, &snapshot.header.processes) => {
            follow(snapshot, mirror, generation)
        }
        (None, Some(mirror)) if mirror.generation >= generation => return Ok(Plan::default()),
        (None, None) if let Some(plan) = restored(snapshot, generation) => plan,
        (None, None | Some(_)) => snapshot.begin(desired)?,
    };
    if recorded.is_none_or(|mirror| mirror.generation < generation) {
        plan.left.extend(withheld.map(|what| {
            let remedy = what.remedy();
            format!("generation {generation} is not submitted: handler.{remedy} in the ResourceDefinition")
        }));
    }
    Ok(plan)
}

/// The plan for an instance that was restored from a backup, if what its spec asks for was done before, as far as the colony
/// knows. After a clean-up it is to be done again, and so is another spec than the last.
fn restored(snapshot: &InstanceSnapshot, generation: i64) -> Option<Plan> {
    let earlier = match &snapshot.header.earlier {
        Observed::Unknown(why) => {
            let awaited = format!("the colony to report what it has of the object that was restored: {why}");
            return Some(Plan { awaiting: vec![awaited], ..Plan::default() });
        }
        Observed::Known(earlier) => earlier.last()?,
    };
    let (_, _, carried) = parse_process_label(&earlier.spec.label)?;
    let given = earlier.spec.kwargs.get("spec").and_then(Value::as_object)?;
    let is_same = SharedSpec::of_instance(given) == SharedSpec::of_instance(&snapshot.object.spec_fields());
    (cleanup_attempt(carried).is_none() && is_same).then(|| snapshot.take_up(earlier, generation))
}

/// What would have to be allowed for the current generation to be submitted, if it is not: the first one that reaches the colony
/// is a creation there, each later one a change.
fn withheld(snapshot: &InstanceSnapshot) -> Option<ManagementPolicy> {
    let submitted = snapshot.object.status.as_ref().and_then(|status| status.submitted_generation);
    let what = if submitted.is_some() { ManagementPolicy::Update } else { ManagementPolicy::Create };
    Some(what).filter(|what| !snapshot.kind.handler().management_policies.allow(*what))
}

/// Plans an object that is being deleted. It needs no valid spec. `cleanup` is the process of the clean-up that may be
/// submitted next.
#[must_use]
pub fn plan_deletion(snapshot: &InstanceSnapshot, cleanup: &Result<DesiredProcess, SpecError>) -> Plan {
    if snapshot.kind.terms().is_released {
        return release(snapshot);
    }
    snapshot.finalize(|| match snapshot.object.mirror() {
        Some(mirror) if cleanup_attempt(mirror.generation).is_some() => clean_up(snapshot, mirror, cleanup),
        Some(mirror) if mirror.may_live() => {
            let mut plan = snapshot.end("the object is deleted");
            if plan.awaiting.is_empty() && snapshot.kind.handler().cleanup_function.is_some() {
                plan.awaiting.push("the end of the process to be on record, before the clean-up".to_owned());
            }
            plan
        }
        recorded => {
            // Its process is over, as far as status knows: what lives under its label all the same is ended.
            let late =
                if recorded.is_some() { snapshot.end("the object is deleted") } else { Plan::default() };
            if late.steps.is_empty() && wants_cleanup(snapshot) {
                return begin_cleanup(snapshot, cleanup);
            }
            late
        }
    })
}

/// What reached the colony is to be taken away there.
fn wants_cleanup(snapshot: &InstanceSnapshot) -> bool {
    let submitted = snapshot.object.status.as_ref().and_then(|status| status.submitted_generation);
    submitted.is_some() && snapshot.kind.handler().cleanup_function.is_some()
}

fn follow(snapshot: &InstanceSnapshot, mirror: &MirrorStatus, generation: i64) -> Plan {
    snapshot.follow(mirror, |plan, process| {
        if !is_live(process) {
            return;
        }
        let is_superseded = mirror.generation < generation;
        let handler = snapshot.kind.handler();
        let may_end = handler.update_policy == UpdatePolicy::CancelRunning
            && handler.management_policies.allow(ManagementPolicy::Update);
        if is_superseded && may_end {
            plan.cancel(process, "a newer generation takes its place");
        } else {
            plan.awaiting.push(awaited(process.state, process.id.as_str()));
        }
    })
}

fn awaited(state: ProcessState, id: &str) -> String {
    match state {
        ProcessState::Waiting => format!("an executor to take process {id}"),
        _ => format!("its executor to close process {id}"),
    }
}

/// Follows a clean-up to its end. As long as something is awaited, the object is held.
fn clean_up(
    snapshot: &InstanceSnapshot,
    mirror: &MirrorStatus,
    desired: &Result<DesiredProcess, SpecError>,
) -> Plan {
    match mirror.state {
        MirrorState::Intended => {
            let mut plan = MirrorPlan::default();
            plan.intended(&snapshot.known(), mirror, desired.as_ref().ok());
            if plan.mirror == Mirror::Forget {
                // It was not submitted, and still is to be.
                plan.mirror = Mirror::Unchanged;
            }
            let why = desired.as_ref().err().map(|error| format!(": {error}")).unwrap_or_default();
            plan.awaiting.push(format!("the clean-up to be submitted{why}"));
            of_mirror(plan)
        }
        MirrorState::Waiting | MirrorState::Running => snapshot.follow(mirror, |plan, process| {
            plan.awaiting.push(if is_live(process) {
                awaited(process.state, process.id.as_str())
            } else {
                "the end of the clean-up to be on record".to_owned()
            });
        }),
        MirrorState::Failed | MirrorState::Cancelled => {
            let due = again_at(mirror, cleanup_attempt(mirror.generation).unwrap_or_default());
            if due.is_some_and(|due| snapshot.header.now < due) {
                let awaiting = vec!["the time to submit the clean-up again".to_owned()];
                return Plan { awaiting, due, ..Plan::default() };
            }
            begin_cleanup(snapshot, desired)
        }
        // What the server no longer has is not submitted again: it may well have been done.
        MirrorState::Successful | MirrorState::Lost => Plan::default(),
    }
}

/// Records that a clean-up is about to be submitted.
fn begin_cleanup(snapshot: &InstanceSnapshot, desired: &Result<DesiredProcess, SpecError>) -> Plan {
    let mut plan = MirrorPlan::default();
    match desired {
        Ok(process) => {
            plan.intend(&snapshot.header.colony, &process.label, process.generation);
            plan.awaiting.push("the clean-up".to_owned());
        }
        Err(error) => plan.awaiting.push(format!("the cleanup, which cannot be submitted: {error}")),
    }
    of_mirror(plan)
}

/// When a clean-up that failed is followed by the next.
fn again_at(mirror: &MirrorStatus, attempt: i64) -> Option<Timestamp> {
    retried_at(mirror.intended_at.0, attempt)
}

#[cfg(test)]
mod tests;
