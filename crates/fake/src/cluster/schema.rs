//! What a definition's schema does to an object: fields that it does not know are dropped, and defaults are filled in.
//! Nothing is validated: what the API server refuses for its values, this one takes.

use serde_json::{Map, Value};

/// Prunes and fills an object of a kind with this schema. Metadata is the server's own affair.
pub(super) fn conform(schema: &Value, object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    let own: Vec<(String, Value)> =
        ["apiVersion", "kind", "metadata"].into_iter().filter_map(|name| fields.remove_entry(name)).collect();
    prune(schema, object);
    fill(schema, object);
    if let Some(fields) = object.as_object_mut() {
        fields.extend(own);
    }
}

fn prune(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // An object inside an object has fields of its own that no schema names.
            if schema["x-kubernetes-embedded-resource"] == true {
                return;
            }
            let properties = schema["properties"].as_object();
            let others = &schema["additionalProperties"];
            let keeps_all = schema["x-kubernetes-preserve-unknown-fields"] == true;
            fields.retain(|name, _| {
                keeps_all
                    || others.is_object()
                    || *others == true
                    || properties.is_some_and(|properties| properties.contains_key(name))
            });
            for (name, value) in fields {
                match properties.and_then(|properties| properties.get(name)) {
                    Some(schema) => prune(schema, value),
                    None if others.is_object() => prune(others, value),
                    None => {}
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune(&schema["items"], item)),
        _ => {}
    }
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let none = Map::new();
            let properties = schema["properties"].as_object().unwrap_or(&none);
            for (name, schema) in properties {
                let is_missing = match fields.get(name) {
                    None => true,
                    Some(Value::Null) => schema["nullable"] != true,
                    Some(_) => false,
                };
                match schema.get("default").filter(|_| is_missing) {
                    Some(default) => drop(fields.insert(name.clone(), default.clone())),
                    None if is_missing => continue,
                    None => {}
                }
                if let Some(value) = fields.get_mut(name) {
                    fill(schema, value);
                }
            }
            let others = &schema["additionalProperties"];
            for (_, value) in fields.iter_mut().filter(|(name, _)| !properties.contains_key(*name)) {
                fill(others, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::conform;

    #[test]
    fn unknown_fields_go_and_defaults_come() {
        let schema = json!({"properties": {
            "spec": {"default": {}, "properties": {
                "policy": {"default": "Delete"},
                "free": {"x-kubernetes-preserve-unknown-fields": true},
                "list": {"items": {"properties": {"a": {}, "b": {"default": 1}}}},
                "map": {"additionalProperties": {"properties": {"c": {"default": 2}}}},
                "none": {"nullable": true, "default": 3},
            }},
        }});
        let mut object = json!({
            "kind": "X", "metadata": {"name": "x"}, "unknown": 1,
            "spec": {"unknown": 1, "free": {"any": {"thing": 1}}, "list": [{"a": 1, "x": 1}], "map": {"k": {}},
                     "none": null, "policy": null},
        });
        conform(&schema, &mut object);
        let spec = json!({"policy": "Delete", "free": {"any": {"thing": 1}}, "list": [{"a": 1, "b": 1}],
                          "map": {"k": {"c": 2}}, "none": null});
        assert_eq!(object, json!({"kind": "X", "metadata": {"name": "x"}, "spec": spec}));
        let mut bare = json!({"metadata": {}});
        conform(&schema, &mut bare);
        assert_eq!(bare, json!({"metadata": {}, "spec": {"policy": "Delete", "none": 3}}));
    }
}
