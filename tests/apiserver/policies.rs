//! What users ask of the operator for an object of any kind: to pause, to look at it now.

use std::time::Duration;

use colonyos_operator::api::{
    colony_process::{ColonyProcess, ColonyProcessStatus},
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
    namespace::wait_until_gone,
    stage::{SOON, Stage, condition, is_true, with_configured_operator, with_operator},
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
    let objects: Api<ColonyProcess> = stage.api();
    objects.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

async fn until(
    stage: &Stage,
    name: &str,
    what: &str,
    is_reached: impl Fn(&ColonyProcessStatus) -> bool,
) -> ColonyProcessStatus {
    let objects: Api<ColonyProcess> = stage.api();
    eventually(&format!("{name}: {what}"), SOON, async || {
        let status = objects.get(name).await.map_err(|error| error.to_string())?.status;
        status.clone().filter(|status| is_reached(status)).ok_or_else(|| format!("{status:?}"))
    })
    .await
}

fn is_paused(status: &ColonyProcessStatus) -> bool {
    status.conditions.iter().any(|one| one.type_ == "Paused" && one.status == "True")
}

/// From its creation on, and again when it is deleted: nothing happens on either side, and the object says so.
#[tokio::test]
async fn nothing_is_done_for_an_object_that_is_paused() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "paused", async |stage| {
        submit(stage, "later", json!({ (PAUSED_ANNOTATION): "true" })).await;
        until(stage, "later", "is paused", is_paused).await;
        let objects: Api<ColonyProcess> = stage.api();
        let before = objects.get("later").await.unwrap();
        assert_eq!((before.finalizers(), &before.status.as_ref().unwrap().mirror), (&[][..], &None));
        throughout("nothing is written", QUIET, async || {
            let now = objects.get("later").await.map_err(|error| error.to_string())?.resource_version();
            (now == before.resource_version()).then_some(()).ok_or_else(|| format!("{now:?}"))
        })
        .await;
        annotate::<ColonyProcess>(stage, "later", PAUSED_ANNOTATION, Value::Null).await;
        let waiting = until(stage, "later", "waits", |status| status.state == Some(WorkState::Waiting)).await;
        assert!(!is_paused(&waiting), "{waiting:?}");

        annotate::<ColonyProcess>(stage, "later", PAUSED_ANNOTATION, json!("true")).await;
        until(stage, "later", "is paused again", is_paused).await;
        objects.delete("later", &DeleteParams::default()).await.unwrap();
        let told = until(stage, "later", "its deletion waits", |status| {
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
        let paused = stage.wait_for_status("encoders", "is paused", |status| is_true(status, "Paused")).await;
        let status = paused.status.as_ref().unwrap();
        assert!(is_true(status, "Ready"), "it says what it said: {status:?}");
        assert_eq!(condition(status, "Paused").unwrap().reason, "ReconcilePaused");

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
        assert!(condition(resumed.status.as_ref().unwrap(), "Paused").is_none(), "{:?}", resumed.status);
    })
    .await;
}

/// With lists an hour apart and no subscriptions nobody tells the operator of a process that ends.
#[tokio::test]
async fn whoever_asks_for_a_pass_gets_what_the_colony_says_now() {
    let connection = connect_with_crds().await;
    let rarely = |configuration: &mut colonyos_operator::runtime::config::OperatorConfiguration| {
        configuration.process_poll_seconds = 3600;
        configuration.process_subscriptions = 0;
    };
    with_configured_operator(&connection, "lookat", rarely, async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        submit(stage, "asked", json!({})).await;
        let process = colony::assigned(&executor).await;
        until(stage, "asked", "is bound", |status| {
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
        until(stage, "asked", "has succeeded", |status| status.state == Some(WorkState::Succeeded)).await;
    })
    .await;
}
