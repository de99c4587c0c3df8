//! Blueprints and their definitions as they are kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use colonyos_client::model::{BlueprintDefinition, null_is_empty};

use crate::answer::time;

/// Both, and what blueprints have been, in the order in which they were added. They outlive their colony.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlueprintStore {
    pub(crate) definitions: Vec<BlueprintDefinition>,
    pub(crate) blueprints: Vec<Document>,
    /// Entries as they are shown.
    pub(crate) history: Vec<Value>,
}

/// A blueprint with the fields that the real server knows; others are lost when it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    pub(crate) blueprintid: String,
    pub(crate) kind: String,
    pub(crate) metadata: Metadata,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) spec: Map<String, Value>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Map::is_empty")]
    pub(crate) status: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) colonyname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) locationname: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Map::is_empty")]
    pub(crate) labels: Map<String, Value>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Map::is_empty")]
    pub(crate) annotations: Map<String, Value>,
    pub(crate) generation: i64,
    #[serde(rename = "createdAt")]
    pub(crate) created_at: Value,
    #[serde(rename = "updatedAt")]
    pub(crate) updated_at: Value,
    #[serde(rename = "lastReconciliationProcess", skip_serializing_if = "String::is_empty")]
    pub(crate) last_process: String,
    #[serde(rename = "lastReconciliationTime")]
    pub(crate) last_time: Value,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            name: String::new(),
            colonyname: String::new(),
            locationname: String::new(),
            labels: Map::new(),
            annotations: Map::new(),
            generation: 0,
            created_at: time(None),
            updated_at: time(None),
            last_process: String::new(),
            last_time: time(None),
        }
    }
}

impl Document {
    pub(crate) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    pub(crate) fn revision(&self, now: Timestamp, id: &str, caller: &str, change: &str) -> Value {
        json!({
            "historyid": id, "blueprintid": self.blueprintid, "kind": self.kind,
            "namespace": self.metadata.colonyname, "name": self.metadata.name,
            "generation": self.metadata.generation, "spec": self.spec, "status": self.status,
            "timestamp": time(Some(now)), "changedby": caller, "changetype": change,
        })
    }

    /// One cron for a kind at a location.
    pub(crate) fn cron_name(&self) -> String {
        let location = &self.metadata.locationname;
        let location = if location.is_empty() { String::new() } else { format!("-{location}") };
        format!("reconcile-{}{location}", self.kind)
    }
}
