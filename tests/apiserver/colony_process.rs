//! `ColonyProcess`: one call of a function, from `kubectl apply` to its output, on the real servers. The executors are the
//! tests' own: for the operator they belong to others.

use std::process::Stdio;

use colonyos_operator::{
    api::{colony_process::ColonyProcess, work::WorkState},
    colony::{Process, ProcessId, ProcessState},
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    conditions::Conditions as _,
    stage::{Stage, with_operator},
};

fn object(stage: &Stage, name: &str, kind: &str, spec: &Value) -> ColonyProcess {
    let mut whole = json!({
        "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": kind },
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name }, "spec": whole,
    }))
    .unwrap()
}

async fn apply(stage: &Stage, name: &str, kind: &str, spec: Value) -> ColonyProcess {
    stage.api().create(&PostParams::default(), &object(stage, name, kind, &spec)).await.unwrap()
}

/// Everything that was ever submitted for an object.
async fn submitted(stage: &Stage, name: &str) -> Vec<Process> {
    let objects: Api<ColonyProcess> = stage.api();
    let object = objects.get(name).await.unwrap();
    let label = object.status.unwrap().mirror.unwrap().label;
    let (prefix, _) = label.rsplit_once('/').unwrap();
    let mut found = Vec::new();
    for attempt in 1..=5 {
        found.extend(stage.colony.member.processes_labelled(&format!("{prefix}/{attempt}")).await.unwrap());
    }
    found
}

#[tokio::test]
async fn a_function_is_called_once_and_its_output_comes_back() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "process", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        let secrets: Api<Secret> = stage.api();
        let maps: Api<ConfigMap> = stage.api();
        let spec = json!({
            "args": ["s3://in/4711.mov", { "profile": "hd" }, 3, null],
            "kwargs": { "crf": 22, "deep": [{ "a": 1.5 }] },
            "env": [
                { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "credentials", "key": "token" } } },
                { "name": "PRESET", "valueFrom": { "configMapKeyRef": { "name": "presets", "key": "preset" } } },
                { "name": "ABSENT", "valueFrom": { "configMapKeyRef": { "name": "presets", "key": "none", "optional": true } } },
                { "name": "PLAIN", "value": "plain" },
            ],
            "conditions": { "executorType": "encoder", "resources": { "cpu": "0.5", "memory": "1.5Gi" }, "nodes": 1 },
            "priority": 5, "maxWaitTime": "10m", "maxExecTime": "1h", "maxRetries": 2,
        });
        apply(stage, "encode", "encoder", spec).await;

        // What is missing is waited for, and said.
        let status = stage.until_status::<ColonyProcess>("encode", "waits for the Secret", |status| !status.conditions.is_empty()).await;
        let (holds, reason, message) = status.told("Submitted");
        assert_eq!((holds.as_str(), reason.as_str()), ("False", "SourceNotFound"));
        assert!(message.contains("spec.env[0]: key token of Secret credentials"), "{message}");
        assert_eq!(status.mirror, None, "nothing is intended while it cannot be submitted");
        let map = json!({ "metadata": { "name": "presets" }, "data": { "preset": "slow" } });
        maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
        let secret = json!({ "metadata": { "name": "credentials" }, "stringData": { "token": "very-secret-4711" } });
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();

        let process = assigned(&executor).await;
        let call = &process.spec;
        assert_eq!(Value::from(call.args.clone()), json!(["s3://in/4711.mov", { "profile": "hd" }, 3, null]));
        assert_eq!(Value::from(call.kwargs.clone()), json!({ "crf": 22, "deep": [{ "a": 1.5 }] }));
        let environment = json!({ "TOKEN": "very-secret-4711", "PRESET": "slow", "PLAIN": "plain" });
        assert_eq!(serde_json::to_value(&call.env).unwrap(), environment);
        assert_eq!((call.conditions.cpu.as_str(), call.conditions.mem.as_str()), ("500m", "1536Mi"));
        assert_eq!((call.priority, call.max_wait_seconds, call.max_exec_seconds, call.max_retries), (5, 600, 3600, 2));

        let status = stage.until_state::<ColonyProcess>("encode", WorkState::Running).await;
        assert_eq!(status.executor.as_deref(), Some("worker"));
        assert_eq!(status.told("Running").0, "True");
        executor.add_log(&process.id, "half done\n").await.unwrap();
        let followed = stage.command("logs", "colonyprocess/encode").arg("--follow").stdout(Stdio::piped()).spawn().unwrap();
        let output = [json!("s3://out/4711.mp4"), json!({ "note": "bell \u{7} rings" })];
        executor.close_successful(&process.id, &output).await.unwrap();
        let status = stage.until_state::<ColonyProcess>("encode", WorkState::Succeeded).await;
        let log = followed.wait_with_output().await.unwrap();
        assert!(log.status.success(), "{log:?}");
        assert_eq!(String::from_utf8(log.stdout).unwrap(), "half done\n");
        assert_eq!(Value::from(status.output.clone()), json!(["s3://out/4711.mp4", { "note": "bell   rings" }]));
        let (holds, reason, _) = status.told("Finished");
        assert_eq!((holds.as_str(), reason.as_str()), ("True", "ClosedSuccessfully"));
        assert_eq!((status.attempts, status.failed_attempts), (1, 0));
        assert!(status.completion_time.is_some() && status.start_time.is_some());

        // What was submitted stays as it was; what has to do with its end may change.
        let refusal = stage.patch::<ColonyProcess>("encode", json!({ "function": "decode" })).await.unwrap_err().to_string();
        assert!(refusal.contains("what was submitted cannot change"), "{refusal}");
        stage.patch::<ColonyProcess>("encode", json!({ "ttlSecondsAfterFinished": 0 })).await.unwrap();
        stage.until_gone::<ColonyProcess>("encode").await;
        let log = stage.operator.log();
        assert!(!log.contains("very-secret-4711"), "the Secret is in the log");
    })
    .await;
}

/// Output is bounded in status and whole in the colony.
#[tokio::test]
async fn failures_are_repeated_as_often_as_allowed_and_then_told() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "process-fails", async |stage| {
        let executor = stage.colony.executor("worker", "crasher").await;
        apply(stage, "once", "crasher", json!({})).await;
        let process = assigned(&executor).await;
        executor.close_failed(&process.id, &["disk full".to_owned()]).await.unwrap();
        let status = stage.until_state::<ColonyProcess>("once", WorkState::Failed).await;
        let (_, reason, message) = status.told("Failed");
        assert_eq!(reason, "ProcessFailed");
        assert!(message.contains("disk full"), "{message}");
        assert_eq!(status.errors, ["disk full"]);

        apply(stage, "again", "crasher", json!({ "backoffLimit": 1 })).await;
        let process = assigned(&executor).await;
        let long = "x".repeat(20_000);
        executor.close_failed(&process.id, &[long]).await.unwrap();
        let status = stage
            .until_status::<ColonyProcess>("again", "is about to be repeated", |status| {
                status.failed_attempts == 1
            })
            .await;
        assert_eq!(status.state, Some(WorkState::Pending));
        let (_, reason, message) = status.told("Submitted");
        assert_eq!(reason, "BackingOff");
        assert!(message.len() < 2000, "{} bytes", message.len());
        let second = assigned(&executor).await;
        assert_ne!(second.id, process.id);
        executor.close_successful(&second.id, &[json!("y".repeat(30_000))]).await.unwrap();
        let status = stage.until_state::<ColonyProcess>("again", WorkState::Succeeded).await;
        assert_eq!((status.attempts, status.failed_attempts), (2, 1));
        assert!(status.output.is_empty() && status.output_truncated);
        assert_eq!(submitted(stage, "again").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_is_suspended_cancelled_or_late_does_not_run() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "process-ends", async |stage| {
        // No executor serves this type: they wait.
        let kind = "unserved";
        apply(stage, "paused", kind, json!({ "suspend": true })).await;
        let status = stage.until_state::<ColonyProcess>("paused", WorkState::Suspended).await;
        assert_eq!(status.mirror, None);
        stage
            .patch::<ColonyProcess>("paused", json!({ "function": "changed" }))
            .await
            .expect("nothing was submitted yet");
        stage.patch::<ColonyProcess>("paused", json!({ "suspend": false })).await.unwrap();
        stage.until_state::<ColonyProcess>("paused", WorkState::Waiting).await;
        stage.patch::<ColonyProcess>("paused", json!({ "suspend": true })).await.unwrap();
        stage.until_state::<ColonyProcess>("paused", WorkState::Suspended).await;
        stage.patch::<ColonyProcess>("paused", json!({ "suspend": false })).await.unwrap();
        let status = stage.until_state::<ColonyProcess>("paused", WorkState::Waiting).await;
        assert_eq!(status.attempts, 2);
        stage.patch::<ColonyProcess>("paused", json!({ "cancel": true })).await.unwrap();
        let status = stage.until_state::<ColonyProcess>("paused", WorkState::Cancelled).await;
        assert_eq!(status.reason("Finished"), "CancelRequested");
        let ends: Vec<ProcessState> =
            submitted(stage, "paused").await.iter().map(|process| process.state).collect();
        assert_eq!(ends, [ProcessState::Cancelled, ProcessState::Cancelled]);
        let refusal =
            stage.patch::<ColonyProcess>("paused", json!({ "cancel": false })).await.unwrap_err().to_string();
        assert!(refusal.contains("cannot be taken back"), "{refusal}");

        apply(stage, "late", kind, json!({ "activeDeadlineSeconds": 2 })).await;
        let status = stage.until_state::<ColonyProcess>("late", WorkState::Failed).await;
        assert_eq!(status.reason("Failed"), "DeadlineExceeded");
        assert_eq!(submitted(stage, "late").await[0].state, ProcessState::Cancelled);

        // A member of the colony may end it too, and may remove it.
        for (name, end) in [("taken", WorkState::Cancelled), ("lost", WorkState::Lost)] {
            apply(stage, name, kind, json!({})).await;
            let status = stage.until_state::<ColonyProcess>(name, WorkState::Waiting).await;
            let id = ProcessId::new(status.process_id.unwrap());
            if end == WorkState::Lost {
                stage.colony.member.remove_process(&id).await.unwrap();
            } else {
                stage.colony.member.cancel(&id).await.unwrap();
            }
            let status = stage.until_state::<ColonyProcess>(name, end).await;
            assert_eq!(status.told("Finished").0, "True");
            assert_eq!(status.attempts, 1, "it is not submitted again");
        }
    })
    .await;
}

#[tokio::test]
async fn deletion_cancels_what_runs_unless_it_is_to_run_on() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "process-deleted", async |stage| {
        let executor = stage.colony.executor("worker", "slow").await;
        let objects: Api<ColonyProcess> = stage.api();
        for (name, policy, end) in
            [("ended", "Delete", ProcessState::Cancelled), ("kept", "Orphan", ProcessState::Running)]
        {
            apply(stage, name, "slow", json!({ "deletionPolicy": policy, "executionGuarantee": "Strict" }))
                .await;
            let process = assigned(&executor).await;
            assert_eq!(process.spec.node_name, "run", "it waited behind a gate");
            stage.until_state::<ColonyProcess>(name, WorkState::Running).await;
            objects.delete(name, &DeleteParams::default()).await.unwrap();
            stage.until_gone::<ColonyProcess>(name).await;
            assert_eq!(stage.colony.member.process(&process.id).await.unwrap().state, end, "{name}");
        }
    })
    .await;
}

/// Bad input is refused with field, value and remedy before anything else happens.
#[tokio::test]
async fn bad_input_is_refused_at_admission() {
    let connection = connect_with_crds().await;
    crate::support::namespace::in_namespace(&connection, "process-bad", async |namespace| {
        let objects: Api<ColonyProcess> = namespace.api();
        for (spec, expected) in [
            (json!({ "maxExecTime": "0s" }), "maxExecTime is 0"),
            (json!({ "maxWaitTime": "soon" }), "maxWaitTime"),
            (json!({ "conditions": { "executorType": "a:b" } }), "executorType"),
            (json!({ "conditions": { "executorType": "a", "nodes": 128 } }), "nodes"),
            (json!({ "conditions": { "executorType": "a", "resources": { "cpu": "much" } } }), "cpu"),
            (json!({ "env": [{ "name": "A", "value": "1", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }] }), "remove one of them"),
            (json!({ "env": [{ "name": "A", "valueFrom": {} }] }), "give either secretKeyRef or configMapKeyRef"),
            (json!({ "priority": 50001 }), "priority"),
        ] {
            let mut whole = json!({ "function": "f", "conditions": { "executorType": "t" } });
            for (field, value) in spec.as_object().unwrap() {
                whole[field] = value.clone();
            }
            let object = json!({ "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": "bad" }, "spec": whole });
            let sent: Api<kube::core::DynamicObject> = Api::namespaced_with(
                namespace.kubernetes.calls.clone(),
                &namespace.name,
                &kube::core::ApiResource::erase::<ColonyProcess>(&()),
            );
            let refusal = sent.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await;
            let refusal = refusal.expect_err(&format!("{spec}")).to_string();
            assert!(refusal.contains(expected), "{spec}: {refusal}");
        }
        assert!(objects.get_opt("bad").await.unwrap().is_none());
    })
    .await;
}
