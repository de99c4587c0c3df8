//! What the operator knows of a colony.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw of the colony.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColonyStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerStatus>,
    /// Processes of the whole colony that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<ProcessCounts>,
    /// Executors of the whole colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executors: Option<ExecutorCounts>,
    /// Name of the executor as which the operator serves the colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_executor: Option<String>,
    /// Id of the member as which the operator was last connected: a colony that does not know it any more was emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// When it was first seen that the colony has forgotten the operator or is another, until a user accepts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_at: Option<Time>,
    /// Whether the connection works, and what to do if not.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The colony's server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Version that the server reports.
    pub version: String,
}

/// Processes that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessCounts {
    /// Waiting for an executor.
    pub waiting: i64,
    /// Assigned to an executor.
    pub running: i64,
}

/// Executors of a colony.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorCounts {
    /// Approved executors.
    pub registered: i64,
    /// Executors that run a process; absent while more run than the server lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<i64>,
}
