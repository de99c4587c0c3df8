//! Users and executors as they are kept.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::time;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UserRecord {
    #[serde(rename = "colonyname")]
    pub(crate) colony: String,
    #[serde(rename = "userid")]
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) phone: String,
}

impl UserRecord {
    pub(crate) fn to_json(&self) -> Value {
        let Self { colony, id, name, email, phone } = self;
        json!({"colonyname": colony, "userid": id, "name": name, "email": email, "phone": phone})
    }
}

/// An executor. It stays when it is removed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ExecutorRecord {
    #[serde(rename = "executorid")]
    pub(crate) id: String,
    #[serde(rename = "executorname")]
    pub(crate) name: String,
    #[serde(rename = "executortype")]
    pub(crate) executor_type: String,
    #[serde(rename = "colonyname")]
    pub(crate) colony: String,
    #[serde(rename = "locationname", default)]
    pub(crate) location: String,
    #[serde(rename = "blueprintid", default)]
    pub(crate) blueprint_id: String,
    #[serde(rename = "blueprintgen", default)]
    pub(crate) blueprint_generation: i64,
    #[serde(skip)]
    pub(crate) state: u8,
    #[serde(skip)]
    pub(crate) added_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) heard_at: Option<Timestamp>,
}

impl ExecutorRecord {
    pub(crate) const APPROVED: u8 = 1;
    pub(crate) const REJECTED: u8 = 2;
    pub(crate) const UNREGISTERED: u8 = 3;

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "executorid": self.id, "executorname": self.name, "executortype": self.executor_type,
            "colonyname": self.colony, "state": self.state, "locationname": self.location,
            "commissiontime": time(self.added_at), "lastheardfromtime": time(self.heard_at),
            "blueprintid": self.blueprint_id, "blueprintgen": self.blueprint_generation,
        })
    }
}
