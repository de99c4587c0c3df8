//! Which object has a process of a colony: asked before another object takes it over. Reads caches only.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::{api::resource_definition::ObjectKind, snapshot::Observed};

/// An object that is bound to a process or workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Kind, namespace and name.
    pub name: String,
    pub uid: String,
    pub created_at: Option<Time>,
    /// Whether it is being deleted.
    pub is_leaving: bool,
}

impl Holder {
    /// What an object with this metadata is, as `name`.
    #[must_use]
    pub fn new(name: String, metadata: &ObjectMeta) -> Self {
        Self {
            name,
            uid: metadata.uid.clone().unwrap_or_default(),
            created_at: metadata.creation_timestamp.clone(),
            is_leaving: metadata.deletion_timestamp.is_some(),
        }
    }

    /// Of several that are bound to one process, the oldest keeps it.
    #[must_use]
    pub fn precedes(&self, other: &Self) -> bool {
        let rank = |holder: &Self| (holder.created_at.as_ref().map(|time| time.0), holder.uid.clone());
        rank(self) < rank(other)
    }
}

/// Knows the objects of all mirrored kinds.
pub trait HolderLookup: Send + Sync {
    /// Kind, namespace and name of the object that has a UID; none if there is no such object.
    fn with_uid(&self, uid: &str) -> Observed<Option<String>>;

    /// The objects that are bound to a process or workflow, but for the one with UID `but`. One that only looks counts as well: it
    /// can come to do more at any time.
    fn bound_to(&self, id: &str, but: &str) -> Vec<Holder>;

    /// Has an object looked at.
    fn wake(&self, uid: &str);

    /// Whether all objects of a kind are known.
    fn knows(&self, kind: &ObjectKind) -> bool;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Two that both yield, or both keep, would never come to rest.
    #[test]
    fn exactly_one_of_two_keeps_what_both_are_bound_to() {
        let holder = |created: &str, uid: &str| {
            let metadata = json!({ "uid": uid, "creationTimestamp": created });
            Holder::new(String::new(), &serde_json::from_value(metadata).unwrap())
        };
        let (early, late) = ("2026-11-26T10:00:00Z", "2026-11-26T10:00:01Z");
        assert!(holder(early, "b").precedes(&holder(late, "a")), "the older");
        assert!(!holder(late, "a").precedes(&holder(early, "b")));
        assert!(holder(early, "a").precedes(&holder(early, "b")), "the UID, within one second");
        assert!(!holder(early, "b").precedes(&holder(early, "a")));
    }
}
