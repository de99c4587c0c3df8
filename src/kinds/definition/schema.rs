//! Schemas: checked before the API server sees them, so that errors point at the field where the user wrote it, and
//! completed with the status fields that the operator sets on every instance. The API server itself reports what only
//! it can check (rules in CEL, invalid defaults). Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::{Map, Value, json};

use super::{
    super::SpecError,
    keyword::{Form, form, refused},
    own_status::own_fields,
};
use crate::api::{
    kind::unobserved_status,
    resource_definition::{DefinitionVersion, Handler, HandlerMode},
};

/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 48;
/// Most schemas within one.
const MAX_NODES: usize = 4096;
/// The types that fields can have.
const TYPES: [&str; 6] = ["object", "array", "string", "integer", "number", "boolean"];
/// What stands under `status` and is the operator's alone.
const OURS: [&str; 6] =
    ["blueprint", "colony", "composedOf", "finishedParts", "mirror", "submittedGeneration"];

/// Structural keywords: they stand in the schema itself, not within `allOf`, `anyOf`, `oneOf` and `not`.
const STRUCTURE: [&str; 6] = ["additionalProperties", "default", "description", "nullable", "title", "type"];

/// The schema of a version, completed. `composed` has schemas of fields of status, where they are known.
///
/// # Errors
///
/// When it is not structural. The message begins with the field.
pub(super) fn build(
    path: &str,
    version: &DefinitionVersion,
    handler: &Handler,
    composed: &Map<String, Value>,
) -> Result<JSONSchemaProps, SpecError> {
    let schema = &version.schema.open_api_v3_schema;
    let mut walk = Walk { nodes: 0 };
    walk.root(path, schema)?;
    let mut whole = complete(path, schema, version, handler, composed)?;
    leave_out_false(&mut whole);
    serde_json::from_value(whole)
        .map_err(|error| SpecError::invalid(path, error.to_string(), "write it as a schema in OpenAPI v3"))
}

/// Takes out what API servers leave out when it is false: it would look like a difference for ever.
fn leave_out_false(schema: &mut Value) {
    const LEFT_OUT: [&str; 6] = [
        "exclusiveMaximum",
        "exclusiveMinimum",
        "nullable",
        "uniqueItems",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ];
    let Value::Object(fields) = schema else { return };
    fields.retain(|keyword, value| !(LEFT_OUT.contains(&keyword.as_str()) && *value == Value::Bool(false)));
    for (keyword, value) in fields {
        match (form(keyword), value) {
            (Some(Form::Schema | Form::SchemaOrTrue), value) => leave_out_false(value),
            (Some(Form::Schemas), Value::Array(inner)) => inner.iter_mut().for_each(leave_out_false),
            (Some(Form::SchemaMap), Value::Object(inner)) => inner.values_mut().for_each(leave_out_false),
            _ => {}
        }
    }
}

/// Adds the status fields that the operator sets on every instance, and fields for the output of executors.
fn complete(
    path: &str,
    schema: &Value,
    version: &DefinitionVersion,
    handler: &Handler,
    composed: &Map<String, Value>,
) -> Result<Value, SpecError> {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    let mut properties = taken(&mut schema, "properties");
    let mut status = taken(&mut properties, "status");
    let is_blueprint = handler.mode == HandlerMode::Blueprint;
    if is_blueprint && status.is_empty() && handler.status.is_empty() {
        // The status of the blueprint is copied, and its schema is unknown.
        status.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    }
    status.entry("description").or_insert_with(|| json!("What is known of it."));
    let kind = status.entry("type").or_insert_with(|| json!("object"));
    if kind != "object" {
        let path = format!("{path}.properties.status.type");
        return Err(SpecError::invalid(path, shown(Some(kind)), "status is an object: set type to object"));
    }
    let mut fields = taken(&mut status, "properties");
    for name in OURS {
        if fields.contains_key(name) {
            let path = format!("{path}.properties.status.properties.{name}");
            return Err(SpecError::invalid(
                path,
                name,
                "the operator manages this field: choose another name",
            ));
        }
    }
    let told = "As reported by executors.";
    for (name, expression) in &handler.status {
        fields.entry(name.clone()).or_insert_with(|| match composed.get(name) {
            Some(Value::Object(known)) => {
                let mut known = known.clone();
                known.insert("description".to_owned(), json!(format!("What {expression} gives.")));
                Value::Object(known)
            }
            _ => json!({ "description": told, "x-kubernetes-preserve-unknown-fields": true }),
        });
    }
    if let Some(scale) = &version.scale {
        let selector = scale.label_selector_path.as_deref().unwrap_or_default();
        for (place, kind) in [(scale.status_replicas_path.as_str(), "integer"), (selector, "string")] {
            let name = place.strip_prefix(".status.").filter(|name| !name.contains('.'));
            let Some(name) = name else { continue };
            let field = fields.entry(name.to_owned()).or_insert(Value::Null);
            if field.get("type").is_none() {
                *field = json!({ "description": told, "type": kind });
            }
        }
    }
    let is_composed = handler.mode == HandlerMode::Compose;
    let is_used = |name: &str| match name {
        "blueprint" => is_blueprint,
        "finishedParts" => is_composed,
        _ => true,
    };
    for (name, field) in own_fields().into_iter().filter(|(name, _)| is_used(name)) {
        fields.insert(name.to_owned(), field);
    }
    status.insert("properties".to_owned(), Value::Object(fields));
    note_unobserved(&mut status);
    properties.insert("status".to_owned(), Value::Object(status));
    schema.insert("properties".to_owned(), Value::Object(properties));
    Ok(Value::Object(schema))
}

/// Has new objects say that they were not looked at, unless the schema may refuse that.
fn note_unobserved(status: &mut Map<String, Value>) {
    const DEMANDS: [&str; 7] =
        ["allOf", "anyOf", "minProperties", "not", "oneOf", "required", "x-kubernetes-validations"];
    let Value::Object(unobserved) = unobserved_status() else { return };
    let is_demanding = DEMANDS.iter().any(|keyword| status.contains_key(*keyword));
    match status.get_mut("default") {
        Some(Value::Object(default)) => {
            for (name, value) in unobserved {
                default.entry(name).or_insert(value);
            }
        }
        Some(_) => {}
        None if is_demanding => {}
        None => drop(status.insert("default".to_owned(), Value::Object(unobserved))),
    }
}

/// The object under a key, taken out; empty if there is none.
fn taken(from: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match from.remove(key) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Goes through a schema.
struct Walk {
    nodes: usize,
}

impl Walk {
    fn root(&mut self, path: &str, schema: &Value) -> Result<(), SpecError> {
        self.schema(path, schema, 0)?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            let path = format!("{path}.type");
            return Err(SpecError::invalid(
                path,
                shown(schema.get("type")),
                "an object's schema has type object",
            ));
        }
        for name in ["apiVersion", "kind"] {
            let field = schema.pointer(&format!("/properties/{name}"));
            if field.is_some_and(|field| field.get("type").and_then(Value::as_str) != Some("string")) {
                let path = format!("{path}.properties.{name}.type");
                return Err(SpecError::invalid(
                    path,
                    shown(field),
                    "it is a text: set type to string, or remove it",
                ));
            }
        }
        Self::metadata(&format!("{path}.properties.metadata"), schema.pointer("/properties/metadata"))
    }

    /// Metadata is the API server's; only names can be restricted.
    fn metadata(path: &str, schema: Option<&Value>) -> Result<(), SpecError> {
        let remedy = "of metadata only name and generateName can be described: remove it";
        for (keyword, value) in schema.and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{path}{}", step(keyword));
            match keyword.as_str() {
                "type" | "description" => {}
                "properties" => {
                    let mut fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
                    if let Some(other) =
                        fields.find(|name| !["name", "generateName"].contains(&name.as_str()))
                    {
                        return Err(SpecError::invalid(format!("{path}{}", step(other)), other, remedy));
                    }
                }
                _ => return Err(SpecError::invalid(path, shown(Some(value)), remedy)),
            }
        }
        Ok(())
    }

    /// A structural schema.
    fn schema(&mut self, path: &str, schema: &Value, depth: usize) -> Result<(), SpecError> {
        let fields = self.keywords(path, schema, depth)?;
        let holds = |keyword: &str| fields.get(keyword) == Some(&Value::Bool(true));
        let is_int_or_string = holds("x-kubernetes-int-or-string");
        let kind = fields.get("type").and_then(Value::as_str);
        match kind {
            Some(kind) if is_int_or_string => {
                let path = format!("{path}.type");
                return Err(SpecError::invalid(
                    path,
                    kind,
                    "x-kubernetes-int-or-string implies a type: remove one",
                ));
            }
            Some(kind) if !TYPES.contains(&kind) => {
                let remedy = format!("is no type: use one of {}", TYPES.join(", "));
                return Err(SpecError::invalid(format!("{path}.type"), kind, remedy));
            }
            None if !is_int_or_string && !holds("x-kubernetes-preserve-unknown-fields") => {
                let remedy = "set the type of the field, or x-kubernetes-preserve-unknown-fields: true to allow anything";
                return Err(SpecError::invalid(format!("{path}.type"), "missing", remedy));
            }
            _ => {}
        }
        if kind == Some("array") && !fields.contains_key("items") {
            return Err(SpecError::invalid(
                format!("{path}.items"),
                "missing",
                "set items, the schema of the elements",
            ));
        }
        if fields.contains_key("properties") && fields.contains_key("additionalProperties") {
            let path = format!("{path}.additionalProperties");
            let remedy = "it excludes properties: remove one of them";
            return Err(SpecError::invalid(path, shown(fields.get("additionalProperties")), remedy));
        }
        if holds("uniqueItems") {
            let path = format!("{path}.uniqueItems");
            return Err(SpecError::invalid(path, "true", "set x-kubernetes-list-type to set instead"));
        }
        for (keyword, value) in fields {
            let path = format!("{path}{}", step(keyword));
            match (form(keyword), value) {
                (Some(Form::Schema | Form::SchemaOrTrue), Value::Object(_)) if keyword != "not" => {
                    self.schema(&path, value, depth + 1)?;
                }
                (Some(Form::SchemaMap), Value::Object(inner)) => {
                    for (name, value) in inner {
                        self.schema(&format!("{path}{}", step(name)), value, depth + 1)?;
                    }
                }
                (Some(Form::Schema), value) if keyword == "not" => {
                    self.restriction(&path, value, depth + 1, is_int_or_string)?;
                }
                (Some(Form::Schemas), Value::Array(inner)) => {
                    for (index, value) in inner.iter().enumerate() {
                        self.restriction(&format!("{path}[{index}]"), value, depth + 1, is_int_or_string)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A schema within `allOf` and the like, which only restricts what stands outside.
    fn restriction(
        &mut self,
        path: &str,
        schema: &Value,
        depth: usize,
        may_be_typed: bool,
    ) -> Result<(), SpecError> {
        let fields = self.keywords(path, schema, depth)?;
        for (keyword, value) in fields {
            let path = format!("{path}{}", step(keyword));
            let is_structure = STRUCTURE.contains(&keyword.as_str()) || keyword.starts_with("x-kubernetes-");
            if is_structure && !(may_be_typed && keyword == "type") {
                let remedy = "is structural: write it outside of allOf, anyOf, oneOf and not";
                return Err(SpecError::invalid(path, shown(Some(value)), remedy));
            }
            match (form(keyword), value) {
                (Some(Form::Schema), value) => self.restriction(&path, value, depth + 1, false)?,
                (Some(Form::SchemaMap), Value::Object(inner)) => {
                    for (name, value) in inner {
                        self.restriction(&format!("{path}{}", step(name)), value, depth + 1, false)?;
                    }
                }
                (Some(Form::Schemas), Value::Array(inner)) => {
                    for (index, value) in inner.iter().enumerate() {
                        self.restriction(&format!("{path}[{index}]"), value, depth + 1, may_be_typed)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The keywords of a schema, each known and of the right form.
    fn keywords<'a>(
        &mut self,
        path: &str,
        schema: &'a Value,
        depth: usize,
    ) -> Result<&'a Map<String, Value>, SpecError> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            let remedy = format!("nest {MAX_DEPTH} levels and describe {MAX_NODES} fields at most");
            return Err(SpecError::invalid(path, "too large", remedy));
        }
        let Value::Object(fields) = schema else {
            return Err(SpecError::invalid(
                path,
                shown(Some(schema)),
                "a schema must be an object, such as {type: string}",
            ));
        };
        for (keyword, value) in fields {
            let path = format!("{path}{}", step(keyword));
            if let Some(remedy) = refused(keyword) {
                return Err(SpecError::invalid(path, shown(Some(value)), remedy));
            }
            let Some(form) = form(keyword) else {
                return Err(SpecError::invalid(
                    path,
                    keyword,
                    "is no keyword of a schema: correct or remove it",
                ));
            };
            if let Some(wanted) = form.misses(value) {
                return Err(SpecError::invalid(path, shown(Some(value)), format!("give {wanted}")));
            }
            if keyword == "enum" && value.as_array().is_some_and(Vec::is_empty) {
                return Err(SpecError::invalid(path, "[]", "name at least one value"));
            }
        }
        Ok(fields)
    }
}

/// How a keyword or field is written after the path of what it is in.
pub(super) fn step(name: &str) -> String {
    let is_plain =
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if is_plain { format!(".{name}") } else { format!("['{name}']") }
}

/// A value for a message.
pub(super) fn shown(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "missing".to_owned(), Value::to_string);
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
