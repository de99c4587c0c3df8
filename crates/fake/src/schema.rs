//! What a spec must look like, in the real server's small dialect.

use serde_json::{Map, Value};

/// What is wrong with a spec, if anything.
pub(super) fn fault(spec: &Map<String, Value>, schema: &Value) -> Option<String> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if !spec.contains_key(name) {
            return Some(format!("required field '{name}' is missing"));
        }
    }
    faults_of_fields("", spec, schema.get("properties")?)
}

fn faults_of_fields(prefix: &str, fields: &Map<String, Value>, properties: &Value) -> Option<String> {
    fields.iter().find_map(|(name, value)| {
        properties.get(name).and_then(|schema| fault_of_field(&format!("{prefix}{name}"), value, schema))
    })
}

/// An unknown type, `integer` among them, is not looked at.
fn fault_of_field(name: &str, value: &Value, schema: &Value) -> Option<String> {
    let (article, wanted) = match schema.get("type").and_then(Value::as_str) {
        Some("string") if !value.is_string() => ("a", "string"),
        Some("number") if !value.is_number() => ("a", "number"),
        Some("boolean") if !value.is_boolean() => ("a", "boolean"),
        Some("object") if !value.is_object() => ("an", "object"),
        Some("array") if !value.is_array() => ("an", "array"),
        _ => ("", ""),
    };
    if !wanted.is_empty() {
        return Some(format!("field '{name}' must be {article} {wanted}, got {}", go_type(value)));
    }
    if let (Some(items), Some(schema)) =
        (value.as_array(), schema.get("items").filter(|items| items.is_object()))
    {
        let faulty = |(at, item): (usize, &Value)| fault_of_field(&format!("{name}[{at}]"), item, schema);
        if let Some(fault) = items.iter().enumerate().find_map(faulty) {
            return Some(fault);
        }
    }
    let allowed = schema.get("enum").and_then(Value::as_array).filter(|allowed| !allowed.is_empty());
    if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(value)) {
        let allowed = Value::Array(allowed.clone());
        return Some(format!("field '{name}' must be one of {allowed}, got {value}"));
    }
    faults_of_fields(&format!("{name}."), value.as_object()?, schema.get("properties")?)
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
