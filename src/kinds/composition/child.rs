//! From what a template gives to an object that can be made: its names are checked, and owner reference and labels
//! are added.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{CompositionError, Instance, MAX_OBJECT_BYTES, Resource};
use crate::api::{
    metadata::content_hash,
    names::{
        ADMITTED_ANNOTATION, APP_COMPONENT_LABEL, APP_INSTANCE_LABEL, APP_MANAGED_BY_LABEL, APP_NAME_LABEL,
        CONTENT_HASH_ANNOTATION, FIELDS_ANNOTATION, INSTANCE_LABEL, OPERATOR, RESOURCE_LABEL,
    },
    resource_definition::ObjectKind,
};

/// Longest value of a label.
const MAX_LABEL: usize = 63;
/// Most bytes of the annotation with the fields: an object may have 256 KiB of annotations.
const MAX_FIELDS: usize = 64 << 10;

/// Labels and annotations that are the operator's alone.
pub(super) const OURS: [&str; 6] = [
    APP_MANAGED_BY_LABEL,
    INSTANCE_LABEL,
    RESOURCE_LABEL,
    CONTENT_HASH_ANNOTATION,
    FIELDS_ANNOTATION,
    ADMITTED_ANNOTATION,
];

/// An object that an instance should have.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredChild {
    pub kind: ObjectKind,
    pub name: String,
    /// All of it, with its owner, its labels and what the operator remembers of it.
    pub object: Value,
}

/// Makes an object of what a template gave; also its size.
pub(super) fn child(
    resource: &Resource,
    instance: &Instance,
    rendered: Value,
) -> Result<(DesiredChild, usize), CompositionError> {
    let field = |path: &str| format!("{}.{path}", resource.field);
    let Value::Object(mut object) = rendered else {
        return Err(CompositionError::invalid(&resource.field, "the template", "let it give an object"));
    };
    drop_nulls(&mut object);
    if resource.kind == ObjectKind::new("v1", "Secret") {
        encode_strings(&mut object);
    }
    let wish = Value::Object(object.clone());
    let (hash, fields) = (content_hash(&wish), fields(&wish).to_string());
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return Err(CompositionError::invalid(field("metadata"), "none", "give the object a metadata.name"));
    };
    let name = name(metadata.get("name"), &field("metadata.name"))?;
    metadata.insert("namespace".to_owned(), Value::String(instance.namespace.clone()));
    let reference = serde_json::to_value(instance.reference()).unwrap_or_default();
    metadata.insert("ownerReferences".to_owned(), json!([reference]));
    let labels = map(metadata, "labels", &field("metadata.labels"))?;
    for (label, value) in usual_labels(resource, instance) {
        labels.entry(label).or_insert(Value::String(value));
    }
    for (label, value) in own_labels(resource, instance) {
        labels.insert(label.to_owned(), Value::String(value));
    }
    let annotations = map(metadata, "annotations", &field("metadata.annotations"))?;
    annotations.insert(CONTENT_HASH_ANNOTATION.to_owned(), Value::String(hash));
    if fields.len() <= MAX_FIELDS {
        annotations.insert(FIELDS_ANNOTATION.to_owned(), Value::String(fields));
    }
    let object = Value::Object(object);
    let size = object.to_string().len();
    if size > MAX_OBJECT_BYTES {
        return Err(CompositionError::invalid(
            &resource.field,
            format!("{name} has {size} bytes"),
            format!("keep each object to {MAX_OBJECT_BYTES} bytes"),
        ));
    }
    Ok((DesiredChild { kind: resource.kind.clone(), name, object }, size))
}

/// A field that is null is absent: so the API server reads it, and so an expression can leave one out.
fn drop_nulls(object: &mut Map<String, Value>) {
    object.retain(|_, value| !value.is_null());
    object.values_mut().for_each(drop_nulls_inside);
}

fn drop_nulls_inside(value: &mut Value) {
    match value {
        Value::Object(object) => drop_nulls(object),
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls_inside),
        _ => {}
    }
}

/// What the API server takes in clear text it gives back encoded: comparing needs the same form on both sides.
fn encode_strings(secret: &mut Map<String, Value>) {
    let Some(Value::Object(strings)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(data) = data {
        for (key, value) in strings {
            let encoded = value.as_str().map(|text| Value::String(STANDARD.encode(text)));
            data.insert(key, encoded.unwrap_or(value));
        }
    }
}

/// The fields that a template sets, without their values. Kept on the object, so that one that is gone from the
/// template is known to have been set by the operator.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            Value::Object(object.iter().map(|(name, value)| (name.clone(), fields(value))).collect())
        }
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            Value::Array(elements.iter().map(fields).collect())
        }
        _ => Value::from(0),
    }
}

/// A name that the API server takes. Some kinds want less than this; it declares this itself.
fn name(value: Option<&Value>, field: &str) -> Result<String, CompositionError> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    let is_end = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    let inside = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '.' | ':')
    };
    let is_name = text.len() <= 253
        && is_end(text.chars().next())
        && is_end(text.chars().next_back())
        && text.chars().all(inside);
    if is_name {
        return Ok(text.to_owned());
    }
    let given = value.map_or_else(|| "none".to_owned(), Value::to_string);
    Err(CompositionError::invalid(
        field,
        given.chars().take(300).collect::<String>(),
        "let it give at most 253 lower case letters, digits, - and ., a letter or digit first and last",
    ))
}

fn map<'m>(
    metadata: &'m mut Map<String, Value>,
    name: &str,
    field: &str,
) -> Result<&'m mut Map<String, Value>, CompositionError> {
    let value = metadata.entry(name).or_insert_with(|| Value::Object(Map::new()));
    let given = value.to_string();
    match value {
        Value::Object(map) if map.values().all(Value::is_string) => Ok(map),
        _ => Err(CompositionError::invalid(
            field,
            given.chars().take(300).collect::<String>(),
            "let it give a map from strings to strings",
        )),
    }
}

/// Labels that a template may set itself.
fn usual_labels(resource: &Resource, instance: &Instance) -> BTreeMap<String, String> {
    let labels = [
        (APP_NAME_LABEL, instance.kind.kind.to_lowercase()),
        (APP_INSTANCE_LABEL, label(&instance.name)),
        (APP_COMPONENT_LABEL, resource.id.clone()),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn own_labels(resource: &Resource, instance: &Instance) -> [(&'static str, String); 3] {
    [
        (APP_MANAGED_BY_LABEL, OPERATOR.to_owned()),
        (INSTANCE_LABEL, label(&instance.name)),
        (RESOURCE_LABEL, resource.id.clone()),
    ]
}

/// A name as the value of a label. One that is too long is truncated, with a hash for uniqueness.
fn label(name: &str) -> String {
    if name.len() <= MAX_LABEL {
        return name.to_owned();
    }
    let hash = content_hash(&Value::String(name.to_owned()));
    let cut: String = name.chars().take(MAX_LABEL - 1 - hash.len()).collect();
    format!("{cut}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_becomes_a_label_of_its_own() {
        assert_eq!(label("short.name"), "short.name");
        let (one, other) = (label(&"a".repeat(200)), label(&"a".repeat(201)));
        assert_eq!((one.len(), other.len()), (63, 63));
        assert_ne!(one, other);
    }

    #[test]
    fn the_fields_of_an_object_are_told_without_its_values() {
        let object = json!({"data": {"a": "secret", "b": [1, {"c": 2}]}, "immutable": true});
        assert_eq!(fields(&object), json!({"data": {"a": 0, "b": [0, {"c": 0}]}, "immutable": 0}));
    }

    #[test]
    fn a_field_that_is_null_is_absent() {
        let Value::Object(mut object) =
            json!({"a": null, "b": {"c": null, "d": [{"e": null, "f": 1}, null]}})
        else {
            panic!("an object")
        };
        drop_nulls(&mut object);
        assert_eq!(Value::Object(object), json!({"b": {"d": [{"f": 1}, null]}}));
    }

    #[test]
    fn a_secret_is_compared_in_the_form_that_the_server_gives_back() {
        let Value::Object(mut secret) = json!({"stringData": {"a": "x"}, "data": {"a": "eQ==", "b": "eg=="}})
        else {
            panic!("an object")
        };
        encode_strings(&mut secret);
        assert_eq!(Value::Object(secret), json!({"data": {"a": "eA==", "b": "eg=="}}));
    }
}
