//! What one pass knows of an instance that is made of other objects, and of those objects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{Observed, PartTrouble};
use crate::api::{
    instance::{Instance, InstanceKind},
    resource_definition::ObjectKind,
};

/// What there is of an instance, by kind: its own objects, and strangers that have a name of one of them. A kind that is
/// not in it has none.
pub type Children = BTreeMap<ObjectKind, Observed<Vec<Value>>>;

/// What one pass knows of an instance that is made of other objects.
#[derive(Clone, Debug)]
pub struct CompositionSnapshot {
    /// The instance as applied, with the status that was last written.
    pub object: Instance,
    /// Its kind, and what its instances are made of.
    pub kind: InstanceKind,
    /// The objects that it is made of.
    pub children: Children,
    /// Kinds that the cluster does not serve, and thus has no objects of.
    pub unserved: BTreeSet<ObjectKind>,
    /// Kinds whose objects report readiness by a condition `Ready`.
    pub kinds_with_readiness: BTreeSet<ObjectKind>,
    /// How many of its workloads have not all of their pods ready.
    pub unready_workloads: usize,
    /// What keeps pods of them from running, by the name of the workload.
    pub troubles: Vec<PartTrouble>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}
