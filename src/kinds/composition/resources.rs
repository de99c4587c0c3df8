//! What an instance should be made of: the noun that the composition hands to the diff and to status.

use serde_json::{Map, Value};

use super::{DesiredChild, Policies, Readiness};
use crate::{
    api::resource_definition::ObjectKind,
    snapshot::{Children, Observed},
};

/// What an instance should be made of, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The resources in the order in which they are made.
    pub resources: Vec<DesiredResource>,
    /// The status of the instance, as far as it is known.
    pub status: Map<String, Value>,
    /// Fields of the status that are unknown.
    pub unreported: Vec<Unreported>,
    /// Whether the instance has ended, by the definition's condition.
    pub is_finished: bool,
}

/// A field of the status that is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreported {
    /// Its name.
    pub field: String,
    /// What is waited for.
    pub why: String,
    /// It could not be looked at: the previous value may still be valid.
    pub is_unknown: bool,
}

/// A resource of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredResource {
    pub id: String,
    pub kind: ObjectKind,
    /// Its objects.
    pub wanted: Wanted,
    /// Why none of them may be made yet; those that are there are kept right.
    pub held_back: Option<String>,
    /// How far it is.
    pub readiness: Readiness,
    /// What may be done about its objects.
    pub policies: Policies,
}

/// The objects of a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Exactly these.
    Objects(Vec<DesiredChild>),
    /// It is not known yet which: those that are there stay as they are. What is waited for.
    Unknown(String),
}

impl Desired {
    /// Whether everything is there and ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.resources.iter().all(|resource| resource.readiness == Readiness::Ready)
    }

    /// The objects, by kind and name, that matter whatever their owner and were not read yet.
    #[must_use]
    pub fn unseen(&self, children: &Children) -> Vec<(ObjectKind, String)> {
        let about_others =
            self.resources.iter().filter(|resource| resource.policies.references_foreign_objects());
        let objects = about_others.filter_map(|resource| match &resource.wanted {
            Wanted::Objects(objects) => Some(objects),
            Wanted::Unknown(_) => None,
        });
        let is_unseen = |object: &&DesiredChild| match children.get(&object.kind).map(Observed::known) {
            Some(Some(found)) => !found
                .iter()
                .any(|found| found.pointer("/metadata/name").and_then(Value::as_str) == Some(&object.name)),
            Some(None) => false,
            None => true,
        };
        objects.flatten().filter(is_unseen).map(|object| (object.kind.clone(), object.name.clone())).collect()
    }

    /// How many objects there should be, as far as it is known.
    #[must_use]
    pub fn count(&self) -> usize {
        let count = |resource: &DesiredResource| match &resource.wanted {
            Wanted::Objects(objects) => objects.len(),
            Wanted::Unknown(_) => 0,
        };
        self.resources.iter().map(count).sum()
    }
}
