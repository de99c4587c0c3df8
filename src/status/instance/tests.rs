use serde_json::json;

use super::*;

fn status(endpoint: &Value) -> InstanceStatus {
    serde_json::from_value(json!({
        "observedGeneration": 2, "endpoint": endpoint,
        "conditions": [
            { "type": "Finished", "status": "True", "reason": "ProcessSuccessful", "message": "m",
              "observedGeneration": 2, "lastTransitionTime": "2026-11-26T10:00:00Z" },
            { "type": "Ready", "status": "True", "reason": "ProcessSuccessful", "message": "m",
              "observedGeneration": 2, "lastTransitionTime": "2026-11-26T10:00:00Z" },
        ],
    }))
    .unwrap()
}

/// What an executor says must not keep the operator from saying what it knows itself: it would submit again.
#[test]
fn a_refused_status_is_said_without_what_executors_put_into_it() {
    let before = status(&json!("http://old"));
    let said = without_fields(Some(&before), status(&json!(7)), "status.endpoint: must be string").unwrap();
    assert_eq!(said.fields, before.fields);
    let types: Vec<&str> = said.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Finished", "Warnings", "Ready"], "Ready stays last");
    let again = without_fields(Some(&said), status(&json!(7)), "status.endpoint: must be string").unwrap();
    assert_eq!(again, said, "nothing new to say");
    assert_eq!(without_fields(Some(&before), before.clone(), "something else"), None);
}
