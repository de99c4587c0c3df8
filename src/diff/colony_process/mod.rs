//! What to do for a `ColonyProcess`: submit it, follow it, end it, retry it, finalize it. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Mirror, Plan, Step,
    attempt::{Attempts, Submittable},
    mirror::{awaits_failure_reasons, is_live, state_of},
    work::{Terms, check_adoptable, hold_adopted, retried_at},
};
use crate::{
    api::{
        colony_process::ColonyProcessStatus,
        mirror::{MirrorState, MirrorStatus},
        names::{COLONY_PROCESS_FINALIZER, RUN_NODE, parse_process_label, process_label},
        policy::ManagementPolicy,
    },
    colony::{Process, ProcessState},
    desired::DesiredProcess,
    kinds::SpecError,
    snapshot::{ColonyProcessSnapshot, Observed, WorkHeader},
};

impl Attempts for ColonyProcessSnapshot {
    type Submission = DesiredProcess;

    fn header(&self) -> &WorkHeader {
        &self.header
    }

    fn terms(&self) -> Terms<'_> {
        terms(self)
    }
}

/// Plans an object that is to exist. `desired` is the process of the attempt that may be submitted now.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &ColonyProcessSnapshot,
    desired: &Result<Option<DesiredProcess>, SpecError>,
) -> Result<Plan, SpecError> {
    let none = ColonyProcessStatus::default();
    let status = snapshot.object.status.as_ref().unwrap_or(&none);
    if let Some(plan) = snapshot.stop(status.stopping) {
        return Ok(plan);
    }
    let terms = terms(snapshot);
    let desired = if terms.wanted_stop().is_none() { desired.as_ref().map(Option::as_ref) } else { Ok(None) };
    let mut plan = match status.mirror.as_ref() {
        Some(mirror) if mirror.is_unbound() => match snapshot.hold() {
            Some(hold) => hold,
            None => snapshot.submit(mirror, desired)?,
        },
        Some(mirror) if mirror.state.is_live() => follow(snapshot, mirror),
        None if snapshot.object.spec.process_id.is_some() => adopt(snapshot, desired)?,
        _ if matches!(desired, Ok(None)) => Plan::default(),
        Some(mirror)
            if mirror.state == MirrorState::Failed && again_at(status) > Some(snapshot.header.now) =>
        {
            Plan {
                due: again_at(status),
                awaiting: vec![format!("the time to submit attempt {}", mirror.generation + 1)],
                ..Plan::default()
            }
        }
        _ => snapshot.begin(desired)?,
    };
    plan.due = plan.due.into_iter().chain(terms.deadline()).min();
    Ok(plan)
}

/// Plans an object that is being deleted. It never needs a valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ColonyProcessSnapshot) -> Plan {
    snapshot.finalize(|| snapshot.end("the object is deleted"))
}

/// The policies of an object of work.
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

/// Binds the process that the spec names, if it is what stands there and no other object has it. Only the colony can
/// report that there is none; then one is submitted, if that may be.
fn adopt(
    snapshot: &ColonyProcessSnapshot,
    desired: Submittable<'_, DesiredProcess, SpecError>,
) -> Result<Plan, SpecError> {
    let waiting = |awaited: String| Plan { awaiting: vec![awaited], ..Plan::default() };
    let id = snapshot.object.spec.process_id.as_deref().unwrap_or_default();
    let processes = match &snapshot.header.processes {
        Observed::Unknown(why) => {
            return Ok(waiting(format!("the colony to report whether process {id} exists: {why}")));
        }
        Observed::Known(processes) => processes,
    };
    let Some(process) = processes.iter().find(|process| process.id.as_str() == id) else {
        return Ok(match desired.map_err(Clone::clone)? {
            Some(desired) => snapshot.intend(desired),
            None => waiting(format!("process {id} to be there: it is only adopted, and none is submitted")),
        });
    };
    verify_adoptable(snapshot, process)?;
    if let Some(waiting) = check_adoptable(&snapshot.holder, "spec.processId", "process", id)? {
        return Ok(waiting);
    }
    if let Some((due, awaited)) = awaits_failure_reasons(process, snapshot.header.now) {
        return Ok(Plan { due: Some(due), ..waiting(awaited) });
    }
    let uid = snapshot.object.metadata.uid.as_deref().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let attempt = snapshot.object.status.as_ref().map_or(0, |status| status.attempts) + 1;
    let mirror = Mirror::Found {
        label: process_label(&snapshot.header.cluster, uid, attempt),
        generation: attempt,
        process_id: id.to_owned(),
        state: state_of(process),
        submitted_at: process.submitted_at,
    };
    Ok(Plan { steps: hold(snapshot).into_iter().collect(), mirror, ..Plan::default() })
}

/// An adopted process must match the spec of the object: a wrong id would show, or cancel, work of others.
fn verify_adoptable(snapshot: &ColonyProcessSnapshot, process: &Process) -> Result<(), SpecError> {
    let (call, id) = (&snapshot.object.spec.call, &process.id);
    if call.function != process.spec.function {
        let remedy =
            format!("process {id} calls {:?}: write that, or another processId", process.spec.function);
        return Err(SpecError::invalid("spec.function", &call.function, remedy));
    }
    let (said, kind) = (&call.conditions.executor_type, &process.spec.conditions.executor_type);
    if said != kind {
        let remedy =
            format!("process {id} is for executors of type {kind:?}: write that, or another processId");
        return Err(SpecError::invalid("spec.conditions.executorType", said, remedy));
    }
    // One that was kept behind a gate by an object of this cluster stands alone all the same.
    let was_gated = process.spec.node_name == RUN_NODE
        && parse_process_label(&process.spec.label)
            .is_some_and(|(cluster, ..)| cluster == snapshot.header.cluster);
    if process.graph_id.is_empty() || was_gated {
        return Ok(());
    }
    let remedy = format!(
        "it is node {:?} of workflow {}, and nodes cannot be cancelled by themselves: follow the whole with a ColonyWorkflow and graphId",
        process.spec.node_name, process.graph_id
    );
    Err(SpecError::invalid("spec.processId", id.as_str(), remedy))
}

fn hold(snapshot: &ColonyProcessSnapshot) -> Option<Step> {
    let spec = &snapshot.object.spec;
    hold_adopted(&terms(snapshot), spec.process_id.is_some(), &spec.management_policies)
}

fn follow(snapshot: &ColonyProcessSnapshot, mirror: &MirrorStatus) -> Plan {
    let header = &snapshot.header;
    let mut plan = snapshot.follow(mirror, |plan, process| {
        if !is_live(process) {
            return;
        }
        let policies = &snapshot.object.spec.management_policies;
        let may_open = policies.allow(ManagementPolicy::Create) || policies.allow(ManagementPolicy::Update);
        if process.waits_for_parents && may_open {
            plan.open_gate(&header.colony, process, header.processes.known().map_or(&[][..], Vec::as_slice));
        } else {
            let whom = if process.waits_for_parents {
                "the gate before it to open:"
            } else if process.state == ProcessState::Waiting {
                "an executor to take"
            } else {
                "its executor to close"
            };
            plan.awaiting.push(format!("{whom} process {}", process.id));
        }
    });
    // Not while the server is still to say why it failed.
    if plan.due.is_none() {
        plan.steps.splice(0..0, hold(snapshot));
    }
    plan
}

/// When a failed attempt is followed by the next.
fn again_at(status: &ColonyProcessStatus) -> Option<Timestamp> {
    retried_at(status.completion_time.as_ref()?.0, i64::from(status.failed_attempts.saturating_sub(1)))
}

#[cfg(test)]
mod tests;
