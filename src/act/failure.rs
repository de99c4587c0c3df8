//! What an error of either side means for the next try, and what a person is told of it.

use super::outcome::{FailureKind, StepFailure};
use crate::{
    colony::{Error as ColonyError, ErrorKind},
    runtime::kubernetes::CallError,
};

/// A failed call to the API server. `what` says what was tried, such as `create Deployment encoders`.
#[must_use]
pub fn of_call(what: &str, error: &CallError) -> StepFailure {
    let kind = match error.status_code() {
        Some(409) => FailureKind::Conflict,
        None | Some(408 | 429 | 500..=599) => FailureKind::Unavailable,
        Some(_) => FailureKind::Refused,
    };
    StepFailure { kind, message: error.explain(what) }
}

/// A failed call to a colony.
#[must_use]
pub fn of_colony(what: &str, error: &ColonyError) -> StepFailure {
    let kind = match error.kind() {
        // Whatever the server said: what was asked for may stand.
        _ if error.may_have_happened() => FailureKind::Ambiguous,
        ErrorKind::Unavailable | ErrorKind::Paused => FailureKind::Unavailable,
        ErrorKind::Conflict => FailureKind::Conflict,
        _ => FailureKind::Refused,
    };
    StepFailure { kind, message: format!("failed to {what}: {error}") }
}
