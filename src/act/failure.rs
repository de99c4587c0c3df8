//! What an error of either side means for the next try, and what a person is told of it.

use kube::core::Status;

use super::outcome::{FailureKind, StepFailure};
use crate::{
    colony::{Error as ColonyError, ErrorKind},
    runtime::kubernetes::CallError,
};

/// A failed call to the API server. `what` says what was tried, such as `create Deployment encoders`.
#[must_use]
pub fn of_call(what: &str, error: &CallError) -> StepFailure {
    let (kind, said) = match error {
        CallError::TimedOut { .. } => (FailureKind::Unavailable, error.to_string()),
        CallError::Failed { source } => match source.as_ref() {
            kube::Error::Api(status) => (kind_of(status), status.message.clone()),
            other => (FailureKind::Unavailable, other.to_string()),
        },
    };
    StepFailure { kind, message: format!("failed to {what}: {said}") }
}

fn kind_of(status: &Status) -> FailureKind {
    match status.code {
        409 => FailureKind::Conflict,
        408 | 429 | 500..=599 => FailureKind::Unavailable,
        _ => FailureKind::Refused,
    }
}

/// A failed call to a colony.
#[must_use]
pub fn of_colony(what: &str, error: &ColonyError) -> StepFailure {
    let kind = match error.kind() {
        ErrorKind::Ambiguous => FailureKind::Ambiguous,
        ErrorKind::Unavailable => FailureKind::Unavailable,
        ErrorKind::Conflict => FailureKind::Conflict,
        _ => FailureKind::Refused,
    };
    StepFailure { kind, message: format!("failed to {what}: {error}") }
}
