//! Kinds that users define, by the names that kubectl knows, for commands that are about the processes of objects.

use kube::{Api, api::ListParams, core::ApiResource};

use super::Failure;
use crate::{
    api::{
        kind::Kind,
        names::INSTANCE_LABEL,
        resource_definition::{HandlerMode, ObjectKind, ResourceDefinition},
    },
    runtime::kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
};

/// The definition of a kind that is called `kind`: by its kind, plural, singular or a short name, alone or with its group. None if
/// the user may not list definitions.
///
/// # Errors
///
/// When there is none, or several; which there are.
pub(super) async fn find(kubernetes: &Kubernetes, kind: &str) -> Result<Option<ResourceDefinition>, Failure> {
    let api = Api::<ResourceDefinition>::all(kubernetes.calls.clone());
    match call(CALL_TIME_LIMIT, api.list(&ListParams::default())).await {
        Ok(list) => Ok(Some(choose(list.items, kind)?)),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error.explain("list ResourceDefinitions").into()),
    }
}

fn choose(definitions: Vec<ResourceDefinition>, wanted: &str) -> Result<ResourceDefinition, String> {
    let wanted = wanted.to_lowercase();
    let (name, group) = match wanted.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (wanted.as_str(), None),
    };
    let is_called = |definition: &ResourceDefinition| {
        let spec = &definition.spec;
        let names = &spec.names;
        let is_of_group = group.is_none_or(|group| {
            // As kubectl has it, the version may stand before the group.
            let versioned = group
                .split_once('.')
                .filter(|(version, _)| spec.versions.iter().any(|known| known.name == *version));
            group == spec.group || versioned.is_some_and(|(_, group)| group == spec.group)
        });
        let is_named = names.plural == name
            || names.kind.to_lowercase() == name
            || names.singular.as_deref() == Some(name)
            || names.short_names.iter().any(|short| short == name);
        is_of_group && is_named
    };
    let known: Vec<String> = definitions.iter().map(full_name).collect();
    let mut found: Vec<ResourceDefinition> = definitions.into_iter().filter(is_called).collect();
    match (found.pop(), found.as_slice()) {
        (Some(one), []) => Ok(one),
        (Some(one), others) => {
            let mut all: Vec<String> = others.iter().chain([&one]).map(full_name).collect();
            all.sort();
            Err(format!("{wanted:?} is the name of several kinds: give one of {}, and /NAME", all.join(", ")))
        }
        (None, _) => {
            let own = carried_by_processes().collect::<Vec<_>>().join(", ");
            let defined = match known.as_slice() {
                [] => String::new(),
                known => format!("; or an object of a kind that is defined here: {}", known.join(", ")),
            };
            Err(format!("{wanted:?} is no kind that is carried by a process: give one of {own}{defined}"))
        }
    }
}

/// Objects of the operator's own kinds that processes carry, as a command takes them.
pub(super) fn carried_by_processes() -> impl Iterator<Item = String> {
    let carried = |kind: &Kind| kind.info().process_condition.is_some();
    let kinds = Kind::own().map(|(kind, _)| kind).filter(carried);
    kinds.map(|kind| format!("{}/NAME", kind.name().to_lowercase()))
}

fn full_name(definition: &ResourceDefinition) -> String {
    format!("{}.{}", definition.spec.names.plural, definition.spec.group)
}

/// Whether instances have processes.
///
/// # Errors
///
/// When they have none; what they are made of instead, and where to look.
pub(super) fn carried(definition: &ResourceDefinition, namespace: &str, name: &str) -> Result<(), String> {
    let handler = &definition.spec.handler;
    let kind = &definition.spec.names.kind;
    match handler.mode {
        HandlerMode::Process => Ok(()),
        HandlerMode::Blueprint => {
            Err(format!("{kind} {name} is mirrored as a blueprint: see colonies blueprint ls"))
        }
        HandlerMode::Compose => {
            Err(composed(kind, namespace, name, &handler.makes().into_iter().collect::<Vec<_>>()))
        }
    }
}

/// That an instance has no process but is made of others, and where to look.
pub(super) fn composed(kind: &str, namespace: &str, name: &str, made: &[ObjectKind]) -> String {
    let kinds: Vec<String> = made.iter().map(ToString::to_string).collect();
    let resources: Vec<String> = made.iter().map(resource).collect();
    format!(
        "{kind} {name} has no process: it is composed of {}: kubectl get -n {namespace} -l {INSTANCE_LABEL}={name} {}",
        kinds.join(", "),
        resources.join(",")
    )
}

/// A kind as kubectl accepts it, with its group to distinguish it from others of its name.
fn resource(kind: &ObjectKind) -> String {
    let name = kind.kind.to_lowercase();
    match kind.group() {
        "" => name,
        group => format!("{name}.{}.{group}", kind.version()),
    }
}

/// Where the API server has the instances of a kind.
pub(super) fn resource_of(definition: &ResourceDefinition) -> Option<ApiResource> {
    let spec = &definition.spec;
    let version = spec.versions.iter().find(|version| version.storage)?;
    Some(ApiResource {
        group: spec.group.clone(),
        version: version.name.clone(),
        api_version: format!("{}/{}", spec.group, version.name),
        kind: spec.names.kind.clone(),
        plural: spec.names.plural.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn definition(plural: &str, group: &str, handler: &Value) -> ResourceDefinition {
        serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": { "kind": "MLModel", "plural": plural, "shortNames": ["mlm"] },
                "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }],
                "handler": handler,
            },
        }))
        .unwrap()
    }

    fn process() -> Value {
        json!({ "mode": "process", "executorType": "t", "functionName": "f" })
    }

    /// The arguments are the same as for kubectl.
    #[test]
    fn a_kind_is_found_by_every_name_that_kubectl_takes() {
        let one = || vec![definition("mlmodels", "ml.example.com", &process())];
        for name in [
            "mlmodel",
            "mlmodels",
            "MLModel",
            "mlm",
            "mlmodels.ml.example.com",
            "mlmodel.ml.example.com",
            "mlmodels.v1.ml.example.com",
        ] {
            assert_eq!(full_name(&choose(one(), name).unwrap()), "mlmodels.ml.example.com", "{name}");
        }
        for name in ["mlmodels.ml.example", "models", "mlmodels.v2.ml.example.com", ""] {
            let error = choose(one(), name).unwrap_err();
            assert!(
                error.contains("colonyprocess/NAME") && error.contains("mlmodels.ml.example.com"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_name_of_several_kinds_asks_for_the_group() {
        let two =
            || vec![definition("mlmodels", "a.com", &process()), definition("mlmodels", "b.com", &process())];
        let error = choose(two(), "mlm").unwrap_err();
        assert!(error.contains("give one of mlmodels.a.com, mlmodels.b.com"), "{error}");
        assert_eq!(choose(two(), "mlm.b.com").unwrap().spec.group, "b.com");
    }

    #[test]
    fn what_no_process_carries_says_what_it_is_made_of() {
        let template = |api_version: &str, kind: &str| json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "a" } });
        let handler = json!({ "mode": "compose", "resources": [
            { "id": "a", "template": template("apps/v1", "Deployment") },
            { "id": "b", "template": template("v1", "Service") },
        ] });
        let error = carried(&definition("apps", "a.com", &handler), "ns", "shop").unwrap_err();
        assert!(error.contains("it is composed of Deployment (apps/v1), Service (v1)"), "{error}");
        assert!(
            error.ends_with("kubectl get -n ns -l colonies.io/instance=shop deployment.v1.apps,service"),
            "{error}"
        );
        assert_eq!(carried(&definition("models", "a.com", &process()), "ns", "one"), Ok(()));
    }
}
