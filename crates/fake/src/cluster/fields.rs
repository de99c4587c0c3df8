//! `metadata.managedFields`, as far as a reader may want to know who wrote which field last, and when.

use serde_json::{Map, Value, json};

pub(super) struct Writing<'a> {
    pub(super) manager: &'a str,
    pub(super) subresource: &'a str,
    pub(super) api_version: &'a str,
    /// In seconds, as the API server writes it.
    pub(super) time: &'a str,
}

/// The entries after a write: the fields that it changed are the writer's, and no longer anyone else's.
pub(super) fn after(before: Option<&Value>, now: &Value, writing: &Writing<'_>) -> Value {
    let none = Value::Null;
    let changed = changed(content(before.unwrap_or(&none)), content(now));
    let known = before.and_then(|before| before.pointer("/metadata/managedFields"));
    let mut entries: Vec<Value> = known.and_then(Value::as_array).cloned().unwrap_or_default();
    if changed.is_empty() {
        return Value::Array(entries);
    }
    let is_its = |entry: &Value| {
        entry["manager"] == writing.manager
            && entry["subresource"].as_str().unwrap_or_default() == writing.subresource
    };
    for entry in entries.iter_mut().filter(|entry| !is_its(entry)) {
        if let Some(Value::Object(fields)) = entry.get_mut("fieldsV1") {
            take(fields, &changed);
        }
    }
    entries.retain(|entry| is_its(entry) || entry["fieldsV1"].as_object().is_some_and(|all| !all.is_empty()));
    let mut fields = Map::new();
    if let Some(place) = entries.iter().position(is_its)
        && let Value::Object(mut entry) = entries.remove(place)
        && let Some(Value::Object(known)) = entry.remove("fieldsV1")
    {
        fields = known;
    }
    give(&mut fields, &changed);
    let mut entry = json!({
        "manager": writing.manager, "operation": "Update", "apiVersion": writing.api_version,
        "time": writing.time, "fieldsType": "FieldsV1", "fieldsV1": fields,
    });
    if let (Value::Object(entry), false) = (&mut entry, writing.subresource.is_empty()) {
        entry.insert("subresource".to_owned(), writing.subresource.into());
    }
    entries.push(entry);
    Value::Array(entries)
}

/// What writers own: no server's own fields.
fn content(object: &Value) -> Map<String, Value> {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind"));
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|name, _| {
            matches!(name.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences")
        });
    }
    fields.retain(|_, value| !value.as_object().is_some_and(Map::is_empty));
    fields
}

/// The tree of fields whose values differ; a list is one field.
fn changed(before: Map<String, Value>, now: Map<String, Value>) -> Map<String, Value> {
    let mut tree = Map::new();
    for (name, value) in now {
        let key = format!("f:{name}");
        match (before.get(&name), value) {
            (Some(before), value) if *before == value => {}
            (before, Value::Object(value)) if !value.is_empty() => {
                let before = before.and_then(Value::as_object).cloned().unwrap_or_default();
                tree.insert(key, Value::Object(changed(before, value)));
            }
            _ => drop(tree.insert(key, json!({}))),
        }
    }
    tree
}

fn give(fields: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, below) in more {
        match (fields.get_mut(name), below) {
            (Some(Value::Object(fields)), Value::Object(below)) => give(fields, below),
            _ => drop(fields.insert(name.clone(), below.clone())),
        }
    }
}

fn take(fields: &mut Map<String, Value>, gone: &Map<String, Value>) {
    for (name, below) in gone {
        let Some(Value::Object(inner)) = fields.get_mut(name) else { continue };
        if let Value::Object(below) = below {
            take(inner, below);
        }
        if inner.is_empty() {
            fields.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Writing, after};

    fn writing<'a>(manager: &'a str, time: &'a str) -> Writing<'a> {
        Writing { manager, subresource: "", api_version: "v1", time }
    }

    #[test]
    fn a_field_belongs_to_the_one_that_changed_it_last() {
        let mut object = json!({"metadata": {"name": "x"}, "spec": {"a": 1, "b": 1}});
        object["metadata"]["managedFields"] = after(None, &object, &writing("one", "t1"));
        let mut changed = object.clone();
        changed["spec"]["b"] = 2.into();
        let entries = after(Some(&object), &changed, &writing("two", "t2"));
        let shown: Vec<(&Value, &Value, &Value)> = entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (&entry["manager"], &entry["time"], &entry["fieldsV1"]))
            .collect();
        let (a, b) = (json!({"f:spec": {"f:a": {}}}), json!({"f:spec": {"f:b": {}}}));
        assert_eq!(shown, [(&json!("one"), &json!("t1"), &a), (&json!("two"), &json!("t2"), &b)]);
        assert_eq!(after(Some(&object), &object, &writing("two", "t2")), object["metadata"]["managedFields"]);
    }
}
