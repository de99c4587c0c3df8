//! What the operator says of a process.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ColonyProcess;
use crate::api::{
    function::any_list,
    mirror::{MirrorStatus, Mirrored},
    work::{StopReason, WorkState},
};

/// What the operator says of a process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColonyProcessStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkState>,
    /// Id of the process of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// The executor that has, or had, it: its name, or its id if the colony does not say its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// How often it was submitted, or was to be. One that was adopted counts.
    #[serde(default)]
    pub attempts: i64,
    /// How many of them failed.
    #[serde(default)]
    pub failed_attempts: i32,
    /// How often the server put the process of this attempt back into the queue after its time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// Since when it is being worked on; the deadline counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// When the process was last assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended: the attempt, while it is to be repeated, else the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What its executor put out, if that fits; `colonyos-operator process` shows all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub output: Vec<Value>,
    /// Whether there is more output than stands here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_truncated: bool,
    /// Why it failed, cut to fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Why what was submitted is being ended by the operator. It stands here before anything is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopReason>,
    /// The process of the last attempt, as the protocol knows it; `generation` is the number of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// What holds, why, and what to do.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl Mirrored for ColonyProcess {
    fn mirror(&self) -> Option<&MirrorStatus> {
        self.status.as_ref()?.mirror.as_ref()
    }
}
