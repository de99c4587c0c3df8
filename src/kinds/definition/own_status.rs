//! The schema of what the operator keeps in the status of every instance. Pure.

use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::api::{colony_process::ColonyProcess, executor_deployment::ExecutorDeployment};

/// The fields of status that are the operator's, as its own kinds have them.
pub(super) fn own_fields() -> [(&'static str, Value); 8] {
    let crd = serde_json::to_value(ColonyProcess::crd()).unwrap_or_default();
    let status = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties");
    let like = |name: &str| status.and_then(|status| status.get(name)).cloned().unwrap_or_default();
    let mut mirror = like("mirror");
    mirror["description"] =
        json!("The process of the instance. Its generation is 0 or less for the process of the cleanup.");
    let generation =
        |description: &str| json!({ "description": description, "type": "integer", "format": "int64" });
    let kind = json!({ "type": "object", "properties": {
        "apiVersion": { "type": "string" }, "kind": { "type": "string" } } });
    [
        ("blueprint", blueprint()),
        ("colony", like("colony")),
        (
            "composedOf",
            json!({ "description": "The kinds of the objects that it is made of.", "type": "array", "items": kind }),
        ),
        ("conditions", like("conditions")),
        ("finishedParts", finished_parts()),
        ("mirror", mirror),
        ("observedGeneration", generation("The generation of the spec that this status describes.")),
        ("submittedGeneration", generation("The last generation that is known to have reached the colony.")),
    ]
}

/// The objects of an instance that have ended.
fn finished_parts() -> Value {
    let text = json!({ "type": "string" });
    let part = json!({ "type": "object", "properties": {
        "abridged": { "type": "boolean" }, "apiVersion": text, "kind": text, "name": text, "resource": text, "run": text,
        "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        "succeeded": { "type": "boolean" } } });
    let told = "The objects that have ended what its templates ask for: they are not created again when they are gone.";
    json!({ "description": told, "type": "array", "items": part })
}

/// The blueprint of an instance in status, as for a fleet.
fn blueprint() -> Value {
    let crd = serde_json::to_value(ExecutorDeployment::crd()).unwrap_or_default();
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/blueprint";
    let mut blueprint = crd.pointer(field).cloned().unwrap_or_default();
    blueprint["description"] = json!("The blueprint in the colony that mirrors the instance.");
    blueprint
}
