//! What is taken away again of an object that its template no longer has. Pure.

use serde_json::{Map, Value};

/// Takes out what the operator once wrote and no longer wants. Fields that it never wrote belong to others.
pub(super) fn prune(
    before: &Map<String, Value>,
    wanted: &Map<String, Value>,
    found: &Map<String, Value>,
    path: &str,
    changes: &mut Map<String, Value>,
    differences: &mut Vec<String>,
) {
    for (key, was) in before {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let Some(is) = found.get(key) else { continue };
        match (was, wanted.get(key), is) {
            // What an object is called is not taken from it.
            (_, None, _) if matches!(path.as_str(), "apiVersion" | "kind" | "metadata") => {}
            (_, None, _) if matches!(path.as_str(), "metadata.name" | "metadata.namespace") => {}
            (_, None, _) => {
                changes.insert(key.clone(), Value::Null);
                differences.push(path);
            }
            (Value::Object(was), Some(Value::Object(wanted)), Value::Object(is)) => {
                let mut inner = match changes.remove(key) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                prune(was, wanted, is, &path, &mut inner, differences);
                if !inner.is_empty() {
                    changes.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Array(_), Some(list), Value::Array(_))
                if !changes.contains_key(key) && is_without(was, list, is) =>
            {
                changes.insert(key.clone(), list.clone());
                differences.push(path);
            }
            _ => {}
        }
    }
}

/// Whether something is there that the operator once wrote and no longer wants. Below a list: it is written whole.
fn is_without(was: &Value, wanted: &Value, is: &Value) -> bool {
    match (was, wanted, is) {
        (Value::Object(was), Value::Object(wanted), Value::Object(is)) => {
            was.iter().any(|(key, was)| match (wanted.get(key), is.get(key)) {
                (Some(wanted), Some(is)) => is_without(was, wanted, is),
                (None, Some(_)) => true,
                (_, None) => false,
            })
        }
        (Value::Array(was), Value::Array(wanted), Value::Array(is)) => {
            let each = was.iter().zip(wanted).zip(is);
            each.into_iter().any(|((was, wanted), is)| is_without(was, wanted, is))
        }
        _ => false,
    }
}
