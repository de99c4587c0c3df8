//! What an answer to a write means: done, gone, or how it failed. The one place that decides it; `cargo xtask layers`
//! refuses it elsewhere.

use super::outcome::{Effect, FailureKind, StepFailure};
use crate::{
    colony::{Error as ColonyError, ErrorKind},
    runtime::{kubernetes::CallError, metrics::Outcome as WriteOutcome},
};

/// A failed call to the API server. `what` is the attempted step, such as `create Deployment encoders`.
#[must_use]
pub fn of_call(what: &str, error: &CallError) -> StepFailure {
    let kind = match outcome_of(error) {
        WriteOutcome::TimedOut => FailureKind::TimedOut,
        WriteOutcome::Conflict => FailureKind::Conflict,
        WriteOutcome::Throttled | WriteOutcome::ServerError | WriteOutcome::Transport => {
            FailureKind::Unavailable
        }
        WriteOutcome::Ok | WriteOutcome::Forbidden | WriteOutcome::Invalid | WriteOutcome::NotFound => {
            FailureKind::Refused
        }
    };
    StepFailure { kind, message: error.explain(what) }
}

/// A write that removes something from the API server: an object or a finalizer. An object that is gone is as good as
/// written.
///
/// # Errors
///
/// When the API server refuses or does not answer.
pub fn removed<T>(what: &str, result: Result<T, CallError>) -> Result<Option<T>, StepFailure> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(of_call(what, &error)),
    }
}

/// A write that changes nothing, so that an object is stored in the version of now. What the API server refuses is held
/// against the object alone.
///
/// # Errors
///
/// When the API server refuses or does not answer.
pub fn stored_again<T>(what: &str, result: Result<T, CallError>) -> Result<Effect, StepFailure> {
    let Err(error) = result else { return Ok(Effect::Nothing) };
    let failure = of_call(what, &error);
    match error.status_code() {
        // The write that came first has had it stored in the version of now.
        Some(409) => Ok(Effect::Nothing),
        Some(404) => Ok(Effect::Gone),
        // The API server does not distinguish a conversion failure from an error of its own.
        Some(500) => Err(StepFailure { kind: FailureKind::Refused, ..failure }),
        _ => Err(failure),
    }
}

/// Whether a create failed because the name is taken.
#[must_use]
pub fn is_name_taken(error: &CallError) -> bool {
    error.is_conflict()
}

/// Whether the object that a call was about is gone, or its kind is not served.
#[must_use]
pub fn is_gone(error: &CallError) -> bool {
    error.is_not_found()
}

/// How a call to the API server is counted.
#[must_use]
pub fn counted<T>(result: &Result<T, CallError>) -> WriteOutcome {
    result.as_ref().map_or_else(outcome_of, |_| WriteOutcome::Ok)
}

fn outcome_of(error: &CallError) -> WriteOutcome {
    match error {
        CallError::TimedOut { .. } => WriteOutcome::TimedOut,
        CallError::Failed { .. } => {
            error.status_code().map_or(WriteOutcome::Transport, WriteOutcome::of_status)
        }
    }
}

/// A write to a colony, by what its refusals mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColonyWrite {
    /// Adds what has a name. One that is taken is looked at in the next pass: an earlier try may have been carried out
    /// without an answer.
    Add,
    /// Removes something.
    Remove,
    /// Cancels a process.
    Cancel,
    /// Cancels a workflow. One that has ended can be cancelled again.
    CancelWorkflow,
    /// Closes a process that may be over: cancelled, closed by an earlier try, or assigned to another executor.
    Answer,
    /// Any other write.
    Other,
}

/// What an answer of a colony means. [`Effect::Gone`] when nothing was left to write to.
///
/// # Errors
///
/// When the colony refuses or does not answer.
pub fn of_colony_write<T>(
    write: ColonyWrite,
    what: &str,
    result: Result<T, ColonyError>,
) -> Result<Effect, StepFailure> {
    let Err(error) = result else { return Ok(Effect::Nothing) };
    let failure = |kind| Err(StepFailure { kind, ..of_colony(what, &error) });
    match (write, error.kind()) {
        (ColonyWrite::Add, ErrorKind::AlreadyExists) => failure(FailureKind::Conflict),
        // A conflict means that the server has lost a part of it.
        (ColonyWrite::CancelWorkflow, ErrorKind::Conflict) => failure(FailureKind::Refused),
        _ if is_over(write, &error) => Ok(Effect::Gone),
        _ => Err(of_colony(what, &error)),
    }
}

/// Whether a refusal means that what was to be written to is over or gone, so that nothing is left to do.
#[must_use]
pub fn is_over(write: ColonyWrite, error: &ColonyError) -> bool {
    match write {
        ColonyWrite::Add | ColonyWrite::Other => false,
        ColonyWrite::Remove | ColonyWrite::CancelWorkflow => error.is_not_found(),
        ColonyWrite::Cancel => error.is_not_found() || error.is_conflict(),
        ColonyWrite::Answer => error.is_not_found() || error.is_conflict() || error.is_forbidden(),
    }
}

/// Whether a colony refused an add because the name is taken.
#[must_use]
pub fn is_name_taken_in_colony(error: &ColonyError) -> bool {
    error.is_already_exists()
}

/// Whether what was to be written to in a colony is gone.
#[must_use]
pub fn is_gone_from_colony(error: &ColonyError) -> bool {
    error.is_not_found()
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
    use crate::colony::Reply;

    fn answered(code: u16) -> CallError {
        let status = Status::failure("because", "").with_code(code);
        kube::Error::Api(Box::new(status)).into()
    }

    fn late() -> CallError {
        CallError::TimedOut { limit: Duration::from_secs(10) }
    }

    /// The kind, and what is counted, of each answer. A time-out is one thing wherever it is told.
    #[test]
    fn each_answer_means_one_thing() {
        let cases = [
            (late(), FailureKind::TimedOut, WriteOutcome::TimedOut),
            (answered(504), FailureKind::TimedOut, WriteOutcome::TimedOut),
            (answered(408), FailureKind::TimedOut, WriteOutcome::TimedOut),
            (
                kube::Error::LinesCodecMaxLineLengthExceeded.into(),
                FailureKind::Unavailable,
                WriteOutcome::Transport,
            ),
            (answered(409), FailureKind::Conflict, WriteOutcome::Conflict),
            (answered(422), FailureKind::Refused, WriteOutcome::Invalid),
            (answered(403), FailureKind::Refused, WriteOutcome::Forbidden),
            (answered(404), FailureKind::Refused, WriteOutcome::NotFound),
            (answered(429), FailureKind::Unavailable, WriteOutcome::Throttled),
            (answered(500), FailureKind::Unavailable, WriteOutcome::ServerError),
            (answered(503), FailureKind::Unavailable, WriteOutcome::ServerError),
        ];
        for (error, kind, outcome) in cases {
            assert_eq!(of_call("write", &error).kind, kind, "{error:?}");
            assert_eq!(counted::<()>(&Err(error)), outcome);
        }
        assert_eq!(counted(&Ok(())), WriteOutcome::Ok);
    }

    #[test]
    fn what_is_gone_is_as_good_as_removed() {
        assert_eq!(removed("delete it", Ok(1)), Ok(Some(1)));
        assert_eq!(removed::<()>("delete it", Err(answered(404))), Ok(None));
        let refused = removed::<()>("delete it", Err(answered(409))).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Conflict);
        assert_eq!(refused.message, "failed to delete it: because");
        assert!(is_gone(&answered(404)) && !is_gone(&answered(410)));
        assert!(is_name_taken(&answered(409)) && !is_name_taken(&answered(404)));
    }

    #[test]
    fn only_what_concerns_an_object_alone_is_held_against_it() {
        let judged = |code| match stored_again::<()>("write it again", Err(answered(code))) {
            Ok(Effect::Gone) => "gone",
            Ok(_) => "stored",
            Err(failure) if failure.kind == FailureKind::Refused => "failed",
            Err(_) => "unknown",
        };
        let expected = [
            (409, "stored"),
            (404, "gone"),
            (422, "failed"),
            (403, "failed"),
            (500, "failed"),
            (429, "unknown"),
            (503, "unknown"),
            (504, "unknown"),
        ];
        for (code, expected) in expected {
            assert_eq!(judged(code), expected, "{code}");
        }
        let failure = stored_again::<()>("write it again", Err(late())).unwrap_err();
        assert_eq!(failure.kind, FailureKind::TimedOut);
    }

    /// The same refusal means different things for different writes.
    #[test]
    fn a_refusal_of_a_colony_means_what_the_write_was_for() {
        let reply = || Reply { action: "do it", status: 400, message: "because".to_owned() };
        let errors: [fn(Reply) -> ColonyError; 5] = [
            ColonyError::NotFound,
            ColonyError::AlreadyExists,
            ColonyError::Conflict,
            ColonyError::Forbidden,
            ColonyError::Invalid,
        ];
        // Not found, already exists, conflict, forbidden, invalid.
        let expected = [
            (ColonyWrite::Add, ["refused", "conflict", "conflict", "refused", "refused"]),
            (ColonyWrite::Remove, ["gone", "refused", "conflict", "refused", "refused"]),
            (ColonyWrite::Cancel, ["gone", "refused", "gone", "refused", "refused"]),
            (ColonyWrite::CancelWorkflow, ["gone", "refused", "refused", "refused", "refused"]),
            (ColonyWrite::Answer, ["gone", "refused", "gone", "gone", "refused"]),
            (ColonyWrite::Other, ["refused", "refused", "conflict", "refused", "refused"]),
        ];
        for (write, expected) in expected {
            let found = errors.map(|error| {
                let result = of_colony_write::<()>(write, "do it", Err(error(reply())));
                match result.map_err(|failure| failure.kind) {
                    Ok(Effect::Gone) => "gone",
                    Ok(_) => "done",
                    Err(FailureKind::Conflict) => "conflict",
                    Err(FailureKind::Refused) => "refused",
                    Err(_) => "unknown",
                }
            });
            assert_eq!(found, expected, "{write:?}");
            assert_eq!(of_colony_write(write, "do it", Ok(())), Ok(Effect::Nothing));
        }
    }

    /// Whatever a write is for, one whose answer was lost may have been carried out.
    #[test]
    fn a_lost_answer_of_a_colony_is_ambiguous_and_no_connection_is_not() {
        let lost =
            || ColonyError::Ambiguous { action: "do it", detail: String::new(), status: None, source: None };
        let unread = || ColonyError::Decode { action: "do it", detail: String::new() };
        let unsent = || ColonyError::Unavailable { action: "do it", source: "refused".into() };
        for write in [
            ColonyWrite::Add,
            ColonyWrite::Remove,
            ColonyWrite::Cancel,
            ColonyWrite::CancelWorkflow,
            ColonyWrite::Answer,
            ColonyWrite::Other,
        ] {
            let kind = |error| of_colony_write::<()>(write, "do it", Err(error)).unwrap_err().kind;
            assert_eq!(kind(lost()), FailureKind::Ambiguous, "{write:?}");
            assert_eq!(kind(unread()), FailureKind::Ambiguous, "{write:?}");
            assert_eq!(kind(unsent()), FailureKind::Unavailable, "{write:?}");
        }
    }
}
