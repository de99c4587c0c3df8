//! Why the pods of a fleet do not run, each cause planted on the real servers and found in the fleet. The time that it takes is printed
//! as a row of the table in docs/troubleshooting.md.

use std::fmt::Debug;

use colonyos_operator::api::executor_deployment::ExecutorDeployment;
use k8s_openapi::api::core::v1::{LimitRange, Pod, ResourceQuota};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
    core::object::HasStatus,
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions,
    object,
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
