//! The observed state of a kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::mirror::UsedColony;

use super::migration::{BrokenInstance, NAMED_INSTANCES, StorageMigration};

/// Most resources of which the operator creates objects for an instance: the creator of an instance needs permission
/// for each, and an admission policy can check at most 28.
pub const MOST_COMPOSED: usize = 24;

/// Most generations that are remembered.
pub const REVISION_HISTORY_LIMIT: usize = 10;
/// The observed state of a kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDefinitionStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The generation of the spec that instances follow: the last that could be. A later one that cannot be leaves
    /// them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_generation: Option<i64>,
    /// With handler mode `blueprint`: the colony that has the definition, in which new instances become blueprints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<UsedColony>,
    /// With handler mode `compose`: resources of which the operator creates objects for an instance, those that its
    /// parts are made of in turn included. The creator of an instance must be allowed to create them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MOST_COMPOSED))]
    pub composes: Option<Vec<ResourceName>>,
    /// With handler mode `compose`: whether objects of others may be taken over for an instance, by its parts included. The creator
    /// of an instance must be allowed to delete what `composes` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopts: Option<bool>,
    /// What the spec would break, while this blocks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// The last 10 accepted generations, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = REVISION_HISTORY_LIMIT))]
    pub revisions: Vec<Revision>,
    /// How far the last migration of objects to another stored version is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_migration: Option<StorageMigration>,
    /// How many instances there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<InstanceCounts>,
    /// The latest observations of its state.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What a change of the schema would break.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// Stands for the spec and for what it would break: the change is applied regardless if annotation
    /// `colonies.io/accept-impact` has this value, unless an instance could not be converted.
    pub hash: String,
    /// How many instances would not fit the schema, would lose a field, or cannot be checked.
    pub breaking: i32,
    /// The first of them, 10 at most.
    #[schemars(length(max = NAMED_INSTANCES))]
    pub instances: Vec<BrokenInstance>,
    /// How many instances were checked.
    pub checked: i32,
}

/// An accepted generation of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// The generation of the definition.
    pub generation: i64,
    /// Hash of names, versions with their schemas, and handler: two revisions with the same are the same.
    pub hash: String,
    /// When it was first accepted.
    pub carried_out_at: Time,
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
