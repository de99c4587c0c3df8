//! What follows when a job has ended, by the flow that a request goes by.

use jiff::Timestamp;

use crate::{
    api::request_state::{HistoryEntry, JobStatus, RequestState, State},
    desired::request_flow::{CompiledFlow, CompiledJob, Continuation},
};

/// Why a job has failed whose process the server no longer has.
pub const PROCESS_LOST: &str = "ProcessLost";

/// What follows the state that a request is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The job, if one follows.
    pub job: Option<String>,
    /// Not before this moment.
    pub not_before: Option<Timestamp>,
}

/// What follows the state that a request is in, once it has ended its job.
#[must_use]
pub fn next(object: &RequestState, flow: &CompiledFlow, now: Timestamp) -> Next {
    let spec = &object.spec;
    let none = Next { job: None, not_before: None };
    let named = |job: &str, not_before| Next { job: Some(job.to_owned()), not_before };
    match spec.state {
        State::Completed => {
            flow.next_after_success(&spec.job).map_or(none, |job| named(CompiledJob::name(job), None))
        }
        State::Failed => match flow.after_failure(&spec.job, failures(object)) {
            Continuation::Stop => none,
            // It may have run, and run still.
            Continuation::Retry { .. } if is_lost(object) => none,
            Continuation::GoTo(job) => named(job, None),
            Continuation::Retry { after } => {
                let failed_at = failed_at(object).unwrap_or(now);
                named(&spec.job, failed_at.checked_add(after).ok())
            }
        },
        State::Requested | State::Started | State::Cancelled => none,
    }
}

/// How often the job has failed, this time included, with any worker.
fn failures(object: &RequestState) -> u32 {
    let job = &object.spec.job;
    let history = object.status.as_ref().map_or(&[][..], |status| &status.history);
    let is_failure = |entry: &&HistoryEntry| entry.job == *job && entry.state == State::Failed.as_str();
    let is_told = history.last().is_some_and(|last| is_failure(&last));
    let told = history.iter().filter(is_failure).count() + usize::from(!is_told);
    // What is no longer in the history is still on record, of jobs that the operator had done.
    let recorded = job_of(object, job).map_or(0, |record| record.failed);
    u32::try_from(told).unwrap_or(u32::MAX).max(u32::try_from(recorded).unwrap_or(0))
}

/// Whether the job failed because the server had lost its process.
fn is_lost(object: &RequestState) -> bool {
    let last = object.status.as_ref().and_then(|status| status.history.last());
    last.is_some_and(|last| {
        last.job == object.spec.job
            && last.state == State::Failed.as_str()
            && last.reason.as_deref() == Some(PROCESS_LOST)
    })
}

/// When the job failed, from the history.
fn failed_at(object: &RequestState) -> Option<Timestamp> {
    let last = object.status.as_ref()?.history.last()?;
    last.timestamp.parse().ok()
}

/// What is on record of a job.
#[must_use]
pub fn job_of<'a>(object: &'a RequestState, name: &str) -> Option<&'a JobStatus> {
    object.status.as_ref()?.jobs.iter().find(|job| job.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// It may have run, and the message says that it is not submitted again.
    #[test]
    fn a_job_whose_process_is_lost_is_not_repeated() {
        let flow = json!({ "jobs": [{
            "name": "A", "function": { "name": "f", "executorType": "t" },
            "onFailure": { "action": "Retry", "maxAttempts": 3 },
        }] });
        let flow = CompiledFlow::compile(&serde_json::from_value(flow).unwrap()).unwrap();
        let failed = |reason: &str| -> RequestState {
            serde_json::from_value(json!({
                "metadata": { "name": "r", "namespace": "ns" },
                "spec": { "request-uid": "r", "job": "A", "state": "FAILED" },
                "status": { "history": [
                    { "job": "A", "state": "FAILED", "timestamp": "2026-11-21T09:58:00Z", "reason": reason },
                ] },
            }))
            .unwrap()
        };
        let job = |reason| next(&failed(reason), &flow, Timestamp::UNIX_EPOCH).job;
        assert_eq!(job("ProcessFailed").as_deref(), Some("A"));
        assert_eq!(job(PROCESS_LOST), None);
    }
}
