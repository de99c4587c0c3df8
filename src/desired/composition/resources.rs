//! What an instance should be made of: the noun that the composition hands to the diff and to status.

use serde_json::{Map, Value};

use super::{DesiredChild, Readiness};
use crate::api::resource_definition::ObjectKind;

/// What an instance should be made of, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The resources in the order in which they are made.
    pub resources: Vec<DesiredResource>,
    /// What the definition says of the instance's status, as far as it can be told.
    pub status: Map<String, Value>,
    /// Fields of the status that cannot be told.
    pub unreported: Vec<Unreported>,
    /// Whether the instance has ended, by the definition's condition.
    pub is_finished: bool,
}

/// A field of the status that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreported {
    /// Its name.
    pub field: String,
    /// What is waited for.
    pub why: String,
    /// It could not be looked at: what was said before may well be true still.
    pub is_unknown: bool,
}

/// A resource of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredResource {
    /// Its id.
    pub id: String,
    /// The kind of its objects.
    pub kind: ObjectKind,
    /// Its objects.
    pub wanted: Wanted,
    /// Why none of them may be made yet; those that are there are kept right.
    pub held_back: Option<String>,
    /// How far it is.
    pub readiness: Readiness,
}

/// The objects of a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Exactly these.
    Objects(Vec<DesiredChild>),
    /// It cannot be told yet which: those that are there stay as they are. What is waited for.
    Unknown(String),
}

impl Desired {
    /// Whether everything is there and ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.resources.iter().all(|resource| resource.readiness == Readiness::Ready)
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
