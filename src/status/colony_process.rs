//! The status of a `ColonyProcess`. Pure.

use jiff::Timestamp;

use super::{
    condition::{clean, merge, whole_seconds},
    mirror,
    output::bounded,
    work::{
        StateSummary, blocker, findings, not_resubmitted, not_submitted, state_summary, stop_withheld,
        stopped,
    },
};
use crate::{
    act::outcome::Outcome,
    api::{
        colony_process::ColonyProcessStatus,
        condition::Reason,
        mirror::{MirrorState, MirrorStatus},
        work::{StopReason, WorkState},
    },
    colony::Process,
    diff::{Mirror, Problem, colony_process::terms_with},
    snapshot::ColonyProcessSnapshot,
};

/// Most errors that stand in status.
const MOST_ERRORS: usize = 16;

/// The status after a pass.
#[must_use]
pub fn compute(snapshot: &ColonyProcessSnapshot, outcome: Result<&Outcome, &Problem>) -> ColonyProcessStatus {
    let before = snapshot.object.status.clone().unwrap_or_default();
    if before.state.is_some_and(WorkState::is_final) {
        return before;
    }
    let mut status = before.clone();
    status.observed_generation = snapshot.object.metadata.generation;
    if let Ok(outcome) = outcome {
        status.mirror = mirror::record(before.mirror.as_ref(), outcome, snapshot.header.now);
        status.stopping = outcome.plan.stop.or(before.stopping);
        if matches!(outcome.plan.mirror, Mirror::Intend { .. } | Mirror::Found { .. }) {
            begin(&mut status, snapshot.header.now);
        }
    }
    let is_new_failure = is_failed(status.mirror.as_ref()) && !is_failed(before.mirror.as_ref());
    status.failed_attempts += i32::from(is_new_failure);
    status.process_id = status.mirror.as_ref().and_then(|mirror| mirror.process_id.clone());
    let process = bound(snapshot, status.mirror.as_ref());
    if let Some(process) = process {
        describe(&mut status, snapshot, process);
    } else if status.process_id.is_some() && before.process_id.is_none() {
        // Just submitted: said now, it need not be written once more.
        status.retries.get_or_insert(0);
    }
    let end = judge(snapshot, &status, outcome);
    if end.state == WorkState::Suspended {
        status.active_since = None;
    }
    if end.state.is_final() || is_new_failure {
        let ended_at = process.and_then(|process| process.ended_at);
        status.completion_time = Some(whole_seconds(ended_at.unwrap_or(snapshot.header.now)));
    }
    status.state = Some(end.state);
    let id = status.mirror.as_ref().and_then(|mirror| mirror.process_id.as_deref());
    let adopted_id = snapshot.object.spec.process_id.as_deref();
    let submitted = id.map(|id| {
        if adopted_id == Some(id) {
            format!("process {id} was adopted")
        } else {
            format!("attempt {} is process {id}", status.attempts)
        }
    });
    let blocker =
        blocker(&snapshot.header.processes, status.mirror.is_some() || adopted_id.is_some(), outcome);
    let mut findings = findings(&end, submitted, blocker.as_ref());
    let what = id.map(|id| format!("process {id}"));
    findings.extend(stop_withheld(&terms_with(snapshot, Some(&status)), what.as_deref()));
    status.conditions = merge(&before.conditions, findings, status.observed_generation, snapshot.header.now);
    status
}

/// A new attempt: what the last one left is no longer so.
fn begin(status: &mut ColonyProcessStatus, now: Timestamp) {
    status.attempts = status.mirror.as_ref().map_or(status.attempts, |mirror| mirror.generation);
    status.active_since.get_or_insert_with(|| whole_seconds(now));
    status.stopping = None;
    status.process_id = None;
    status.executor = None;
    status.retries = None;
    status.start_time = None;
    status.completion_time = None;
    status.output.clear();
    status.output_truncated = false;
    status.errors.clear();
}

fn is_failed(mirror: Option<&MirrorStatus>) -> bool {
    mirror.is_some_and(|mirror| mirror.state == MirrorState::Failed)
}

/// The process that is on record, if it was read.
fn bound<'a>(snapshot: &'a ColonyProcessSnapshot, mirror: Option<&MirrorStatus>) -> Option<&'a Process> {
    let id = mirror?.process_id.as_deref()?;
    snapshot.header.processes.known()?.iter().find(|process| process.id.as_str() == id)
}

fn describe(status: &mut ColonyProcessStatus, snapshot: &ColonyProcessSnapshot, process: &Process) {
    let executor = snapshot.executor.clone();
    status.executor = executor.or_else(|| process.assigned_executor.as_ref().map(ToString::to_string));
    status.retries = Some(process.retries);
    status.start_time = process.started_at.map(whole_seconds);
    let (output, is_whole) = bounded(&process.output);
    status.output = output;
    status.output_truncated = !is_whole;
    status.errors = process.errors.iter().take(MOST_ERRORS).map(|error| clean(error)).collect();
}

fn judge(
    snapshot: &ColonyProcessSnapshot,
    status: &ColonyProcessStatus,
    outcome: Result<&Outcome, &Problem>,
) -> StateSummary {
    use WorkState::{Failed, Lost, Pending, Running, Succeeded, Waiting};
    let (spec, terms) = (&snapshot.object.spec, terms_with(snapshot, Some(status)));
    let wanted = status.stopping.or_else(|| terms.wanted_stop());
    let deadline = spec.active_deadline_seconds;
    let Some(mirror) = &status.mirror else {
        let adopted_id = spec.process_id.as_ref().map(|id| format!("process {id}"));
        let kept =
            not_submitted(adopted_id.as_deref(), spec.may_submit(), outcome).filter(|_| wanted.is_none());
        return kept.unwrap_or_else(|| stopped(wanted, None, deadline));
    };
    // What may not be ended was not ended for that.
    let stop = wanted.filter(|_| status.stopping.is_some() || terms.may_update);
    let id = mirror.process_id.as_deref().unwrap_or_default();
    let what = mirror.process_id.as_ref().map(|id| format!("process {id}"));
    let executor = status.executor.as_deref().unwrap_or("an executor");
    match mirror.state {
        MirrorState::Intended => state_summary(
            Pending,
            Reason::SubmitIntended,
            format!("attempt {} is about to be submitted", mirror.generation),
        ),
        MirrorState::Waiting => {
            let kind = &snapshot.object.spec.call.conditions.executor_type;
            state_summary(
                Waiting,
                Reason::ProcessWaiting,
                format!("process {id} waits for an executor of type {kind}"),
            )
        }
        MirrorState::Running => {
            state_summary(Running, Reason::ProcessRunning, format!("executor {executor} runs process {id}"))
        }
        MirrorState::Successful => state_summary(
            Succeeded,
            Reason::ClosedSuccessfully,
            format!("executor {executor} closed process {id}"),
        ),
        MirrorState::Failed => match wanted {
            Some(StopReason::Cancelled | StopReason::DeadlineExceeded) if stop.is_some() => {
                stopped(stop, what.as_deref(), deadline)
            }
            _ if status.failed_attempts > spec.backoff_limit => {
                let is_repeated = spec.backoff_limit > 0;
                let reason = if is_repeated { Reason::BackoffLimitExceeded } else { Reason::ProcessFailed };
                state_summary(Failed, reason, failure(status, id))
            }
            _ if !spec.may_submit() => state_summary(Failed, Reason::ProcessFailed, failure(status, id)),
            Some(_) => stopped(wanted, what.as_deref(), deadline),
            None => state_summary(
                Pending,
                Reason::BackingOff,
                format!("attempt {} failed and is repeated: {}", mirror.generation, failure(status, id)),
            ),
        },
        MirrorState::Cancelled | MirrorState::Lost
            if stop == Some(StopReason::Suspended) && !spec.suspend && !spec.may_submit() =>
        {
            not_resubmitted(&format!("process {id}"), spec.adoption_policy)
        }
        MirrorState::Cancelled => stopped(stop, what.as_deref(), deadline),
        MirrorState::Lost if stop.is_some() => stopped(stop, what.as_deref(), deadline),
        MirrorState::Lost => state_summary(
            Lost,
            Reason::ProcessLost,
            format!("the server no longer has process {id}; it is not submitted again"),
        ),
    }
}

fn failure(status: &ColonyProcessStatus, id: &str) -> String {
    let errors =
        if status.errors.is_empty() { "no reason was given".to_owned() } else { status.errors.join("; ") };
    format!("process {id} failed: {errors}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::snapshot::ColonyReference;
    use crate::{
        act::outcome::{Effect, StepResult},
        api::colony_process::ColonyProcess,
        diff::{Plan, Step},
        snapshot::{Observed, Values, fixtures::header},
    };

    /// Otherwise the pass after a submit would write status for that alone.
    #[test]
    fn a_process_that_was_just_submitted_has_not_been_retried() {
        let mirror = json!({
            "label": "l", "generation": 1, "state": "Intended", "intendedAt": "2026-11-26T10:00:00Z",
        });
        let object: ColonyProcess = serde_json::from_value(json!({
            "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 1 },
            "spec": { "function": "encode", "conditions": { "executorType": "encoder" } },
            "status": { "attempts": 1, "mirror": mirror },
        }))
        .unwrap();
        let mut snapshot = ColonyProcessSnapshot {
            object,
            header: header(ColonyReference::NotFound { name: None }, Observed::Known(Vec::new())),
            holder: Observed::Known(None),
            executor: None,
            values: Values::default(),
        };
        let spec = crate::colony::model::FunctionSpec::new("dev", "encoder", "encode").unwrap();
        let desired =
            crate::desired::DesiredProcess { label: "l".to_owned(), generation: 1, spec, is_gated: false };
        let submit = Step::Colony(crate::diff::ColonyStep::Submit(Box::new(desired)));
        let effect = Effect::Submitted { process_id: "p".to_owned(), submitted_at: None, is_running: false };
        let outcome = Outcome {
            plan: Plan { steps: vec![submit], ..Plan::default() },
            results: vec![StepResult::Done(effect)],
            ..Outcome::default()
        };
        let submitted = compute(&snapshot, Ok(&outcome));
        assert_eq!((submitted.state, submitted.retries), (Some(WorkState::Waiting), Some(0)));

        let process = json!({
            "processid": "p", "state": 0, "submissiontime": "2026-11-26T10:00:05Z",
            "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "encode", "label": "l", "conditions": {} },
        });
        snapshot.header.processes = Observed::Known(vec![serde_json::from_value(process).unwrap()]);
        snapshot.object.status = Some(submitted.clone());
        assert_eq!(compute(&snapshot, Ok(&Outcome::default())), submitted);
    }
}
