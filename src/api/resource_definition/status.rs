//! What the operator says of a kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most resources of which the operator creates objects for an instance: each asks for a right of whoever creates it, and an
/// admission policy may ask for 28.
pub const MOST_COMPOSED: usize = 24;

/// What the operator says of a kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDefinitionStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Generation of the spec by which instances are carried out: the last that could be. A later one that cannot be leaves
    /// them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_generation: Option<i64>,
    /// With handler mode `compose`: resources of which the operator creates objects for an instance, those that its parts are
    /// made of in turn included. Whoever creates an instance must be allowed to create them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MOST_COMPOSED))]
    pub composes: Option<Vec<ResourceName>>,
    /// How many instances there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<InstanceCounts>,
    /// What holds, why, and what to do.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A resource of the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceName {
    /// Its API group; empty for the core group.
    pub group: String,
    /// Its name in addresses, such as `deployments`.
    pub resource: String,
}

/// How many instances there are. Looked at a few seconds after they change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceCounts {
    /// All of them.
    pub total: i32,
    /// Those with condition Ready.
    pub ready: i32,
    /// Those with condition Degraded.
    pub degraded: i32,
}
