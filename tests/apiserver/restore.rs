//! An object that is restored from a backup, on the real servers: it has another UID and no status, and its work may be done.

use colonyos_operator::{
    api::{
        colony_process::{ColonyProcess, ColonyProcessStatus},
        colony_workflow::ColonyWorkflow,
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        mirror::MirrorState,
        request_state::{JobStatus, RequestState},
        work::WorkState,
    },
    colony::{Process, ProcessId, ProcessState},
};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, PostParams},
    core::DynamicObject,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    conditions::Conditions as _,
    namespace::wait_until_gone,
    own_kind::OwnKind,
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

/// The object as a backup brings it back, and what it was.
fn from_backup<K: Resource<DynamicType = ()> + Serialize>(before: &K) -> Value {
    let meta = before.meta();
    let mut object = serde_json::to_value(before).unwrap();
    object["metadata"] =
        json!({ "name": meta.name, "annotations": meta.annotations, "finalizers": meta.finalizers });
    object.as_object_mut().unwrap().remove("status");
    object
}

#[tokio::test]
async fn a_restored_fleet_does_not_run_its_job_again() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "restored-job", async |stage| {
        stage.apply("batch", &json!({ "workload": "Job", "config": { "env": { "A": "1" } } })).await;
        let ended = |status: &ExecutorDeploymentStatus| {
            let mirror = status.mirror.as_ref();
            status.is_true("Finished") && mirror.is_some_and(|mirror| mirror.state == MirrorState::Successful)
        };
        stage.wait_for_status("batch", "the Job has ended", ended).await;
        let fleets: Api<ExecutorDeployment> = stage.api();
        let before = fleets.get("batch").await.unwrap();
        fleets.delete("batch", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ExecutorDeployment>("batch").await;
        wait_until_gone::<Job>(&stage.namespace, "batch").await;
        stage.create::<ExecutorDeployment>(from_backup(&before)).await.unwrap();
        let told =
            |status: &ExecutorDeploymentStatus| ended(status) && status.reason("Warnings") == "Restored";
        stage.wait_for_status("batch", "the restore is told", told).await;
        assert!(stage.api::<Job>().get_opt("batch").await.unwrap().is_none(), "it is not run again");

        // Its policy says otherwise.
        let before = fleets.get("batch").await.unwrap();
        fleets.delete("batch", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ExecutorDeployment>("batch").await;
        let mut again = from_backup(&before);
        again["spec"]["restorePolicy"] = json!("Resubmit");
        stage.create::<ExecutorDeployment>(again).await.unwrap();
        stage.wait_for_status("batch", "the Job has ended", ended).await;
        assert!(stage.api::<Job>().get_opt("batch").await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn the_jobs_of_a_restored_request_are_not_done_again() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "restored-request", async |stage| {
        let executor = stage.colony.executor("one", "request-worker").await;
        let object = json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "order", "annotations": { "colonies.io/colony": stage.colony.name } },
            "spec": { "request-uid": "uid-order", "job": "JOB1", "state": "REQUESTED" },
        });
        stage.create::<RequestState>(object).await.unwrap();
        for output in [json!("one"), json!({ "deep": [1] })] {
            let process = assigned(&executor).await;
            executor.close_successful(&process.id, &[output]).await.unwrap();
        }
        let is_done = |object: &RequestState| object.is_finished();
        let before = stage.until("order", "is done", is_done).await;
        let requests: Api<RequestState> = stage.api();
        requests.delete("order", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<RequestState>("order").await;
        // The backup was made at its begin.
        let mut restored = from_backup(&before);
        restored["spec"] = json!({ "request-uid": "uid-order", "job": "JOB1", "state": "REQUESTED" });
        stage.create::<RequestState>(restored).await.unwrap();
        let after = stage.until("order", "is done", is_done).await;
        let (jobs, earlier) = (after.status.unwrap().jobs, before.status.unwrap().jobs);
        let told = |jobs: &[JobStatus]| {
            jobs.iter().map(|job| (job.process_id.clone(), job.output.clone())).collect::<Vec<_>>()
        };
        assert_eq!(told(&jobs), told(&earlier));
        assert_eq!(live(stage).await, []);
    })
    .await;
}

#[tokio::test]
async fn what_was_done_for_an_instance_is_not_done_again_for_a_restored_one() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "restored-instance", async |stage| {
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        let mut kind = OwnKind::of(stage);
        kind.whole["spec"]["handler"].as_object_mut().unwrap().remove("cleanupFunction");
        kind.define_until_ready().await;
        kind.create("llama", json!({ "image": "i", "framework": "onnx" })).await;
        let process = assigned(&executor).await;
        let output = [json!({ "endpoint": "http://x", "replicas": 1 })];
        executor.close_successful(&process.id, &output).await.unwrap();
        let before = kind.until_instance("llama", "is ready", |object| object.is_true("Ready")).await;
        kind.instances.delete("llama", &DeleteParams::default()).await.unwrap();
        kind.until_gone("llama").await;

        let mut restored = DynamicObject::new("llama", &kind.resource);
        restored.metadata.annotations.clone_from(&before.metadata.annotations);
        restored.metadata.finalizers.clone_from(&before.metadata.finalizers);
        restored.data = json!({ "spec": before.data["spec"] });
        kind.instances.create(&PostParams::default(), &restored).await.unwrap();
        let after = kind.until_instance("llama", "is ready", |object| object.is_true("Ready")).await;
        assert_eq!(after.data["status"]["mirror"]["processId"], process.id.as_str());
        assert_eq!(
            (after.reason("Warnings"), &after.data["status"]["endpoint"]),
            ("Restored".to_owned(), &json!("http://x"))
        );
        assert_eq!(live(stage).await, []);

        kind.change_instance("llama", json!({ "spec": { "replicas": 2 } })).await;
        let second = assigned(&executor).await;
        assert_eq!(second.spec.kwargs["spec"]["replicas"], 2);
        executor.close_successful(&second.id, &output).await.unwrap();
        kind.instances.delete("llama", &DeleteParams::default()).await.unwrap();
        kind.until_gone("llama").await;
        kind.remove().await;
    })
    .await;
}
