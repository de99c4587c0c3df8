//! What is in an object: what counts as a change of it, and what the API server makes of it before it stores it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    answer::{Result, invalid},
    schema,
    store::{In, finalizers, is_deleting},
};

/// A change of status has an endpoint of its own where there is one; metadata never counts.
pub(super) fn is_spec_changed(of: In<'_>, before: &Value, after: &Value) -> bool {
    if !of.kind.is_custom {
        return before.get("spec") != after.get("spec");
    }
    let counts = |name: &str| name != "metadata" && !(of.version.has_status && name == "status");
    let content = |object: &Value| {
        let mut fields = object.as_object().cloned().unwrap_or_default();
        fields.retain(|name, _| counts(name));
        fields
    };
    content(before) != content(after)
}

pub(super) fn check_finalizers(of: In<'_>, name: &str, before: &Value, after: &Value) -> Result<()> {
    if !is_deleting(before) {
        return Ok(());
    }
    let known = finalizers(before);
    let new: Vec<String> = finalizers(after).into_iter().filter(|name| !known.contains(name)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let why = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {new:?}"
    );
    Err(invalid(of.kind, name, "metadata.finalizers", &why))
}

/// What the API server makes of an object before it stores it.
pub(super) fn conform(of: In<'_>, object: &mut Value) {
    if let Some(schema) = &of.version.schema {
        schema::conform(schema, object);
    }
    if of.kind.plural == "secrets" && of.kind.group.is_empty() {
        encode_secret(object);
    }
    if let (Value::Object(fields), "secrets" | "configmaps") = (&mut *object, of.kind.plural.as_str()) {
        fields
            .retain(|name, value| name == "metadata" || value.as_object().is_none_or(|all| !all.is_empty()));
    }
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        // What is empty is left out.
        metadata.retain(|_, value| match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        });
    }
}

fn encode_secret(object: &mut Value) {
    let Value::Object(fields) = object else { return };
    fields.entry("type").or_insert_with(|| "Opaque".into());
    let Some(Value::Object(plain)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    let Value::Object(data) = data else { return };
    for (key, value) in plain {
        if let Value::String(text) = value {
            data.insert(key, STANDARD.encode(text).into());
        }
    }
}

/// The status of a new object of the server's own kinds.
pub(super) fn initial_status(plural: &str, is_custom: bool) -> Value {
    match plural {
        _ if is_custom => Value::Null,
        "namespaces" => json!({ "phase": "Active" }),
        "pods" | "persistentvolumeclaims" => json!({ "phase": "Pending" }),
        _ => json!({}),
    }
}

/// Sets a field, or takes it away with `null`.
pub(super) fn put(object: &mut Value, field: &str, value: Value) {
    let Value::Object(fields) = object else { return };
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
}

/// JSON merge patch, RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

pub(super) fn is_subdomain(name: &str) -> bool {
    let is_edge = |character: Option<char>| {
        character.is_some_and(|character| character.is_ascii_lowercase() || character.is_ascii_digit())
    };
    name.len() <= 253
        && name.chars().all(|character| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '-' | '.')
        })
        && is_edge(name.chars().next())
        && is_edge(name.chars().next_back())
}
