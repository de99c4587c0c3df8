//! What the operator says of a fleet of executors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workload;

/// What the operator says of a fleet of executors.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorDeploymentStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The whole in one word: the reason of condition Ready, or `Ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How many executors there should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
    /// How many executor pods there are.
    #[serde(default)]
    pub replicas: i32,
    /// How many of them are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Label selector of the executor pods, for `kubectl get pods -l` and for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The object that runs the executors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadReference>,
    /// The executor as which the pods serve the colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorStatus>,
    /// The process that carries a generation of this object in the colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// The blueprint in the colony that says the same as this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<BlueprintStatus>,
    /// The process that last asked for the executors to be started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_for: Option<String>,
    /// What holds, why, and what to do.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The object that runs the executors.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadReference {
    /// Its kind.
    pub kind: Workload,
    /// Its name.
    pub name: String,
}

/// An executor in the colony.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorStatus {
    /// Its name in the colony.
    pub name: String,
    /// Its id there, derived from its key.
    pub id: String,
    /// Whether the colony knows and has approved it.
    pub registered: bool,
}

/// The process that carries a generation of an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MirrorStatus {
    /// Label of the process: `k8s:<cluster>/<uid>/<generation>`.
    pub label: String,
    /// The generation that it carries.
    pub generation: i64,
    /// Its id; absent while only the intent is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// Its state.
    pub state: MirrorState,
    /// When the intent to submit it was recorded.
    pub intended_at: Time,
    /// When the server took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<Time>,
    /// Why it failed: its errors, cut to fit. `colonyos-operator process` shows all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
}

/// A blueprint in the colony that says the same as an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintStatus {
    /// Its name.
    pub name: String,
    /// Its generation when both sides last said the same.
    pub generation: i64,
    /// Hash of the spec about which both sides last agreed: whoever differs from it has been edited. Empty while only the
    /// intent to add the blueprint is recorded.
    pub agreed: String,
    /// The last edit that was replaced by the owner's, until the owner edits again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<String>,
}

/// State of a mirrored process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum MirrorState {
    /// The intent to submit is recorded; nothing is known on the server.
    Intended,
    /// Waits for an executor.
    Waiting,
    /// Assigned to an executor.
    Running,
    /// Closed as successful.
    Successful,
    /// Closed as failed, or out of time.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Bound, but no longer on the server. It is not submitted again.
    Lost,
}

impl MirrorState {
    /// The name as it stands in status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "Intended",
            Self::Waiting => "Waiting",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Lost => "Lost",
        }
    }

    /// Whether the process can still change by itself.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}
