//! How an instance adopts an object without a controller, and how it orphans it. Pure.

use serde_json::{Map, Value, json};

use super::object::{annotation, name_of, text, uid_of};
use crate::{
    api::{
        names::{APP_MANAGED_BY_LABEL, CONTENT_HASH_ANNOTATION, INSTANCE_LABEL, RESOURCE_LABEL},
        policy::DriftPolicy,
        resource_definition::ObjectKind,
    },
    diff::KubernetesStep,
    kinds::composition::{DesiredChild, Instance, Policies},
};

/// Takes an object over, unless it has changed since it was seen: another owner may have adopted it. Nothing but its
/// metadata is written.
pub(super) fn adopt(
    policies: &Policies,
    wanted: &DesiredChild,
    found: &Value,
    instance: &Instance,
) -> KubernetesStep {
    let mut owners = references(found);
    owners.push(serde_json::to_value(instance.reference()).unwrap_or_default());
    let labels = [APP_MANAGED_BY_LABEL, INSTANCE_LABEL, RESOURCE_LABEL].map(|label| {
        let value = wanted.object.pointer("/metadata/labels").and_then(|labels| labels.get(label));
        (label.to_owned(), value.cloned().unwrap_or_default())
    });
    let mut metadata = json!({
        "uid": uid_of(found),
        "resourceVersion": text(found, "/metadata/resourceVersion"),
        "ownerReferences": owners,
        "labels": Map::from_iter(labels),
    });
    if policies.drift == DriftPolicy::DetectOnly {
        // What it is like now is drift from the start: without the hash all of it would be written.
        let hash = annotation(&wanted.object, CONTENT_HASH_ANNOTATION);
        metadata["annotations"] = json!({ (CONTENT_HASH_ANNOTATION): hash });
    }
    KubernetesStep::AdoptChild {
        kind: wanted.kind.clone(),
        name: wanted.name.clone(),
        patch: Map::from_iter([("metadata".to_owned(), metadata)]),
    }
}

/// Orphans an object that must stay when its instance is deleted: without its reference the garbage collector leaves
/// it.
pub(super) fn orphan_child(kind: &ObjectKind, object: &Value, instance: &Instance) -> KubernetesStep {
    let mut others = references(object);
    others.retain(|reference| text(reference, "/uid") != instance.uid);
    let metadata = json!({ "uid": uid_of(object), "ownerReferences": others });
    KubernetesStep::PatchChild {
        kind: kind.clone(),
        name: name_of(object).to_owned(),
        patch: Map::from_iter([("metadata".to_owned(), metadata)]),
        differences: vec!["metadata.ownerReferences".to_owned()],
    }
}

fn references(object: &Value) -> Vec<Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).cloned().unwrap_or_default()
}
