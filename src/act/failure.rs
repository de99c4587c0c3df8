//! What an answer to a write means for the next try, for metrics and for a person. The one place that decides it.

use super::outcome::{FailureKind, StepFailure};
use crate::{
    colony::{Error as ColonyError, ErrorKind},
    runtime::{kubernetes::CallError, metrics::Outcome as WriteOutcome},
};

/// A failed call to the API server. `what` is the attempted step, such as `create Deployment encoders`.
#[must_use]
pub fn of_call(what: &str, error: &CallError) -> StepFailure {
    let kind = match (error, error.status_code()) {
        (CallError::TimedOut { .. }, _) => FailureKind::TimedOut,
        (_, Some(409)) => FailureKind::Conflict,
        (_, None | Some(408 | 429 | 500..=599)) => FailureKind::Unavailable,
        (_, Some(_)) => FailureKind::Refused,
    };
    StepFailure { kind, message: error.explain(what) }
}

/// Whether the object that a call was about is gone.
#[must_use]
pub fn is_gone(error: &CallError) -> bool {
    error.status_code() == Some(404)
}

/// How a call to the API server is counted.
#[must_use]
pub fn counted<T>(result: &Result<T, CallError>) -> WriteOutcome {
    match result {
        Ok(_) => WriteOutcome::Ok,
        Err(CallError::TimedOut { .. }) => WriteOutcome::TimedOut,
        Err(error) => error.status_code().map_or(WriteOutcome::Transport, WriteOutcome::of_status),
    }
}

/// A failed call to a colony.
#[must_use]
pub fn of_colony(what: &str, error: &ColonyError) -> StepFailure {
    let kind = match error.kind() {
        // Whatever the server replied: what was asked for may stand.
        _ if error.may_have_happened() => FailureKind::Ambiguous,
        ErrorKind::Unavailable | ErrorKind::Paused => FailureKind::Unavailable,
        ErrorKind::Conflict => FailureKind::Conflict,
        _ => FailureKind::Refused,
    };
    StepFailure { kind, message: format!("failed to {what}: {error}") }
}

/// A write to a colony that has no connection.
#[must_use]
pub fn not_connected() -> StepFailure {
    unavailable("the colony is not connected; see the status of the Colony")
}

/// A write that lacks what it needs.
#[must_use]
pub fn unavailable(why: &str) -> StepFailure {
    StepFailure { kind: FailureKind::Unavailable, message: why.to_owned() }
}

/// A write that can never be carried out as it is.
#[must_use]
pub fn refused(what: &str, why: &dyn std::fmt::Display) -> StepFailure {
    StepFailure { kind: FailureKind::Refused, message: format!("failed to {what}: {why}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::core::Status;

    use super::*;

    fn answered(code: u16) -> CallError {
        let status = Status::failure("because", "").with_code(code);
        CallError::Failed { source: Box::new(kube::Error::Api(Box::new(status))) }
    }

    /// The kind, and what is counted, of each answer. A time-out is one thing wherever it is told.
    #[test]
    fn each_answer_means_one_thing() {
        let late = CallError::TimedOut { limit: Duration::from_secs(10) };
        assert_eq!(of_call("write", &late).kind, FailureKind::TimedOut);
        assert_eq!(counted::<()>(&Err(late)), WriteOutcome::TimedOut);
        for (code, kind) in [
            (409, FailureKind::Conflict),
            (422, FailureKind::Refused),
            (403, FailureKind::Refused),
            (429, FailureKind::Unavailable),
            (500, FailureKind::Unavailable),
            (504, FailureKind::Unavailable),
        ] {
            assert_eq!(of_call("write", &answered(code)).kind, kind, "{code}");
        }
        assert!(is_gone(&answered(404)) && !is_gone(&answered(410)));
    }
}
