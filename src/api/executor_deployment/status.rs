//! The observed state of a fleet of executors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workload;
use crate::api::mirror::{MirrorStatus, UsedColony};

/// The observed state of a fleet of executors.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorDeploymentStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The colony in which its executors, its process and its blueprint are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<UsedColony>,
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
    /// The Job that ran the current spec to its end. It is not run again, whatever becomes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_job: Option<FinishedJob>,
    /// The executor as which the pods serve the colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorStatus>,
    /// The executors of the pods, where each pod is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executors: Option<ExecutorsStatus>,
    /// The process of a generation of this object in the colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// The blueprint in the colony that mirrors this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<BlueprintStatus>,
    /// What the reconciler of another runtime reports of the executors, of at most 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceStatus>,
    /// The process that last requested a restart of the executors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_for: Option<String>,
    /// The latest observations of its state.
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

/// A Job that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinishedJob {
    /// Its UID; empty if it ran before the object was restored from a backup.
    pub uid: String,
    /// The generation that it ended in.
    pub generation: i64,
    /// Hash of what the spec asked to be run.
    pub run: String,
    /// How many executors it was to run.
    pub replicas: i32,
    /// How many of them succeeded.
    pub succeeded: i32,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<JobFailure>,
}

/// Why a Job failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobFailure {
    /// The reason that it gave.
    pub reason: String,
    /// The message that it gave.
    pub message: String,
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
    /// Hash of the environment in its Secret, without the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_hash: Option<String>,
}

/// A replica of another runtime, as its reconciler reports it in the colony.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Its name, which is that of its executor.
    pub name: String,
    /// What it is: `container` or `process`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How its machine identifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The executors of a fleet in which each pod is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorsStatus {
    /// How many pods have an executor that the colony knows and has approved.
    pub registered: i32,
    /// How many pods wait for their executor to be registered.
    pub waiting: i32,
    /// How many executors are still in the colony although their pods have gone.
    pub leaving: i32,
    /// How many of the registered have run a process for some seconds. Pods that are to go are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<i32>,
    /// How many of the registered run nothing, or have only just begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<i32>,
    /// How many pods are to go, and run something first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub draining: i32,
    /// What they run: ten at most, those first that are to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<PodProcess>,
}

impl ExecutorsStatus {
    /// Whether there are none, neither here nor in the colony.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.registered == 0 && self.waiting == 0 && self.leaving == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
const fn is_zero(count: &i32) -> bool {
    *count == 0
}

/// A process that the executor of a pod runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodProcess {
    /// Name of the pod.
    pub pod: String,
    /// Id of the process.
    pub process: String,
    /// Whether the pod goes when the process has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

/// A blueprint in the colony that mirrors an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintStatus {
    /// Its name.
    pub name: String,
    /// Its generation when both sides were last equal.
    pub generation: i64,
    /// Hash of the spec about which both sides last agreed: a side that differs from it was edited. Empty while only
    /// the intent to add the blueprint is recorded.
    pub agreed: String,
    /// The last edit that was replaced by the owner's, until the owner edits again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<String>,
}
