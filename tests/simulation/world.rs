//! Everything that there is, and time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use colonyos_operator::api::{
    executor_deployment::ExecutorDeploymentStatus,
    names::{CONTROLLER_EXECUTOR_TYPE, parse_process_label},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    cluster::Cluster,
    colony::{Caller, Colony, ColonyCall},
    events::Event,
    operator::Operator,
};

/// Something that is on its way to a server.
#[derive(Clone, Debug)]
pub enum Message {
    Colony(ColonyCall),
    Status { object: usize, version: Option<String>, status: Box<ExecutorDeploymentStatus> },
}

/// Everything.
#[derive(Debug)]
pub struct World {
    pub now: Timestamp,
    /// The moment on the other clock, on which nothing but differences counts, at which it all began.
    began: (Instant, Timestamp),
    pub cluster: Cluster,
    pub colony: Colony,
    pub operator: Operator,
    /// What arrives when.
    pub under_way: Vec<(Timestamp, Message)>,
    /// How many processes of a label somebody has removed, and how many were ever made.
    pub removed: BTreeMap<String, usize>,
    pub made: BTreeMap<String, usize>,
}

impl World {
    pub fn new(policies: &str, objects: usize) -> Self {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        Self {
            now,
            began: (any_instant(), now),
            cluster: Cluster::new(policies, objects),
            colony: Colony::new(now, CONTROLLER_EXECUTOR_TYPE),
            operator: Operator::new(now),
            under_way: Vec::new(),
            removed: BTreeMap::new(),
            made: BTreeMap::new(),
        }
    }

    /// Now, on the clock that measures.
    pub fn instant(&self) -> Instant {
        let (instant, at) = self.began;
        instant + Duration::try_from(self.now.duration_since(at)).unwrap_or_default()
    }

    /// The operator is told of everything that has moved, as lists and pushes tell it: it asks again.
    pub fn tell(&mut self) {
        let now = self.instant();
        for process in self.colony.processes(self.now, "") {
            self.operator.processes.invalidate(&process.id, now);
        }
    }

    /// Plays a sequence, and what comes after it until nothing more is on its way.
    pub fn play(&mut self, events: &[Event]) {
        for event in events {
            self.happen(event);
        }
        self.pass(20);
    }

    pub fn happen(&mut self, event: &Event) {
        // Sequences are drawn for as many objects as there ever are.
        let there = self.cluster.held.len();
        match event {
            Event::Look { object, fates, meanwhile } => {
                let ended = crate::operator::look(self, *object % there, fates, meanwhile.as_deref());
                if ended {
                    self.take_over(0);
                }
            }
            Event::Edit { object } => self.cluster.edit(*object % there),
            Event::Delete { object } => self.cluster.delete(*object % there, self.now),
            Event::Ready { object } => self.cluster.become_ready(*object % there),
            Event::Told => self.tell(),
            Event::Assign => {
                self.colony.assign(self.now);
            }
            Event::Cancel { process } => self.somebody(*process, "cancelprocessmsg"),
            Event::Remove { process } => self.somebody(*process, "removeprocessmsg"),
            Event::Pass { seconds } => self.pass(i64::from(*seconds)),
            Event::Crash { after } => self.take_over(i64::from(*after)),
        }
    }

    /// Another operator leads, and knows nothing but what is on record.
    fn take_over(&mut self, after: i64) {
        self.pass(after);
        self.operator = Operator::new(self.now);
    }

    fn somebody(&mut self, number: usize, payload_type: &'static str) {
        let processes = self.colony.processes(self.now, "");
        let Some(process) = processes.get(number) else { return };
        let call = ColonyCall {
            caller: Caller::Member,
            payload_type,
            inner: json!({"processid": process.id.as_str()}),
        };
        if self.colony.answer(self.now, &call).is_ok() && payload_type == "removeprocessmsg" {
            *self.removed.entry(process.spec.label.clone()).or_default() += 1;
        }
    }

    /// Lets time pass, second by second, and what is on its way arrive.
    pub fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += SignedDuration::from_secs(1);
            let (due, later) =
                std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= self.now);
            self.under_way = later;
            for (_, message) in due {
                self.arrive(message);
            }
            self.colony.tick(self.now);
        }
    }

    /// Something arrives. What a server refuses then, nobody hears.
    fn arrive(&mut self, message: Message) {
        match message {
            Message::Colony(call) => {
                let _ = self.ask(&call);
            }
            Message::Status { object, version, status } => {
                let _ = self.cluster.write_status(object, version.as_deref(), *status);
            }
        }
    }

    /// Makes a call of the operator's to the colony.
    pub fn ask(&mut self, call: &ColonyCall) -> Result<serde_json::Value, crate::colony::Refusal> {
        let answer = self.colony.answer(self.now, call);
        let spec = match call.payload_type {
            "submitfuncspecmsg" => &call.inner["spec"],
            "submitworkflowspecmsg" => &call.inner["spec"]["functionspecs"][0],
            _ => return answer,
        };
        if answer.is_ok() {
            let label = spec["label"].as_str().unwrap_or_default().to_owned();
            assert!(parse_process_label(&label).is_some(), "a label of ours: {label}");
            *self.made.entry(label).or_default() += 1;
        }
        answer
    }
}

#[expect(clippy::disallowed_methods, reason = "any moment will do: only differences count")]
fn any_instant() -> Instant {
    Instant::now()
}
