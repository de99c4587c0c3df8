//! An object that is restored from a backup, on the real servers: it has another UID and no status, and its work may be done.

use colonyos_operator::{
    api::{
        colony_process::{ColonyProcess, ColonyProcessStatus},
        colony_workflow::ColonyWorkflow,
        work::WorkState,
    },
    colony::{Process, ProcessId, ProcessState},
};
use kube::{Api, ResourceExt as _, api::DeleteParams};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    conditions::Conditions as _,
    stage::{Stage, with_operator},
};

async fn apply(stage: &Stage, name: &str, more: Value) {
    let mut spec = json!({
        "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": "encoder" },
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let object = json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name }, "spec": spec,
    });
    stage.create::<ColonyProcess>(object).await.unwrap();
}

/// Deletes an object and brings it back as a backup does; `change` is made in between.
async fn restore(stage: &Stage, name: &str, change: impl Fn(&mut Value)) {
    let objects: Api<ColonyProcess> = stage.api();
    let before = objects.get(name).await.unwrap();
    objects.delete(name, &DeleteParams::default()).await.unwrap();
    stage.until_gone::<ColonyProcess>(name).await;
    let metadata = json!({
        "name": name, "annotations": before.annotations(), "labels": before.labels(), "finalizers": before.finalizers(),
    });
    let mut object = json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": metadata, "spec": before.spec,
    });
    change(&mut object);
    let restored = stage.create::<ColonyProcess>(object).await.unwrap();
    assert_ne!(restored.uid(), before.uid());
}

async fn live(stage: &Stage) -> Vec<Process> {
    let mut live = Vec::new();
    for state in [ProcessState::Waiting, ProcessState::Running] {
        let query = colonyos_operator::colony::ProcessQuery::new(state);
        live.extend(stage.colony.member.processes(&query).await.unwrap());
    }
    live
}

#[tokio::test]
async fn finished_work_is_not_run_again_for_a_restored_object() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "restored", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        apply(stage, "done", json!({})).await;
        let process = assigned(&executor).await;
        executor.close_successful(&process.id, &[json!(4711)]).await.unwrap();
        stage.until_state::<ColonyProcess>("done", WorkState::Succeeded).await;
        restore(stage, "done", |_| {}).await;
        let restored = stage.until_state::<ColonyProcess>("done", WorkState::Succeeded).await;
        assert_eq!(restored.process_id.as_deref(), Some(process.id.as_str()));
        assert_eq!(restored.output, [json!(4711)]);
        assert_eq!(restored.reason("Warnings"), "Restored");
        assert_eq!(live(stage).await, []);

        // Its policy says otherwise.
        restore(stage, "done", |object| object["spec"]["restorePolicy"] = json!("Resubmit")).await;
        let again = assigned(&executor).await;
        executor.close_successful(&again.id, &[]).await.unwrap();
        let done = stage.until_state::<ColonyProcess>("done", WorkState::Succeeded).await;
        assert_eq!(done.process_id.as_deref(), Some(again.id.as_str()));

        // What still runs is waited for, whether or not its end is the object's doing.
        apply(stage, "runs", json!({ "deletionPolicy": "Orphan", "executionGuarantee": "Strict" })).await;
        let process = assigned(&executor).await;
        stage.until_state::<ColonyProcess>("runs", WorkState::Running).await;
        restore(stage, "runs", |_| {}).await;
        let is_told = |status: &ColonyProcessStatus| status.reason("Warnings") == "Restored";
        let told = stage.until_status::<ColonyProcess>("runs", "the restore is told", is_told).await;
        assert_eq!((told.state, told.mirror), (Some(WorkState::Pending), None));
        executor.close_successful(&process.id, &[]).await.unwrap();
        let ended = stage.until_state::<ColonyProcess>("runs", WorkState::Succeeded).await;
        assert_eq!(ended.process_id.as_deref(), Some(process.id.as_str()));
        assert_eq!(live(stage).await, []);

        // A copy under another name is another object.
        let copied: ColonyProcess = stage.api::<ColonyProcess>().get("done").await.unwrap();
        let copy = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "spec": copied.spec,
            "metadata": { "name": "copy", "annotations": copied.annotations() },
        });
        stage.create::<ColonyProcess>(copy).await.unwrap();
        let new = assigned(&executor).await;
        assert_ne!(new.id, ProcessId::new(done.process_id.unwrap()));
    })
    .await;
}

#[tokio::test]
async fn a_restored_workflow_shows_what_became_of_it() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "restored-graph", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        let node = |name: &str, needs: &[&str]| {
            json!({ "name": name, "function": "f", "dependencies": needs, "conditions": { "executorType": "encoder" } })
        };
        let object = |annotations: Value| {
            json!({
                "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow",
                "metadata": { "name": "graph", "annotations": annotations },
                "spec": { "colony": stage.colony.name, "nodes": [node("first", &[]), node("second", &["first"])] },
            })
        };
        stage.create::<ColonyWorkflow>(object(json!({}))).await.unwrap();
        stage.until_state::<ColonyWorkflow>("graph", WorkState::Waiting).await;
        for _ in 0..2 {
            let process = assigned(&executor).await;
            executor.close_successful(&process.id, &[json!(1)]).await.unwrap();
        }
        let done = stage.until_state::<ColonyWorkflow>("graph", WorkState::Succeeded).await;
        let objects: Api<ColonyWorkflow> = stage.api();
        let before = objects.get("graph").await.unwrap();
        objects.delete("graph", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ColonyWorkflow>("graph").await;
        stage.create::<ColonyWorkflow>(object(json!(before.annotations()))).await.unwrap();
        let restored = stage.until_state::<ColonyWorkflow>("graph", WorkState::Succeeded).await;
        assert_eq!((restored.graph_id, restored.progress), (done.graph_id, Some("2/2".to_owned())));
        assert_eq!(live(stage).await, []);
    })
    .await;
}
