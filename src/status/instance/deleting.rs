//! The conditions of an instance that is being deleted. Pure.

use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        instance::InstanceStatus,
        mirror::MirrorState,
        names::cleanup_attempt,
    },
    diff::Problem,
    status::condition::Finding,
};

/// The conditions of an object that goes.
pub(super) fn deleting(
    status: &InstanceStatus,
    outcome: Result<&Outcome, &Problem>,
    blocker: Option<(Reason, String)>,
) -> Vec<Finding> {
    let awaited = outcome.map(|outcome| outcome.plan.awaiting.join("; ")).unwrap_or_default();
    let cleanup = status.mirror.as_ref().filter(|mirror| cleanup_attempt(mirror.generation).is_some());
    let way_out = "annotate the object with colonies.io/abandon-remote: \"true\" to let it go as it is";
    let (reason, message) = match (cleanup, blocker) {
        (_, Some((reason, why))) => (reason, format!("it is being deleted: {why}; {way_out}")),
        (Some(mirror), None) => {
            let id = mirror.process_id.as_deref().unwrap_or("to come");
            match mirror.state {
                MirrorState::Failed | MirrorState::Cancelled => {
                    let why = mirror.errors.as_deref().unwrap_or(mirror.state.as_str());
                    let message = format!("clean-up process {id}: {why}; it is repeated, or {way_out}");
                    (Reason::CleanupFailed, message)
                }
                _ => (Reason::CleanupRunning, format!("clean-up process {id} is {}", mirror.state.as_str())),
            }
        }
        (None, None) if awaited.is_empty() => (Reason::Deleting, "it is being deleted".to_owned()),
        (None, None) => (Reason::Deleting, format!("awaiting {awaited}")),
    };
    let is_stuck = reason == Reason::CleanupFailed;
    vec![
        Finding { kind: ConditionType::Degraded, holds: Some(is_stuck), reason, message: message.clone() },
        Finding::no(ConditionType::Ready, reason, message),
    ]
}
