//! What is known of a request besides where it is: the way it came.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{
    function::any_list,
    mirror::{MirrorStatus, UsedColony},
};

/// The way that a request has come, and whether it is at its end.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestStateStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The colony in which its jobs are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<UsedColony>,
    /// Which of the flow's jobs the request is at, such as `1/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// One entry for each state that the request has entered, in order. Bounded; the newest are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// How many older entries were left out of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_dropped: Option<i64>,
    /// Where the entries that were left out can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_rest: Option<String>,
    /// What came of each job that the operator has had done, by name; of one that was done more than once, the last time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub jobs: Vec<JobStatus>,
    /// The process in the colony that does the job; `generation` is that of the object when the job was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// `Finished` is true once nothing more will happen, `Succeeded` if every job of the flow was done. For `kubectl wait`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// How often it was done, or is being done.
    pub attempts: i64,
    /// How many of them failed.
    #[serde(default)]
    pub failed: i64,
    /// Id of the process of the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// The executor that had it: its name, or its id if the colony does not report its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// When the process was assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What it put out, if that fits; `colonyos-operator process` shows all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub output: Vec<Value>,
    /// Whether the output is incomplete here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_truncated: bool,
}

/// A state that a request has entered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The job.
    pub job: String,
    /// The state; programs of others may write words of their own.
    pub state: String,
    /// When the state was entered, in RFC 3339. Programs of others may write another form.
    pub timestamp: String,
    /// Why, in one word; for a job that has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened, for a person; for a job that has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
