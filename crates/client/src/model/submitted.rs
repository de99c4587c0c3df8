//! A function spec as it comes back inside a process. Any member may have written it, so nothing is checked
//! here; what we submit ourselves is a [`FunctionSpec`](super::FunctionSpec).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Filesystem, null_is_empty};

/// Environment variables. `Debug` shows the names alone: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// What was asked for, as the server keeps it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct SubmittedSpec {
    /// The name of the node in a workflow; else empty.
    #[serde(rename = "nodename", default)]
    pub node_name: String,
    /// The function to run.
    #[serde(rename = "funcname", default)]
    pub function: String,
    /// Arguments by position.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub args: Vec<Value>,
    /// Arguments by name.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub kwargs: Map<String, Value>,
    /// From -50000 to 50000: each unit puts it one day ahead in the queue.
    #[serde(default)]
    pub priority: i64,
    /// Seconds it may wait; -1 for ever.
    #[serde(rename = "maxwaittime", default)]
    pub max_wait_seconds: i64,
    /// Seconds it may run; -1 for ever; 0 means that the server fails or requeues it as soon as it runs.
    #[serde(rename = "maxexectime", default)]
    pub max_exec_seconds: i64,
    /// How often it is run again after its time limit; -1 for ever.
    #[serde(rename = "maxretries", default)]
    pub max_retries: i64,
    /// Who may run it.
    #[serde(default)]
    pub conditions: SubmittedConditions,
    /// The one free field that the server can find processes by.
    #[serde(default)]
    pub label: String,
    /// Its environment.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub env: Environment,
    /// Files that the executor puts in place.
    #[serde(rename = "fs", default)]
    pub filesystem: Filesystem,
    /// Names of channels between submitter and executor.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub channels: Vec<String>,
}

/// Who may run a process, as the server keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SubmittedConditions {
    /// The colony.
    #[serde(rename = "colonyname", default)]
    pub colony: String,
    /// The type that an executor must have.
    #[serde(rename = "executortype", default)]
    pub executor_type: String,
    /// Names of executors; empty for any.
    #[serde(rename = "executornames", default, deserialize_with = "null_is_empty")]
    pub executor_names: Vec<String>,
    /// The location that an executor must be at; empty for any.
    #[serde(rename = "locationname", default)]
    pub location: String,
    /// Names of the nodes of the workflow that must have succeeded.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub dependencies: Vec<String>,
    /// Nodes it asks for.
    #[serde(default)]
    pub nodes: i64,
    /// CPU it asks for, as text.
    #[serde(default)]
    pub cpu: String,
    /// Memory it asks for, as text.
    #[serde(default)]
    pub mem: String,
}
