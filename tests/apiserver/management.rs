//! What may be done for a fleet and for the instances of a defined kind, and what is then left alone (`managementPolicies`),
//! on the real servers.

use std::time::Duration;

use colonyos_operator::{
    api::{executor_deployment::ExecutorDeployment, names::identity_secret},
    colony::{ExecutorState, ProcessState},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    resource_definition::model,
    support::{
        cluster::connect_with_crds,
        colony,
        conditions::Conditions as _,
        namespace::wait_until_gone,
        own_kind::{OwnKind, is_ready},
        stage::{Stage, with_operator},
        wait::throughout,
    },
};

/// How long is watched that nothing is done: a pass takes well below a second.
const QUIET: Duration = Duration::from_secs(3);

async fn allow(stage: &Stage, name: &str, policies: &[&str]) {
    stage.change(name, &json!({ "managementPolicies": policies })).await;
}

#[tokio::test]
async fn a_fleet_is_made_and_changed_only_as_far_as_that_is_listed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "managed", async |stage| {
        let policies = json!(["Observe", "Update", "Delete"]);
        stage.apply("encoders", &json!({ "replicas": 1, "managementPolicies": policies })).await;
        let left = stage
            .wait_for_status("encoders", "it is told that nothing is made", |status| {
                status.reason("Ready") == "LeftAlone"
            })
            .await;
        let said = left.status.as_ref().unwrap().message("Ready");
        assert!(said.contains("Deployment encoders, its key") && said.contains("add Create"), "{said}");
        let (deployments, secrets): (Api<Deployment>, Api<Secret>) = (stage.api(), stage.api());
        let fleets: Api<ExecutorDeployment> = stage.api();
        throughout("nothing is made", QUIET, async || {
            let found = deployments.get_opt("encoders").await.map_err(|error| error.to_string())?;
            let secret =
                secrets.get_opt(&identity_secret("encoders")).await.map_err(|error| error.to_string())?;
            let object = fleets.get("encoders").await.map_err(|error| error.to_string())?;
            let mirror = object.status.as_ref().and_then(|status| status.mirror.clone());
            let is_nothing =
                found.is_none() && secret.is_none() && mirror.is_none() && object.finalizers().is_empty();
            is_nothing.then_some(()).ok_or_else(|| format!("{mirror:?}, {:?}", object.finalizers()))
        })
        .await;
        allow(stage, "encoders", &["*"]).await;
        stage.wait_until_ready("encoders", 1).await;

        allow(stage, "encoders", &["Observe", "Create", "Delete"]).await;
        stage.wait_until_ready("encoders", 1).await;
        let before = deployments.get("encoders").await.unwrap();
        let changed = stage.change("encoders", &json!({ "replicas": 2 })).await;
        let drifted = stage
            .wait_for_status("encoders", "the difference is told", |status| status.is_true("Drifted"))
            .await;
        let status = drifted.status.as_ref().unwrap();
        let said = status.message("Drifted");
        assert!(said.contains("Deployment encoders: spec.replicas"), "{said}");
        let mirrored = status.condition("Mirrored").unwrap();
        assert_eq!(
            (mirrored.status.as_str(), mirrored.reason.as_str()),
            ("False", "LeftAlone"),
            "{mirrored:?}"
        );
        throughout("it is left, and no process says that it was done", QUIET, async || {
            let seen = deployments.get("encoders").await.map_err(|error| error.to_string())?;
            let object = fleets.get("encoders").await.map_err(|error| error.to_string())?;
            let carried = object.status.and_then(|status| status.mirror).map(|mirror| mirror.generation);
            let is_left = seen.metadata.generation == before.metadata.generation
                && carried < changed.metadata.generation;
            is_left.then_some(()).ok_or_else(|| format!("{:?}, {carried:?}", seen.spec))
        })
        .await;
        allow(stage, "encoders", &["*"]).await;
        let updated = stage.wait_until_ready("encoders", 2).await;
        assert!(updated.status.as_ref().unwrap().condition("Drifted").is_none(), "{:?}", updated.status);

        let patch = Patch::Merge(json!({ "spec": { "managementPolicies": ["Create"] } }));
        let refused =
            fleets.patch("encoders", &PatchParams::default(), &patch).await.unwrap_err().to_string();
        assert!(refused.contains("nothing can be done without looking: add Observe"), "{refused}");
    })
    .await;
}

/// The garbage collector takes whatever has a reference to its owner: all of it has to be let go of before.
#[tokio::test]
async fn a_fleet_that_may_not_be_deleted_stays_when_its_object_goes() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "staying", async |stage| {
        let policies = json!(["Observe", "Create", "Update"]);
        let spec = json!({ "replicas": 1, "managementPolicies": policies, "deletionPolicy": "Delete" });
        stage.apply("encoders", &spec).await;
        let first = stage.wait_until_ready("encoders", 1).await;
        let executor = first.status.unwrap().executor.unwrap().name;
        let (deployments, secrets): (Api<Deployment>, Api<Secret>) = (stage.api(), stage.api());
        let fleets: Api<ExecutorDeployment> = stage.api();
        let before = deployments.get("encoders").await.unwrap();
        fleets.delete("encoders", &DeleteParams::background()).await.unwrap();
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;
        throughout("it is all still there", QUIET, async || {
            let left = deployments.get("encoders").await.map_err(|error| error.to_string())?;
            let secret =
                secrets.get(&identity_secret("encoders")).await.map_err(|error| error.to_string())?;
            let is_left = left.metadata.uid == before.metadata.uid
                && left.metadata.deletion_timestamp.is_none()
                && left.owner_references().is_empty()
                && secret.owner_references().is_empty();
            is_left.then_some(()).ok_or_else(|| format!("{:?} {:?}", left.metadata, secret.metadata))
        })
        .await;
        let found = stage.colony.member.executor(&executor).await.unwrap();
        assert_eq!(found.state, ExecutorState::Approved, "its pods go on");
    })
    .await;
}

/// Nothing tells of a stranger's Deployment, and nothing but status may be written.
#[tokio::test]
async fn the_workload_of_another_owner_is_only_observed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "observed", async |stage| {
        let theirs: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "encoders" },
            "spec": {
                "replicas": 2, "selector": { "matchLabels": { "app": "theirs" } },
                "template": {
                    "metadata": { "labels": { "app": "theirs" } },
                    "spec": {
                        "nodeSelector": { "colonies.io/node": "kwok" }, "tolerations": [{ "operator": "Exists" }],
                        "containers": [{ "name": "c", "image": "theirs:1" }],
                    },
                },
            },
        }))
        .unwrap();
        stage.apply("encoders", &json!({ "replicas": 7, "managementPolicies": ["Observe"] })).await;
        stage
            .wait_for_status("encoders", "there is nothing to look at", |status| {
                status.message("Ready").contains("Deployment encoders does not exist")
            })
            .await;
        let deployments: Api<Deployment> = stage.api();
        deployments.create(&PostParams::default(), &theirs).await.unwrap();
        let seen = stage
            .wait_for_status("encoders", "its counts are shown", |status| {
                status.is_true("Ready") && status.ready_replicas == 2
            })
            .await;
        let status = seen.status.as_ref().unwrap();
        assert_eq!((status.replicas, &status.mirror, &status.executor), (2, &None, &None));
        assert_eq!(seen.finalizers(), [""; 0]);
        let left = deployments.get("encoders").await.unwrap();
        assert_eq!((left.owner_references().len(), left.metadata.generation), (0, Some(1)));
        assert!(stage.api::<Secret>().get_opt(&identity_secret("encoders")).await.unwrap().is_none());

        let fleets: Api<ExecutorDeployment> = stage.api();
        fleets.delete("encoders", &DeleteParams::default()).await.unwrap();
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, "encoders").await;
        assert_eq!(deployments.get("encoders").await.unwrap().metadata.uid, left.metadata.uid);
    })
    .await;
}

#[tokio::test]
async fn instances_reach_the_colony_only_as_far_as_that_is_listed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "handled", async |stage| {
        let mut kind = OwnKind::of(stage);
        let policies = |listed: &[&str]| json!({ "spec": { "handler": { "managementPolicies": listed } } });
        kind.whole["spec"]["handler"]["managementPolicies"] = json!(["Observe", "Update"]);
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.define().await;
        kind.until_ready().await;
        kind.create("llama", model()).await;
        let is_left = |object: &kube::core::DynamicObject| {
            object.is_false("Mirrored") && object.reason("Mirrored") == "LeftAlone"
        };
        let left = kind.until_instance("llama", "is not submitted", is_left).await;
        let said = left.message("Mirrored");
        assert!(said.contains("handler.managementPolicies do not list Create"), "{said}");
        assert_eq!(left.data["status"]["mirror"], Value::Null);

        kind.change(policies(&["Observe", "Create"])).await;
        let process = colony::assigned(&executor).await;
        executor.close_successful(&process.id, &[json!({ "endpoint": "e", "replicas": 1 })]).await.unwrap();
        kind.until_instance("llama", "is ready", is_ready).await;
        kind.change_instance("llama", json!({ "spec": { "replicas": 3 } })).await;
        let left = kind.until_instance("llama", "its change is not submitted", is_left).await;
        assert!(left.is_false("Ready"), "{}", left.data);
        assert_eq!(left.data["status"]["submittedGeneration"], 1);

        // Neither cancel nor clean-up.
        kind.change(policies(&["Observe", "Create", "Update"])).await;
        let second = colony::assigned(&executor).await;
        assert_eq!(second.spec.kwargs["spec"]["replicas"], 3);
        kind.until_instance("llama", "runs", |object| object.is_true("Running")).await;
        kind.instances.delete("llama", &DeleteParams::default()).await.unwrap();
        kind.until_gone("llama").await;
        let found = stage.colony.member.process(&second.id).await.unwrap();
        assert_eq!(found.state, ProcessState::Running);
        assert!(executor.assign(Duration::from_secs(1)).await.unwrap().is_none(), "no clean-up is asked for");
    })
    .await;
}
