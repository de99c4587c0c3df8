//! Which object has a process of a colony: asked before another object takes it over. Reads caches only.

use serde_json::Value;

use super::work::WorkReader;
use crate::{
    api::{names::parse_process_label, resource_definition::ObjectKind},
    colony::Process,
    snapshot::Observed,
};

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

impl WorkReader {
    /// The object that has what another, with UID `uid`, is to adopt: the process or workflow of this id, whose
    /// processes are `found`. Their labels name the object that they were submitted for.
    pub(super) fn holder(
        &self,
        uid: &str,
        id: &str,
        found: &Observed<Vec<Process>>,
    ) -> Observed<Option<String>> {
        if let Some(holder) = self.holder_lookup.bound_to(id, uid) {
            return Observed::Known(Some(holder));
        }
        for process in found.known().into_iter().flatten() {
            let Some((cluster, owner, _)) = parse_process_label(&process.spec.label) else { continue };
            if cluster != self.cluster || owner == uid {
                continue;
            }
            match self.holder_lookup.with_uid(owner) {
                Observed::Known(None) => {}
                holder => return holder,
            }
            // Kinds of users come and go: while one is not reconciled, its objects are in no cache.
            if let Some(kind) = kind_of(process, owner).filter(|kind| !self.holder_lookup.knows(kind)) {
                return Observed::Unknown(format!(
                    "it was submitted for a {kind}, a kind that is not reconciled"
                ));
            }
        }
        Observed::Known(None)
    }
}

/// The kind of the object with UID `owner`, if a process was given that object as its arguments.
fn kind_of(process: &Process, owner: &str) -> Option<ObjectKind> {
    let arguments = &process.spec.kwargs;
    let is_given = arguments.get("metadata")?.get("uid").and_then(Value::as_str) == Some(owner);
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    is_given.then_some(())?;
    Some(ObjectKind::new(text("apiVersion")?, text("kind")?))
}
