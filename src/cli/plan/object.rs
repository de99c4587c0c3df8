//! Objects as JSON: what they are called, and what an API server adds to them.

use serde_json::{Map, Value, json};

use crate::api::{kind::Kind, resource_definition::ObjectKind};

/// Kind, namespace and name, for a person; of a process or an executor of a colony, what the colony calls it.
pub(super) fn named(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let namespace = text("/metadata/namespace");
    let slash = if namespace.is_empty() { "" } else { "/" };
    let names = ["/metadata/name", "/processid", "/executorname"];
    let name = names.into_iter().map(text).find(|name| !name.is_empty()).unwrap_or_default();
    format!("{} {namespace}{slash}{name}", text("/kind"))
}

/// The name.
pub(super) fn key(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// The namespace, or that of objects that name none.
pub(super) fn namespace_of(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default")
}

/// Adds what an API server does. `number` makes its UID unique.
pub(super) fn complete(object: &mut Value, number: usize) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.entry("uid").or_insert_with(|| json!(format!("00000000-0000-0000-0000-{number:012}")));
    metadata.entry("generation").or_insert_with(|| json!(1));
    metadata.entry("resourceVersion").or_insert_with(|| json!("1"));
}

/// The operator's own kind that an object is of.
pub(super) fn kind_of(object: &Value) -> Option<Kind> {
    ObjectKind::of(object).and_then(|of| Kind::find(of.group(), &of.kind))
}

/// An object of an own kind with what an API server adds. `number` makes its UID unique.
pub(super) fn completed(written: &Value, number: usize) -> Value {
    let mut object = written.clone();
    let is_of_the_cluster = matches!(kind_of(written), Some(Kind::Colony | Kind::ResourceDefinition));
    if let (false, Some(metadata)) =
        (is_of_the_cluster, object.get_mut("metadata").and_then(Value::as_object_mut))
    {
        metadata.entry("namespace").or_insert_with(|| json!("default"));
        if let Some(prefix) = metadata.get("generateName").and_then(Value::as_str) {
            let name = format!("{prefix}<random>");
            metadata.entry("name").or_insert_with(|| json!(name));
        }
    }
    complete(&mut object, number);
    object
}

/// RFC 7386.
pub(super) fn merge(object: &mut Value, patch: &Map<String, Value>) {
    if !object.is_object() {
        *object = json!({});
    }
    let Value::Object(fields) = object else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(fields.remove(name)),
            Value::Object(inner) => merge(fields.entry(name).or_insert_with(|| json!({})), inner),
            other => drop(fields.insert(name.clone(), other.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_takes_away_what_is_null_and_goes_into_what_is_an_object() {
        let mut object = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "e": [1] });
        let Value::Object(patch) = json!({ "a": null, "b": { "c": null, "x": {"y": null} }, "e": [2] })
        else {
            panic!("an object")
        };
        merge(&mut object, &patch);
        assert_eq!(object, json!({ "b": { "d": 2, "x": {} }, "e": [2] }));
    }
}
