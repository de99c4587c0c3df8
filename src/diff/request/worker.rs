//! What a worker does next: the role that runs the jobs.

use super::{Claim, Holder, Turn};
use crate::api::{
    policy::is_paused,
    request_state::{HistoryEntry, RequestState, State},
};

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// `COMPLETED` or `FAILED`.
    pub state: State,
    /// Why it failed, in one word.
    pub reason: Option<String>,
    /// What happened, for a person.
    pub message: Option<String>,
}

impl Ending {
    /// It went well.
    #[must_use]
    pub const fn completed() -> Self {
        Self { state: State::Completed, reason: None, message: None }
    }

    /// It went wrong.
    #[must_use]
    pub fn failed(reason: &str, message: impl Into<String>) -> Self {
        Self { state: State::Failed, reason: Some(reason.to_owned()), message: Some(message.into()) }
    }
}

/// What to do about a job that an earlier process of this worker had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptedJob {
    /// Go on: it does nothing that could be done twice.
    Resume,
    /// Call it failed: it may have done its work, or half of it.
    Fail,
}

/// All that a worker's next step depends on.
#[derive(Clone, Debug)]
pub struct WorkerView<'a> {
    pub object: &'a RequestState,
    pub turn: Turn,
    /// Who has the job.
    pub holder: &'a Holder,
    /// How the job has ended, if it has in this process.
    pub ending: Option<&'a Ending>,
    /// What to do about jobs of an earlier process.
    pub interrupted: InterruptedJob,
    /// Whether the worker does such jobs, and takes new ones.
    pub takes: bool,
}

/// A worker's next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerStep {
    /// Nothing: it is another party's turn or job.
    Wait,
    /// Take the job, then begin it.
    Claim,
    /// Take over what an earlier process had begun then, and go on.
    Resume(Claim),
    /// Complete the history, the end included; then let the job end.
    End(Ending),
    /// See to it that status is up to date; nothing else.
    Record,
}

/// The next step. A request that is being deleted is left unchanged, and so is one that is paused: a running job
/// continues, and its end is written once the request is resumed.
#[must_use]
pub fn work(view: &WorkerView<'_>) -> WorkerStep {
    let metadata = &view.object.metadata;
    if metadata.deletion_timestamp.is_some() || is_paused(metadata) {
        return WorkerStep::Wait;
    }
    match (view.turn, view.object.spec.state) {
        (Turn::Finished, _) => WorkerStep::Record,
        (Turn::Worker, State::Requested) if view.takes => WorkerStep::Claim,
        (Turn::Director, _) | (Turn::Worker, State::Requested) => WorkerStep::Wait,
        (Turn::Worker, _) => match view.holder {
            Holder::Other => WorkerStep::Wait,
            Holder::Ourselves(_) => view.ending.cloned().map_or(WorkerStep::Record, WorkerStep::End),
            Holder::Predecessor(claim) => match (recorded(view.object, claim), view.interrupted) {
                (Some(ending), _) => WorkerStep::End(ending),
                (None, InterruptedJob::Resume) => WorkerStep::Resume(claim.clone()),
                (None, InterruptedJob::Fail) => WorkerStep::End(Ending::failed(
                    "WorkerRestarted",
                    format!(
                        "worker {} was restarted while {} ran: the result of the job is unknown; request it again if running it twice is safe",
                        claim.identity, view.object.spec.job
                    ),
                )),
            },
        },
    }
}

/// The end of the job, if it was written down under this claim before the worker itself ended.
fn recorded(object: &RequestState, claim: &Claim) -> Option<Ending> {
    let last: &HistoryEntry = object.status.as_ref()?.history.last()?;
    let state: State = last.state.parse().ok()?;
    let at: jiff::Timestamp = last.timestamp.parse().ok()?;
    let is_end = state.has_ended() && last.job == object.spec.job;
    // Times in a history have milliseconds, hence one less.
    (is_end && at.as_millisecond() >= claim.at.as_millisecond()).then(|| Ending {
        state,
        reason: last.reason.clone(),
        message: last.message.clone(),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::diff::request::turn;

    fn object(state: &str, history: &Value) -> RequestState {
        serde_json::from_value(json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "r" },
            "spec": { "request-uid": "u", "job": "A", "state": state },
            "status": { "history": history },
        }))
        .unwrap()
    }

    fn claim() -> Claim {
        Claim {
            identity: "w".to_owned(),
            process: "p".to_owned(),
            generation: 2,
            at: "2026-11-24T10:00:00.5004Z".parse::<Timestamp>().unwrap(),
        }
    }

    fn step(
        object: &RequestState,
        holder: &Holder,
        ending: Option<&Ending>,
        interrupted: InterruptedJob,
    ) -> WorkerStep {
        let turn = turn(object.spec.state, true);
        work(&WorkerView { object, turn, holder, ending, interrupted, takes: true })
    }

    #[test]
    fn a_worker_acts_on_its_own_turn_and_its_own_jobs_only() {
        let none = json!([]);
        let own = Holder::Ourselves(claim());
        let fail = InterruptedJob::Fail;
        assert_eq!(step(&object("REQUESTED", &none), &Holder::Other, None, fail), WorkerStep::Claim);
        assert_eq!(step(&object("STARTED", &none), &Holder::Other, None, fail), WorkerStep::Wait);
        assert_eq!(step(&object("STARTED", &none), &own, None, fail), WorkerStep::Record);
        let ending = Ending::completed();
        assert_eq!(
            step(&object("STARTED", &none), &own, Some(&ending), fail),
            WorkerStep::End(ending.clone())
        );
        assert_eq!(step(&object("COMPLETED", &none), &own, Some(&ending), fail), WorkerStep::Wait);
        assert_eq!(step(&object("CANCELLED", &none), &own, None, fail), WorkerStep::Record);
    }

    #[test]
    fn a_worker_leaves_a_paused_request_where_it_is() {
        let (own, ending) = (Holder::Ourselves(claim()), Ending::completed());
        for (state, ending) in [("REQUESTED", None), ("STARTED", Some(&ending)), ("CANCELLED", None)] {
            let mut paused = object(state, &json!([]));
            paused.metadata.annotations = Some([("colonies.io/paused".to_owned(), "true".to_owned())].into());
            assert_eq!(step(&paused, &own, ending, InterruptedJob::Fail), WorkerStep::Wait, "{state}");
        }
    }

    /// A job must not run twice, nor be called failed when its success is on record.
    #[test]
    fn a_worker_that_is_started_anew_ends_what_it_had_begun() {
        let before = Holder::Predecessor(claim());
        let running = object(
            "STARTED",
            &json!([{"job": "A", "state": "STARTED", "timestamp": "2026-11-24T10:00:00.500Z"}]),
        );
        assert_eq!(step(&running, &before, None, InterruptedJob::Resume), WorkerStep::Resume(claim()));
        let WorkerStep::End(ending) = step(&running, &before, None, InterruptedJob::Fail) else { panic!() };
        assert_eq!((ending.state, ending.reason.as_deref()), (State::Failed, Some("WorkerRestarted")));

        let done = json!([{"job": "A", "state": "COMPLETED", "timestamp": "2026-11-24T10:00:00.500Z"}]);
        let recorded = step(&object("STARTED", &done), &before, None, InterruptedJob::Fail);
        assert_eq!(recorded, WorkerStep::End(Ending::completed()));

        // The end of an earlier attempt does not apply to this one.
        let earlier = json!([{"job": "A", "state": "FAILED", "timestamp": "2026-11-24T09:00:00.000Z"}]);
        let resumed = step(&object("STARTED", &earlier), &before, None, InterruptedJob::Resume);
        assert_eq!(resumed, WorkerStep::Resume(claim()));
    }
}
