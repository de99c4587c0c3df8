//! The status of an object whose spec is work, whatever its kind. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource as _, core::object::HasStatus as _};

use super::{
    awaited::Awaited,
    condition::{Finding, merge, observe, whole_seconds},
    mirror,
    work::{
        StateSummary, blocker, findings, not_resubmitted, not_submitted, state_summary, stop_withheld,
        stopped,
    },
};
use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        kind::{HasConditions, HasFinalizer},
        mirror::{MirrorState, MirrorStatus, Mirrored as _},
        work::{StopReason, WorkObject, WorkState},
    },
    diff::{Mirror, Problem, work_plan::terms_with},
    snapshot::{StatusOf, WorkSnapshot},
};

/// What of the status depends on the kind of work.
pub trait WorkStatus: WorkSnapshot<Object: HasFinalizer> {
    /// Clears for a new attempt what the last one left.
    fn begin(&self, status: &mut StatusOf<Self>);

    /// Adds what the colony reports.
    fn describe(&self, status: &mut StatusOf<Self>, before: &StatusOf<Self>);

    /// When it ended, as far as the colony reports it.
    fn ended_at(&self, status: &StatusOf<Self>) -> Option<Time>;

    /// What it waits for that no executor has taken.
    fn awaited(&self) -> Awaited;
    /// Since when nothing goes on in work that has begun, although something of it waits.
    fn stalled_since(&self, _: &StatusOf<Self>) -> Option<Time> {
        None
    }
    /// That executors run `id`.
    fn running(&self, status: &StatusOf<Self>, id: &str) -> String;
    /// That executors have closed `id` as successful.
    fn closed(&self, status: &StatusOf<Self>, id: &str) -> String;
    /// Which part of `id` the server no longer has.
    fn lost(&self, status: &StatusOf<Self>, id: &str) -> String;
    /// What in the spec is legal but bites.
    fn warning(&self) -> Option<(Reason, String)> {
        None
    }
    /// Where work stands that has failed.
    fn failed(&self, status: &StatusOf<Self>, submitted: &Submitted<'_>) -> StateSummary;
}

/// What was submitted for an object, and why it is to end.
pub struct Submitted<'a> {
    pub(super) mirror: &'a MirrorStatus,
    /// Its id; empty while it has none.
    pub(super) id: &'a str,
    /// Why the object is not to be worked on any more.
    pub(super) wanted: Option<StopReason>,
    /// The same, where what runs may be ended for that.
    pub(super) stop: Option<StopReason>,
    pub(super) work: &'static str,
    pub(super) active_deadline_seconds: Option<i32>,
}

impl Submitted<'_> {
    /// It is over, for the reason `stop`.
    pub(super) fn stopped(&self, stop: Option<StopReason>) -> StateSummary {
        let what = self.mirror.process_id.as_ref().map(|id| format!("{} {id}", self.work));
        stopped(stop, what.as_deref(), self.active_deadline_seconds)
    }
}

/// The status after a pass.
#[must_use]
pub fn compute<W: WorkStatus>(snapshot: &W, outcome: Result<&Outcome, &Problem>) -> StatusOf<W>
where
    StatusOf<W>: HasConditions,
{
    let (object, now) = (snapshot.object(), snapshot.header().now);
    let before = object.status().cloned().unwrap_or_default();
    // What was lost goes on when the colony has it again.
    let is_observed = |outcome: &Outcome| matches!(outcome.plan.mirror, Mirror::Observed { .. });
    if object.is_over() && !outcome.is_ok_and(is_observed) {
        let mut status = before;
        if !object.is_terminating() {
            let generation = object.meta().generation;
            *W::Object::record_mut(&mut status).observed_generation = generation;
            observe(status.conditions_mut(), generation);
        }
        return status;
    }
    let recorded = W::Object::record(&before);
    let mut status = before.clone();
    let record = W::Object::record_mut(&mut status);
    *record.observed_generation = object.meta().generation;
    if let Ok(outcome) = outcome {
        *record.mirror = mirror::record(recorded.mirror, outcome, now);
        *record.stopping = outcome.plan.stop.or(recorded.stopping);
        if matches!(outcome.plan.mirror, Mirror::Intend { .. } | Mirror::Found { .. }) {
            // What the last attempt left is no longer so.
            *record.attempts = record.mirror.as_ref().map_or(recorded.attempts, |mirror| mirror.generation);
            record.active_since.get_or_insert_with(|| whole_seconds(now));
            *record.stopping = None;
            *record.start_time = None;
            *record.completion_time = None;
            *record.output_truncated = false;
            snapshot.begin(&mut status);
        }
    }
    let record = W::Object::record_mut(&mut status);
    let colony = &snapshot.header().colony;
    *record.colony = mirror::used_colony(object.used_colony(), colony, record.mirror.as_ref(), false);
    *record.id = record.mirror.as_ref().and_then(|mirror| mirror.process_id.clone());
    snapshot.describe(&mut status, &before);
    let end = state(snapshot, &status, outcome);
    let is_new_failure =
        is_failed(W::Object::record(&status).mirror) && !is_failed(W::Object::record(&before).mirror);
    let ended_at = (end.state.is_final() || is_new_failure)
        .then(|| snapshot.ended_at(&status).unwrap_or_else(|| whole_seconds(now)));
    let record = W::Object::record_mut(&mut status);
    if end.state == WorkState::Suspended {
        *record.active_since = None;
    }
    let was_lost = |mirror: &MirrorStatus| mirror.state == MirrorState::Lost;
    if ended_at.is_some() {
        *record.completion_time = ended_at;
    } else if W::Object::record(&before).mirror.is_some_and(was_lost) {
        // The colony has it again.
        *record.completion_time = None;
    }
    *record.state = Some(end.state);
    let conditions = conditions(snapshot, &status, outcome, &end);
    let generation = object.meta().generation;
    *status.conditions_mut() = merge(before.conditions(), conditions, generation, now);
    status
}

/// Whether the last attempt is on record as failed.
pub(super) fn is_failed(mirror: Option<&MirrorStatus>) -> bool {
    mirror.is_some_and(|mirror| mirror.state == MirrorState::Failed)
}

/// Where the object stands, and why.
fn state<W: WorkStatus>(
    snapshot: &W,
    status: &StatusOf<W>,
    outcome: Result<&Outcome, &Problem>,
) -> StateSummary {
    let (policies, terms) = (snapshot.object().policies(), terms_with(snapshot, Some(status)));
    let (record, work) = (W::Object::record(status), W::Object::WORK);
    let wanted = record.stopping.or_else(|| terms.wanted_stop());
    let Some(mirror) = record.mirror else {
        let adopted = policies.adopted_id.map(|id| format!("{work} {id}"));
        let kept = not_submitted(adopted.as_deref(), policies.may_submit(), outcome);
        let awaited =
            restored(snapshot).map(|(reason, says)| state_summary(WorkState::Pending, reason, says));
        let kept = kept.or(awaited).filter(|_| wanted.is_none());
        return kept.unwrap_or_else(|| stopped(wanted, None, policies.active_deadline_seconds));
    };
    let submitted = Submitted {
        mirror,
        id: mirror.process_id.as_deref().unwrap_or_default(),
        wanted,
        // What may not be ended was not ended for that.
        stop: wanted.filter(|_| record.stopping.is_some() || terms.may_update),
        work,
        active_deadline_seconds: policies.active_deadline_seconds,
    };
    let stop = submitted.stop;
    match mirror.state {
        MirrorState::Intended => state_summary(
            WorkState::Pending,
            Reason::SubmitIntended,
            format!("attempt {} is about to be submitted", mirror.generation),
        ),
        MirrorState::Cancelled | MirrorState::Lost
            if stop == Some(StopReason::Suspended) && !policies.suspend && !policies.may_submit() =>
        {
            not_resubmitted(&format!("{work} {}", submitted.id), policies.adoption_policy)
        }
        MirrorState::Cancelled => submitted.stopped(stop),
        MirrorState::Lost if stop.is_some() => submitted.stopped(stop),
        MirrorState::Lost => {
            let what = snapshot.lost(status, submitted.id);
            let message = format!("the server no longer has {what}; it is not submitted again");
            state_summary(WorkState::Lost, Reason::ProcessLost, message)
        }
        MirrorState::Waiting => {
            let awaited = snapshot.awaited();
            let submitted_at = mirror.submitted_at.as_ref();
            let reason = awaited.reason(snapshot.header(), submitted_at, Reason::ProcessWaiting);
            state_summary(
                WorkState::Waiting,
                reason,
                format!("{work} {} waits for {}", submitted.id, awaited.what),
            )
        }
        MirrorState::Running => {
            let message = snapshot.running(status, submitted.id);
            let stalled = snapshot.stalled_since(status);
            let reason = stalled.map_or(Reason::ProcessRunning, |since| {
                snapshot.awaited().reason(snapshot.header(), Some(&since), Reason::ProcessRunning)
            });
            state_summary(WorkState::Running, reason, message)
        }
        MirrorState::Successful => {
            let message = snapshot.closed(status, submitted.id);
            state_summary(WorkState::Succeeded, Reason::ClosedSuccessfully, message)
        }
        MirrorState::Failed => snapshot.failed(status, &submitted),
    }
}

/// That nothing is submitted for an object that was restored, and the remedy.
fn restored<W: WorkStatus>(snapshot: &W) -> Option<(Reason, String)> {
    let before = snapshot.header().restored.known()?.as_ref()?;
    let message = format!(
        "the object was restored, and {} {} was submitted for it before: nothing is submitted again; to run it again, create it anew with spec.restorePolicy: Resubmit",
        W::Object::WORK,
        before.id
    );
    Some((Reason::Restored, message))
}

fn conditions<W: WorkStatus>(
    snapshot: &W,
    status: &StatusOf<W>,
    outcome: Result<&Outcome, &Problem>,
    end: &StateSummary,
) -> Vec<Finding> {
    let (record, work) = (W::Object::record(status), W::Object::WORK);
    let adopted_id = snapshot.object().policies().adopted_id;
    let id = record.mirror.and_then(|mirror| mirror.process_id.as_deref());
    let submitted = id.map(|id| {
        if adopted_id == Some(id) {
            format!("{work} {id} was adopted")
        } else {
            format!("attempt {} is {work} {id}", record.attempts)
        }
    });
    let is_recorded = record.mirror.is_some() || adopted_id.is_some();
    let blocker = blocker(&snapshot.header().processes, is_recorded, outcome);
    let mut findings = findings(end, submitted, blocker.as_ref());
    let what = id.map(|id| format!("{work} {id}"));
    let withheld = stop_withheld(&terms_with(snapshot, Some(status)), what.as_deref());
    let warning = restored(snapshot).or_else(|| snapshot.warning());
    let warning = warning.map(|(reason, says)| Finding::yes(ConditionType::Warnings, reason, says));
    findings.extend(match (withheld, warning) {
        (Some(withheld), Some(warning)) => {
            Some(Finding { message: format!("{}; {}", withheld.message, warning.message), ..withheld })
        }
        (withheld, warning) => withheld.or(warning),
    });
    findings
}
