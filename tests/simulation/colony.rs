//! The colony: a server in memory, and what is still on its way to it.

use colonyos_fake::ColonyServer;
use colonyos_operator::colony::{Id, Process, ProcessState};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The name of the colony, on the server as in the cluster.
pub const COLONY: &str = "hive";

/// Status and message of a refusal.
pub type Refusal = (u16, String);

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The operator as a member, and everybody else who may.
    Member,
    /// The operator as an executor.
    Operator,
}

/// A call that is on its way.
#[derive(Clone, Debug)]
pub struct ColonyCall {
    pub caller: Caller,
    pub payload_type: &'static str,
    pub inner: Value,
}

/// The server, with a colony, a member and the operator's executor in it.
#[derive(Debug)]
pub struct Colony {
    server: ColonyServer,
    pub member: Id,
    pub operator: Id,
}

fn identity(number: u8) -> Id {
    Id::parse(&format!("{number:064x}")).unwrap()
}

impl Colony {
    pub fn new(now: Timestamp, executor_type: &str) -> Self {
        let [server_owner, owner, member, operator] = [1, 2, 3, 4].map(identity);
        let mut server = ColonyServer::new(server_owner.clone(), 7).stale_after(None);
        let mut call = |caller: &Id, payload_type: &str, mut inner: Value| {
            inner["msgtype"] = payload_type.into();
            server.handle(now, Some(caller), payload_type, &inner).unwrap();
        };
        call(&server_owner, "addcolonymsg", json!({"colony": {"colonyid": owner.as_str(), "name": COLONY}}));
        let user = json!({"colonyname": COLONY, "userid": member.as_str(), "name": "ops"});
        call(&owner, "addusermsg", json!({"user": user}));
        let executor = json!({
            "executorid": operator.as_str(), "executorname": "operator", "executortype": executor_type,
            "colonyname": COLONY,
        });
        call(&owner, "addexecutormsg", json!({"executor": executor}));
        call(&owner, "approveexecutormsg", json!({"colonyname": COLONY, "executorname": "operator"}));
        Self { server, member, operator }
    }

    pub fn answer(&mut self, now: Timestamp, call: &ColonyCall) -> Result<Value, Refusal> {
        let caller = match call.caller {
            Caller::Member => &self.member,
            Caller::Operator => &self.operator,
        };
        let mut inner = call.inner.clone();
        inner["msgtype"] = call.payload_type.into();
        self.server.handle(now, Some(caller), call.payload_type, &inner)
    }

    /// One turn of the server's loop.
    pub fn tick(&mut self, now: Timestamp) {
        self.server.tick(now);
    }

    /// The process of that id, if there is one.
    pub fn process(&mut self, now: Timestamp, id: &str) -> Vec<Process> {
        let call = ColonyCall {
            caller: Caller::Member,
            payload_type: "getprocessmsg",
            inner: json!({"processid": id}),
        };
        match self.answer(now, &call) {
            Ok(process) => vec![serde_json::from_value(process).unwrap()],
            Err((404, _)) => Vec::new(),
            Err(refusal) => panic!("a member may read: {refusal:?}"),
        }
    }

    /// All processes of a label, or all, in every state, the oldest first.
    pub fn processes(&mut self, now: Timestamp, label: &str) -> Vec<Process> {
        let mut found: Vec<Process> = Vec::new();
        for state in ProcessState::ALL {
            let inner = json!({"colonyname": COLONY, "count": 100, "state": state.number(), "label": label});
            let call = ColonyCall { caller: Caller::Member, payload_type: "getprocessesmsg", inner };
            let listed: Option<Vec<Process>> =
                serde_json::from_value(self.answer(now, &call).unwrap()).unwrap();
            found.extend(listed.unwrap_or_default());
        }
        found.sort_by(|one, other| one.age_key().cmp(&other.age_key()));
        found
    }

    /// Gives the operator's executor the next process, if there is one.
    pub fn assign(&mut self, now: Timestamp) -> bool {
        let inner = json!({"colonyname": COLONY, "timeout": -1});
        self.answer(now, &ColonyCall { caller: Caller::Operator, payload_type: "assignprocessmsg", inner })
            .is_ok()
    }
}
