//! How an `ExecutorDeployment` ends when others have a say in it: the garbage collector, owners of other finalizers, users
//! of the colony. The garbage collector is the real one.

use colonyos_operator::{
    api::{
        executor_deployment::ExecutorDeployment,
        mirror::{MirrorState, MirrorStatus},
    },
    colony::{ExecutorState, Process, ProcessId, ProcessState},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, events::v1::Event};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    namespace::wait_until_gone,
    stage::{SOON, Stage, with_operator},
    wait::eventually,
};

/// Applies a fleet that never gets ready, so that its process stays with the operator; name of its executor and the
/// process.
async fn apply_running(stage: &Stage, name: &str, spec: Value) -> (String, ProcessId) {
    let mut spec = spec;
    spec["nodeSelector"] = json!({ "colonies.io/node": "none" });
    stage.apply(name, &spec).await;
    let object = stage
        .wait_for_status(name, "its process runs", |status| {
            status.mirror.as_ref().is_some_and(|mirror| mirror.state == MirrorState::Running)
                && status.executor.as_ref().is_some_and(|executor| executor.registered)
        })
        .await;
    let status = object.status.unwrap();
    (status.executor.unwrap().name, process_id(status.mirror.as_ref()))
}

fn process_id(mirror: Option<&MirrorStatus>) -> ProcessId {
    ProcessId::new(mirror.unwrap().process_id.as_ref().unwrap())
}

async fn delete(stage: &Stage, name: &str, propagation: PropagationPolicy) {
    let parameters = DeleteParams { propagation_policy: Some(propagation), ..DeleteParams::default() };
    stage.api::<ExecutorDeployment>().delete(name, &parameters).await.unwrap();
}

async fn process(stage: &Stage, id: &ProcessId) -> Process {
    stage.colony.member.process(id).await.unwrap()
}

async fn executor_state(stage: &Stage, name: &str) -> ExecutorState {
    stage.colony.member.executor(name).await.unwrap().state
}

/// The finalizer goes when the server says that the process is over, and not before.
#[tokio::test]
async fn deletion_cancels_what_runs() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "cancels", async |stage| {
        let (executor, running) = apply_running(stage, "encoders", json!({})).await;
        delete(stage, "encoders", PropagationPolicy::Background).await;
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;
        assert_eq!(process(stage, &running).await.state, ProcessState::Cancelled);
        assert_eq!(executor_state(stage, &executor).await, ExecutorState::Unregistered);

        // Cancelled by another client just before: nothing is left to cancel, and that is no failure.
        let (_, running) = apply_running(stage, "decoders", json!({})).await;
        stage.colony.member.cancel(&running).await.unwrap();
        delete(stage, "decoders", PropagationPolicy::Background).await;
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "decoders").await;

        let (executor, running) = apply_running(stage, "kept", json!({ "deletionPolicy": "Orphan" })).await;
        delete(stage, "kept", PropagationPolicy::Background).await;
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "kept").await;
        assert_eq!(process(stage, &running).await.state, ProcessState::Running, "it was to be left");
        assert_eq!(executor_state(stage, &executor).await, ExecutorState::Unregistered);
    })
    .await;
}

/// The garbage collector takes the children, the Secret among them, and waits for nothing of ours.
#[tokio::test]
async fn deletion_in_the_foreground_ends() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "foreground", async |stage| {
        let (executor, running) = apply_running(stage, "encoders", json!({ "replicas": 2 })).await;
        delete(stage, "encoders", PropagationPolicy::Foreground).await;
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;
        wait_until_gone::<Deployment>(&stage.namespace, "encoders").await;
        wait_until_gone::<Secret>(&stage.namespace, "encoders-executor-identity").await;
        assert_eq!(process(stage, &running).await.state, ProcessState::Cancelled);
        assert_eq!(executor_state(stage, &executor).await, ExecutorState::Unregistered);
    })
    .await;
}

/// What was to stay goes on working: its pods keep the executor as which they serve.
#[tokio::test]
async fn orphaned_children_keep_their_executor() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "orphan", async |stage| {
        // Often: the collector and the operator race, each with caches of its own.
        for round in 0..5 {
            let name = format!("encoders-{}", char::from(b'a' + round));
            let (executor, running) = apply_running(stage, &name, json!({ "replicas": 2 })).await;
            let deployments: Api<Deployment> = stage.api();
            let before = deployments.get(&name).await.unwrap().uid();
            delete(stage, &name, PropagationPolicy::Orphan).await;
            wait_until_gone::<ExecutorDeployment>(&stage.namespace, &name).await;

            let kept = deployments.get(&name).await.unwrap();
            assert_eq!((kept.uid(), kept.owner_references().len()), (before, 0));
            assert_eq!(kept.metadata.deletion_timestamp, None);
            let secret: Secret = stage.api().get(&format!("{name}-executor-identity")).await.unwrap();
            assert_eq!(secret.owner_references().len(), 0);
            assert_eq!(executor_state(stage, &executor).await, ExecutorState::Approved);
            assert_eq!(process(stage, &running).await.state, ProcessState::Cancelled);
            let note = eventually("an Event says what was left", SOON, async || {
                let events = stage.api::<Event>().list(&ListParams::default()).await;
                let events = events.map_err(|error| error.to_string())?;
                let about = |event: &&Event| {
                    event.regarding.as_ref().and_then(|object| object.name.as_ref()) == Some(&name)
                        && event.reason.as_deref() == Some("Abandoned")
                };
                let found = events.iter().find(about).and_then(|event| event.note.clone());
                found.ok_or_else(|| "there is none".to_owned())
            })
            .await;
            let left = [format!("executor {executor}"), format!("Deployment {name}")];
            assert!(left.iter().all(|left| note.contains(left)), "{note}");
        }
    })
    .await;
}

/// The owner of a finalizer may need the executors until it is done.
#[tokio::test]
async fn others_are_done_first() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "held", async |stage| {
        let (executor, running) = apply_running(stage, "encoders", json!({})).await;
        let objects: Api<ExecutorDeployment> = stage.api();
        let mut finalizers = objects.get("encoders").await.unwrap().finalizers().to_vec();
        let hold = |finalizers: &[String]| Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
        finalizers.push("backup.example.com/archive".to_owned());
        objects.patch("encoders", &PatchParams::default(), &hold(&finalizers)).await.unwrap();
        delete(stage, "encoders", PropagationPolicy::Background).await;
        eventually("it says what it waits for", SOON, async || {
            let object = objects.get("encoders").await.map_err(|error| error.to_string())?;
            let status = object.status.unwrap_or_default();
            let progressing = status.condition("Progressing").ok_or("no condition")?;
            let is_said = progressing.reason == "WaitingForFinalizer"
                && progressing.message.contains("backup.example.com/archive");
            is_said.then_some(()).ok_or_else(|| format!("{progressing:?}"))
        })
        .await;
        assert!(stage.api::<Deployment>().get_opt("encoders").await.unwrap().is_some());
        assert_eq!(process(stage, &running).await.state, ProcessState::Running);
        assert_eq!(executor_state(stage, &executor).await, ExecutorState::Approved);

        finalizers.pop();
        objects.patch("encoders", &PatchParams::default(), &hold(&finalizers)).await.unwrap();
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;
        assert_eq!(process(stage, &running).await.state, ProcessState::Cancelled);
        assert_eq!(executor_state(stage, &executor).await, ExecutorState::Unregistered);
    })
    .await;
}
