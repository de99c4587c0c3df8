//! What an API server keeps of a value that it is given: fields that the schema describes, with its defaults. Pure.

use serde_json::{Map, Value};

use super::schema::step;
use crate::kinds::schema::with_defaults;

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// A value as the API server keeps it, and the paths of the fields that it drops, each after `path`.
#[must_use]
pub fn prune_to_schema(path: &str, schema: &Value, value: &Value) -> (Value, Vec<String>) {
    let mut dropped = Vec::new();
    let kept = pruned(path, schema, value, &mut dropped);
    (with_defaults(schema, &kept), dropped)
}

fn pruned(path: &str, schema: &Value, value: &Value, dropped: &mut Vec<String>) -> Value {
    match value {
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, field) in fields {
                let path = format!("{path}{}", step(name));
                match described(schema, name) {
                    Some(inner) => drop(kept.insert(name.clone(), pruned(&path, inner, field, dropped))),
                    None if is_open(schema, name) => drop(kept.insert(name.clone(), field.clone())),
                    None => dropped.push(path),
                }
            }
            Value::Object(kept)
        }
        Value::Array(elements) => match schema.get("items") {
            Some(items) => {
                let each = elements.iter().enumerate();
                let each =
                    each.map(|(index, element)| pruned(&format!("{path}[{index}]"), items, element, dropped));
                Value::Array(each.collect())
            }
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

/// The schema of a field.
fn described<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let named = schema.get("properties").and_then(|properties| properties.get(name));
    named.or_else(|| schema.get("additionalProperties").filter(|inner| inner.is_object()))
}

/// Whether a field that is not described is kept.
fn is_open(schema: &Value, name: &str) -> bool {
    let holds = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let is_of_every_object = ["apiVersion", "kind", "metadata"].contains(&name);
    holds(PRESERVE)
        || holds("additionalProperties")
        || (holds("x-kubernetes-embedded-resource") && is_of_every_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is written and not kept would be written again on every pass.
    #[test]
    fn what_is_not_described_is_dropped_and_named() {
        let schema = json!({
            "type": "object",
            "properties": {
                "phase": { "type": "string" },
                "count": { "type": "integer", "default": 0 },
                "hosts": { "type": "array", "items": {
                    "type": "object", "properties": { "name": { "type": "string" } } } },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                          "properties": { "closed": { "type": "object" } } },
            },
        });
        let value = json!({
            "phase": "Running", "extra": 1, "hosts": [{ "name": "a", "age": 3 }], "labels": { "x": "y" },
            "open": { "any": { "thing": 1 }, "closed": { "lost": 1 } },
        });
        let (kept, dropped) = prune_to_schema("status", &schema, &value);
        assert_eq!(
            kept,
            json!({
                "phase": "Running", "count": 0, "hosts": [{ "name": "a" }], "labels": { "x": "y" },
                "open": { "any": { "thing": 1 }, "closed": {} },
            })
        );
        assert_eq!(dropped, ["status.extra", "status.hosts[0].age", "status.open.closed.lost"]);
        assert_eq!(prune_to_schema("status", &schema, &kept), (kept, Vec::new()));
    }
}
