//! What API servers leave of an object: the fields that its schema describes. Pure.

use serde_json::{Map, Value};

/// Takes out what a schema does not describe.
pub(super) fn prune(schema: &Value, fields: &mut Map<String, Value>) {
    let holds = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let keeps_all = holds("x-kubernetes-preserve-unknown-fields");
    let is_embedded = holds("x-kubernetes-embedded-resource");
    let described = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    fields.retain(|name, value| {
        if let Some(schema) = described.and_then(|described| described.get(name)) {
            prune_value(schema, value);
            return true;
        }
        match others {
            Some(others @ Value::Object(_)) => {
                prune_value(others, value);
                true
            }
            Some(Value::Bool(true)) => true,
            _ => keeps_all || (is_embedded && ["apiVersion", "kind", "metadata"].contains(&name.as_str())),
        }
    });
}

fn prune_value(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => prune(schema, fields),
        Value::Array(elements) => {
            if let Some(items) = schema.get("items") {
                for element in elements {
                    prune_value(items, element);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_described_goes() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "a": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {}}}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string"}}}},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                    "closed": {"type": "object"}}},
                "pod": {"type": "object", "x-kubernetes-embedded-resource": true},
            }},
        }});
        let object = json!({"other": 1, "spec": {
            "a": 1, "b": 2, "labels": {"k": {"x": 1, "y": 2}}, "list": [{"n": "a", "m": 1}, 7],
            "open": {"any": {"thing": 1}, "closed": {"gone": 1}},
            "pod": {"kind": "Pod", "metadata": {"name": "p"}, "spec": {}},
        }});
        let mut fields = object.as_object().unwrap().clone();
        prune(&schema, &mut fields);
        let expected = json!({"spec": {
            "a": 1, "labels": {"k": {"x": 1}}, "list": [{"n": "a"}, 7],
            "open": {"any": {"thing": 1}, "closed": {}},
            "pod": {"kind": "Pod", "metadata": {"name": "p"}},
        }});
        assert_eq!(Value::Object(fields), expected);
    }
}
