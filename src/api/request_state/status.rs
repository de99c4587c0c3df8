//! What is known of a request besides where it is: the way it came.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way that a request has come, and whether it is at its end.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestStateStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
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
    /// `Finished` is true once nothing more will happen, `Succeeded` if every job of the flow was done. For `kubectl wait`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
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
