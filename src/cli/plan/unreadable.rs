//! What in the files cannot be read: which field of which object, its value and the remedy. It stops no other object.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::object::named;

/// The objects whose values must not be printed.
const CONFIDENTIAL: &str = "Secret";
/// How serde begins to say that a field is missing.
const MISSING: &str = "missing field";

/// A document, or an object in it, that cannot be read.
pub(super) struct Unreadable {
    /// The object, if the document is YAML.
    pub object: Option<Value>,
    /// What it is called.
    pub name: String,
    /// Why: field, value and remedy.
    pub why: String,
}

impl Unreadable {
    /// A document that is no YAML.
    pub fn document(number: usize, error: &serde_norway::Error) -> Self {
        let why = format!("it is not YAML: {error}: correct it");
        Self { object: None, name: format!("document {number} of the files"), why }
    }

    /// An object that is not of its kind.
    pub fn object(object: Value, why: String) -> Self {
        let name = named(&object);
        Self { object: Some(object), name, why }
    }
}

/// The documents of a stream, each to be read for itself.
pub(super) fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        let is_marker = line.strip_prefix("---").is_some_and(|rest| rest.trim_start().len() < rest.len());
        if is_marker || line == "---" {
            documents.push(String::new());
        }
        if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents
}

/// Reads an object as one of its kind.
///
/// # Errors
///
/// When it is none; names field, value and remedy.
pub(super) fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    let read = serde_json::from_value(value.clone());
    let without = || serde_json::from_value(without_status(value)?).ok();
    read.or_else(|error| without().ok_or(error)).map_err(|error| {
        let error = error.to_string();
        let path = culprit::<T>(value, &error);
        let field = if path.is_empty() { path } else { format!("{path}: ") };
        if value.get("kind").and_then(Value::as_str) == Some(CONFIDENTIAL) {
            return format!("{field}not of the type that the kind has there: correct it");
        }
        let remedy = if error.starts_with(MISSING) { "add it" } else { "correct it" };
        format!("{field}{error}: {remedy}")
    })
}

/// The object without its status, which an API server drops when the object is created. Of a request it is what others have written.
pub(super) fn without_status(value: &Value) -> Option<Value> {
    let mut object = value.clone();
    let is_request = value.get("kind").and_then(Value::as_str) == Some("RequestState");
    object.as_object_mut().filter(|_| !is_request)?.remove("status")?;
    Some(object)
}

/// The innermost field without which the error is another one, or none.
fn culprit<T: DeserializeOwned>(whole: &Value, error: &str) -> String {
    let is_cause = |pointer: &str, key: &str| {
        let mut without = whole.clone();
        if !remove(&mut without, pointer) {
            return false;
        }
        let other = serde_json::from_value::<T>(without).err().map(|other| other.to_string());
        // A field that is missing only now is not the one that was missing before.
        let is_required = error.starts_with(MISSING) && other == Some(format!("{MISSING} `{key}`"));
        !is_required && other.as_deref() != Some(error)
    };
    let (mut path, mut pointer) = (String::new(), String::new());
    while let Some(here) = whole.pointer(&pointer) {
        let keys: Vec<String> = match here {
            Value::Object(fields) => fields.keys().cloned().collect(),
            Value::Array(elements) => (0..elements.len()).map(|index| index.to_string()).collect(),
            _ => break,
        };
        let below = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        let Some(key) = keys.into_iter().find(|key| is_cause(&below(key), key)) else { break };
        path = match path.as_str() {
            _ if here.is_array() => format!("{path}[{key}]"),
            "" => key.clone(),
            _ => format!("{path}.{key}"),
        };
        pointer = below(&key);
    }
    path
}

fn remove(value: &mut Value, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(&key).is_some(),
        Some(Value::Array(elements)) => key.parse().is_ok_and(|index: usize| {
            let is_there = index < elements.len();
            is_there.then(|| elements.remove(index));
            is_there
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Pod, Secret};
    use serde_json::json;

    use super::*;
    use crate::api::colony_process::ColonyProcess;

    #[test]
    fn the_field_is_named_wherever_it_is() {
        let pod = json!({
            "kind": "Pod", "metadata": { "name": "a" },
            "spec": { "containers": [{ "name": "a" }, { "name": "b", "ports": [{ "containerPort": "http" }] }] },
        });
        let why = parse::<Pod>(&pod).unwrap_err();
        assert!(
            why.starts_with("spec.containers[1].ports[0].containerPort: ") && why.contains("\"http\""),
            "{why}"
        );
        let pod = json!({ "kind": "Pod", "metadata": { "name": "a", "labels": { "a/b": 2 } } });
        let why = parse::<Pod>(&pod).unwrap_err();
        assert!(why.starts_with("metadata.labels.a/b: "), "{why}");
    }

    #[test]
    fn a_field_that_is_missing_is_not_taken_for_one_that_is_there() {
        let process = json!({ "metadata": { "name": "a" }, "spec": { "function": "f", "conditions": {} } });
        let why = parse::<ColonyProcess>(&process).unwrap_err();
        assert_eq!(why, "missing field `executorType`: add it");
    }

    #[test]
    fn a_value_of_a_secret_is_not_printed() {
        let secret = json!({ "kind": "Secret", "metadata": { "name": "a" }, "stringData": { "key": { "hunter": 2 } } });
        let why = parse::<Secret>(&secret).unwrap_err();
        assert!(why.starts_with("stringData.key: ") && !why.contains("hunter"), "{why}");
    }

    /// A broken document must not hide those behind it.
    #[test]
    fn a_stream_is_taken_apart_where_yaml_does() {
        let whole = "a: |\n  ---\n  b\n---\nc: ----\n--- {d: 1}\n---";
        assert_eq!(documents(whole), ["a: |\n  ---\n  b\n", "---\nc: ----\n", "--- {d: 1}\n", "---"]);
        assert_eq!(documents(whole).concat(), whole);
    }
}
