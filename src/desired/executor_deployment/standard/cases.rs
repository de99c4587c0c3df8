//! The published controls of the Pod Security Standard *restricted*, one value of one field at a time, and what the
//! operator asks for beyond it. `tests/apiserver/pod_security.rs` holds the table to the API server's own words.

use serde_json::{Map, Value, json};

use super::{
    templates::{container, templates},
    tests::check,
};

const CASES: &str = include_str!("cases.json");

fn only(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

#[test]
fn each_published_value_is_allowed_or_refused_as_published() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = case.get("operator").unwrap_or(&case["standard"]);
        for (place, template) in templates(case) {
            let answer = check(&template);
            if answer.is_ok() != (expected == "allowed") {
                wrong.push(format!("{place} {}: {expected}, but {answer:?}", case["value"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What the operator allows, the standard allows: it is stricter in places, and never laxer.
#[test]
fn nothing_is_allowed_that_the_standard_refuses() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    for case in &cases {
        assert!(case["standard"] == "allowed" || case.get("operator").is_none(), "{case}");
    }
    let controls: std::collections::BTreeSet<_> = cases.iter().map(|case| case["control"].as_str()).collect();
    assert!(controls.len() > 40, "{controls:?}");
}

/// A variable that comes from elsewhere counts as one that is written down.
#[test]
fn an_executor_has_the_identity_that_the_operator_gives_it() {
    let secret = |name: &str, key: &str| json!({"secretKeyRef": {"name": name, "key": key}});
    for (container_name, variable) in [
        (
            "executor",
            json!({"name": "COLONIES_PRVKEY", "valueFrom": secret("other-executor-identity", "COLONIES_PRVKEY")}),
        ),
        ("executor", json!({"name": "COLONIES_PRVKEY", "valueFrom": secret("e-executor-identity", "OTHER")})),
        ("executor", json!({"name": "COLONIES_PRVKEY", "valueFrom": null})),
        ("executor", json!({"name": "COLONIES_PRVKEY", "valueFrom": null, "value": "k"})),
        (
            "executor",
            json!({"name": "COLONIES_PRVKEY", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"},
            "secretKeyRef": null}}),
        ),
        (
            "executor",
            json!({"name": "COLONIES_EXECUTOR_NAME", "valueFrom": secret("other-executor-identity", "N")}),
        ),
        ("executor", json!({"name": "COLONIES_EXECUTOR_ID", "valueFrom": null, "value": "id"})),
        (
            "executor",
            json!({"name": "COLONIES_COLONY_PRVKEY", "valueFrom": secret("colony", "colonyPrvKey")}),
        ),
        (
            "executor",
            json!({"name": "COLONIES_SERVER_PRVKEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}),
        ),
        (
            "c",
            json!({"name": "COLONIES_PRVKEY", "valueFrom": secret("other-executor-identity", "COLONIES_PRVKEY")}),
        ),
        ("c", json!({"name": "COLONIES_COLONY_PRVKEY", "value": "k"})),
    ] {
        for group in ["containers", "initContainers"] {
            let own = container_name == "executor";
            if own && group == "initContainers" {
                continue;
            }
            let over = container(container_name, &json!({"env": [variable]}));
            let error = check(&only("spec", only(group, json!([over])))).unwrap_err();
            let name = variable["name"].as_str().unwrap();
            let field = format!("spec.template.spec.{group}[{container_name}].env[{name}].value");
            assert!(error.starts_with(&field), "{group} {variable}: {error}");
        }
    }
    for (container_name, variable) in [
        (
            "executor",
            json!({"name": "COLONIES_PRVKEY", "valueFrom": secret("e-executor-identity", "COLONIES_PRVKEY")}),
        ),
        ("executor", json!({"name": "MY_KEY", "valueFrom": secret("mine", "k")})),
        (
            "c",
            json!({"name": "COLONIES_PRVKEY", "valueFrom": secret("e-executor-identity", "COLONIES_PRVKEY")}),
        ),
        ("c", json!({"name": "COLONIES_EXECUTOR_NAME", "value": "sidecar"})),
    ] {
        let over = container(container_name, &json!({"env": [variable]}));
        assert_eq!(check(&only("spec", only("containers", json!([over])))), Ok(()), "{variable}");
    }
}

#[test]
fn a_template_has_no_ephemeral_containers() {
    for over in
        [json!({}), json!({"securityContext": null}), json!({"securityContext": {"privileged": true}})]
    {
        let error =
            check(&only("spec", json!({"ephemeralContainers": [container("c", &over)]}))).unwrap_err();
        assert!(error.contains("ephemeralContainers"), "{over}: {error}");
    }
}
