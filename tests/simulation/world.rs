//! Everything that there is: the servers, the network between, and the operator.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use colonyos_fake::{self as fake, ServerCall};
use colonyos_operator::{
    colony::{Process, ProcessState},
    controllers::Services,
    diff::duplicates,
    memory::processes::Processes,
};
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    engines::Controller,
    events::{Event, Fate},
    kind::{Kind, OPERATOR_TYPE},
    memory::{COLONY, Servers, key},
    outside::Outside,
};

/// How often tasks of the operator's own are given a turn before they count as idle.
const TURNS: usize = 16;

/// Seconds after which the operator tries again.
const QUIET: u8 = 15;

/// What one pass meets with.
#[derive(Default)]
struct JobSequence {
    fates: VecDeque<Fate>,
    /// Fates of calls by their names; each is met once.
    awaited: Vec<(&'static str, Fate)>,
    meanwhile: Option<(usize, Event)>,
    is_assigned: bool,
    calls: usize,
    /// All calls since the beginning: whether each is a write.
    all: Vec<bool>,
    /// What becomes of the one of that number.
    at: Option<(usize, Fate)>,
    writes: Vec<String>,
    reads: Vec<String>,
    /// Rights that calls to the API server have asked for: verb, group, resource.
    permissions: BTreeSet<(String, String, String)>,
    /// Of the call that is being carried out.
    fate: Option<Fate>,
    /// What the operator remembers of processes.
    processes: Option<Processes>,
    /// Processes of the operator's own that were submitted, as they are.
    submitted: Vec<(Process, bool)>,
}

/// Everything.
pub struct World {
    pub outside: Arc<Outside>,
    course: Arc<Mutex<JobSequence>>,
    pub services: Arc<Services>,
    pub controllers: Vec<Box<dyn Controller>>,
    /// UIDs that objects of a name have had.
    pub seen: BTreeMap<String, Vec<String>>,
}

impl Drop for World {
    /// The network holds what looks at it, which holds the network.
    fn drop(&mut self) {
        let network = &self.outside.servers.network;
        network.decide_nothing();
        network.observe_by(|_, _| {});
    }
}

impl World {
    pub async fn new(kind: &Kind) -> Self {
        let outside = Arc::new(Outside::new(kind));
        let course = Arc::new(Mutex::new(JobSequence::default()));
        let (judge, by) = (outside.clone(), course.clone());
        outside.servers.network.decide_by(move |call| judged(&judge, &by, call));
        let (witness, by) = (outside.clone(), course.clone());
        outside.servers.network.observe_by(move |call, status| witnessed(&witness, &by, call, status));
        let services = Arc::new(services(&outside.servers));
        course.lock().processes = Some(services.processes.clone());
        let controllers = kind.engines.start(&outside.servers, &services).await;
        let mut world = Self { outside, course, services, controllers, seen: BTreeMap::new() };
        world.catch_up().await;
        world
    }

    /// Plays a sequence, and what comes after it until nothing more is on its way.
    pub async fn play(&mut self, events: &[Event]) {
        self.play_only(events).await;
        self.outside.servers.pass(45);
    }

    /// Plays a sequence that goes on.
    pub async fn play_only(&mut self, events: &[Event]) {
        for event in events {
            self.happen(event).await;
        }
    }

    async fn happen(&mut self, event: &Event) {
        match event {
            Event::Look { object, fates, meanwhile, is_fresh, is_assigned } => {
                if *is_fresh {
                    self.catch_up().await;
                }
                let known = self.known();
                if known.is_empty() {
                    return;
                }
                let (controller, name) = known[*object % known.len()].clone();
                {
                    let mut course = self.course.lock();
                    course.fates = fates.iter().copied().collect();
                    course.meanwhile = meanwhile.clone().map(|(at, event)| (at, *event));
                    course.is_assigned = *is_assigned;
                }
                if self.look(controller, &name).await {
                    self.take_over(0).await;
                }
            }
            Event::Told => self.tell(),
            Event::Crash { after } => self.take_over(u32::from(*after)).await,
            event => self.outside.happen(event),
        }
    }

    /// A user removes the status of an object.
    pub fn lose_status(&self, name: &str) {
        let status = serde_json::json!({ "status": null });
        self.outside.servers.cluster.patch_status(self.outside.place(name), &status).unwrap();
    }

    /// Has the next call whose name begins so meet a fate.
    pub fn meet(&self, call: &'static str, fate: Fate) {
        self.course.lock().awaited.push((call, fate));
    }

    /// Has the call of that number meet a fate, counted from the beginning of the world.
    pub fn meet_at(&self, number: usize, fate: Fate) {
        self.course.lock().at = Some((number, fate));
    }

    /// All calls since the beginning, but questions about rights: whether each is a write.
    pub fn calls(&self) -> Vec<bool> {
        self.course.lock().all.clone()
    }

    /// Rights that the operator has used: verb, group, resource with its subresource.
    pub fn permissions(&self) -> BTreeSet<(String, String, String)> {
        self.course.lock().permissions.clone()
    }

    /// Whether all such calls were made.
    pub fn has_met_all(&self) -> bool {
        self.course.lock().awaited.is_empty()
    }

    /// The objects that the operator knows, with their controllers.
    pub fn known(&self) -> Vec<(usize, String)> {
        let names = self.controllers.iter().map(|controller| controller.names()).enumerate();
        names.flat_map(|(index, names)| names.into_iter().map(move |name| (index, name))).collect()
    }

    /// A pass over an object; whether the operator ended in it.
    async fn look(&mut self, controller: usize, name: &str) -> bool {
        let network = self.outside.servers.network.clone();
        let has_ended = {
            let pass = self.controllers[controller].pass(name);
            tokio::select! {
                biased;
                _ = pass => false,
                () = network.crashed() => true,
            }
        };
        let _ = network.take_crash();
        let (member, now) = (key(3), self.services.clock.instant());
        let mut course = self.course.lock();
        course.fates.clear();
        course.meanwhile = None;
        course.calls = 0;
        for (process, is_answered) in std::mem::take(&mut course.submitted) {
            self.services.processes.forget(&process.id);
            if is_answered {
                self.services.processes.submitted(member.id(), &process, now);
            }
        }
        drop(course);
        self.outside.servers.cluster.run_controllers();
        has_ended
    }

    /// A pass that meets with nothing bad; the writes in it.
    pub async fn quiet_look(&mut self, controller: usize, name: &str) -> Vec<String> {
        self.course.lock().writes.clear();
        assert!(!self.look(controller, name).await, "nothing ends it");
        std::mem::take(&mut self.course.lock().writes)
    }

    /// As [`World::quiet_look`]; the reads in it.
    pub async fn reads_of_a_look(&mut self, controller: usize, name: &str) -> Vec<String> {
        self.course.lock().reads.clear();
        assert!(!self.look(controller, name).await, "nothing ends it");
        std::mem::take(&mut self.course.lock().reads)
    }

    /// The caches show what there is.
    pub async fn catch_up(&mut self) {
        for controller in &mut self.controllers {
            for (name, uid) in controller.catch_up() {
                let seen = self.seen.entry(name).or_default();
                if !seen.contains(&uid) {
                    seen.push(uid);
                }
            }
        }
        take_turns().await;
    }

    /// The operator is told of everything that has moved, as lists and pushes tell it: it asks again.
    pub fn tell(&self) {
        let now = self.services.clock.instant();
        for process in self.outside.processes() {
            self.services.processes.invalidate(&process.id, now);
        }
        self.services.connections.put(COLONY, self.outside.servers.connection(), now);
        let recorded = |uid: &str| {
            let objects = [self.outside.kind.resource, "colonyprocesses.colonies.io"];
            let mut objects = objects.iter().flat_map(|resource| self.outside.servers.cluster.all(resource));
            let object = objects.find(|object| object["metadata"]["uid"] == uid)?;
            serde_json::from_value(object["status"]["mirror"].clone()).ok()
        };
        let member = key(3);
        let found = duplicates::find(
            &self.outside.processes(),
            &self.services.cluster,
            member.id().as_str(),
            recorded,
        );
        self.services.duplicates.listed(COLONY, found);
    }

    /// Another operator leads, and knows nothing but what is on record.
    async fn take_over(&mut self, after: u32) {
        self.outside.servers.pass(after);
        self.controllers.clear();
        take_turns().await;
        self.services = Arc::new(services(&self.outside.servers));
        self.course.lock().processes = Some(self.services.processes.clone());
        self.controllers = self.outside.kind.engines.start(&self.outside.servers, &self.services).await;
        self.catch_up().await;
    }

    /// UIDs of the objects that are there.
    pub fn uids(&self) -> BTreeSet<String> {
        let objects = self.outside.names().iter().filter_map(|name| self.object(name));
        objects.filter_map(|object| Some(object["metadata"]["uid"].as_str()?.to_owned())).collect()
    }

    /// An object as it is.
    pub fn object(&self, name: &str) -> Option<Value> {
        self.outside.servers.cluster.get(self.outside.place(name))
    }
}

/// Lets tasks of the operator's own go on, by which some caches are filled, or end.
async fn take_turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

fn services(servers: &Servers) -> Services {
    servers.services(serde_json::from_value(json!({})).unwrap())
}

/// The right that a call to the API server needs; everybody may ask for rights and for what is served.
fn permission(call: &ServerCall) -> Option<(String, String, String)> {
    let ServerCall::Cluster(call) = call else { return None };
    if call.group == "authorization.k8s.io" || call.resource.starts_with('/') {
        return None;
    }
    let part = if call.subresource.is_empty() { String::new() } else { format!("/{}", call.subresource) };
    Some((call.verb.to_owned(), call.group.clone(), format!("{}{part}", call.resource)))
}

/// What becomes of a call.
fn judged(outside: &Outside, course: &Mutex<JobSequence>, call: &ServerCall) -> fake::Fate {
    let (fate, meanwhile) = {
        let mut course = course.lock();
        let calls = if call.is_write() { &mut course.writes } else { &mut course.reads };
        calls.push(call.to_string());
        course.permissions.extend(permission(call));
        let number = course.calls;
        course.calls += 1;
        let meanwhile = course.meanwhile.take_if(|(at, _)| *at == number);
        let drawn = course.fates.pop_front().unwrap_or(Fate::Done);
        let name = call.to_string();
        let drawn = if name.contains("accessreview") {
            drawn
        } else {
            course.all.push(call.is_write());
            let last = course.all.len() - 1;
            course.at.take_if(|(at, _)| *at == last).map_or(drawn, |(_, fate)| fate)
        };
        let awaited = course.awaited.iter().position(|(awaited, _)| name.starts_with(awaited));
        (awaited.map_or(drawn, |at| course.awaited.remove(at).1), meanwhile)
    };
    if let Some((_, event)) = meanwhile {
        outside.happen(&event);
    }
    let fate = if fate == Fate::Hidden && !outside.hides(call) { Fate::Done } else { fate };
    let is_carried_out =
        matches!(fate, Fate::Done | Fate::Slow(_) | Fate::Lost | Fate::Twice | Fate::CrashAfter);
    course.lock().fate = is_carried_out.then_some(fate);
    match fate {
        Fate::Done | Fate::Slow(_) => fake::Fate::Done,
        Fate::Unreachable => fake::Fate::Unreachable,
        Fate::Refused => fake::Fate::Refused { status: 503, message: "not now".to_owned() },
        Fate::Hidden => fake::Fate::Refused { status: 404, message: "not found".to_owned() },
        Fate::Lost => fake::Fate::Lost,
        Fate::Dropped => fake::Fate::Dropped,
        Fate::Late(seconds) => {
            let label = submitted_label(call);
            if let Some(label) = label.filter(|_| seconds >= QUIET) {
                // It is submitted again before that.
                *outside.repeated.lock().entry(label.to_owned()).or_default() += 1;
                outside.late.lock().insert(label.to_owned());
            }
            // The network keeps nothing for longer; a server may take its time over a submit.
            let seconds = if label.is_some() { seconds } else { seconds.min(QUIET - 1) };
            fake::Fate::Late(SignedDuration::from_secs(seconds.into()))
        }
        Fate::CrashBefore => fake::Fate::CrashBefore,
        Fate::CrashAfter => fake::Fate::CrashAfter,
        Fate::Twice => {
            repeat(outside, call);
            fake::Fate::Lost
        }
    }
}

/// Label of what a call submits, if it does.
fn submitted_label(call: &ServerCall) -> Option<&str> {
    let ServerCall::Colony(call) = call else { return None };
    let spec = match call.payload_type {
        "submitfuncspecmsg" => &call.inner["spec"],
        "submitworkflowspecmsg" => &call.inner["spec"]["functionspecs"][0],
        _ => return None,
    };
    spec["label"].as_str()
}

/// Carries a submit out that is about to be carried out once more.
fn repeat(outside: &Outside, call: &ServerCall) {
    let (Some(label), ServerCall::Colony(call)) = (submitted_label(call), call) else { return };
    let Some(caller) = &call.caller else { return };
    if outside.servers.colony.call(caller, call.payload_type, call.inner.clone()).is_ok() {
        *outside.repeated.lock().entry(label.to_owned()).or_default() += 1;
    }
}

/// What follows a call before its answer arrives.
fn witnessed(outside: &Outside, course: &Mutex<JobSequence>, call: &ServerCall, status: u16) {
    // None for a call that is late: the operator has given it up.
    let Some(fate) = course.lock().fate.take() else { return };
    if let Fate::Slow(seconds) = fate {
        outside.servers.pass(seconds.into());
    }
    let Some(label) = submitted_label(call).filter(|_| status == 200) else { return };
    let mut course = course.lock();
    if course.is_assigned {
        outside.assign_to(key(4).id());
    }
    let processes = outside.processes();
    let of_label = |process: &&Process| {
        process.spec.label == label && process.spec.conditions.executor_type == OPERATOR_TYPE
    };
    let Some(process) = processes.iter().rev().find(of_label) else { return };
    let Some(known) = course.processes.clone() else { return };
    // The operator waits a moment for its own process to be assigned. It need not: what is told here ends that, and is taken
    // back after the pass.
    let mut told = process.clone();
    if told.state == ProcessState::Waiting {
        told.state = ProcessState::Cancelled;
        course.submitted.push((process.clone(), matches!(fate, Fate::Done | Fate::Slow(_))));
    }
    let member = key(3);
    known.read(member.id(), &told, outside.servers.clock.instant());
}
