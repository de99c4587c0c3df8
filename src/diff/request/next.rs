//! What follows when a job has ended, by the flow that a request goes by.

use jiff::Timestamp;

use crate::{
    api::request_state::{HistoryEntry, JobStatus, RequestState, State},
    desired::request_flow::{CompiledFlow, CompiledJob, Continuation},
};

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
