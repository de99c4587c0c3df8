//! What the operator reads from the metadata of a blueprint. Pure.

use kube::api::ObjectMeta;

use super::{
    executor_deployment::Runtime,
    names::{
        BLUEPRINT_NAMESPACE_ANNOTATION, BLUEPRINT_ORIGIN_ANNOTATION, SUBMITTED_AS_ANNOTATION, blueprint_id,
        parse_submitted_as,
    },
};
use crate::colony::model::{Blueprint, BlueprintMetadata};

/// The namespace in which a blueprint asks to be kept, by annotation or, easier to set with the colony's tools, by label.
#[must_use]
pub fn namespace_of(metadata: &BlueprintMetadata) -> Option<&str> {
    let annotation = metadata.annotations.get(BLUEPRINT_NAMESPACE_ANNOTATION);
    annotation.or_else(|| metadata.labels.get(BLUEPRINT_NAMESPACE_ANNOTATION)).map(String::as_str)
}

/// Whether a blueprint was made for an object of the same kind, namespace and name in the same cluster. There is one such object at
/// a time, so that of another UID is gone, and `object` was restored from a backup or applied again.
#[must_use]
pub fn was_made_for_its_name(blueprint: &Blueprint, cluster: &str, kind: &str, object: &ObjectMeta) -> bool {
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let name = object.name.as_deref().unwrap_or_default();
    let said = blueprint.metadata.annotations.get(SUBMITTED_AS_ANNOTATION);
    let made_for = said.and_then(|said| parse_submitted_as(said, namespace, name));
    blueprint.kind == kind && made_for.is_some_and(|(of, _)| of == cluster)
}

/// Whether a blueprint is that of an instance.
#[must_use]
pub fn is_of_instance(blueprint: &Blueprint, cluster: &str, kind: &str, object: &ObjectMeta) -> bool {
    blueprint.id == blueprint_id(cluster, object.uid.as_deref().unwrap_or_default())
        || was_made_for_its_name(blueprint, cluster, kind, object)
}

/// Whether a blueprint mirrors an object of a cluster for a reconciler of another runtime, which may be at the location of this cluster.
#[must_use]
pub fn is_for_another_runtime(blueprint: &Blueprint) -> bool {
    let runtime = blueprint.spec.get("runtime").and_then(serde_json::Value::as_str);
    blueprint.metadata.annotations.contains_key(BLUEPRINT_ORIGIN_ANNOTATION)
        && runtime.is_some_and(|runtime| runtime != Runtime::Kubernetes.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::names::submitted_as;

    #[test]
    fn a_blueprint_is_taken_up_by_an_object_of_the_same_kind_namespace_and_name_only() {
        let mut blueprint = Blueprint { kind: "Gateway".to_owned(), ..Blueprint::default() };
        let object = ObjectMeta {
            name: Some("n".to_owned()),
            namespace: Some("ns".to_owned()),
            uid: Some("new".to_owned()),
            ..ObjectMeta::default()
        };
        assert!(!was_made_for_its_name(&blueprint, "c", "Gateway", &object), "one that a person added");
        for (cluster, namespace, name, kind, expected) in [
            ("c", "ns", "n", "Gateway", true),
            ("other", "ns", "n", "Gateway", false),
            ("c", "other", "n", "Gateway", false),
            ("c", "ns", "other", "Gateway", false),
            ("c", "ns", "n", "Other", false),
        ] {
            let said = submitted_as(cluster, "old", namespace, name);
            blueprint.metadata.annotations.insert(SUBMITTED_AS_ANNOTATION.to_owned(), said.clone());
            let is_its = was_made_for_its_name(&blueprint, "c", kind, &object);
            assert_eq!(is_its, expected, "{said} {kind}");
        }
    }
}
