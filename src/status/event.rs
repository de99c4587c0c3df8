//! Which Events a change of status is worth: one for each transition, none for a pass that changes nothing. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::awaited::is_long_unserved;
use crate::api::condition::Reason;

/// An Event to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether a person should worry.
    pub warning: bool,
    /// Reason, as in the condition.
    pub reason: String,
    /// Message, as in the condition.
    pub message: String,
}

/// The longest note of an Event, in bytes: the API server refuses a longer one (`NoteLengthLimit` of `events.k8s.io`).
const LONGEST_NOTE: usize = 1024;

/// A message that fits into an Event. Conditions and logs have all of it.
#[must_use]
pub fn shortened(mut message: String) -> String {
    const MORE: &str = " …";
    if message.len() > LONGEST_NOTE {
        message.truncate(message.floor_char_boundary(LONGEST_NOTE - MORE.len()));
        message.push_str(MORE);
    }
    message
}

/// The transitions between two lists of conditions that a person reading `kubectl describe` wants to know of.
#[must_use]
pub fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Note> {
    after.iter().filter_map(|condition| note(before, condition)).collect()
}

fn note(before: &[Condition], after: &Condition) -> Option<Note> {
    let previous = before.iter().find(|condition| condition.type_ == after.type_);
    let changed =
        previous.is_none_or(|previous| previous.status != after.status || previous.reason != after.reason);
    if !changed {
        return None;
    }
    let holds = after.status == "True";
    let bad = match after.type_.as_str() {
        "Ready" | "Paused" if holds => false,
        // A fleet that starts, or restarts for a new spec, is no event; one that was ready and no longer is, is.
        "Ready" if previous.is_some_and(|previous| was_ready(previous, after)) => true,
        "Degraded" | "Warnings" if holds => true,
        "Finished" if holds => after.reason == Reason::JobFailed.as_str(),
        "Finished" if is_long_unserved(&after.reason) => true,
        "Mirrored" if after.reason == Reason::ProcessLost.as_str() => true,
        "Mirrored" if !holds && after.reason == Reason::ColonyUnavailable.as_str() => true,
        _ => return None,
    };
    Some(Note { warning: bad, reason: after.reason.clone(), message: after.message.clone() })
}

/// Whether it was ready for the very spec that it is no longer ready for.
fn was_ready(previous: &Condition, after: &Condition) -> bool {
    previous.status == "True" && previous.observed_generation == after.observed_generation
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn ready(status: &str, reason: Reason, generation: i64) -> Condition {
        Condition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: "m".to_owned(),
            observed_generation: Some(generation),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        }
    }

    /// Scaling up was requested; a warning about it would teach people to overlook warnings.
    #[test]
    fn a_note_is_no_longer_than_the_api_server_accepts() {
        assert_eq!(shortened("short".to_owned()), "short");
        let fits = "x".repeat(LONGEST_NOTE);
        assert_eq!(shortened(fits.clone()), fits);
        let long = shortened("ü".repeat(LONGEST_NOTE));
        assert!(long.len() <= LONGEST_NOTE && long.len() > LONGEST_NOTE - 8 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn a_fleet_that_starts_anew_for_a_new_spec_warns_of_nothing() {
        let before = [ready("True", Reason::AllReplicasReady, 1)];
        assert_eq!(transitions(&before, &[ready("False", Reason::ReplicasNotReady, 2)]), []);
        let notes = transitions(&before, &[ready("False", Reason::ReplicasNotReady, 1)]);
        assert!(notes.iter().all(|note| note.warning) && notes.len() == 1, "{notes:?}");
        let notes = transitions(
            &[ready("False", Reason::ReplicasNotReady, 2)],
            &[ready("True", Reason::AllReplicasReady, 2)],
        );
        assert!(notes.iter().all(|note| !note.warning) && notes.len() == 1, "{notes:?}");
    }
}
