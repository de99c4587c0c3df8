//! What one process knows of a request, and what it makes of that: the history, complete, and the status.

use jiff::Timestamp;
use kube::{
    Client, Resource as _, ResourceExt as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use super::{flow::JobSequence, say};
use crate::{
    act::request::{Layout, Requests},
    api::{
        names::{FLOW_ANNOTATION, OPERATOR},
        request_state::{HistoryEntry, RequestState, RequestStateStatus, State},
    },
    cli::output::complain,
    diff::request::{Flow, History, HistoryEvidence, Moment, Position, Turn, complete, lists_jobs, turn},
    memory::position_log::PositionLog,
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    status::request::{HISTORY_DROPPED, RequestFacts, dropped_notes, request},
};

/// What all requests of a process have in common.
#[derive(Clone)]
pub(super) struct Setting {
    pub requests: Requests,
    /// For requests that name no flow, or this one.
    pub course: JobSequence,
    pub clock: Clock,
    client: Client,
}

impl Setting {
    pub(super) fn new(client: Client, requests: Requests, course: JobSequence, clock: Clock) -> Self {
        Self { requests, course, clock, client }
    }

    /// What a request goes through; none if it follows a flow that only its director knows.
    pub(super) fn course_of(&self, object: &RequestState) -> Option<JobSequence> {
        match object.annotations().get(FLOW_ANNOTATION) {
            Some(text) if lists_jobs(text) => {
                Some(text.parse().map_or_else(|_| self.course.clone(), JobSequence::Jobs))
            }
            Some(name) if *name != self.course.annotation() => None,
            _ => Some(self.course.clone()),
        }
    }

    /// The jobs of a request, as far as they are known.
    fn jobs_of(&self, object: &RequestState) -> Flow {
        self.course_of(object).as_ref().unwrap_or(&self.course).jobs()
    }

    /// Whose turn it is.
    pub(super) fn turn_of(&self, object: &RequestState) -> Turn {
        match self.course_of(object) {
            None => turn(object.spec.state, true),
            // For a job outside of it, only its own director knows whether another follows.
            Some(JobSequence::Jobs(flow)) => flow.turn(&Position::of(object)),
            Some(course) => {
                let goes_on = course.next(object, self.clock.now()).job.is_some();
                turn(object.spec.state, goes_on || !course.jobs().contains(&object.spec.job))
            }
        }
    }

    /// Reports what is left out of a history from now on; before it is, so that nothing is lost. It may fail: the request
    /// goes its way without.
    pub(super) async fn archive_history(&self, object: &RequestState, dropped: &[HistoryEntry]) {
        for note in dropped_notes(dropped) {
            let event = Event {
                type_: EventType::Normal,
                reason: HISTORY_DROPPED.to_owned(),
                note: Some(note),
                action: "Record".to_owned(),
                secondary: None,
            };
            // A recorder with a cache would aggregate Events of the same reason and lose their messages.
            let recorder = Recorder::new(
                self.client.clone(),
                Reporter { controller: OPERATOR.to_owned(), instance: None },
            );
            let published = call(CALL_TIME_LIMIT, recorder.publish(&event, &object.object_ref(&()))).await;
            if let Err(error) = published {
                let what = "report entries that are left out of a history";
                complain(format_args!("warning: {}", error.explain(what)));
            }
        }
    }
}

/// A request, and what was seen of it.
pub(super) struct TrackedRequest {
    pub object: RequestState,
    position_log: PositionLog,
    /// The version at which status is complete.
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

impl TrackedRequest {
    pub(super) fn new(object: RequestState, setting: &Setting) -> Self {
        let mut known = Self { object, position_log: PositionLog::default(), settled: None };
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
        if self.position_log.see(&self.object, setting.clock.now()) {
            say(&setting.clock, format_args!("{} {}", self.name(), Position::of(&self.object)));
        }
    }

    /// The status to write, and the history in it.
    pub(super) fn status(&self, setting: &Setting, wanted: Wanted<'_>) -> (RequestStateStatus, History) {
        let object = &self.object;
        let flow = setting.jobs_of(object);
        let before = object.status.as_ref();
        let evidence = HistoryEvidence {
            flow: &flow,
            created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
            is_unchanged: object.metadata.generation == Some(1),
            is_truncated: before.is_some_and(|status| status.history_dropped.is_some()),
            since: wanted.since,
            position_log: self.position_log.all(),
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
            obstacle: None,
        };
        (request(&facts), history)
    }

    /// The status to write, if it differs.
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

    /// Records that the server has everything; it may not keep all of it.
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
