//! The status of a request: the way it came, which step it is at, and whether it is at its end. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::condition::{Finding, merge};
use crate::{
    api::{
        condition::{ConditionType, FOR_TOOLS, Reason},
        request_state::{HistoryEntry, RequestState, RequestStateStatus, State},
    },
    diff::request::{Flow, History, Turn},
};

/// Reason of the Events that name entries which are no longer in a history.
pub const HISTORY_DROPPED: &str = "HistoryDropped";
/// The maximum length of an Event's message in bytes, as the API server enforces it.
const LONGEST_NOTE: usize = 1024;
/// Where those entries can be read.
const REST: &str =
    "Events of this object with reason HistoryDropped, for as long as the cluster keeps Events";

/// The status of a request is derived from this.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    pub object: &'a RequestState,
    pub flow: &'a Flow,
    pub turn: Turn,
    /// Its history, complete.
    pub history: &'a History,
    /// Generation of the spec that this speaks of; none where status is part of the object and has no generation of
    /// its own.
    pub generation: Option<i64>,
    pub now: Timestamp,
    /// Why it does not go on, if that is known: what its job waits for, or what stands in the way.
    pub obstacle: Option<&'a (Reason, String)>,
}

/// The status of a request. What others have put into it and this does not know stays.
#[must_use]
pub fn request(facts: &RequestFacts<'_>) -> RequestStateStatus {
    let before = facts.object.status.clone().unwrap_or_default();
    let dropped = i64::try_from(facts.history.dropped.len()).unwrap_or(i64::MAX);
    let history_dropped = before.history_dropped.unwrap_or(0).saturating_add(dropped);
    let findings = findings(facts);
    let own = findings.iter().map(|finding| finding.kind).chain(FOR_TOOLS);
    let own: Vec<&str> = own.map(ConditionType::as_str).collect();
    let others = before.conditions.iter().filter(|condition| !own.contains(&condition.type_.as_str()));
    let mut conditions: Vec<Condition> = others.cloned().collect();
    conditions.extend(merge(&before.conditions, findings, facts.generation, facts.now));
    RequestStateStatus {
        observed_generation: facts.generation,
        progress: facts.flow.progress(&facts.object.spec.job).or(before.progress),
        history: facts.history.entries.clone(),
        history_dropped: (history_dropped > 0).then_some(history_dropped),
        history_rest: (history_dropped > 0).then(|| REST.to_owned()),
        conditions,
        ..before
    }
}

/// Entries that are left out of a history, as texts that are short enough for an Event.
#[must_use]
pub fn dropped_notes(entries: &[HistoryEntry]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for entry in entries {
        let text = format!("{} {} {}", entry.job, entry.state, entry.timestamp);
        match notes.last_mut() {
            Some(note) if note.len() + text.len() + 2 <= LONGEST_NOTE => {
                note.push_str(", ");
                note.push_str(&text);
            }
            // Words of others may be of any length.
            _ => notes.push(text.chars().take(LONGEST_NOTE / 4).collect()),
        }
    }
    notes
}

fn findings(facts: &RequestFacts<'_>) -> Vec<Finding> {
    let spec = &facts.object.spec;
    let (finished, succeeded) = (ConditionType::Finished, ConditionType::Succeeded);
    let job = &spec.job;
    let (state, last) = (spec.state, facts.history.entries.last());
    match (facts.turn, state) {
        (Turn::Finished, State::Completed) => {
            let message = format!("{job} was the last job");
            vec![
                Finding::yes(finished, Reason::FlowCompleted, message.clone()),
                Finding::yes(succeeded, Reason::FlowCompleted, message),
            ]
        }
        (Turn::Finished, State::Failed) => {
            let (reason, message) = failure(job, last);
            vec![Finding::yes(finished, reason, message.clone()), Finding::no(succeeded, reason, message)]
        }
        (Turn::Finished, _) => {
            let message = format!("the request was cancelled at {job}");
            vec![
                Finding::yes(finished, Reason::Cancelled, message.clone()),
                Finding::no(succeeded, Reason::Cancelled, message),
            ]
        }
        (Turn::Worker | Turn::Director, _) => {
            let (reason, message) = match state {
                State::Requested => (Reason::JobRequested, format!("{job} waits for a worker")),
                State::Started => (Reason::JobStarted, format!("a worker is at {job}")),
                _ => (Reason::JobEnded, format!("{job} has ended, another job follows")),
            };
            let (reason, message) = match facts.obstacle {
                Some((reason, why)) => (*reason, format!("{message}: {why}")),
                None => (reason, message),
            };
            vec![Finding::no(finished, reason, message.clone()), Finding::unknown(succeeded, reason, message)]
        }
    }
}

/// Why a job failed, from its last entry.
fn failure(job: &str, last: Option<&HistoryEntry>) -> (Reason, String) {
    let reason = last.and_then(|entry| entry.reason.as_deref());
    let known = [
        Reason::WorkerRestarted,
        Reason::JobFailed,
        Reason::ProcessFailed,
        Reason::TimedOut,
        Reason::ProcessLost,
        Reason::DeadlineExceeded,
    ];
    let reason = known.into_iter().find(|known| reason == Some(known.as_str())).unwrap_or(Reason::JobFailed);
    let message = last.and_then(|entry| entry.message.clone());
    (reason, message.unwrap_or_else(|| format!("{job} failed; its worker gave no reason")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diff::request::turn;

    fn status(state: &str, status: &serde_json::Value, entries: Vec<HistoryEntry>) -> RequestStateStatus {
        let object: RequestState = serde_json::from_value(json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "r" },
            "spec": { "request-uid": "u", "job": "B", "state": state },
            "status": status,
        }))
        .unwrap();
        let flow: Flow = "A,B".parse().unwrap();
        let history = History { entries, dropped: vec![HistoryEntry::default(); 2] };
        request(&RequestFacts {
            object: &object,
            flow: &flow,
            turn: turn(object.spec.state, false),
            history: &history,
            generation: Some(7),
            now: Timestamp::UNIX_EPOCH,
            obstacle: None,
        })
    }

    fn shown(status: &RequestStateStatus) -> Vec<String> {
        let shown =
            |condition: &Condition| format!("{} {} {}", condition.type_, condition.status, condition.reason);
        status.conditions.iter().map(shown).collect()
    }

    #[test]
    fn a_request_is_finished_however_it_ended_and_succeeded_only_when_all_was_done() {
        let none = json!({});
        assert_eq!(
            shown(&status("STARTED", &none, vec![])),
            ["Succeeded Unknown JobStarted", "Finished False JobStarted", "Reconciling True JobStarted"]
        );
        assert_eq!(
            shown(&status("COMPLETED", &none, vec![])),
            ["Succeeded True FlowCompleted", "Finished True FlowCompleted"]
        );
        assert_eq!(
            shown(&status("CANCELLED", &none, vec![])),
            ["Succeeded False Cancelled", "Finished True Cancelled"]
        );
        let failed = HistoryEntry {
            reason: Some("WorkerRestarted".to_owned()),
            message: Some("gone".to_owned()),
            ..HistoryEntry::default()
        };
        let status = status("FAILED", &none, vec![failed]);
        let stalled = "Stalled True WorkerRestarted";
        assert_eq!(
            shown(&status),
            ["Succeeded False WorkerRestarted", "Finished True WorkerRestarted", stalled]
        );
        assert_eq!(status.conditions[0].message, "gone");
    }

    #[test]
    fn entries_left_out_are_all_reported_in_texts_that_fit() {
        let entry = |index: usize| HistoryEntry {
            job: format!("{index}{}", "é".repeat(100)),
            state: "COMPLETED".to_owned(),
            timestamp: "2026-11-24T10:00:00.000Z".to_owned(),
            ..HistoryEntry::default()
        };
        let entries: Vec<HistoryEntry> = (0..20).map(entry).collect();
        let notes = dropped_notes(&entries);
        assert!(notes.iter().all(|note| note.len() <= LONGEST_NOTE));
        assert_eq!(notes.iter().map(|note| note.split(", ").count()).sum::<usize>(), entries.len());
        assert_eq!(dropped_notes(&[]), [""; 0]);
    }

    #[test]
    fn entries_left_out_are_counted_on_and_conditions_of_others_stay() {
        let before = json!({ "historyDropped": 3, "conditions": [{
            "type": "Mine", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"
        }] });
        let status = status("STARTED", &before, vec![]);
        assert_eq!((status.history_dropped, status.progress.as_deref()), (Some(5), Some("2/2")));
        assert!(status.history_rest.unwrap().contains("Events"));
        assert_eq!(status.conditions[0].type_, "Mine");
    }
}
