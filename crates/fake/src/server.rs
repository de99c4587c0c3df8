//! The store, who may do what, and which call is answered where.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use colonyos_client::model::Id;

use super::{
    answer::{Refusal, digest, refuse},
    record::{BlueprintStore, CronRecord, ExecutorRecord, GraphRecord, LogRecord, ProcessRecord, UserRecord},
};

/// How long an executor may keep silent before the real server, as it is delivered, removes it.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(600);

/// An event of a process for its subscribers.
#[derive(Clone, Debug)]
pub struct Event {
    /// The process as the server shows it to followers: of a successful one, as it was **before** its close.
    pub process: Value,
    pub(super) id: String,
    /// The state that it has come into.
    pub(super) state: u8,
}

/// A server in memory. It does nothing by itself: every call and every tick passes the time.
#[derive(Clone, Debug)]
pub struct ColonyServer {
    owner: Id,
    seed: u64,
    counter: u64,
    stale_after: Option<SignedDuration>,
    /// Name and the owner's identity, in the order in which they were added.
    pub(super) colonies: Vec<(String, String)>,
    pub(super) users: Vec<UserRecord>,
    pub(super) executors: Vec<ExecutorRecord>,
    pub(super) paused: BTreeSet<String>,
    /// By the order in which they were submitted.
    pub(super) processes: BTreeMap<u64, ProcessRecord>,
    pub(super) positions: HashMap<String, u64>,
    pub(super) logs: Vec<LogRecord>,
    pub(super) graphs: Vec<GraphRecord>,
    pub(super) crons: Vec<CronRecord>,
    pub(super) blueprints: BlueprintStore,
    events: Option<Vec<Event>>,
}

impl ColonyServer {
    /// An empty server that belongs to the key with identity `owner`. Two with the same seed give the same ids.
    #[must_use]
    pub fn new(owner: Id, seed: u64) -> Self {
        Self {
            owner,
            seed,
            counter: 0,
            stale_after: Some(STALE_AFTER),
            colonies: Vec::new(),
            users: Vec::new(),
            executors: Vec::new(),
            paused: BTreeSet::new(),
            processes: BTreeMap::new(),
            positions: HashMap::new(),
            logs: Vec::new(),
            graphs: Vec::new(),
            crons: Vec::new(),
            blueprints: BlueprintStore::default(),
            events: None,
        }
    }

    /// The same server, but it removes executors after another time of silence, or never.
    #[must_use]
    pub fn stale_after(mut self, silence: Option<SignedDuration>) -> Self {
        self.stale_after = silence;
        self
    }

    /// The same server, which also records events for [`Self::take_events`].
    #[must_use]
    pub fn remembering_events(mut self) -> Self {
        self.events = Some(Vec::new());
        self
    }

    /// The events since the last call, the oldest first.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Answers a call: the identity that signed it (`None` for a signature that none could have made), the payload type
    /// of the envelope, and the call inside.
    ///
    /// An assign is tried once, regardless of its timeout.
    ///
    /// # Errors
    /// The HTTP status and the message of a refusal; 200 and nothing for an answer without a body.
    pub fn handle(
        &mut self,
        now: Timestamp,
        caller: Option<&Id>,
        payload_type: &str,
        inner: &Value,
    ) -> Result<Value, (u16, String)> {
        if payload_type == "getserverinfomsg" {
            let backends = json!([{"type": "http", "port": 0}]);
            return Ok(json!({"buildversion": "fake", "buildtime": "", "backends": backends}));
        }
        let Some(caller) = caller else { return refuse(403, "Invalid signature") };
        if inner.get("msgtype").and_then(Value::as_str) != Some(payload_type) {
            return refuse(400, "Failed to answer, msg.MsgType does not match payloadType");
        }
        let caller = caller.as_str();
        self.membership_call(now, caller, payload_type, inner)
            .or_else(|| self.process_call(now, caller, payload_type, inner))
            .or_else(|| self.list_call(now, caller, payload_type, inner))
            .or_else(|| self.queue_call(now, caller, payload_type, inner))
            .or_else(|| self.workflow_call(now, caller, payload_type, inner))
            .or_else(|| self.cron_call(now, caller, payload_type, inner))
            .or_else(|| self.definition_call(caller, payload_type, inner))
            .or_else(|| self.blueprint_call(now, caller, payload_type, inner))
            .unwrap_or_else(|| refuse(403, format!("invalid rpcMsg.PayloadType: {payload_type}")))
    }

    /// One turn of the loops that the real server runs each second: time limits, crons, silent executors.
    pub fn tick(&mut self, now: Timestamp) {
        self.enforce_time_limits(now);
        self.run_due_crons(now);
        if let Some(silence) = self.stale_after {
            self.remove_silent_executors(now, silence);
        }
    }

    /// A new id: 64 hexadecimal digits, as the real ones.
    pub(super) fn mint(&mut self) -> String {
        self.counter += 1;
        digest(&format!("{}/{}", self.seed, self.counter))
    }

    /// A number that grows with each call.
    pub(super) fn next_position(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn tell(&mut self, process: &ProcessRecord, state: u8) {
        if let Some(events) = &mut self.events {
            let mut shown = process.to_json();
            if let Some(field) = shown.get_mut("state") {
                *field = state.into();
            }
            events.push(Event { process: shown, id: process.id.clone(), state });
        }
    }

    pub(super) fn process(&self, id: &str) -> Option<&ProcessRecord> {
        self.positions.get(id).and_then(|position| self.processes.get(position))
    }

    pub(super) fn process_mut(&mut self, id: &str) -> Option<&mut ProcessRecord> {
        self.positions.get(id).and_then(|position| self.processes.get_mut(position))
    }

    pub(super) fn require_server_owner(&self, caller: &str) -> Result<(), Refusal> {
        if caller == self.owner.as_str() { Ok(()) } else { refuse(403, "Access denied, not server owner") }
    }

    pub(super) fn require_owner(&self, caller: &str, colony: &str) -> Result<(), Refusal> {
        if colony.is_empty() {
            return refuse(403, "Empty Colony name");
        }
        match self.owner_of(colony) {
            None => refuse(403, format!("Colony with name <{colony}> does not exists")),
            Some(owner) if owner == caller => Ok(()),
            Some(_) => refuse(403, "Access denied, not colony owner"),
        }
    }

    /// A user or an executor of the colony; an executor that is not approved only where `approved` does not matter.
    pub(super) fn require_member(&self, caller: &str, colony: &str, approved: bool) -> Result<(), Refusal> {
        if self.owner_of(colony).is_none() {
            return refuse(403, format!("Colony with name <{colony}> does not exists"));
        }
        let is_executor = self.executor_by_id(caller).is_some_and(|executor| {
            executor.colony == colony && (!approved || executor.state == ExecutorRecord::APPROVED)
        });
        if is_executor || self.user_by_id(colony, caller).is_some() {
            return Ok(());
        }
        refuse(403, format!("Access denied, not a member of Colony with name <{colony}>"))
    }

    pub(super) fn require_member_or_owner(&self, caller: &str, colony: &str) -> Result<(), Refusal> {
        self.require_member(caller, colony, true).or_else(|_| self.require_owner(caller, colony))
    }

    pub(super) fn owner_of(&self, colony: &str) -> Option<&str> {
        self.colonies.iter().find(|(name, _)| name == colony).map(|(_, owner)| owner.as_str())
    }

    /// The name of who submits: an executor of **any** colony first, then a user of this one.
    pub(super) fn initiator(&self, colony: &str, caller: &str) -> Option<String> {
        let executor = self.executor_by_id(caller).map(|executor| executor.name.clone());
        executor.or_else(|| self.user_by_id(colony, caller).map(|user| user.name.clone()))
    }
}
