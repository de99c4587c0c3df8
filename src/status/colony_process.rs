//! The status of a `ColonyProcess`, beside what is reported of all work. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    awaited::{self, Awaited},
    condition::{clean, whole_seconds},
    inexact::inexact,
    output::bounded,
    work::{StateSummary, state_summary},
    work_status::{Submitted, WorkStatus, is_failed},
};
use crate::{
    api::{
        colony_process::ColonyProcessStatus,
        condition::Reason,
        mirror::MirrorStatus,
        work::{StopReason, WorkObject as _, WorkState},
    },
    colony::{Process, ProcessId},
    snapshot::{ColonyProcessSnapshot, Wanted},
};

pub use super::work_status::compute;

/// Most errors that stand in status.
const MOST_ERRORS: usize = 16;

impl WorkStatus for ColonyProcessSnapshot {
    fn begin(&self, status: &mut ColonyProcessStatus) {
        status.executor = None;
        status.retries = None;
        status.output.clear();
        status.errors.clear();
    }

    fn describe(&self, status: &mut ColonyProcessStatus, before: &ColonyProcessStatus) {
        let is_new_failure = is_failed(status.mirror.as_ref()) && !is_failed(before.mirror.as_ref());
        status.failed_attempts += i32::from(is_new_failure);
        if let Some(process) = bound(self, status.mirror.as_ref()) {
            let executor = self.executor.clone();
            status.executor =
                executor.or_else(|| process.assigned_executor.as_ref().map(ToString::to_string));
            status.retries = Some(process.retries);
            status.start_time = process.started_at.map(whole_seconds);
            let (output, is_whole) = bounded(process);
            status.output = output;
            status.output_truncated = !is_whole;
            status.errors = process.errors.iter().take(MOST_ERRORS).map(|error| clean(error)).collect();
            if process.is_cut && is_failed(status.mirror.as_ref()) {
                status.errors.push("its errors follow an output that is larger than what is read".to_owned());
            }
        } else if status.process_id.is_some() && before.process_id.is_none() {
            // Just submitted: said now, it need not be written once more.
            status.retries.get_or_insert(0);
        }
    }

    fn ended_at(&self, status: &ColonyProcessStatus) -> Option<Time> {
        bound(self, status.mirror.as_ref())?.ended_at.map(whole_seconds)
    }

    fn awaited(&self) -> Awaited {
        let mirror = self.object.status.as_ref().and_then(|status| status.mirror.as_ref());
        let wanted = awaited::of_spec(&self.object.spec.call.conditions);
        match bound(self, mirror) {
            Some(process) if process.waits_for_parents => {
                Awaited::usual("the operator to open the gate before it")
            }
            Some(process) => {
                // One that was adopted may ask for more than the spec does.
                let there = awaited::of_process(&process.spec.conditions);
                let wanted = Wanted { names: there.names, location: there.location, ..wanted };
                Awaited::executor(&self.header, &wanted, Some(&process.id))
            }
            None => {
                let id = mirror.and_then(|mirror| mirror.process_id.as_ref()).map(ProcessId::new);
                Awaited::executor(&self.header, &wanted, id.as_ref())
            }
        }
    }

    fn warning(&self) -> Option<(Reason, String)> {
        let is_there = self.object.spec.process_id.is_some();
        let found =
            awaited::too_many_nodes(&self.header, &self.object.spec.call.conditions, "spec.conditions");
        let found = found.or_else(|| inexact(&self.object.spec.call, "spec"));
        found.filter(|_| !is_there)
    }

    fn running(&self, status: &ColonyProcessStatus, id: &str) -> String {
        format!("executor {} runs process {id}", executor(status))
    }

    fn closed(&self, status: &ColonyProcessStatus, id: &str) -> String {
        format!("executor {} closed process {id}", executor(status))
    }

    fn lost(&self, _: &ColonyProcessStatus, id: &str) -> String {
        format!("process {id}")
    }

    fn failed(&self, status: &ColonyProcessStatus, submitted: &Submitted<'_>) -> StateSummary {
        use StopReason::{Cancelled, DeadlineExceeded};
        use WorkState::{Failed, Pending};
        let limit = self.object.spec.backoff_limit;
        let failure = failure(status, submitted.id);
        match submitted.wanted {
            Some(Cancelled | DeadlineExceeded) if submitted.stop.is_some() => {
                submitted.stopped(submitted.stop)
            }
            _ if status.failed_attempts > limit => {
                let reason = if limit > 0 { Reason::BackoffLimitExceeded } else { Reason::ProcessFailed };
                state_summary(Failed, reason, failure)
            }
            _ if !self.object.policies().may_submit() => {
                state_summary(Failed, Reason::ProcessFailed, failure)
            }
            Some(_) => submitted.stopped(submitted.wanted),
            None => {
                let attempt = submitted.mirror.generation;
                let message = format!("attempt {attempt} failed and is repeated: {failure}");
                state_summary(Pending, Reason::BackingOff, message)
            }
        }
    }
}

fn executor(status: &ColonyProcessStatus) -> &str {
    status.executor.as_deref().unwrap_or("an executor")
}

/// The process that is on record, if it was read.
fn bound<'a>(snapshot: &'a ColonyProcessSnapshot, mirror: Option<&MirrorStatus>) -> Option<&'a Process> {
    let id = mirror?.process_id.as_deref()?;
    snapshot.header.processes.known()?.iter().find(|process| process.id.as_str() == id)
}

fn failure(status: &ColonyProcessStatus, id: &str) -> String {
    let errors =
        if status.errors.is_empty() { "no reason was given".to_owned() } else { status.errors.join("; ") };
    format!("process {id} failed: {errors}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::snapshot::ColonyReference;
    use crate::{
        act::outcome::{Effect, Outcome, StepResult},
        api::colony_process::ColonyProcess,
        diff::{Plan, Step},
        snapshot::{
            Observed, Values, Workforce,
            fixtures::{self, header},
        },
        status::event::transitions,
    };

    /// `kubectl wait` waits for ever for a condition of an earlier generation.
    #[test]
    fn finished_work_is_current_when_its_spec_changes() {
        let condition = json!({
            "type": "Finished", "status": "True", "reason": "ClosedSuccessfully", "message": "m",
            "observedGeneration": 1, "lastTransitionTime": "2026-11-26T10:00:00Z",
        });
        let object = json!({
            "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 2 },
            "spec": { "function": "encode", "conditions": { "executorType": "encoder" } },
            "status": { "observedGeneration": 1, "state": "Succeeded", "conditions": [condition] },
        });
        let mut snapshot = ColonyProcessSnapshot {
            object: serde_json::from_value(object).unwrap(),
            header: header(ColonyReference::NotFound { name: None }, Observed::Known(Vec::new())),
            holder: Observed::Known(None),
            executor: None,
            values: Values::default(),
        };
        let status = compute(&snapshot, Ok(&Outcome::default()));
        let observed: Vec<_> =
            status.conditions.iter().map(|condition| condition.observed_generation).collect();
        assert_eq!((status.observed_generation, observed), (Some(2), vec![Some(2)]));
        snapshot.object.status = Some(status.clone());
        assert_eq!(compute(&snapshot, Ok(&Outcome::default())), status, "and nothing is written again");
    }

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
        let desired = crate::desired::DesiredProcess {
            label: "l".to_owned(),
            generation: 1,
            spec,
            is_gated: false,
            is_own: false,
        };
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

    /// Half a minute is what an executor may take to come up; after that the cause is worth a warning, once.
    #[test]
    fn a_long_wait_for_an_executor_that_is_not_there_is_one_warning() {
        let mirror = |submitted: &str| {
            json!({
                "label": "l", "generation": 1, "state": "Waiting", "processId": "p", "intendedAt": submitted, "submittedAt": submitted,
            })
        };
        let status = |submitted: &str| {
            let object: ColonyProcess = serde_json::from_value(json!({
                "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 1 },
                "spec": { "function": "encode", "conditions": { "executorType": "encoder" } },
                "status": { "attempts": 1, "processId": "p", "mirror": mirror(submitted) },
            }))
            .unwrap();
            let mut header = header(fixtures::colony(), Observed::Unknown("not read".to_owned()));
            header.workforce = Some(Arc::new(Workforce::default()));
            let snapshot = ColonyProcessSnapshot {
                object,
                header,
                holder: Observed::Known(None),
                executor: None,
                values: Values::default(),
            };
            compute(&snapshot, Ok(&Outcome::default()))
        };
        let (fresh, long) = (status("2026-11-26T09:59:40Z"), status("2026-11-26T09:59:35Z"));
        let says = "process p waits for an executor of type encoder: none is registered in colony dev (there are none)";
        for (status, reason) in [(&fresh, "ExecutorAwaited"), (&long, "NoExecutor")] {
            let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished").unwrap();
            assert!(finished.message.starts_with(says), "{}", finished.message);
            assert_eq!(finished.reason, reason);
        }
        let notes = transitions(&fresh.conditions, &long.conditions);
        assert!(notes.len() == 1 && notes[0].warning, "{notes:?}");
        assert_eq!(transitions(&long.conditions, &long.conditions), []);
    }
}
