//! A cron as it is kept.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::process::deadline;
use crate::answer::time;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CronRecord {
    #[serde(skip)]
    pub(crate) id: String,
    #[serde(rename = "colonyname")]
    pub(crate) colony: String,
    pub(crate) name: String,
    #[serde(rename = "cronexpression")]
    pub(crate) expression: String,
    pub(crate) interval: i64,
    pub(crate) random: bool,
    #[serde(rename = "workflowspec")]
    pub(crate) workflow: String,
    #[serde(rename = "waitforprevprocessgraph")]
    pub(crate) waits_for_previous: bool,
    #[serde(skip)]
    pub(crate) initiator: (String, String),
    #[serde(skip)]
    pub(crate) next_run_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) last_run_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) previous: String,
}

impl CronRecord {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "cronid": self.id, "initiatorid": self.initiator.0, "initiatorname": self.initiator.1,
            "colonyname": self.colony, "name": self.name, "cronexpression": self.expression,
            "interval": self.interval, "random": self.random, "nextrun": time(self.next_run_at),
            "lastrun": time(self.last_run_at), "workflowspec": self.workflow,
            "prevprocessgraphid": self.previous, "waitforprevprocessgraph": self.waits_for_previous,
            "checkerperiod": 1000,
        })
    }

    pub(crate) fn next_run(&self, now: Timestamp) -> Option<Timestamp> {
        deadline(now, self.interval)
    }
}
