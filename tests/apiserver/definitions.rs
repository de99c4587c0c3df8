//! The CRDs in `crds/` as a real API server sees them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::Value;

use crate::support::cluster::{connect_with_crds, definitions};

/// What the server gives back must be what was sent: a field that it drops or rewrites would be a field that users
/// read in our files and that does not hold.
#[tokio::test]
async fn definitions_come_back_as_they_were_sent() {
    let kubernetes = connect_with_crds().await;
    let api: Api<CustomResourceDefinition> = Api::all(kubernetes.calls.clone());
    let definitions = definitions();
    assert!(definitions.len() >= 2, "crds/ holds {} definitions", definitions.len());
    for (file, sent) in definitions {
        let seen = api.get(sent.metadata.name.as_deref().unwrap()).await.unwrap();
        let (sent, seen) =
            (serde_json::to_value(sent.spec).unwrap(), serde_json::to_value(seen.spec).unwrap());
        let mut differences = Vec::new();
        compare("spec", &sent, &seen, &mut differences);
        assert!(differences.is_empty(), "crds/{file} comes back changed:\n{}", differences.join("\n"));
    }
}

/// Lists what of `sent` is missing or different in `seen`, and within schemas also what was added.
fn compare(path: &str, sent: &Value, seen: &Value, differences: &mut Vec<String>) {
    match (sent, seen) {
        (Value::Object(sent), Value::Object(seen)) => {
            for (key, value) in sent {
                match seen.get(key) {
                    Some(seen) => compare(&format!("{path}.{key}"), value, seen, differences),
                    None => differences.push(format!("{path}.{key} is dropped")),
                }
            }
            if path.contains("openAPIV3Schema") {
                let added = seen.keys().filter(|key| !sent.contains_key(*key));
                differences.extend(added.map(|key| format!("{path}.{key} is added")));
            }
        }
        (Value::Array(sent), Value::Array(seen)) if sent.len() == seen.len() => {
            for (index, (sent, seen)) in sent.iter().zip(seen).enumerate() {
                compare(&format!("{path}[{index}]"), sent, seen, differences);
            }
        }
        _ if sent == seen => {}
        _ => differences.push(format!("{path} was {sent} and is {seen}")),
    }
}

/// `kubectl explain` prints these descriptions: a field without one is a question that a user must ask elsewhere.
#[tokio::test]
async fn every_field_is_explained() {
    let kubernetes = connect_with_crds().await;
    let api: Api<CustomResourceDefinition> = Api::all(kubernetes.calls.clone());
    for (_, definition) in definitions() {
        let name = definition.metadata.name.unwrap();
        let seen = serde_json::to_value(api.get(&name).await.unwrap().spec).unwrap();
        for version in seen["versions"].as_array().unwrap() {
            let mut unexplained = Vec::new();
            let schema = &version["schema"]["openAPIV3Schema"];
            assert!(
                schema["description"].as_str().is_some_and(|text| text.len() > 20),
                "{name} says what it is"
            );
            find_unexplained(&name, schema, &mut unexplained);
            assert!(unexplained.is_empty(), "fields without a description:\n{}", unexplained.join("\n"));
        }
    }
}

fn find_unexplained(path: &str, schema: &Value, unexplained: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        // The server itself explains these three.
        let is_of_every_object =
            path.matches('.').count() <= 3 && ["apiVersion", "kind", "metadata"].contains(&name.as_str());
        if !is_of_every_object && field["description"].as_str().is_none_or(|text| text.trim().len() < 8) {
            unexplained.push(path.clone());
        }
        find_unexplained(&path, field, unexplained);
    }
    if schema["items"].is_object() {
        find_unexplained(&format!("{path}[]"), &schema["items"], unexplained);
    }
    if schema["additionalProperties"].is_object() {
        find_unexplained(&format!("{path}.*"), &schema["additionalProperties"], unexplained);
    }
}

/// A reference that names a namespace lets a user reach into one that is not theirs.
#[test]
fn no_reference_crosses_a_namespace() {
    fn find(path: &str, schema: &Value, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if name.eq_ignore_ascii_case("namespace") {
                found.push(path.clone());
            }
            find(&path, field, found);
        }
        if schema["items"].is_object() {
            find(&format!("{path}[]"), &schema["items"], found);
        }
    }
    for (file, definition) in definitions() {
        let spec = serde_json::to_value(definition.spec).unwrap();
        for version in spec["versions"].as_array().unwrap() {
            let mut found = Vec::new();
            // What the operator says in status may name what is elsewhere.
            find("spec", &version["schema"]["openAPIV3Schema"]["properties"]["spec"], &mut found);
            assert!(found.is_empty(), "crds/{file} has references that name a namespace: {found:?}");
        }
    }
}
