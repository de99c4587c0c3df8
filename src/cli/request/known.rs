//! What one process knows of a request, and what it makes of that: the history, complete, and the status.

use jiff::Timestamp;
use kube::{
    Client, Resource as _, ResourceExt as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use super::say;
use crate::{
    act::request::{Layout, Requests},
    api::{
        names::{FLOW_ANNOTATION, OPERATOR},
        request_state::{HistoryEntry, RequestState, RequestStateStatus, State},
    },
    diff::request::{Evidence, Flow, History, Moment, Position, Turn, complete, lists_jobs, turn},
    memory::sightings::Sightings,
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    status::request::{HISTORY_DROPPED, RequestFacts, request},
};

/// Most bytes that an Event may say.
const LONGEST_NOTE: usize = 1024;

/// What all requests of a process have in common.
#[derive(Clone)]
pub(super) struct Setting {
    pub requests: Requests,
    /// For requests that do not say which flow they follow.
    pub flow: Flow,
    pub clock: Clock,
    client: Client,
}

impl Setting {
    pub(super) fn new(client: Client, requests: Requests, flow: Flow, clock: Clock) -> Self {
        Self { requests, flow, clock, client }
    }

    /// The flow that a request follows.
    pub(super) fn flow_of(&self, object: &RequestState) -> Flow {
        let own = object.annotations().get(FLOW_ANNOTATION).filter(|text| lists_jobs(text));
        own.and_then(|text| text.parse().ok()).unwrap_or_else(|| self.flow.clone())
    }

    /// Whose turn it is. What follows in a flow that is named, not listed, its director alone knows.
    pub(super) fn turn_of(&self, object: &RequestState) -> Turn {
        if object.annotations().get(FLOW_ANNOTATION).is_some_and(|text| !lists_jobs(text)) {
            return turn(object.spec.state, true);
        }
        self.flow_of(object).turn(&Position::of(object))
    }

    /// Reports what is left out of a history from now on; before it is, so that nothing is lost. It may fail: the request
    /// goes its way without.
    pub(super) async fn keep_elsewhere(&self, object: &RequestState, dropped: &[HistoryEntry]) {
        for note in notes(dropped) {
            let event = Event {
                type_: EventType::Normal,
                reason: HISTORY_DROPPED.to_owned(),
                note: Some(note),
                action: "Record".to_owned(),
                secondary: None,
            };
            // One that remembers would count Events of the same reason instead of keeping what each says.
            let recorder = Recorder::new(
                self.client.clone(),
                Reporter { controller: OPERATOR.to_owned(), instance: None },
            );
            let published = call(CALL_TIME_LIMIT, recorder.publish(&event, &object.object_ref(&()))).await;
            if let Err(error) = published {
                let what = "report entries that are left out of a history";
                eprintln!("warning: {}", error.explain(what));
            }
        }
    }
}

/// Entries as texts that are short enough for an Event.
fn notes(entries: &[HistoryEntry]) -> Vec<String> {
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

/// A request, and what was seen of it.
pub(super) struct Known {
    pub object: RequestState,
    sightings: Sightings,
    /// The version at which status says all that the server keeps of it.
    settled: Option<String>,
}

/// What a status is to be of.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// Since when exactly the request is where it is.
    pub since: Option<Timestamp>,
    /// What is about to be entered.
    pub entering: Option<&'a HistoryEntry>,
    /// Whether the status speaks of the request as it will be then.
    pub is_ahead: bool,
}

impl Known {
    pub(super) fn new(object: RequestState, setting: &Setting) -> Self {
        let mut known = Self { object, sightings: Sightings::default(), settled: None };
        known.look(setting);
        known
    }

    /// For a person.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.object.namespace().unwrap_or_default(), self.object.name_any())
    }

    /// Takes over a newer version; an older one, which a watch may still bring, is left.
    pub(super) fn update(&mut self, object: RequestState, setting: &Setting) {
        let version = |object: &RequestState| object.resource_version()?.parse::<u128>().ok();
        if version(&object) >= version(&self.object) {
            self.object = object;
            self.look(setting);
        }
    }

    fn look(&mut self, setting: &Setting) {
        if self.sightings.see(&self.object, setting.clock.now()) {
            say(&setting.clock, format_args!("{} {}", self.name(), Position::of(&self.object)));
        }
    }

    /// What status is to say, and the history in it.
    pub(super) fn status(&self, setting: &Setting, wanted: Wanted<'_>) -> (RequestStateStatus, History) {
        let object = &self.object;
        let flow = setting.flow_of(object);
        let before = object.status.as_ref();
        let evidence = Evidence {
            flow: &flow,
            created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
            is_unchanged: object.metadata.generation == Some(1),
            is_truncated: before.is_some_and(|status| status.history_dropped.is_some()),
            since: wanted.since,
            sightings: self.sightings.all(),
            entering: wanted.entering,
        };
        let entries = before.map(|status| status.history.as_slice()).unwrap_or_default();
        let history = complete(&Position::of(object), entries, &evidence);
        let mut spoken_of = object.clone();
        let mut generation = object.metadata.generation;
        if let Some(entry) = wanted.entering.filter(|_| wanted.is_ahead)
            && let Ok(state) = entry.state.parse::<State>()
        {
            spoken_of.spec.job.clone_from(&entry.job);
            spoken_of.spec.state = state;
            generation = generation.map(|generation| generation + 1);
        }
        let facts = RequestFacts {
            object: &spoken_of,
            flow: &flow,
            turn: setting.turn_of(&spoken_of),
            history: &history,
            generation: generation.filter(|_| setting.requests.layout() == Layout::Subresource),
            now: setting.clock.now(),
        };
        (request(&facts), history)
    }

    /// What status is to say, if it does not say so yet.
    pub(super) fn news(
        &self,
        setting: &Setting,
        wanted: Wanted<'_>,
    ) -> Option<(RequestStateStatus, History)> {
        let (status, history) = self.status(setting, wanted);
        let is_settled = self.settled.is_some() && self.settled == self.object.resource_version();
        let is_news = !is_settled && self.object.status.as_ref() != Some(&status);
        is_news.then_some((status, history))
    }

    /// Takes note that the server has been told everything; it may not keep all of it.
    pub(super) fn settle(&mut self) {
        self.settled = self.object.resource_version();
    }
}

/// The entry for a state that is entered now.
pub(super) fn entry(job: &str, state: State, now: Timestamp) -> HistoryEntry {
    HistoryEntry {
        job: job.to_owned(),
        state: state.as_str().to_owned(),
        timestamp: Moment::text(now),
        ..HistoryEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_all_reported_in_texts_that_fit() {
        let entry = |index: usize| HistoryEntry {
            job: format!("{index}{}", "é".repeat(100)),
            state: "COMPLETED".to_owned(),
            timestamp: "2026-11-24T10:00:00.000Z".to_owned(),
            ..HistoryEntry::default()
        };
        let entries: Vec<HistoryEntry> = (0..20).map(entry).collect();
        let notes = notes(&entries);
        assert!(notes.iter().all(|note| note.len() <= LONGEST_NOTE));
        assert_eq!(notes.iter().map(|note| note.split(", ").count()).sum::<usize>(), entries.len());
        assert_eq!(super::notes(&[]), [""; 0]);
    }
}
