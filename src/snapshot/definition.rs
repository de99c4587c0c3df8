//! What one pass knows of a `ResourceDefinition` and of all that it depends on.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::DeserializeGuard;
use serde_json::Value;

use super::Observed;
use crate::{
    api::{
        instance::Instance,
        mirror::UsedColony,
        resource_definition::{InstanceCounts, ObjectKind, ResourceDefinition, ResourceName, StoredObject},
    },
    colony::model::BlueprintDefinition,
};

/// An instance as a cache has it, readable or not.
pub type LiveInstance = Arc<DeserializeGuard<Instance>>;

/// What one pass knows of a `ResourceDefinition`.
#[derive(Clone, Debug)]
pub struct DefinitionSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ResourceDefinition,
    /// The CRD of that name, whatever its owner. Not read while rights are missing.
    pub crd: Observed<Option<CustomResourceDefinition>>,
    /// Until when a create of the CRD whose answer never came may still arrive; none where nothing is on its way.
    pub create_in_flight_until: Option<Timestamp>,
    /// Rights that the operator lacks, each such as `patch mlmodels.ml.example.com in namespace ml`.
    pub missing_rights: Observed<Vec<String>>,
    /// Admission policies that are to keep users of the kind from borrowing the operator's rights, and are not there.
    pub missing_policies: Observed<Vec<String>>,
    /// Groups of definitions for which it has them, this one not among them.
    pub granted_groups: Vec<String>,
    /// The operator's own namespace, for the line that grants rights.
    pub namespace: String,
    /// Instances as the watch of them shows them; none while nothing watches them, or not all are known.
    pub instances: Option<InstanceCounts>,
    /// The instances themselves, against which a new schema is held.
    pub live: Observed<Vec<LiveInstance>>,
    /// Objects that may be stored in another version than that of now, as far as it is time to write them again.
    pub stored: StoredObjects,
    /// Whether it is time to try those again that could not be written in the version of now.
    pub may_retry_stored: bool,
    /// Instances as the API server counts them; asked only while the definition is being deleted.
    pub left: Observed<RemainingInstances>,
    /// What instances are made of.
    pub composes: ComposedKinds,
    /// The handler of instances.
    pub handlers: Handlers,
    /// What the colony has of the kind, with handler mode `blueprint`; none if there is no `Colony`.
    pub in_colony: Option<ColonyKindState>,
    /// Where API servers have objects converted.
    pub endpoint: Observed<ConversionEndpoint>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}

/// Objects that may be stored in another version than that of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredObjects {
    NotAsked,
    /// The operator may not write those of other namespaces; the rights that it lacks.
    OutOfReach(Vec<String>),
    /// They could not be listed; why.
    Unknown(String),
    /// A part of the list of them.
    Page(StoredPage),
}

/// A part of the list of a kind's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPage {
    pub objects: Vec<StoredObject>,
    /// Whether the list begins with them.
    pub is_first: bool,
    /// Where it continues; absent at its end.
    pub next: Option<String>,
    /// How many follow, as the API server estimates.
    pub remaining: i32,
}

/// What instances are made of, with handler mode `compose`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComposedKinds {
    /// Everything of which objects are created for an instance, what its parts are made of included.
    pub resources: BTreeSet<ResourceName>,
    /// Whether objects of others may be taken over for an instance, or for its parts.
    pub adopts: bool,
    /// Kinds of its own parts that the cluster does not serve.
    pub unserved: BTreeSet<ObjectKind>,
    /// Kinds that could not be looked for; why.
    pub trouble: Option<String>,
    /// Resources of its own parts for which the operator lacks rights.
    pub missing: BTreeSet<ResourceName>,
    /// Kinds of its own parts that are defined too, with their schemas.
    pub defined: Vec<(ObjectKind, Value)>,
    /// The way by which an instance would be a part of itself, if there is one.
    pub circle: Option<String>,
}

/// What a colony has of a kind whose instances are blueprints.
#[derive(Clone, Debug, PartialEq)]
pub struct ColonyKindState {
    /// The `Colony`, and the colony itself.
    pub used: UsedColony,
    /// UID of this cluster's `kube-system` namespace: part of the id of what is made there.
    pub cluster: String,
    /// Its definitions that are of the kind, or have the name of this one.
    pub definitions: Observed<Vec<BlueprintDefinition>>,
    /// The number of blueprints of the kind, whatever their owner.
    pub blueprints: Observed<usize>,
    /// Until when an add of the definition whose answer never came may still arrive; none where nothing is on its way.
    pub add_in_flight_until: Option<Timestamp>,
}

/// Instances of a definition that is being deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemainingInstances {
    /// How many there are.
    pub total: usize,
    /// How many of them the operator holds by its finalizer, of those that were looked at.
    pub held: usize,
}

/// The handler of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handlers {
    /// Approved executors of the type, in the colony.
    Executors {
        /// How many.
        count: usize,
        /// Name of the `Colony`.
        colony: String,
    },
    /// The `Colony` of this name is still to be asked for the first time since the operator began.
    Unread(String),
    /// The colony cannot be asked, or there is none; why.
    Unknown(String),
    /// The mode needs none.
    None,
}

/// Where API servers have objects converted, and by whom its certificate is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversionEndpoint {
    pub address: ConversionAddress,
    /// Certificates of the authorities that sign its certificate, in PEM.
    pub authorities: Vec<u8>,
}

/// How API servers reach the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversionAddress {
    /// By a Service of the operator's namespace.
    Service { name: String, namespace: String },
    /// By an URL, without a path.
    Url(String),
}
