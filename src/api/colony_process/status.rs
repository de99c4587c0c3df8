//! The observed state of a process.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{
    function::any_list,
    mirror::{MirrorStatus, UsedColony},
    work::{StopReason, WorkState},
};

/// The observed state of a process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColonyProcessStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The colony in which its processes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<UsedColony>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkState>,
    /// Id of the process of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// The executor that it is or was assigned to: its name, or its id if the colony does not report its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// The number of attempts. An adopted process counts as one.
    #[serde(default)]
    pub attempts: i64,
    /// How many of them failed.
    #[serde(default)]
    pub failed_attempts: i32,
    /// How often the server put the process of this attempt back into the queue after its time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// When work on it started; the deadline counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// When the process was last assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended. While it is retried, when the last attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// The output of its executor, if it fits; `colonyos-operator process` shows all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub output: Vec<Value>,
    /// Whether the output is incomplete here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_truncated: bool,
    /// Why it failed, truncated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Why the operator cancels what was submitted. It is recorded before anything is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopReason>,
    /// The process of the last attempt, as the protocol knows it; `generation` is the number of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// The latest observations of its state.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
