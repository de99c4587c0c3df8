//! The servers, and what others than the operator do to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};

use colonyos_fake::{ServerCall, cluster::Place};
use colonyos_operator::colony::{Id, Process, ProcessState};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    events::Event,
    kind::{Engines, Kind, WORKER_TYPE},
    memory::{COLONY, NAMESPACE, Servers, key},
};

/// When it all begins: half a minute before the first run of a cron.
const BEGINNING: &str = "2026-03-01T12:01:30Z";

/// The servers, and what others than the operator do to them.
pub struct Outside {
    pub servers: Servers,
    pub kind: Kind,
    pub worker: Id,
    edits: Mutex<BTreeMap<String, u64>>,
    /// How many processes of a label were removed by others, and how many submits were repeated on their way.
    pub removed: Mutex<BTreeMap<String, usize>>,
    pub repeated: Mutex<BTreeMap<String, usize>>,
    /// Whether something was hidden once.
    has_hidden: AtomicBool,
    /// Labels of which a submit arrives later than the operator waits.
    pub late: Mutex<BTreeSet<String>>,
}

impl Outside {
    pub fn new(kind: &Kind) -> Self {
        let now: Timestamp = BEGINNING.parse().unwrap();
        let servers = Servers::new(now);
        let worker = Id::parse(&format!("{:064x}", 99)).unwrap();
        let executor = json!({
            "executorid": worker.as_str(), "executorname": "worker", "executortype": WORKER_TYPE,
            "colonyname": COLONY,
        });
        let owner = key(2);
        servers.colony.call(owner.id(), "addexecutormsg", json!({ "executor": executor })).unwrap();
        let approved = json!({"colonyname": COLONY, "executorname": "worker"});
        servers.colony.call(owner.id(), "approveexecutormsg", approved).unwrap();
        let outside = Self {
            servers,
            kind: kind.clone(),
            worker,
            edits: Mutex::default(),
            removed: Mutex::default(),
            repeated: Mutex::default(),
            has_hidden: AtomicBool::default(),
            late: Mutex::default(),
        };
        kind.engines.prepare(&outside.servers);
        for name in outside.names() {
            let object = kind.object.to_string().replace("NAME", name);
            outside.servers.cluster.create(&serde_json::from_str(&object).unwrap()).unwrap();
        }
        outside
    }

    /// Whether a call asks for a row that can be hidden, and none was yet.
    pub fn hides(&self, call: &ServerCall) -> bool {
        let asks = ["getprocessmsg", "getprocessgraphmsg", "getblueprintmsg"];
        asks.contains(&call.to_string().as_str()) && !self.has_hidden.swap(true, Ordering::Relaxed)
    }

    pub fn names(&self) -> &'static [&'static str] {
        self.kind.names
    }

    pub fn place<'a>(&self, name: &'a str) -> Place<'a> {
        Place { resource: self.kind.resource, namespace: self.kind.namespace, name }
    }

    pub fn happen(&self, event: &Event) {
        let cluster = &self.servers.cluster;
        let name = |object: usize| self.names()[object % self.names().len()];
        match event {
            Event::Edit { object } => self.edit(name(*object)),
            // What is gone, or going, stays so.
            Event::Delete { object } => drop(cluster.delete(self.place(name(*object)))),
            Event::Ready => self.become_ready(),
            Event::Assign => drop(self.assign()),
            Event::Close { successful } => drop(self.close(*successful)),
            Event::Cancel { process } => self.another_client(*process, "cancelprocessmsg"),
            Event::Remove { process } => self.another_client(*process, "removeprocessmsg"),
            Event::Pass { seconds } => self.servers.pass(u32::from(*seconds) * self.kind.pace),
            Event::Look { .. } | Event::Told | Event::Crash { .. } => {}
        }
        if let Engines::Definitions(beside) = &self.kind.engines {
            beside.happen(self, event);
        }
        cluster.run_controllers();
    }

    /// Users do what objects that are being deleted wait for.
    pub fn obey(&self) {
        if let Engines::Definitions(beside) = &self.kind.engines {
            beside.obey(self);
        }
    }

    fn edit(&self, name: &str) {
        let mut edits = self.edits.lock();
        let number = edits.entry(name.to_owned()).or_default();
        let patch = (self.kind.edit)(*number + 1);
        let object = self.servers.cluster.get(self.place(name));
        let is_there = object.is_some_and(|object| object["metadata"].get("deletionTimestamp").is_none());
        // Refused where the rules of the kind forbid it.
        if is_there && self.servers.cluster.patch(self.place(name), &patch).is_ok() {
            *number += 1;
        }
    }

    pub fn become_ready(&self) {
        for name in self.names() {
            let resource = "deployments.apps";
            self.servers.cluster.make_ready(Place { resource, namespace: NAMESPACE, name });
        }
    }

    /// Gives an executor the next process; whether there was one.
    pub fn assign(&self) -> bool {
        [key(4).id(), &self.worker].into_iter().any(|executor| self.assign_to(executor))
    }

    pub fn assign_to(&self, executor: &Id) -> bool {
        let inner = json!({"colonyname": COLONY, "timeout": -1});
        self.servers.colony.call(executor, "assignprocessmsg", inner).is_ok()
    }

    /// Has the users' executor close what it has; whether it has anything.
    pub fn close(&self, successful: bool) -> bool {
        let processes = self.processes();
        let is_its = |process: &&Process| {
            process.state == ProcessState::Running && process.assigned_executor.as_ref() == Some(&self.worker)
        };
        let Some(process) = processes.iter().find(is_its) else { return false };
        let id = process.id.as_str();
        let (payload_type, inner) = if successful {
            ("closesuccessfulmsg", json!({"processid": id, "out": ["done"]}))
        } else {
            ("closefailedmsg", json!({"processid": id, "errors": ["no luck"]}))
        };
        self.servers.colony.call(&self.worker, payload_type, inner).is_ok()
    }

    fn another_client(&self, number: usize, payload_type: &str) {
        let processes = self.processes();
        let Some(process) = processes.get(number) else { return };
        let inner = json!({"processid": process.id.as_str()});
        let done = self.servers.colony.call(key(3).id(), payload_type, inner);
        if done.is_ok() && payload_type == "removeprocessmsg" {
            *self.removed.lock().entry(process.spec.label.clone()).or_default() += 1;
        }
    }

    /// All processes, the oldest first.
    pub fn processes(&self) -> Vec<Process> {
        let mut found: Vec<Process> = Vec::new();
        for state in ProcessState::ALL {
            let inner = json!({"colonyname": COLONY, "count": 100, "state": state.number()});
            let listed = self.servers.colony.call(key(3).id(), "getprocessesmsg", inner).unwrap();
            let listed: Option<Vec<Process>> = serde_json::from_value(listed).unwrap();
            found.extend(listed.unwrap_or_default());
        }
        found.sort_by(|one, other| one.age_key().cmp(&other.age_key()));
        found
    }
}
