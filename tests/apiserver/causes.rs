//! Why something waits or breaks, each cause planted on the real servers and found in the object that people look at. The time that
//! it takes is printed as a row of the table in docs/troubleshooting.md.

use std::fmt::Debug;

use colonyos_operator::{
    api::{
        colony_process::ColonyProcess, colony_workflow::ColonyWorkflow,
        executor_deployment::ExecutorDeployment,
    },
    colony::{NewExecutor, PrivateKey},
};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod, ResourceQuota};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
    core::object::HasStatus,
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::OwnColony,
    conditions::Conditions,
    object,
    own_kind::OwnKind,
    stage::{Ours, SOON, Stage, with_operator},
    times::Planted,
    wait::eventually,
};

/// Waits until some condition of an object gives a reason, in words with the cause.
async fn until_told<K>(stage: &Stage, name: &str, planted: Planted, reason: &str, words: &str)
where
    K: Ours + HasStatus,
    K::Status: Clone + Conditions + Debug,
{
    let is_it = |status: &K::Status| {
        let conditions = status.conditions();
        conditions.iter().any(|condition| condition.reason == reason && condition.message.contains(words))
    };
    stage.until_status::<K>(name, &format!("{reason}: {words}"), is_it).await;
    planted.said(reason);
}

async fn encode(stage: &Stage, name: &str, spec: Value) {
    let mut whole = json!({ "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": "encoder" } });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    stage.create::<ColonyProcess>(json!({ "metadata": { "name": name }, "spec": whole })).await.unwrap();
}

#[tokio::test]
async fn work_says_what_it_waits_for() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "causes-work", async |stage| {
        // One that its owner has not approved.
        let key = PrivateKey::generate().unwrap();
        let executor = stage.colony.owner.client().session(&stage.colony.name, key);
        let new = NewExecutor::new(&stage.colony.name, "e-1", "encoder", executor.id().clone()).unwrap();
        stage.colony.owner.add_executor(&new).await.unwrap();
        let planted = Planted::now("executors are not approved");
        encode(stage, "unapproved", json!({})).await;
        until_told::<ColonyProcess>(stage, "unapproved", planted, "ExecutorAwaited", "to approve").await;
        let planted = Planted::now("the same, from the first look on");
        until_told::<ColonyProcess>(stage, "unapproved", planted, "ExecutorsNotApproved", "to approve").await;

        let planted = Planted::now("a Secret is missing");
        let from = json!({ "secretKeyRef": { "name": "settings", "key": "token" } });
        encode(stage, "secret", json!({ "env": [{ "name": "TOKEN", "valueFrom": from }] })).await;
        until_told::<ColonyProcess>(stage, "secret", planted, "SourceNotFound", "settings").await;

        let planted = Planted::now("no Colony of that name");
        encode(stage, "nocolony", json!({ "colony": "nowhere" })).await;
        until_told::<ColonyProcess>(stage, "nocolony", planted, "ColonyNotFound", "nowhere").await;

        let planted = Planted::now("a node of a workflow waits for another");
        let nodes = json!([
            { "name": "a", "function": "encode", "conditions": { "executorType": "encoder" } },
            { "name": "b", "function": "encode", "conditions": { "executorType": "encoder" }, "dependencies": ["a"] },
        ]);
        let graph = json!({ "metadata": { "name": "graph" }, "spec": { "colony": stage.colony.name, "nodes": nodes } });
        stage.create::<ColonyWorkflow>(graph).await.unwrap();
        until_told::<ColonyWorkflow>(stage, "graph", planted, "ExecutorAwaited", "for node a").await;

        let planted = Planted::now("the colony does not answer");
        let away = OwnColony::create_unreachable(&stage.namespace).await;
        encode(stage, "away", json!({ "colony": away.name })).await;
        until_told::<ColonyProcess>(stage, "away", planted, "ColonyUnavailable", "refused").await;
        away.remove().await;
    })
    .await;
}

/// What a node would tell of a pod: it is only pretended.
async fn told_by_node(stage: &Stage, fleet: &str, status: Value) {
    let pods: Api<Pod> = stage.api();
    let name = eventually("the fleet has a pod", SOON, async || {
        let listed = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let runs = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).is_some();
        let mut names = listed.items.iter().filter(|pod| runs(pod)).map(kube::ResourceExt::name_any);
        names.find(|name| name.starts_with(fleet)).ok_or("there is none".to_owned())
    })
    .await;
    let patch = Patch::Merge(json!({ "status": status }));
    pods.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
}

fn ended(reason: &str, code: i32, waiting: &Value) -> Value {
    let ended = json!({ "terminated": { "reason": reason, "exitCode": code } });
    let unready = |kind: &str| json!({ "type": kind, "status": "False" });
    json!({
        "conditions": [unready("Ready"), unready("ContainersReady")],
        "containerStatuses": [{
            "name": "executor", "image": "i", "imageID": "i", "ready": false, "restartCount": 5,
            "lastState": ended, "state": waiting,
        }],
    })
}

#[tokio::test]
async fn a_fleet_says_why_its_pods_do_not_run() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "causes-fleet", async |stage| {
        let planted = Planted::now("no node fits, fleet");
        stage.apply("placement", &json!({ "nodeSelector": { "no": "such-node" } })).await;
        until_told::<ExecutorDeployment>(stage, "placement", planted, "PodUnschedulable", "cannot be placed").await;

        let backing_off = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } });
        let causes = [
            ("crash", "a container ends (CrashLoopBackOff), fleet", ended("Error", 7, &backing_off), "ContainerFails", "exit code 7"),
            ("ended", "a container ends, while it is `terminated`, fleet",
             ended("Error", 7, &json!({ "terminated": { "reason": "Error", "exitCode": 7 } })), "ContainerFails", "exit code 7"),
            ("memory", "a container uses more memory than its limit, fleet", ended("OOMKilled", 137, &backing_off), "OutOfMemory", "memory"),
            ("image", "the image cannot be pulled, fleet",
             ended("Error", 1, &json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } })), "ImageNotPulled", "no such image"),
            ("settings", "a Secret of its pods is missing, fleet",
             ended("Error", 1, &json!({ "waiting": { "reason": "CreateContainerConfigError", "message": "secret \"s\" not found" } })),
             "ConfigurationMissing", "secret \"s\" not found"),
        ];
        for (name, cause, status, reason, words) in causes {
            stage.apply(name, &json!({ "replicas": 1 })).await;
            stage.wait_until_ready(name, 1).await;
            let planted = Planted::now(cause);
            told_by_node(stage, name, status).await;
            until_told::<ExecutorDeployment>(stage, name, planted, reason, words).await;
            let is_degraded = |status: &<ExecutorDeployment as HasStatus>::Status| {
                status.is_true("Degraded") && status.is_false("Ready")
            };
            stage.until_status::<ExecutorDeployment>(name, "it is Degraded and not Ready", is_degraded).await;
        }

        let limits = json!({ "metadata": { "name": "small" }, "spec": { "limits": [{ "type": "Container", "max": { "cpu": "100m" } }] } });
        object::create(&stage.api::<LimitRange>(), limits).await.unwrap();
        let planted = Planted::now("limit range, fleet");
        let asks = json!({ "resources": { "requests": { "cpu": "1" }, "limits": { "cpu": "1" } } });
        stage.apply("limited", &asks).await;
        until_told::<ExecutorDeployment>(stage, "limited", planted, "PodsRefused", "maximum cpu usage").await;

        let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "count/pods": "0" } } });
        object::create(&stage.api::<ResourceQuota>(), quota).await.unwrap();
        let counts = |quota: &ResourceQuota| quota.status.as_ref().is_some_and(|status| status.hard.is_some());
        object::until(&stage.api::<ResourceQuota>(), "none", "it counts", counts).await;
        let planted = Planted::now("quota, fleet");
        stage.apply("refused", &json!({ "replicas": 1, "resources": { "limits": { "cpu": "10m" } } })).await;
        until_told::<ExecutorDeployment>(stage, "refused", planted, "PodsRefused", "exceeded quota: none").await;
    })
    .await;
}

/// Pods of a user's kind have what its template gives them, which a namespace may not allow.
#[tokio::test]
async fn an_instance_says_that_pod_security_refuses_its_pods() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "causes-security", async |stage| {
        let namespaces = Api::<Namespace>::all(stage.namespace.kubernetes.calls.clone());
        let label = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        namespaces.patch(&stage.namespace.name, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
        let resources = "[{ id: a, template: { apiVersion: apps/v1, kind: Deployment, metadata: { name: '${self.metadata.name}' }, spec: {
            selector: { matchLabels: { app: a } }, template: { metadata: { labels: { app: a } }, spec: { containers: [{ name: c, image: none }] } } } } }]";
        let kind = OwnKind::of_text(&stage.namespace, "Thing", resources);
        kind.define_until_ready().await;
        let planted = Planted::now("Pod Security, Deployment of an instance");
        kind.create("refused", json!({})).await;
        let is_told = |status: &Value| {
            status.reason("Degraded") == "PodsRefused" && status.message("Ready").contains("violates PodSecurity")
        };
        kind.until_settled("refused", "Pod Security refuses its pods", is_told).await;
        planted.said("PodsRefused");
        kind.remove().await;
    })
    .await;
}
