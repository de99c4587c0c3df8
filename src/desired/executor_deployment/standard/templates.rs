//! The templates that a case of `cases.json` stands for, for the unit tests and for those of the admission policy.

use serde_json::{Value, json};

/// A container that says all that a container must say itself, with `over` merged into it.
pub fn container(name: &str, over: &Value) -> Value {
    let mut container = json!({"name": name, "image": "i:1",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    merge(&mut container, over);
    container
}

/// A merge patch that keeps nulls, which the template may contain.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// The templates that a case stands for: a value of a container is tried in each group of containers.
pub fn templates(case: &Value) -> Vec<(&'static str, Value)> {
    let value = &case["value"];
    match case["at"].as_str().unwrap() {
        "pod" => vec![("pod", json!({ "spec": value }))],
        "annotation" => {
            let text = value.to_string().replace("NAME", "executor");
            let annotations: Value = serde_json::from_str(&text).unwrap();
            vec![("annotation", json!({"metadata": {"annotations": annotations}}))]
        }
        "every" => {
            let mut pod = value["pod"].clone();
            pod["containers"] = json!([container("executor", &value["container"])]);
            vec![("every", json!({ "spec": pod }))]
        }
        "container" => vec![
            ("executor", json!({"spec": {"containers": [container("executor", value)]}})),
            ("containers", json!({"spec": {"containers": [container("c", value)]}})),
            ("initContainers", json!({"spec": {"initContainers": [container("c", value)]}})),
        ],
        other => panic!("{other} is no place"),
    }
}
