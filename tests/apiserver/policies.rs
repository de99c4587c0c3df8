//! What users ask of the operator for an object of any kind: to pause, to look at it now.

use std::time::Duration;

use colonyos_operator::api::{
    colony_process::ColonyProcess,
    executor_deployment::ExecutorDeployment,
    names::{PAUSED_ANNOTATION, RECONCILE_ANNOTATION},
    work::WorkState,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony,
    conditions::Conditions as _,
    namespace::wait_until_gone,
    stage::{SOON, Stage, with_configured_operator, with_operator},
    wait::{eventually, throughout},
};

/// How long is watched that nothing is done: a pass takes well below a second.
const QUIET: Duration = Duration::from_secs(3);

async fn annotate<K>(stage: &Stage, name: &str, annotation: &str, value: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = stage.api();
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { (annotation): value } } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn submit(stage: &Stage, name: &str, annotations: Value) {
    let object = json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
        "metadata": { "name": name, "annotations": annotations },
        "spec": { "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": "encoder" } },
    });
    stage.create::<ColonyProcess>(object).await.unwrap();
}

/// From its creation on, and again when it is deleted: nothing happens on either side, and the object says so.
#[tokio::test]
async fn nothing_is_done_for_an_object_that_is_paused() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "paused", async |stage| {
        submit(stage, "later", json!({ (PAUSED_ANNOTATION): "true" })).await;
        stage.until_status::<ColonyProcess>("later", "is paused", |status| status.is_true("Paused")).await;
        let objects: Api<ColonyProcess> = stage.api();
        let before = objects.get("later").await.unwrap();
        assert_eq!((before.finalizers(), &before.status.as_ref().unwrap().mirror), (&[][..], &None));
        throughout("nothing is written", QUIET, async || {
            let now = objects.get("later").await.map_err(|error| error.to_string())?.resource_version();
            (now == before.resource_version()).then_some(()).ok_or_else(|| format!("{now:?}"))
        })
        .await;
        annotate::<ColonyProcess>(stage, "later", PAUSED_ANNOTATION, Value::Null).await;
        let waiting = stage.until_state::<ColonyProcess>("later", WorkState::Waiting).await;
        assert!(!waiting.is_true("Paused"), "{waiting:?}");

        annotate::<ColonyProcess>(stage, "later", PAUSED_ANNOTATION, json!("true")).await;
        stage
            .until_status::<ColonyProcess>("later", "is paused again", |status| status.is_true("Paused"))
            .await;
        objects.delete("later", &DeleteParams::default()).await.unwrap();
        let told = stage
            .until_status::<ColonyProcess>("later", "its deletion waits", |status| {
                status.conditions.iter().any(|one| one.message.starts_with("its deletion waits"))
            })
            .await;
        let mirror = told.mirror.unwrap();
        let found = stage.colony.member.processes_labelled(&mirror.label).await.unwrap();
        assert_eq!(found.len(), 1, "it is still there");
        annotate::<ColonyProcess>(stage, "later", PAUSED_ANNOTATION, json!("false")).await;
        wait_until_gone::<ColonyProcess>(&stage.namespace, "later").await;
    })
    .await;
}

/// What a person changes by hand meanwhile stays, and so does what the spec says.
#[tokio::test]
async fn a_fleet_that_is_paused_is_left_as_it_is() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "pausedfleet", async |stage| {
        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        stage.wait_until_ready("encoders", 1).await;
        annotate::<ExecutorDeployment>(stage, "encoders", PAUSED_ANNOTATION, json!("true")).await;
        let paused = stage.wait_for_status("encoders", "is paused", |status| status.is_true("Paused")).await;
        let status = paused.status.as_ref().unwrap();
        assert!(status.is_true("Ready"), "it says what it said: {status:?}");
        assert_eq!(status.condition("Paused").unwrap().reason, "ReconcilePaused");

        let deployments: Api<Deployment> = stage.api();
        deployments.delete("encoders", &DeleteParams::default()).await.unwrap();
        stage.change("encoders", &json!({ "replicas": 2 })).await;
        throughout("there is no Deployment", QUIET, async || {
            let found = deployments.get_opt("encoders").await.map_err(|error| error.to_string())?;
            let is_left = found.is_none_or(|found| found.metadata.deletion_timestamp.is_some());
            is_left.then_some(()).ok_or_else(|| "it was made again".to_owned())
        })
        .await;
        annotate::<ExecutorDeployment>(stage, "encoders", PAUSED_ANNOTATION, Value::Null).await;
        let resumed = stage.wait_until_ready("encoders", 2).await;
        assert!(resumed.status.as_ref().unwrap().condition("Paused").is_none(), "{:?}", resumed.status);
    })
    .await;
}

/// An autoscaler owns the number of pods, and the operator everything else.
#[tokio::test]
async fn fields_of_other_owners_are_left_to_them() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "ignored", async |stage| {
        let drift = json!({ "ignoreFields": ["spec.replicas"] });
        stage.apply("encoders", &json!({ "replicas": 1, "drift": drift })).await;
        stage.wait_until_ready("encoders", 1).await;
        let deployments: Api<Deployment> = stage.api();
        let scaled = Patch::Merge(json!({ "spec": { "replicas": 2, "paused": true } }));
        deployments.patch("encoders", &PatchParams::default(), &scaled).await.unwrap();
        let image = "registry.example.com/executor:2";
        stage.change("encoders", &json!({ "image": image })).await;
        eventually("the image is changed", SOON, async || {
            let seen = deployments.get("encoders").await.map_err(|error| error.to_string())?;
            let spec = seen.spec.unwrap_or_default();
            let pods = spec.template.spec.unwrap_or_default();
            assert_eq!(spec.replicas, Some(2), "the number of pods belongs to another owner");
            (pods.containers[0].image.as_deref() == Some(image))
                .then_some(())
                .ok_or_else(|| format!("{pods:?}"))
        })
        .await;
        stage.wait_until_ready("encoders", 2).await;

        stage.change("encoders", &json!({ "drift": { "ignoreFields": ["status.replicas"] } })).await;
        let refused = stage
            .wait_for_status("encoders", "a field that does not exist is refused", |status| {
                status.reason("Ready") == "InvalidSpec"
            })
            .await;
        let said = refused.status.as_ref().unwrap().message("Ready");
        assert!(said.starts_with("spec.drift.ignoreFields[0]: status.replicas: write names"), "{said}");
    })
    .await;
}

/// What others change is told and left, until the spec changes.
#[tokio::test]
async fn drift_that_is_only_detected_is_told_and_left() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "detected", async |stage| {
        stage.apply("encoders", &json!({ "replicas": 1, "drift": { "policy": "DetectOnly" } })).await;
        let ready = stage.wait_until_ready("encoders", 1).await;
        let in_sync = ready.status.as_ref().unwrap().condition("Drifted").unwrap().clone();
        assert_eq!((in_sync.status.as_str(), in_sync.reason.as_str()), ("False", "InSync"));
        let deployments: Api<Deployment> = stage.api();
        let scaled = Patch::Merge(json!({ "spec": { "replicas": 2 } }));
        let scaled = deployments.patch("encoders", &PatchParams::default(), &scaled).await.unwrap();
        let drifted =
            stage.wait_for_status("encoders", "the drift is told", |status| status.is_true("Drifted")).await;
        let told = drifted.status.as_ref().unwrap().condition("Drifted").unwrap();
        assert!(told.message.contains("Deployment encoders: spec.replicas"), "{}", told.message);
        throughout("it is left", QUIET, async || {
            let seen = deployments.get("encoders").await.map_err(|error| error.to_string())?;
            (seen.metadata.generation == scaled.metadata.generation)
                .then_some(())
                .ok_or_else(|| format!("{:?}", seen.spec))
        })
        .await;
        stage.change("encoders", &json!({ "image": "registry.example.com/executor:2" })).await;
        stage
            .wait_for_status("encoders", "all is as it should be", |status| {
                status.is_false("Drifted") && status.ready_replicas == 1
            })
            .await;
        let seen = deployments.get("encoders").await.unwrap();
        assert_eq!(seen.spec.unwrap().replicas, Some(1));
    })
    .await;
}

/// `kubectl delete --cascade=orphan` leaves a fleet at work; another object of its name may take it over as it is.
#[tokio::test]
async fn a_fleet_that_was_left_is_taken_over_where_that_is_asked_for() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "adopted", async |stage| {
        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        let first = stage.wait_until_ready("encoders", 1).await;
        let executor = |object: &ExecutorDeployment| {
            object.status.as_ref().and_then(|status| status.executor.as_ref()).map(|one| one.name.clone())
        };
        let deployments: Api<Deployment> = stage.api();
        let left = deployments.get("encoders").await.unwrap();
        let fleets: Api<ExecutorDeployment> = stage.api();
        fleets.delete("encoders", &DeleteParams::orphan()).await.unwrap();
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;

        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        stage
            .wait_for_status("encoders", "what is left is reported", |status| {
                status.reason("Ready") == "ForeignObject"
            })
            .await;
        stage.change("encoders", &json!({ "adoptionPolicy": "adopt-or-create" })).await;
        let second = stage.wait_until_ready("encoders", 1).await;
        assert_eq!(executor(&second), executor(&first), "the executor goes on");
        let taken = deployments.get("encoders").await.unwrap();
        assert_eq!(taken.uid(), left.uid(), "so do its pods");
        let owners = taken.owner_references();
        assert_eq!((owners.len(), Some(&owners[0].uid)), (1, second.metadata.uid.as_ref()));

        // What selects other pods cannot be made ours, and one that is only adopted is never created.
        let adopt = json!({ "adoptionPolicy": "adopt" });
        stage.apply("others", &adopt).await;
        stage
            .wait_for_status("others", "it waits for a Deployment", |status| {
                status.message("Progressing").contains("it is only adopted")
            })
            .await;
        assert!(deployments.get_opt("others").await.unwrap().is_none());
        let theirs: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "others" },
            "spec": {
                "replicas": 0, "selector": { "matchLabels": { "app": "theirs" } },
                "template": {
                    "metadata": { "labels": { "app": "theirs" } },
                    "spec": { "containers": [{ "name": "c", "image": "theirs:1" }] },
                },
            },
        }))
        .unwrap();
        deployments.create(&PostParams::default(), &theirs).await.unwrap();
        let refused = stage
            .wait_for_status("others", "the selector is refused", |status| {
                status.reason("Ready") == "ForeignObject"
            })
            .await;
        let said = refused.status.as_ref().unwrap().message("Ready");
        assert!(said.contains("spec.adoptionPolicy: Deployment others selects pods by"), "{said}");
    })
    .await;
}

/// With lists an hour apart and no subscriptions, the operator does not learn of a process that ends.
#[tokio::test]
async fn a_requested_pass_reads_the_colony() {
    let connection = connect_with_crds().await;
    let rarely = |configuration: &mut colonyos_operator::runtime::config::OperatorConfiguration| {
        configuration.process_poll_seconds = 3600;
        configuration.process_subscriptions = 0;
    };
    with_configured_operator(&connection, "lookat", rarely, async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        submit(stage, "asked", json!({})).await;
        let process = colony::assigned(&executor).await;
        stage
            .until_status::<ColonyProcess>("asked", "is bound", |status| {
                status.mirror.as_ref().is_some_and(|mirror| mirror.process_id.is_some())
            })
            .await;
        executor.close_successful(&process.id, &[json!(4711)]).await.unwrap();
        let objects: Api<ColonyProcess> = stage.api();
        throughout("it is not known", QUIET, async || {
            let state = objects
                .get("asked")
                .await
                .map_err(|error| error.to_string())?
                .status
                .and_then(|status| status.state);
            (state != Some(WorkState::Succeeded)).then_some(()).ok_or_else(|| format!("{state:?}"))
        })
        .await;
        annotate::<ColonyProcess>(stage, "asked", RECONCILE_ANNOTATION, json!("2026-11-26T19:00:00Z")).await;
        stage.until_state::<ColonyProcess>("asked", WorkState::Succeeded).await;
    })
    .await;
}
