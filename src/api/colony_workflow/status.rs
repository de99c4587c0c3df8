//! The observed state of a workflow.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{
    function::any_list,
    mirror::{MirrorStatus, UsedColony},
    work::{StopReason, WorkState},
};

/// The observed state of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColonyWorkflowStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The colony in which its processes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<UsedColony>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkState>,
    /// Id of the workflow on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_id: Option<String>,
    /// The number of nodes that succeeded, of all nodes, such as `2/5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The number of attempts: one, and another each time it is resumed after `suspend`.
    #[serde(default)]
    pub attempts: i64,
    /// The state of each node, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub nodes: Vec<NodeStatus>,
    /// Whether the output of a final node exceeds what is recorded here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_truncated: bool,
    /// When work on it started; the deadline counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// When the first node was assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Why the operator cancels what was submitted. It is recorded before anything is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopReason>,
    /// The workflow of the last attempt, as the protocol knows it: `processId` is the id of the workflow, `generation` the
    /// number of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// The latest observations of its state.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The state of a node.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Where it stands. A node that succeeded before another failed stays successful here, although the server then
    /// reports all nodes of the workflow as failed.
    pub state: WorkState,
    /// Id of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// The executor that it is or was assigned to: its name, or its id if the colony does not report its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// While it waits: for which nodes, or for which executor and what keeps it from being taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When it was last assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Why it failed, truncated. Absent in those that were failed by the server since another one had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Its output, if no node depends on it and the output fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub output: Vec<Value>,
}

impl NodeStatus {
    /// A node of which nothing is known yet.
    #[must_use]
    pub const fn pending(name: String) -> Self {
        Self {
            name,
            state: WorkState::Pending,
            process_id: None,
            executor: None,
            waits_for: None,
            start_time: None,
            completion_time: None,
            errors: Vec::new(),
            output: Vec::new(),
        }
    }
}
