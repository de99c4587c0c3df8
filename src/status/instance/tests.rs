use serde_json::json;

use super::*;
use crate::snapshot::{Observed, fixtures};

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

/// The output of an executor must not keep the operator from reporting its own status: it would submit again.
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

fn snapshot(last_line: Option<&str>, status: &Value) -> InstanceSnapshot {
    let accepted = json!({
        "handler": { "mode": "process", "executorType": "t", "functionName": "f",
                     "status": { "epochs": "${attributes.filter(key, key.startsWith('epoch-')).size()}", "loss": "${attributes.loss}" } },
    });
    let object = json!({ "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 1 }, "status": status });
    InstanceSnapshot {
        last_line: last_line.map(str::to_owned),
        ..fixtures::instance(fixtures::kind(accepted, None), object)
    }
}

fn running() -> Value {
    json!({ "mirror": { "label": "k8s:c/u/1", "generation": 1, "processId": "p1", "state": "Running",
                        "intendedAt": "2026-11-26T10:00:00Z" } })
}

fn said(snapshot: &InstanceSnapshot) -> (String, Value) {
    let status = compute(snapshot, Ok(&Outcome::default()));
    let running = status.conditions.iter().find(|condition| condition.type_ == "Running").unwrap();
    assert_eq!(running.status, "True");
    (running.message.clone(), serde_json::to_value(&status).unwrap())
}

/// A log may hold anything, and much of it.
#[test]
fn the_end_of_a_log_stands_in_one_short_line() {
    let (message, _) = said(&snapshot(Some("first\nstep 3 of\u{1b}[31m 5\u{7}\n\n"), &running()));
    assert_eq!(message, "generation 1 is process p1; its executor wrote: step 3 of [31m 5");
    let (message, _) = said(&snapshot(Some(&"x".repeat(5000)), &running()));
    assert!(message.ends_with("x…") && message.chars().count() < 300, "{message}");
    let (message, _) = said(&snapshot(Some("\n"), &running()));
    assert_eq!(message, "generation 1 is process p1");
}

/// A restart is no news: until the log is read again, the previous status stays; but not of another process.
#[test]
fn a_line_stays_said_while_nothing_is_known() {
    let (_, before) = said(&snapshot(Some("step 3"), &running()));
    let (message, after) = said(&snapshot(None, &before));
    assert_eq!(message, "generation 1 is process p1; its executor wrote: step 3");
    assert_eq!(after, before);
    let mut away = snapshot(None, &before);
    away.header.processes = Observed::Unknown("no connection".to_owned());
    let (message, hindered) = said(&away);
    assert!(
        message.contains("no connection") && message.ends_with("its executor wrote: step 3"),
        "{message}"
    );
    assert_eq!(said(&snapshot(None, &hindered)).1, before, "a server that was away takes nothing back");
    let mut other = before;
    other["mirror"]["processId"] = json!("p2");
    assert_eq!(said(&snapshot(None, &other)).0, "generation 1 is process p2");
}

/// Progress: fields have values while the process runs, from what its executor attached to it.
#[test]
fn attributes_become_fields_while_the_process_runs() {
    let mut snapshot = snapshot(None, &running());
    let attribute = |key: &str, kind: u8| json!({ "attributetype": kind, "key": key, "value": "0.5" });
    let process = json!({
        "processid": "p1", "state": 1, "submissiontime": "2026-11-26T10:00:00Z", "starttime": "2026-11-26T10:00:00Z",
        "endtime": "0001-01-01T00:00:00Z", "spec": { "funcname": "f", "label": "k8s:c/u/1" },
        "attributes": [attribute("epoch-1", 1), attribute("epoch-2", 1), attribute("epoch-of-the-environment", 3)],
    });
    snapshot.header.processes = Observed::Known(vec![serde_json::from_value(process).unwrap()]);
    let (_, status) = said(&snapshot);
    assert_eq!((&status["epochs"], &status["loss"]), (&json!(2), &Value::Null));
    assert!(!status.to_string().contains("Warnings"), "what is not there yet is no mistake: {status}");
}

/// The owner of an object looks there, not at the processes of the colony.
#[test]
fn an_instance_that_waits_says_for_which_executor() {
    let waiting = |submitted: &str| {
        json!({ "mirror": { "label": "k8s:c/u/1", "generation": 1, "processId": "p1", "state": "Waiting",
                            "intendedAt": submitted, "submittedAt": submitted } })
    };
    for (submitted, reason) in
        [("2026-11-26T09:59:40Z", "ExecutorAwaited"), ("2026-11-26T09:59:35Z", "NoExecutor")]
    {
        let mut snapshot = snapshot(None, &waiting(submitted));
        snapshot.header.colony = fixtures::colony();
        snapshot.header.workforce = Some(std::sync::Arc::new(crate::snapshot::Workforce::default()));
        let status = compute(&snapshot, Ok(&Outcome::default()));
        let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished").unwrap();
        assert_eq!(
            finished.message,
            "generation 1 is process p1; it waits for an executor of type t: none is registered in colony dev (there are none)"
        );
        assert_eq!(finished.reason, reason);
    }
}
