//! Which object has a process of a colony: asked before another object takes it over. Reads caches only.

use crate::{api::resource_definition::ObjectKind, snapshot::Observed};

/// Knows the objects of all mirrored kinds.
pub trait HolderLookup: Send + Sync {
    /// Kind, namespace and name of the object that has a UID; none if there is no such object.
    fn with_uid(&self, uid: &str) -> Observed<Option<String>>;

    /// Kind, namespace and name of an object that is bound to a process or workflow, but for the one with UID `but`. One that only
    /// looks counts as well: it can come to do more at any time.
    fn bound_to(&self, id: &str, but: &str) -> Option<String>;

    /// Whether all objects of a kind are known.
    fn knows(&self, kind: &ObjectKind) -> bool;
}
