//! Workflows as they are kept, and as they are submitted.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use colonyos_client::model::null_is_empty;

use super::process::{RUNNING, Spec, WAITING};
use crate::answer::time;

#[derive(Clone, Debug)]
pub(crate) struct GraphRecord {
    pub(crate) id: String,
    pub(crate) colony: String,
    pub(crate) state: u8,
    pub(crate) roots: Vec<String>,
    pub(crate) initiator: (String, String),
    pub(crate) submitted_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
}

impl GraphRecord {
    pub(crate) fn to_json(&self, processes: &[String]) -> Value {
        json!({
            "processgraphid": self.id, "initiatorid": self.initiator.0, "initiatorname": self.initiator.1,
            "colonyname": self.colony, "rootprocessids": self.roots, "state": self.state,
            "submissiontime": time(Some(self.submitted_at)), "starttime": time(self.started_at),
            "endtime": time(self.ended_at), "processids": processes, "nodes": [], "edges": [],
        })
    }

    pub(crate) fn set_state(&mut self, now: Timestamp, state: u8) {
        if self.state == WAITING && state == RUNNING {
            self.started_at = Some(now);
        } else if state > RUNNING {
            self.ended_at = Some(now);
        }
        self.state = state;
    }
}

/// A workflow that is to be submitted.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Workflow {
    #[serde(rename = "colonyname", default)]
    pub(crate) colony: String,
    #[serde(rename = "functionspecs", default, deserialize_with = "null_is_empty")]
    pub(crate) nodes: Vec<Spec>,
}
