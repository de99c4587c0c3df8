//! With a gate in its pod, an executor ends what it has, whatever takes its pod and however long it needs. Without, the pods of these
//! processes would be killed 30 s after they were told to stop.

use colonyos_operator::{
    api::names::EXECUTOR_NAME_ANNOTATION,
    colony::{LogQuery, Process, ProcessId, ProcessState},
    runtime::clock::Clock,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, EvictParams},
};
use serde_json::{Value, json};

use crate::{
    fleet::{Fleet, RUN_LIMIT, START_LIMIT},
    installation,
    stage::Stage,
    support::wait::eventually,
};

/// Above the 30 s that pods have otherwise.
const SECONDS: u32 = 45;

/// Deleted, evicted, replaced by a rollout and scaled away, all at a time.
pub async fn what_runs_is_ended_once_whatever_takes_its_pod(stage: Stage) {
    stage.connect().await;
    let spec = json!({"replicas": 4, "identity": "PerPod", "drain": {"timeout": "5m"}});
    let fleet = Fleet::create(&stage, "drained", spec).await;
    fleet.until_ready(4).await;
    let running = run(&stage, 4).await;
    let pods: Api<Pod> = stage.namespace.api();
    let of = pods_of(&stage, &fleet, &running).await;
    let clock = Clock::system();
    let begun = clock.instant();
    pods.delete(&of[0], &DeleteParams::default()).await.unwrap();
    pods.evict(&of[1], &EvictParams::default()).await.unwrap();
    // Another image would do the same.
    fleet.change(json!({"config": {"env": {"EXECUTOR_POLL_SECONDS": "1", "REVISION": "2"}}})).await;
    until_there_is_another(&fleet, 4).await;
    eprintln!("drained: the new revision was there after {:?}", clock.instant() - begun);
    let old = running_now(&stage, &running).await;
    assert!(old > 0, "it came up beside the old one");
    fleet.change(json!({"replicas": 1})).await;
    for process in &running {
        still_runs_or_ended_once(&stage, process).await;
    }
    let ended = clock.instant() - begun;
    fleet.until_pods(1).await;
    eprintln!(
        "drained: processes ended after {ended:?}, their pods were gone after {:?}",
        clock.instant() - begun
    );

    let last = fleet.pods().await.unwrap().remove(0).name_any();
    let idle = clock.instant();
    fleet.change(json!({"replicas": 0})).await;
    until_gone(&pods, &last).await;
    eprintln!("drained: an idle pod was gone {:?} after it was told to go", clock.instant() - idle);
    eventually("no executor without a pod", RUN_LIMIT, async || {
        let left = stage.approved_executors(&stage.executor_type).await?;
        left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}"))
    })
    .await;
    fleet.delete().await;
}

/// Those that run nothing go when a fleet is scaled down, and those that run something are not evicted.
pub async fn idle_ones_go_first(stage: Stage) {
    stage.connect().await;
    let spec = json!({"replicas": 3, "identity": "PerPod", "drain": {"timeout": "5m"}});
    let fleet = Fleet::create(&stage, "idle-first", spec).await;
    fleet.until_ready(3).await;
    let running = run(&stage, 1).await;
    let busy = pods_of(&stage, &fleet, &running).await.remove(0);
    fleet
        .until("has a busy executor", RUN_LIMIT, |_, status| {
            let busy = status.executors.as_ref().and_then(|executors| executors.busy);
            (busy == Some(1)).then_some(()).ok_or_else(|| format!("{busy:?}"))
        })
        .await;
    let pods: Api<Pod> = stage.namespace.api();
    match pods.evict(&busy, &EvictParams::default()).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 429, "{status:?}"),
        other => panic!("a busy pod is evicted: {other:?}"),
    }
    fleet.change(json!({"replicas": 1})).await;
    fleet.until_pods(1).await;
    let left = fleet.pods().await.unwrap().remove(0);
    assert_eq!((left.name_any(), left.metadata.deletion_timestamp), (busy, None));
    still_runs_or_ended_once(&stage, &running[0]).await;
    fleet.delete().await;
}

/// With one identity for all, on each node, and with the whole fleet deleted.
pub async fn a_fleet_of_one_identity_is_drained_too(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "shared", json!({"workload": "DaemonSet", "drain": {}})).await;
    fleet
        .until("has an executor ready", START_LIMIT, |_, status| {
            (status.ready_replicas == 1).then_some(()).ok_or_else(|| format!("{}", status.ready_replicas))
        })
        .await;
    let executor = fleet.executor_name().await;
    let running = run(&stage, 1).await;
    fleet.delete().await;
    still_runs_or_ended_once(&stage, &running[0]).await;
    fleet.until_gone(&executor).await;
}

/// A process that does not end in time is cancelled, and its pod goes.
pub async fn what_does_not_end_in_time_is_cancelled_where_that_is_wished(stage: Stage) {
    stage.connect().await;
    let spec = json!({"identity": "PerPod", "drain": {"timeout": "2s", "policy": "Cancel"}});
    let fleet = Fleet::create(&stage, "cancelled", spec).await;
    fleet.until_ready(1).await;
    let running = run(&stage, 1).await;
    fleet.change(json!({"replicas": 0})).await;
    stage.until_state(&running[0].id, ProcessState::Cancelled).await;
    fleet.until_pods(0).await;
    fleet.delete().await;
}

/// One whose pod is killed in the end is run again by another.
pub async fn what_does_not_end_in_time_is_run_again(stage: Stage) {
    stage.connect().await;
    let spec = json!({"identity": "PerPod", "drain": {"timeout": "1s"}});
    let fleet = Fleet::create(&stage, "requeued", spec).await;
    fleet.until_ready(1).await;
    let long = stage.submit(&stage.function("sleep").arg(60)).await;
    let first = stage.until_state(&long, ProcessState::Running).await;
    let pods = pods_of(&stage, &fleet, std::slice::from_ref(&first)).await;
    stage.namespace.api::<Pod>().delete(&pods[0], &DeleteParams::default()).await.unwrap();
    eventually("it runs on another executor", START_LIMIT, async || {
        let found = stage.user.process(&long).await.map_err(|error| error.to_string())?;
        let is_moved =
            found.state == ProcessState::Running && found.assigned_executor != first.assigned_executor;
        is_moved.then_some(()).ok_or_else(|| format!("{} by {:?}", found.state, found.assigned_executor))
    })
    .await;
    stage.user.cancel(&long).await.unwrap();
    fleet.delete().await;
}

/// The kubelet and the gate need no operator.
pub async fn while_the_operator_is_away_too(stage: Stage) {
    stage.connect().await;
    let spec = json!({"identity": "PerPod", "drain": {"timeout": "5m"}});
    let fleet = Fleet::create(&stage, "alone", spec).await;
    fleet.until_ready(1).await;
    let running = run(&stage, 1).await;
    let of = pods_of(&stage, &fleet, &running).await;
    installation::scale(0).await;
    let pods: Api<Pod> = stage.namespace.api();
    pods.delete(&of[0], &DeleteParams::default()).await.unwrap();
    still_runs_or_ended_once(&stage, &running[0]).await;
    until_gone(&pods, &of[0]).await;
    installation::scale(2).await;
    fleet.until_ready(1).await;
    fleet.delete().await;
}

/// Until so many pods of another revision than those that are going are ready.
async fn until_there_is_another(fleet: &Fleet<'_>, count: usize) {
    eventually(&format!("{count} new pods"), START_LIMIT, async || {
        let pods = fleet.pods().await?;
        let is_new = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none() && installation::is_ready(pod);
        let ready = pods.iter().filter(is_new).count();
        (ready == count).then_some(()).ok_or_else(|| format!("{ready} of {} are ready", pods.len()))
    })
    .await;
}

/// How many of them still run.
async fn running_now(stage: &Stage, processes: &[Process]) -> usize {
    let mut count = 0;
    for process in processes {
        let found = stage.user.process(&process.id).await.unwrap();
        count += usize::from(found.state == ProcessState::Running);
    }
    count
}

/// Has so many processes run at a time.
async fn run(stage: &Stage, count: usize) -> Vec<Process> {
    let mut submitted: Vec<ProcessId> = Vec::new();
    for _ in 0..count {
        submitted.push(stage.submit(&stage.function("sleep").arg(SECONDS)).await);
    }
    let mut running = Vec::new();
    for id in submitted {
        running.push(stage.until_state(&id, ProcessState::Running).await);
    }
    running
}

/// The names of the pods whose executors run processes.
async fn pods_of(stage: &Stage, fleet: &Fleet<'_>, running: &[Process]) -> Vec<String> {
    let executors = stage.user.executors().await.unwrap();
    let pods = fleet.pods().await.unwrap();
    let of = |process: &Process| {
        let executor =
            executors.iter().find(|executor| Some(&executor.id) == process.assigned_executor.as_ref());
        let name = &executor.expect("it is registered").name;
        let pod = pods.iter().find(|pod| pod.annotations().get(EXECUTOR_NAME_ANNOTATION) == Some(name));
        pod.expect("it has a pod").name_any()
    };
    running.iter().map(of).collect()
}

/// It ends well, having been begun once, by the executor that began it.
async fn still_runs_or_ended_once(stage: &Stage, running: &Process) {
    let ended = stage.until_state(&running.id, ProcessState::Successful).await;
    assert_eq!(ended.output, [json!(SECONDS * 1000)]);
    let begun = |process: &Process| -> Value {
        json!([process.retries, process.started_at, process.assigned_executor])
    };
    assert_eq!(begun(&ended), begun(running), "it was run once");
    let log = stage.user.logs(&LogQuery::new(ended.id)).await.unwrap();
    let lines: Vec<&str> = log.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["running sleep", "succeeded"]);
}

async fn until_gone(pods: &Api<Pod>, name: &str) {
    eventually(&format!("pod {name} is gone"), RUN_LIMIT, async || {
        let found = pods.get_opt(name).await.map_err(|error| error.to_string())?;
        found.is_none().then_some(()).ok_or_else(|| "it is there".to_owned())
    })
    .await;
}
