//! What the operator does next for a request: as its worker it has the job done by a process in a colony, as its
//! director it asks for the next job. The request or the configuration selects which of the two it is.
//!
//! A turn is recorded before it is handed over: the history has the end of a job before the spec changes, and after
//! that nothing is written until it is the operator's turn again.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::{
    Ending, Turn,
    next::{Next, PROCESS_LOST, job_of, next},
    turn,
};
use crate::{
    api::{
        mirror::{MirrorState, MirrorStatus, Mirrored as _},
        names::{REQUEST_FINALIZER, RESTORE_ANNOTATION, ROLES_ANNOTATION, parse_process_label},
        policy::DeletionPolicy,
        request_state::{RequestState, State},
    },
    desired::{
        DesiredProcess, Problem,
        request::{DesiredJob, Followed, desired, is_of_job},
        request_flow::CompiledFlow,
    },
    diff::{
        KubernetesStep, Plan, Step, Terms,
        attempt::{Attempts, Submittable},
    },
    runtime::config::model::RequestRole,
    snapshot::{Observed, RequestSnapshot, WorkHeader},
};

/// Which roles are ours for a request. Words that are no role are left out: admission reports them.
#[must_use]
pub fn roles(snapshot: &RequestSnapshot) -> Vec<RequestRole> {
    match snapshot.object.annotations().get(ROLES_ANNOTATION) {
        Some(text) => text.split(',').filter_map(|role| role.trim().parse().ok()).collect(),
        None => snapshot.roles.clone(),
    }
}

/// Whose turn it is, if `next` follows.
#[must_use]
pub fn turn_of(object: &RequestState, next: &Next) -> Turn {
    turn(object.spec.state, next.job.is_some())
}

/// Whether the operator may write: it is its turn, or no turn is pending.
#[must_use]
pub fn is_ours(snapshot: &RequestSnapshot, turn: Turn) -> bool {
    let roles = roles(snapshot);
    match turn {
        Turn::Director => roles.contains(&RequestRole::Director),
        Turn::Worker if snapshot.object.spec.state == State::Started => {
            let is_own = current(&snapshot.object).is_some();
            roles.contains(&RequestRole::Worker) && (is_own || has_earlier(snapshot))
        }
        Turn::Worker => roles.contains(&RequestRole::Worker),
        Turn::Finished => true,
    }
}

/// The process that is on record for the job that the request is at, not for an earlier one. A request changes once
/// from `REQUESTED` to `STARTED`; a job that another worker started has no process of the operator.
#[must_use]
pub fn current(object: &RequestState) -> Option<&MirrorStatus> {
    let requested_at = object.requested_at()?;
    object.mirror().filter(|mirror| mirror.generation == requested_at)
}

/// Whether something was submitted for the request before it was restored from a backup, or that is not known yet.
fn has_earlier(snapshot: &RequestSnapshot) -> bool {
    snapshot.header.earlier.known().is_none_or(|earlier| !earlier.is_empty())
}

/// Whether what is on record was submitted before the request was restored.
fn is_of_earlier(snapshot: &RequestSnapshot, recorded: &MirrorStatus) -> bool {
    let of = parse_process_label(&recorded.label);
    of.is_some_and(|(_, uid, _)| Some(uid) != snapshot.object.metadata.uid.as_deref())
}

/// The plan for a request that was restored from a backup, if a process did its job before, as far as the colony knows.
fn restored(snapshot: &RequestSnapshot, flow: &CompiledFlow) -> Option<Plan> {
    let earlier = match &snapshot.header.earlier {
        Observed::Unknown(why) => {
            let awaited = format!("the colony to report what it has of the request that was restored: {why}");
            return Some(Plan { awaiting: vec![awaited], ..Plan::default() });
        }
        Observed::Known(earlier) => earlier,
    };
    let last = earlier.iter().rev().find(|process| is_of_job(snapshot, flow, process))?;
    Some(snapshot.take_up(last, snapshot.object.requested_at()?))
}

/// When the time for all jobs is over.
#[must_use]
pub fn deadline(snapshot: &RequestSnapshot, flow: &CompiledFlow) -> Option<Timestamp> {
    let created = snapshot.object.metadata.creation_timestamp.as_ref()?.0;
    created.checked_add(SignedDuration::try_from(flow.active_deadline()?).ok()?).ok()
}

/// How the job ends, given what became of its process; none while it continues.
#[must_use]
pub fn ending(snapshot: &RequestSnapshot, flow: &CompiledFlow, mirror: &MirrorStatus) -> Option<Ending> {
    let is_late = deadline(snapshot, flow).is_some_and(|deadline| deadline <= snapshot.header.now);
    let id = mirror.process_id.as_deref().unwrap_or_default();
    let process = snapshot.header.process(id);
    match mirror.state {
        MirrorState::Intended | MirrorState::Waiting | MirrorState::Running => None,
        MirrorState::Successful => {
            let message = is_of_earlier(snapshot, mirror).then(|| {
                format!("process {id} did it before the request was restored, and it is not submitted again; to have it done again, create the request anew with annotation {RESTORE_ANNOTATION}: Resubmit")
            });
            Some(Ending { message, ..Ending::completed() })
        }
        MirrorState::Failed => {
            let errors = process.map(|process| process.errors.join("; ")).or_else(|| mirror.errors.clone());
            let errors =
                errors.filter(|errors| !errors.is_empty()).unwrap_or("no reason was given".to_owned());
            // The server's own words for its time limits.
            let reason = if errors.contains("time limit exceeded") { "TimedOut" } else { "ProcessFailed" };
            Some(Ending::failed(reason, format!("process {id} failed: {errors}")))
        }
        MirrorState::Cancelled if is_late => Some(late(flow)),
        MirrorState::Cancelled => Some(Ending {
            state: State::Cancelled,
            reason: Some("ProcessCancelled".to_owned()),
            message: Some(format!("process {id} was cancelled in the colony")),
        }),
        MirrorState::Lost => Some(Ending::failed(
            PROCESS_LOST,
            format!("the server no longer has process {id}; it is not submitted again"),
        )),
    }
}

/// How a job ends that was not done in time.
#[must_use]
pub fn late(flow: &CompiledFlow) -> Ending {
    let seconds = flow.active_deadline().unwrap_or_default().as_secs();
    Ending::failed(
        "DeadlineExceeded",
        format!("the flow's activeDeadlineSeconds: {seconds}: the request took longer"),
    )
}

impl Attempts for RequestSnapshot {
    type Submission = DesiredProcess;

    fn header(&self) -> &WorkHeader {
        &self.header
    }

    fn terms(&self) -> Terms<'_> {
        terms(self)
    }
}

/// Stage 3; without a desired job for a request that is cancelled or deleted.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan_desired(request: &Followed, desired: Option<&DesiredJob>) -> Result<Plan, Problem> {
    let snapshot = &request.snapshot;
    match (desired, &request.flow) {
        _ if snapshot.object.metadata.deletion_timestamp.is_some() => Ok(plan_deletion(snapshot)),
        (None, _) => Ok(plan_cancelled(snapshot)),
        (Some(desired), Ok(flow)) => plan(snapshot, flow, desired),
        (Some(_), Err(obstacle)) => Err(obstacle.problem()),
    }
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(request: &Followed) -> Result<Plan, Problem> {
    plan_desired(request, desired(request)?.as_ref())
}

/// Plans a request that is to exist. `desired` is the process of its job, if one may be submitted now.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan<E: Clone>(
    snapshot: &RequestSnapshot,
    flow: &CompiledFlow,
    desired: &Result<Option<DesiredProcess>, E>,
) -> Result<Plan, E> {
    let object = &snapshot.object;
    let next = next(object, flow, snapshot.header.now);
    let turn = turn_of(object, &next);
    let current = current(object);
    // A live process that is not of the request's present job is obsolete.
    if object.mirror().is_some_and(|mirror| mirror.may_live() && Some(mirror) != current) {
        return Ok(snapshot.end("the request has gone on without it"));
    }
    if !is_ours(snapshot, turn) {
        return Ok(Plan::default());
    }
    match turn {
        Turn::Finished => Ok(Plan::default()),
        Turn::Director => Ok(direct(snapshot, &next)),
        Turn::Worker => work(snapshot, flow, current, desired.as_ref().map(Option::as_ref)),
    }
}

/// Plans a request that was cancelled, independent of its flow: nothing of it is to live on.
#[must_use]
pub fn plan_cancelled(snapshot: &RequestSnapshot) -> Plan {
    snapshot.end("the request is cancelled")
}

/// Plans a request that is being deleted. It never needs a valid flow.
#[must_use]
pub fn plan_deletion(snapshot: &RequestSnapshot) -> Plan {
    snapshot.finalize(|| snapshot.end("the request is deleted"))
}

/// What the request's deletion goes by.
#[must_use]
pub fn terms(snapshot: &RequestSnapshot) -> Terms<'_> {
    Terms {
        metadata: &snapshot.object.metadata,
        finalizer: REQUEST_FINALIZER,
        suspend: false,
        cancel: false,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        may_update: true,
        deletion_policy: DeletionPolicy::Delete,
        state: None,
        active_since: None,
        completed_at: None,
        mirror: snapshot.object.mirror(),
        colony: &snapshot.header.colony,
        now: snapshot.header.now,
    }
}

fn direct(snapshot: &RequestSnapshot, next: &Next) -> Plan {
    let Some(job) = &next.job else { return Plan::default() };
    // First the history is to be complete: afterwards it is another party's turn.
    if !is_recorded_in_history(snapshot) {
        return Plan::default();
    }
    if let Some(not_before) = next.not_before.filter(|not_before| snapshot.header.now < *not_before) {
        let awaited = format!("the time to request {job} again");
        return Plan { due: Some(not_before), awaiting: vec![awaited], ..Plan::default() };
    }
    go(snapshot, job, State::Requested)
}

/// Whether the history ends with where the request is.
fn is_recorded_in_history(snapshot: &RequestSnapshot) -> bool {
    let (object, spec) = (&snapshot.object, &snapshot.object.spec);
    let last = object.status.as_ref().and_then(|status| status.history.last());
    last.is_some_and(|last| last.job == spec.job && last.state == spec.state.as_str())
}

fn work<E: Clone>(
    snapshot: &RequestSnapshot,
    flow: &CompiledFlow,
    current: Option<&MirrorStatus>,
    desired: Submittable<'_, DesiredProcess, E>,
) -> Result<Plan, E> {
    let object = &snapshot.object;
    let state = object.spec.state;
    let deadline = deadline(snapshot, flow);
    let is_late = deadline.is_some_and(|deadline| deadline <= snapshot.header.now);
    let mut plan = match current {
        None if let Some(plan) = restored(snapshot, flow) => plan,
        None if is_late => return Ok(finish(snapshot, &late(flow))),
        None => match (desired, snapshot.hold()) {
            (Ok(Some(_)), Some(hold)) => hold,
            _ => snapshot.begin(desired)?,
        },
        Some(mirror) if is_late && mirror.may_live() => {
            snapshot.end("the flow's activeDeadlineSeconds has passed")
        }
        Some(mirror) if mirror.is_unbound() => snapshot.submit(mirror, desired)?,
        Some(mirror) => match ending(snapshot, flow, mirror) {
            // It was assigned between two reads.
            Some(ending)
                if state == State::Requested
                    && (ending.state == State::Completed || was_assigned(object)) =>
            {
                go(snapshot, &object.spec.job, State::Started)
            }
            Some(ending) => finish(snapshot, &ending),
            None if mirror.state == MirrorState::Running && state == State::Requested => {
                go(snapshot, &object.spec.job, State::Started)
            }
            None => follow(snapshot, mirror),
        },
    };
    plan.due = plan.due.into_iter().chain(deadline.filter(|_| !is_late)).min();
    Ok(plan)
}

fn was_assigned(object: &RequestState) -> bool {
    job_of(object, &object.spec.job).is_some_and(|job| job.start_time.is_some())
}

/// Ends the job: once its end stands in the history.
fn finish(snapshot: &RequestSnapshot, ending: &Ending) -> Plan {
    let object = &snapshot.object;
    let last = object.status.as_ref().and_then(|status| status.history.last());
    let is_recorded_in_history =
        last.is_some_and(|last| last.job == object.spec.job && last.state == ending.state.as_str());
    if is_recorded_in_history { go(snapshot, &object.spec.job, ending.state) } else { Plan::default() }
}

/// Moves the request.
fn go(snapshot: &RequestSnapshot, job: &str, state: State) -> Plan {
    let uid = &snapshot.object.spec.request_uid;
    let spec = json!({ "request-uid": uid, "job": job, "state": state.as_str() });
    let Value::Object(spec) = spec else { return Plan::default() };
    let why = format!("{job} is {state}");
    Plan {
        steps: vec![Step::Kubernetes(KubernetesStep::UpdateSpec { spec, hash: None, why })],
        ..Plan::default()
    }
}

/// Where a plan moves the request, if it does.
#[must_use]
pub fn goal(plan: &Plan) -> Option<State> {
    plan.steps.iter().find_map(|step| match step {
        Step::Kubernetes(KubernetesStep::UpdateSpec { spec, .. }) => {
            spec.get("state").and_then(Value::as_str).and_then(|state| state.parse().ok())
        }
        _ => None,
    })
}

fn follow(snapshot: &RequestSnapshot, mirror: &MirrorStatus) -> Plan {
    let header = &snapshot.header;
    snapshot.follow(mirror, |plan, process| {
        if process.state.is_final() {
            return;
        }
        if process.waits_for_parents {
            let all = header.processes.known().map_or(&[][..], Vec::as_slice);
            plan.open_gate(&header.colony, process, all);
        } else {
            plan.awaiting.push(format!("an executor to end process {}", process.id));
        }
    })
}
