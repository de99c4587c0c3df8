//! What to do for an object whose spec is work, whatever its kind: submit it, follow it, adopt it, end it, finalize it. Pure.

use jiff::Timestamp;
use kube::{Resource as _, core::object::HasStatus as _};

use super::{
    Mirror, Plan, Step, Terms,
    attempt::{Attempts, Submittable},
    process_state::{is_followed, is_live},
    submission::Submission,
    work::{check_adoptable, hold_adopted},
};
use crate::{
    api::{
        colony_workflow::NodeStatus,
        kind::HasFinalizer,
        mirror::{MirrorState, MirrorStatus},
        names::process_label,
        policy::ManagementPolicy,
        work::WorkObject,
    },
    colony::Process,
    desired::{
        Problem, problem,
        work::{Attempt, DesiredWork, desired},
    },
    kinds::SpecError,
    snapshot::{Observed, StatusOf, WorkHeader, WorkSnapshot},
};

/// What of the plan depends on the kind of work.
pub trait WorkPlan: DesiredWork<Object: HasFinalizer, Submission: Submission> {
    /// What status says of the nodes of its workflow; none if it is a process.
    fn nodes(&self) -> Option<&[NodeStatus]> {
        None
    }

    /// Whether its process waits behind a gate at first.
    fn is_gated(&self) -> bool {
        false
    }

    /// Follows what is bound.
    fn follow_bound(&self, mirror: &MirrorStatus) -> Plan;

    /// When an attempt that failed is followed by the next; none for at once.
    fn retried_at(&self) -> Option<Timestamp> {
        None
    }

    /// Whether what the colony has under the id that the spec names is as the spec says: a wrong id would show, or cancel,
    /// work of others. `first` is the first of `all` processes.
    ///
    /// # Errors
    ///
    /// When it is not.
    fn verify_adoptable(&self, first: &Process, all: &[Process]) -> Result<(), SpecError>;

    /// Binds it as the attempt `label`, `generation`.
    fn bind(&self, first: &Process, attempt: (String, i64)) -> Plan;
}

/// Stage 3.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan_desired<W: WorkPlan>(snapshot: &W, desired: &Attempt<W>) -> Result<Plan, Problem> {
    if snapshot.object().is_terminating() {
        return Ok(plan_deletion(snapshot));
    }
    plan(snapshot, desired).map_err(|error| problem(&error))
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there is no colony to submit to, or something is to be submitted and cannot be.
pub fn decide<W: WorkPlan>(snapshot: &W) -> Result<Plan, Problem> {
    plan_desired(snapshot, &desired(snapshot)?)
}

impl<W: WorkPlan> Attempts for W {
    type Submission = W::Submission;

    fn header(&self) -> &WorkHeader {
        WorkSnapshot::header(self)
    }

    fn terms(&self) -> Terms<'_> {
        terms(self)
    }

    fn nodes(&self) -> Option<&[NodeStatus]> {
        WorkPlan::nodes(self)
    }

    fn is_gated(&self) -> bool {
        WorkPlan::is_gated(self)
    }
}

/// Plans an object that is to exist. `desired` is the attempt that may be submitted now.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan<W: WorkPlan>(
    snapshot: &W,
    desired: &Result<Option<W::Submission>, SpecError>,
) -> Result<Plan, SpecError> {
    let terms = terms(snapshot);
    if !terms.is_finished()
        && let Some(plan) = yielded(snapshot)
    {
        return Ok(plan);
    }
    // What was lost and is there again is not finished.
    let is_found_again = terms.mirror.is_some_and(|mirror| {
        mirror.state == MirrorState::Lost && is_followed(mirror, &WorkSnapshot::header(snapshot).processes)
    });
    if !is_found_again && let Some(plan) = snapshot.stop(snapshot.record().stopping) {
        return Ok(plan);
    }
    let desired = if terms.wanted_stop().is_none() { desired.as_ref().map(Option::as_ref) } else { Ok(None) };
    let mut plan = match terms.mirror {
        Some(mirror) if mirror.is_unbound() => match snapshot.hold() {
            Some(hold) => hold,
            None => snapshot.submit(mirror, desired)?,
        },
        Some(mirror) if is_followed(mirror, &WorkSnapshot::header(snapshot).processes) => {
            snapshot.follow_bound(mirror)
        }
        None if let Some(id) = snapshot.object().policies().adopted_id => adopt(snapshot, id, desired)?,
        None if let Some(plan) = restored(snapshot) => plan,
        _ if matches!(desired, Ok(None)) => Plan::default(),
        Some(mirror) if mirror.state == MirrorState::Failed && snapshot.retried_at() > Some(terms.now) => {
            Plan {
                due: snapshot.retried_at(),
                awaiting: vec![format!("the time to submit attempt {}", mirror.generation + 1)],
                ..Plan::default()
            }
        }
        _ => snapshot.begin(desired)?,
    };
    plan.due = plan.due.into_iter().chain(terms.deadline()).min();
    Ok(plan)
}

/// The plan for what was submitted for the object before it was restored: once it is over it is the object's again, and nothing is
/// submitted. While it is alive it may be that of an object of another cluster, of which this one is a copy.
fn restored<W: WorkPlan>(snapshot: &W) -> Option<Plan> {
    let header = WorkSnapshot::header(snapshot);
    let waiting = |awaited: String| Plan { awaiting: vec![awaited], ..Plan::default() };
    let before = match &header.restored {
        Observed::Unknown(why) => {
            return Some(waiting(format!(
                "the colony to report what it has of the object that was restored: {why}"
            )));
        }
        Observed::Known(before) => before.as_ref()?,
    };
    let what = format!("{} {}", W::Object::WORK, before.id);
    let processes = match &header.processes {
        Observed::Unknown(why) => return Some(waiting(format!("the colony to report {what}: {why}"))),
        Observed::Known(processes) => processes,
    };
    Some(match processes.first() {
        Some(first) if !processes.iter().any(is_live) => {
            snapshot.bind(first, (before.label.clone(), before.attempt))
        }
        _ => waiting(format!("{what}, which was submitted before the object was restored, to be over")),
    })
}

/// The plan that leaves what another object has adopted as well to that one: what is bound twice, one could end for both.
fn yielded<W: WorkPlan>(snapshot: &W) -> Option<Plan> {
    let id = snapshot.record().mirror.filter(|mirror| mirror.state.is_live())?.process_id.as_deref()?;
    let keeper = snapshot.holder().known()?.as_ref()?;
    let awaited = format!("{} {id}, which {keeper} has adopted as well and keeps", W::Object::WORK);
    Some(Plan { mirror: Mirror::Forget, awaiting: vec![awaited], ..Plan::default() })
}

/// Plans an object that is being deleted. It never needs a valid spec. What another object is bound to as well goes on.
#[must_use]
pub fn plan_deletion<W: WorkPlan>(snapshot: &W) -> Plan {
    if yielded(snapshot).is_some() {
        return terms(snapshot).finalize(Plan::default, Plan::default);
    }
    snapshot.finalize(|| snapshot.end("the object is deleted"))
}

/// The policies of an object of work.
#[must_use]
pub fn terms<W: WorkSnapshot<Object: HasFinalizer>>(snapshot: &W) -> Terms<'_> {
    terms_with(snapshot, snapshot.object().status())
}

/// As [`terms`], with a status that is not written yet.
#[must_use]
pub fn terms_with<'a, W: WorkSnapshot<Object: HasFinalizer>>(
    snapshot: &'a W,
    status: Option<&'a StatusOf<W>>,
) -> Terms<'a> {
    let (object, header) = (snapshot.object(), snapshot.header());
    let policies = object.policies();
    let record = status.map(W::Object::record).unwrap_or_default();
    Terms {
        metadata: object.meta(),
        finalizer: W::Object::FINALIZER,
        suspend: policies.suspend,
        cancel: policies.cancel,
        active_deadline_seconds: policies.active_deadline_seconds,
        ttl_seconds_after_finished: policies.ttl_seconds_after_finished,
        may_update: policies.management_policies.allow(ManagementPolicy::Update),
        deletion_policy: policies.management_policies.deletion(policies.deletion_policy),
        state: record.state,
        active_since: record.active_since.map(|time| time.0),
        completed_at: record.completion_time.map(|time| time.0),
        mirror: record.mirror,
        colony: &header.colony,
        now: header.now,
    }
}

/// Binds what the spec names by `id`, if it is what stands there and no other object has it. Only the colony can report that
/// there is none; then one is submitted, if that may be.
fn adopt<W: WorkPlan>(
    snapshot: &W,
    id: &str,
    desired: Submittable<'_, W::Submission, SpecError>,
) -> Result<Plan, SpecError> {
    let waiting = |awaited: String| Plan { awaiting: vec![awaited], ..Plan::default() };
    let (object, header, work) = (snapshot.object(), WorkSnapshot::header(snapshot), W::Object::WORK);
    let processes = match &header.processes {
        Observed::Unknown(why) => {
            return Ok(waiting(format!("the colony to report whether {work} {id} exists: {why}")));
        }
        Observed::Known(processes) => processes,
    };
    let Some(first) = processes.first() else {
        return Ok(match desired.map_err(Clone::clone)? {
            Some(desired) => snapshot.intend(desired),
            None => waiting(format!("{work} {id} to be there: it is only adopted, and none is submitted")),
        });
    };
    snapshot.verify_adoptable(first, processes)?;
    if let Some(waiting) = check_adoptable(snapshot.holder(), W::Object::ADOPTED_FIELD, work, id)? {
        return Ok(waiting);
    }
    let uid = object.meta().uid.as_deref().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let attempt = snapshot.record().attempts + 1;
    Ok(snapshot.bind(first, (process_label(&header.cluster, uid, attempt), attempt)))
}

/// Holds an object that has adopted its work, where its deletion ends that.
pub(super) fn hold<W: WorkSnapshot<Object: HasFinalizer>>(snapshot: &W) -> Option<Step> {
    let policies = snapshot.object().policies();
    hold_adopted(&terms(snapshot), policies.adopted_id.is_some(), policies.management_policies)
}
