//! The operator's binary and `ExecutorDeployments`, with a real API server, real controllers, pretended nodes and a
//! real ColonyOS server.

use std::{collections::BTreeMap, time::Duration};

use colonyos_operator::{
    api::{executor_deployment::ExecutorDeployment, mirror::MirrorState, names::NEVER_OBSERVED},
    colony::{ExecutorState, ProcessState},
    runtime::clock::Clock,
};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    core::v1::{Node, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::OwnColony,
    conditions::Conditions as _,
    namespace::{in_namespace, wait_until_gone},
    operator::{Operator, Turn, configuration},
    stage::{SOON, Stage, executor_deployment, with_operator},
    wait::{eventually, throughout},
};

fn image(deployment: &Deployment) -> &str {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    template.and_then(|pods| pods.containers[0].image.as_deref()).unwrap_or_default()
}

fn replicas(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.replicas
}

/// The main job: apply, and executors run, registered and mirrored.
#[tokio::test]
async fn an_executor_deployment_becomes_executors() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "becomes", async |stage| {
        let uid = stage.apply("encoders", &json!({ "replicas": 2 })).await.uid();
        let object = stage.wait_until_ready("encoders", 2).await;
        let status = object.status.unwrap();

        let deployment: Deployment = stage.api().get("encoders").await.unwrap();
        let owner = &deployment.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((Some(&owner.uid), owner.controller), (uid.as_ref(), Some(true)));
        let pods = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        assert_eq!(pods.automount_service_account_token, Some(false));
        assert_eq!(pods.security_context.as_ref().and_then(|context| context.run_as_non_root), Some(true));

        let mirror = status.mirror.clone().unwrap();
        assert_eq!((mirror.state, mirror.generation), (MirrorState::Successful, 1));
        let processes = stage.colony.member.processes_labelled(&mirror.label).await.unwrap();
        assert_eq!(processes.len(), 1, "one process a generation");
        assert_eq!(processes[0].state, ProcessState::Successful);
        assert_eq!(processes[0].spec.function, "reconcile_executor_deployment");

        let executor = status.executor.clone().unwrap();
        assert!(executor.registered, "{executor:?}");
        let registered = stage.colony.member.executor(&executor.name).await.unwrap();
        assert_eq!(
            (registered.state, registered.executor_type.as_str()),
            (ExecutorState::Approved, "encoders-type")
        );

        for condition in &status.conditions {
            assert_eq!(condition.observed_generation, Some(1), "{condition:?}");
            let speaks = ["Ready", "Mirrored"].contains(&condition.type_.as_str());
            assert!(!speaks || !condition.message.is_empty(), "{condition:?}");
        }
        assert_eq!(status.conditions.last().unwrap().type_, "Ready", "Ready stands last");
        no_pod_gets_the_owners_key(stage).await;
    })
    .await;
}

/// A user who can read the Secrets beside the pods must find nothing that could act for the whole colony.
async fn no_pod_gets_the_owners_key(stage: &Stage) {
    let secrets = stage.api::<Secret>().list(&ListParams::default()).await.unwrap();
    let identity = secrets.iter().find(|secret| secret.name_any() == "encoders-executor-identity").unwrap();
    for (key, value) in identity.data.as_ref().unwrap() {
        assert_ne!(value.0, stage.colony.owner_key.as_bytes(), "{key} is the owner's key");
    }
    let deployment: Deployment = stage.api().get("encoders").await.unwrap();
    let text = serde_json::to_string(&deployment).unwrap();
    let key = identity.data.as_ref().unwrap().get("COLONIES_PRVKEY").expect("executors need their key");
    assert!(
        !text.contains(std::str::from_utf8(&key.0).unwrap()),
        "the executor's key stands in the pod template"
    );
    assert!(!text.contains(&stage.colony.owner_key));
}

/// A hand in the works must not stay.
#[tokio::test]
async fn drift_is_put_right() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "drift", async |stage| {
        stage.apply("encoders", &json!({ "replicas": 2 })).await;
        stage.wait_until_ready("encoders", 2).await;
        let deployments: Api<Deployment> = stage.api();
        let changes = [
            json!({ "spec": { "replicas": 7 } }),
            json!({ "spec": { "template": { "spec": { "containers": [{ "name": "executor", "image": "evil:1" }]}}}}),
            json!({ "spec": { "template": { "spec": { "automountServiceAccountToken": true }}}}),
            json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null }}}),
        ];
        let clock = Clock::system();
        for change in changes {
            let patch = Patch::Strategic(&change);
            deployments.patch("encoders", &PatchParams::default(), &patch).await.unwrap();
            let start = clock.instant();
            eventually(&format!("{change} is put right"), SOON, async || {
                let seen = deployments.get("encoders").await.map_err(|error| error.to_string())?;
                let pods = seen.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
                let is_right = replicas(&seen) == Some(2)
                    && image(&seen) == "registry.example.com/executor:1"
                    && pods.automount_service_account_token == Some(false)
                    && seen.labels().contains_key("app.kubernetes.io/managed-by");
                is_right.then_some(()).ok_or_else(|| format!("{:?}", seen.metadata))
            })
            .await;
            println!("put right after {:?}: {change}", clock.instant() - start);
        }

        let before = deployments.get("encoders").await.unwrap().uid();
        deployments.delete("encoders", &DeleteParams::default()).await.unwrap();
        eventually("the Deployment is made again", SOON, async || {
            let seen = deployments.get_opt("encoders").await.map_err(|error| error.to_string())?;
            seen.filter(|seen| seen.uid() != before).map(drop).ok_or_else(|| "it is not there".to_owned())
        })
        .await;
        stage.wait_until_ready("encoders", 2).await;
    })
    .await;
}

#[tokio::test]
async fn changes_of_the_spec_reach_the_workload() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "changes", async |stage| {
        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        stage.wait_until_ready("encoders", 1).await;
        let objects: Api<ExecutorDeployment> = stage.api();
        let deployments: Api<Deployment> = stage.api();

        let scale = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
        objects.patch_scale("encoders", &PatchParams::default(), &scale).await.unwrap();
        stage.wait_until_ready("encoders", 3).await;
        assert_eq!(objects.get_scale("encoders").await.unwrap().status.unwrap().replicas, 3);

        let generation = stage
            .change("encoders", &json!({ "image": "registry.example.com/executor:2" }))
            .await
            .metadata
            .generation;
        let object = stage.wait_until_ready("encoders", 3).await;
        assert_eq!(image(&deployments.get("encoders").await.unwrap()), "registry.example.com/executor:2");
        assert_eq!(Some(object.status.unwrap().mirror.unwrap().generation), generation);

        stage.change("encoders", &json!({ "suspend": true })).await;
        stage
            .wait_for_status("encoders", "nothing runs", |status| {
                status.replicas == 0 && status.ready_replicas == 0
            })
            .await;
        assert_eq!(replicas(&deployments.get("encoders").await.unwrap()), Some(0));
        stage.change("encoders", &json!({ "suspend": false })).await;
        stage.wait_until_ready("encoders", 3).await;
    })
    .await;
}

/// What ran before must not run on beside what runs now.
#[tokio::test]
async fn another_workload_replaces_the_first() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "workload", async |stage| {
        let nodes: Api<Node> = Api::all(stage.namespace.kubernetes.calls.clone());
        let nodes = i32::try_from(
            nodes.list(&ListParams::default().labels("colonies.io/node=kwok")).await.unwrap().items.len(),
        )
        .unwrap();
        stage.apply("encoders", &json!({ "replicas": 2 })).await;
        stage.wait_until_ready("encoders", 2).await;

        stage.change("encoders", &json!({ "workload": "DaemonSet", "replicas": 1 })).await;
        wait_until_gone::<Deployment>(&stage.namespace, "encoders").await;
        stage
            .wait_for_status("encoders", "one executor on each node", |status| {
                status.desired_replicas == Some(nodes) && status.ready_replicas == nodes
            })
            .await;
        assert!(stage.api::<DaemonSet>().get_opt("encoders").await.unwrap().is_some());

        stage.change("encoders", &json!({ "workload": "Job", "replicas": 2 })).await;
        wait_until_gone::<DaemonSet>(&stage.namespace, "encoders").await;
        stage.wait_for_status("encoders", "the Job has ended", |status| status.is_true("Finished")).await;
        let job: Job = stage.api().get("encoders").await.unwrap();
        let spec = job.spec.unwrap();
        assert_eq!((spec.parallelism, spec.completions), (Some(2), Some(2)));
    })
    .await;
}

/// A stranger's object of the same name is reported and left alone.
#[tokio::test]
async fn a_strangers_object_is_left_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "stranger", async |stage| {
        let stranger: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "encoders", "labels": { "app": "theirs" } },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": { "app": "theirs" } },
                "template": {
                    "metadata": { "labels": { "app": "theirs" } },
                    "spec": { "containers": [{ "name": "c", "image": "theirs:1" }] },
                },
            },
        }))
        .unwrap();
        let deployments: Api<Deployment> = stage.api();
        let before = deployments.create(&PostParams::default(), &stranger).await.unwrap();
        stage.apply("encoders", &json!({})).await;
        let object = stage
            .wait_for_status("encoders", "the stranger is reported", |status| {
                status.reason("Ready") == "ForeignObject"
            })
            .await;
        let status = object.status.unwrap();
        let ready = status.condition("Ready").unwrap();
        assert!(
            ready.message.contains("Deployment") && ready.message.contains("encoders"),
            "{}",
            ready.message
        );

        stage.api::<ExecutorDeployment>().delete("encoders", &DeleteParams::default()).await.unwrap();
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;
        let after = deployments.get("encoders").await.unwrap();
        assert_eq!((after.uid(), after.metadata.generation), (before.uid(), before.metadata.generation));
        assert_eq!(after.labels(), &BTreeMap::from([("app".to_owned(), "theirs".to_owned())]));
    })
    .await;
}

/// Deletion leaves nothing: no pods, no Secret, no executor in the colony.
#[tokio::test]
async fn deletion_clears_both_sides() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "deletion", async |stage| {
        stage.apply("encoders", &json!({ "replicas": 2 })).await;
        let object = stage.wait_until_ready("encoders", 2).await;
        let executor = object.status.unwrap().executor.unwrap().name;
        stage.api::<ExecutorDeployment>().delete("encoders", &DeleteParams::default()).await.unwrap();
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;
        wait_until_gone::<Deployment>(&stage.namespace, "encoders").await;
        wait_until_gone::<Secret>(&stage.namespace, "encoders-executor-identity").await;
        let left = stage.colony.member.executor(&executor).await;
        assert!(
            matches!(&left, Ok(found) if found.state == ExecutorState::Unregistered)
                || left.as_ref().is_err_and(colonyos_operator::colony::Error::is_not_found),
            "{left:?}"
        );
    })
    .await;
}

/// What the configuration does not allow is refused in the object's own status, and nothing of it is carried out.
#[tokio::test]
async fn what_is_not_allowed_is_said_and_not_done() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "not-allowed", async |stage| {
        let host_path =
            json!({ "config": { "volumes": [{ "source": "/etc", "target": "/etc-of-the-node" }] } });
        let account = json!({ "serviceAccountName": "default" });
        let privileged = json!({ "template": { "spec": { "hostNetwork": true } } });
        let cases: [(&str, Value, &str); 3] = [
            ("host-path", host_path, "/etc"),
            ("account", account, "serviceAccountName"),
            ("privileged", privileged, "hostNetwork"),
        ];
        for (name, spec, named) in &cases {
            stage.apply(name, spec).await;
            let object = stage
                .wait_for_status(name, "it is refused", |status| status.reason("Ready") == "InvalidSpec")
                .await;
            let status = object.status.unwrap();
            let ready = status.condition("Ready").unwrap();
            assert!(ready.message.contains(named), "{name}: {}", ready.message);
            assert!(stage.api::<Deployment>().get_opt(name).await.unwrap().is_none(), "{name} runs");
            // A spec that cannot be carried out must not keep its object from going.
            stage.api::<ExecutorDeployment>().delete(name, &DeleteParams::default()).await.unwrap();
            wait_until_gone::<ExecutorDeployment>(&stage.namespace, name).await;
        }
    })
    .await;
}

/// Workloads do not wait for a colony that is away, and the status says what lags.
#[tokio::test]
async fn workloads_run_while_the_colony_is_away() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "away", async |namespace| {
        let turn = Turn::take().await;
        let colony = OwnColony::create_unreachable(&namespace).await;
        let operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        let stage = Stage { namespace, colony, operator, turn };
        let object = executor_deployment("encoders", &stage.colony.name, &json!({ "replicas": 2 }));
        stage.api::<ExecutorDeployment>().create(&PostParams::default(), &object).await.unwrap();
        let object = stage
            .wait_for_status("encoders", "executors run, the mirror lags", |status| {
                status.ready_replicas == 2
                    && status.condition("Mirrored").is_some_and(|mirrored| mirrored.status != "True")
            })
            .await;
        let status = object.status.unwrap();
        let mirrored = status.condition("Mirrored").unwrap();
        assert!(mirrored.message.contains(&stage.colony.name), "{mirrored:?}");
        let Stage { colony, operator, .. } = stage;
        drop(operator);
        colony.remove().await;
    })
    .await;
}

/// The operator looks after the namespaces that it was told to, and no others.
#[tokio::test]
async fn other_namespaces_are_left_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "own", async |stage| {
        in_namespace(&stage.namespace.kubernetes, "other", async |other| {
            let object = executor_deployment("encoders", &stage.colony.name, &json!({}));
            let others: Api<ExecutorDeployment> = other.api();
            others.create(&PostParams::default(), &object).await.unwrap();
            stage.apply("encoders", &json!({})).await;
            stage.wait_until_ready("encoders", 1).await;
            throughout("the other namespace is left unchanged", Duration::from_secs(1), async || {
                let seen = others.get("encoders").await.map_err(|error| error.to_string())?;
                let observed = seen.status.as_ref().and_then(|status| status.observed_generation);
                (observed == Some(NEVER_OBSERVED) && seen.finalizers().is_empty())
                    .then_some(())
                    .ok_or_else(|| format!("{:?} {:?}", seen.metadata, seen.status))
            })
            .await;
        })
        .await;
    })
    .await;
}
