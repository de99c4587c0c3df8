//! Pods whose executors run something stay when others can go: when their fleet is scaled down, and when a pod is to be evicted.

use std::collections::BTreeSet;

use colonyos_operator::{
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        names::{
            BUSY_LABEL, BUSY_WITH_ANNOTATION, DELETION_COST, DO_NOT_DISRUPT, EXECUTOR_NAME_ANNOTATION,
            SAFE_TO_EVICT,
        },
    },
    colony::{FunctionSpec, PrivateKey, Session},
};
use k8s_openapi::api::{
    core::v1::{Pod, Secret},
    policy::v1::PodDisruptionBudget,
};
use kube::{ResourceExt as _, api::EvictParams};
use serde_json::json;

use crate::{
    pod_identities::{identity, pods, until_registered, with_webhook},
    support::{
        colony::assigned,
        stage::{SOON, Stage},
        wait::eventually,
    },
};

/// Calls as the executor of a pod.
async fn executor_of(stage: &Stage, pod: &Pod) -> Session {
    let secret = stage.api::<Secret>().get(&identity(pod).0).await.unwrap();
    let key = String::from_utf8(secret.data.unwrap()["COLONIES_PRVKEY"].0.clone()).unwrap();
    let client = stage.colony.member.client();
    client.session(&stage.colony.name, PrivateKey::from_hex(&key).unwrap())
}

async fn submit(stage: &Stage) {
    let spec = FunctionSpec::new(&stage.colony.name, "encoders-type", "encode").unwrap();
    stage.colony.member.submit(&spec).await.unwrap();
}

/// How many pods the operator has patched.
async fn patched(stage: &Stage) -> u64 {
    let (_, text) = stage.operator.get("/metrics").await.unwrap();
    let series = "colonyos_operator_writes_total{kind=\"Pod\",outcome=\"ok\",verb=\"patch\"} ";
    let found = text.lines().find_map(|line| line.strip_prefix(series));
    found.map_or(0, |count| count.parse().unwrap())
}

async fn until_counted(stage: &Stage, busy: i32, idle: i32) -> ExecutorDeploymentStatus {
    let is_so = |status: &ExecutorDeploymentStatus| {
        let counted = status.executors.as_ref();
        counted.is_some_and(|counted| (counted.busy, counted.idle) == (Some(busy), Some(idle)))
    };
    stage.until_status::<ExecutorDeployment>("encoders", &format!("{busy} busy, {idle} idle"), is_so).await
}

/// The code with which the API server refuses to evict a pod; 0 if it does not.
async fn refusal_of_eviction(stage: &Stage, pod: &str) -> u16 {
    match stage.api::<Pod>().evict(pod, &EvictParams::default()).await {
        Ok(_) => 0,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn idle_pods_go_first_and_busy_ones_are_not_evicted() {
    with_webhook("busy", async |stage, _| {
        stage
            .apply("encoders", &json!({"replicas": 4, "identity": "PerPod", "drain": {"timeout": "1h"}}))
            .await;
        until_registered(stage, 4).await;
        stage.wait_until_ready("encoders", 4).await;
        until_counted(stage, 0, 4).await;
        let all = pods(stage).await;
        let [busy, short, idle] = [&all[0], &all[1], &all[2]];
        let before = patched(stage).await;

        submit(stage).await;
        let executor = executor_of(stage, busy).await;
        let long = assigned(&executor).await;
        let status = until_counted(stage, 1, 3).await;
        let listed = status.executors.unwrap().processes;
        assert_eq!(
            (listed[0].pod.clone(), listed[0].process.as_str()),
            (busy.name_any(), long.id.as_str()),
            "{listed:?}"
        );
        let marked = stage.api::<Pod>().get(&busy.name_any()).await.unwrap();
        assert_eq!(marked.labels()[BUSY_LABEL], "true");
        let annotations = marked.annotations();
        assert_eq!(annotations[BUSY_WITH_ANNOTATION], long.id.as_str());
        assert_eq!(
            [DELETION_COST, SAFE_TO_EVICT, DO_NOT_DISRUPT].map(|name| annotations[name].as_str()),
            ["1000", "false", "true"]
        );
        let budget = stage.api::<PodDisruptionBudget>().get("encoders-busy").await.unwrap();
        assert_eq!(budget.owner_references()[0].name, "encoders");

        let other = executor_of(stage, short).await;
        for _ in 0..5 {
            submit(stage).await;
            let process = assigned(&other).await;
            other.close_successful(&process.id, &[]).await.unwrap();
        }
        assert_eq!(
            patched(stage).await - before,
            1,
            "processes that are over at once are no reason to write"
        );

        // Too many requests: try again.
        assert_eq!(refusal_of_eviction(stage, &busy.name_any()).await, 429);
        assert_eq!(refusal_of_eviction(stage, &idle.name_any()).await, 0);
        until_registered(stage, 4).await;
        stage.change("encoders", &json!({"replicas": 1})).await;
        let left = until_registered(stage, 1).await;
        assert_eq!(left, BTreeSet::from([busy.annotations()[EXECUTOR_NAME_ANNOTATION].clone()]));

        let before = patched(stage).await;
        executor.close_successful(&long.id, &[]).await.unwrap();
        until_counted(stage, 0, 1).await;
        eventually("the pod is not marked", SOON, async || {
            let found = stage.api::<Pod>().get(&busy.name_any()).await.map_err(|error| error.to_string())?;
            let marks = [BUSY_WITH_ANNOTATION, DELETION_COST, SAFE_TO_EVICT, DO_NOT_DISRUPT];
            let left: Vec<&str> =
                marks.into_iter().filter(|name| found.annotations().contains_key(*name)).collect();
            let is_unmarked = left.is_empty() && !found.labels().contains_key(BUSY_LABEL);
            is_unmarked.then_some(()).ok_or_else(|| format!("{left:?}"))
        })
        .await;
        assert_eq!(patched(stage).await - before, 1);
        assert_eq!(refusal_of_eviction(stage, &busy.name_any()).await, 0);
    })
    .await;
}
