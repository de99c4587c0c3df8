//! What API servers put into objects before they judge them. Pure.

use serde_json::Value;

/// An object with the defaults of its schema, and without the nulls that API servers drop.
#[must_use]
pub fn with_defaults(schema: &Value, value: &Value) -> Value {
    let mut value = value.clone();
    fill(schema, &mut value);
    value
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, described) in schema.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                let is_dropped = fields.get(name).is_some_and(Value::is_null) && !is_nullable(described);
                if is_dropped {
                    fields.remove(name);
                }
                if let Some(default) = described.get("default").filter(|_| !fields.contains_key(name)) {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(field) = fields.get_mut(name) {
                    fill(described, field);
                }
            }
            if let Some(described) =
                schema.get("additionalProperties").filter(|described| described.is_object())
            {
                fields.retain(|_, field| !field.is_null() || is_nullable(described));
                fields.values_mut().for_each(|field| fill(described, field));
            }
        }
        Value::Array(elements) => {
            if let Some(items) = schema.get("items") {
                for element in elements {
                    fill(items, element);
                }
            }
        }
        _ => {}
    }
}

/// Whether a field may be null; what has no type may be anything.
fn is_nullable(schema: &Value) -> bool {
    schema.get("nullable") == Some(&Value::Bool(true))
}
