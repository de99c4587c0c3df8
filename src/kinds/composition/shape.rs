//! The requirements on a template before any expression is compiled: that it is an object of a known kind, with a
//! name, and that nothing in it reaches beyond its instance.

use serde_json::{Map, Value};

use super::{CompositionError, Source, child};
use crate::api::resource_definition::{ComposedResource, ObjectKind};

/// The only expression that may stand where a namespace does.
const NAMESPACES: [&str; 2] = ["${self.metadata.namespace}", "${schema.metadata.namespace}"];
/// The fields that a template may set in metadata.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];
/// What must be known of a template before any instance is: its kind, and that nothing in it reaches beyond the instance.
pub(super) fn shape(
    source: &Source<'_>,
    field: &str,
    resource: &ComposedResource,
    errors: &mut Vec<CompositionError>,
) -> Option<ObjectKind> {
    let template = &resource.template;
    let mut constant = |name: &str, example: &str| {
        let value = template.get(name);
        let text = value.and_then(Value::as_str).filter(|text| !text.is_empty() && !text.contains("${"));
        if text.is_none() {
            let given = value.map_or_else(|| "none".to_owned(), Value::to_string);
            let remedy = format!(
                "write it out, such as {example}: watches and rights follow from it, so it cannot be an expression"
            );
            errors.push(CompositionError::invalid(format!("{field}.template.{name}"), given, remedy));
        }
        text
    };
    let kind = match (constant("apiVersion", "apps/v1"), constant("kind", "Deployment")) {
        (Some(api_version), Some(kind)) => Some(ObjectKind::new(api_version, kind)),
        _ => None,
    };
    if let Some(kind) = &kind {
        if kind.api_version.matches('/').count() > 1 || kind.version().is_empty() {
            let remedy = "write group/version, or the version alone for the core group";
            errors.push(CompositionError::invalid(
                format!("{field}.template.apiVersion"),
                &kind.api_version,
                remedy,
            ));
        }
        if kind.group() == source.kind.group() && kind.kind == source.kind.kind {
            let remedy =
                "is the kind that is defined here: an instance would be made of instances without end";
            errors.push(CompositionError::invalid(format!("{field}.template.kind"), &kind.kind, remedy));
        }
    }
    if template.contains_key("status") {
        let remedy = "status is written by the controller of the object: remove it";
        errors.push(CompositionError::invalid(format!("{field}.template.status"), "set", remedy));
    }
    match template.get("metadata") {
        Some(Value::Object(metadata)) => {
            metadata_shape(&format!("{field}.template.metadata"), metadata, errors);
        }
        other => {
            let given = other.map_or_else(|| "none".to_owned(), Value::to_string);
            let remedy = "write out a map with a name, such as {name: \"${self.metadata.name}\"}";
            errors.push(CompositionError::invalid(format!("{field}.template.metadata"), given, remedy));
        }
    }
    kind
}

fn metadata_shape(field: &str, metadata: &Map<String, Value>, errors: &mut Vec<CompositionError>) {
    if metadata.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
        let given = metadata.get("name").map_or_else(|| "none".to_owned(), Value::to_string);
        let remedy = "give the object a name, such as \"${self.metadata.name}\"";
        errors.push(CompositionError::invalid(format!("{field}.name"), given, remedy));
    }
    if let Some(namespace) = metadata.get("namespace") {
        let text = namespace.as_str().unwrap_or_default();
        let plain: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        if !NAMESPACES.contains(&plain.as_str()) {
            let remedy =
                "leave it out: everything is made in the instance's namespace, and nothing reaches beyond it";
            errors.push(CompositionError::invalid(
                format!("{field}.namespace"),
                namespace.to_string(),
                remedy,
            ));
        }
    }
    for name in metadata.keys().filter(|name| !METADATA.contains(&name.as_str())) {
        let remedy = match name.as_str() {
            "ownerReferences" => "remove it: every object belongs to its instance",
            "finalizers" => "remove it: the object must go with its instance",
            "generateName" => "give it a name instead, by which it is found again",
            _ => "remove it: a template may set name, labels and annotations",
        };
        errors.push(CompositionError::invalid(format!("{field}.{name}"), "set", remedy));
    }
    for map in ["labels", "annotations"] {
        let names = metadata.get(map).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        for name in names.filter(|name| child::OURS.contains(&name.as_str())) {
            let remedy = "remove it: the operator sets it itself";
            errors.push(CompositionError::invalid(format!("{field}.{map}['{name}']"), "set", remedy));
        }
    }
}
