//! How conditions are made and merged. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub use super::finding::Finding;
use crate::api::condition::ConditionType;

/// Longest message of a condition in characters: well below the 32 KiB that the API allows, and still a page of text.
const LONGEST_MESSAGE: usize = 1024;

/// What Progressing says of an object that is degraded.
const SEE_DEGRADED: &str = "waiting does not help: see condition Degraded";

/// Makes conditions of findings, and of what tools are to make of them: in the fixed order, each with the time at which its
/// status last changed. Types that were not found are dropped.
#[must_use]
pub fn merge(
    previous: &[Condition],
    mut findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    findings.extend(super::kstatus::finding(&findings));
    shorten(&mut findings);
    findings.sort_by_key(|finding| finding.kind);
    findings
        .into_iter()
        .map(|finding| {
            let status = match finding.holds {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let unchanged = previous
                .iter()
                .find(|condition| condition.type_ == finding.kind.as_str() && condition.status == status);
            Condition {
                type_: finding.kind.as_str().to_owned(),
                status: status.to_owned(),
                reason: finding.reason.as_str().to_owned(),
                message: clean(&finding.message),
                observed_generation: generation,
                last_transition_time: unchanged
                    .map_or_else(|| whole_seconds(now), |condition| condition.last_transition_time.clone()),
            }
        })
        .collect()
}

/// Says once less what Degraded, Stalled and Ready say, each to its own readers.
fn shorten(findings: &mut [Finding]) {
    let is_degraded =
        |finding: &&Finding| finding.kind == ConditionType::Degraded && finding.holds == Some(true);
    let Some(degraded) = findings.iter().find(is_degraded).map(|finding| finding.message.clone()) else {
        return;
    };
    let repeats = |finding: &&mut Finding| {
        finding.kind == ConditionType::Progressing
            && finding.holds == Some(false)
            && finding.message == degraded
    };
    for finding in findings.iter_mut().filter(repeats) {
        SEE_DEGRADED.clone_into(&mut finding.message);
    }
}

/// Has conditions that stay as they are say that they hold for this generation too: what waits for one, such as `kubectl wait`, does
/// not count one of an earlier generation.
pub fn observe(conditions: &mut [Condition], generation: Option<i64>) {
    for condition in conditions {
        condition.observed_generation = generation;
    }
}

/// The API keeps whole seconds; anything finer would never compare equal to what comes back.
#[must_use]
pub fn whole_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Bounds a message and removes control characters: parts of it come from servers and images.
#[must_use]
pub fn clean(message: &str) -> String {
    let cleaned: String =
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect();
    if message.chars().count() > LONGEST_MESSAGE { format!("{cleaned}…") } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::condition::Reason, snapshot::fixtures::at_second, status::summary::Summary};

    /// A time that moved with every pass would be a write with every pass.
    #[test]
    fn times_change_only_with_the_status() {
        let finding = |holds| Finding {
            kind: ConditionType::Ready,
            holds,
            reason: Reason::Connected,
            message: "m".to_owned(),
        };
        let first = merge(&[], vec![finding(Some(true))], Some(1), at_second(10));
        let second = merge(&first, vec![finding(Some(true))], Some(1), at_second(20));
        assert_eq!(first, second);
        let third = merge(&second, vec![finding(None)], Some(1), at_second(30));
        assert_eq!(third.first().map(|condition| condition.last_transition_time.0), Some(at_second(30)));
    }

    #[test]
    fn a_message_does_not_stand_in_four_conditions() {
        let findings = Summary::Degraded.findings(|_| (Reason::PodsRefused, "quota".to_owned()));
        let merged = merge(&[], findings, Some(1), Timestamp::UNIX_EPOCH);
        let said: Vec<(&str, &str)> =
            merged.iter().map(|condition| (&*condition.type_, &*condition.message)).collect();
        assert_eq!(
            said,
            [("Progressing", SEE_DEGRADED), ("Degraded", "quota"), ("Stalled", "quota"), ("Ready", "quota")]
        );
    }

    /// `kubectl describe` shows them as they stand: Ready belongs where the eye ends.
    #[test]
    fn ready_stands_last() {
        let findings = vec![
            Finding::yes(ConditionType::Ready, Reason::Connected, ""),
            Finding::yes(ConditionType::Mirrored, Reason::ProcessRunning, ""),
        ];
        let types: Vec<String> =
            merge(&[], findings, None, at_second(0)).into_iter().map(|condition| condition.type_).collect();
        assert_eq!(types, ["Mirrored", "Ready"]);
    }

    /// A message can contain text of an image or a server.
    #[test]
    fn messages_are_bounded_and_clean() {
        let hostile = format!("\u{1b}[31m{}\n", "x".repeat(5000));
        let message = clean(&hostile);
        assert!(message.chars().count() <= LONGEST_MESSAGE + 1 && !message.chars().any(char::is_control));
    }
}
