//! What the controllers do with an object that is paused.

use std::time::Duration;

use kube::runtime::controller::Action;

use super::retry::{Retries, jitter};
use crate::{
    act::outcome::{FailureKind, StepFailure},
    runtime::metrics::ReconcileResult,
};

/// How often an object is looked at for which nothing is expected to happen.
const RESYNC: Duration = Duration::from_mins(8);

/// When to look again at an object that is paused: whatever goes on, only a change of the object itself matters.
pub(in crate::controllers) fn rested(
    published: Result<bool, StepFailure>,
    uid: &str,
    retries: &Retries,
) -> (Action, ReconcileResult) {
    match published {
        Ok(written) => {
            retries.reset(uid);
            let result = if written { ReconcileResult::Changed } else { ReconcileResult::Unchanged };
            (Action::requeue(jitter(RESYNC)), result)
        }
        Err(failure) => {
            tracing::debug!(kind = ?failure.kind, "{}", failure.message);
            let delay = match failure.kind {
                FailureKind::Conflict => retries.after_conflict(uid),
                _ => retries.after_failure(uid),
            };
            (Action::requeue(delay), ReconcileResult::Failed)
        }
    }
}
