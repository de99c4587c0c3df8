//! From one operator to another and back, while work goes on: nothing runs twice, no pod is replaced, and what is stored stays.
//!
//! The other one is the program that `PREVIOUS_OPERATOR_BIN` names, such as that of the last release. Without it, it is this one
//! again: what is left to see then is that one takes over from another.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use colonyos_operator::{
    api::{
        colony_cron::ColonyCron,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        work::WorkState,
    },
    colony::{Process, Session},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Secret},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{
    cluster::connect_with_crds,
    colony::{OwnColony, assigned},
    conditions::Conditions as _,
    namespace::in_namespace,
    operator::{Operator, Signal, Turn, elected},
    own_kind::OwnKind,
    stage::{SOON, Stage},
    wait::eventually,
};

/// Does what comes, until it is told to stop.
async fn serve(executor: Session, leaves: Arc<AtomicBool>) {
    while !leaves.load(Ordering::Relaxed) {
        if let Ok(Some(process)) = executor.assign(Duration::from_secs(1)).await {
            executor.close_successful(&process.id, &[json!("done")]).await.unwrap();
        }
    }
}

async fn encode(stage: &Stage, name: &str, executor_type: &str) {
    let spec = json!({ "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": executor_type } });
    stage.create::<ColonyProcess>(json!({ "metadata": { "name": name }, "spec": spec })).await.unwrap();
}

/// What must be the same afterwards: pods, templates and keys, by kind and name.
async fn kept(stage: &Stage) -> BTreeMap<String, Value> {
    let mut kept = BTreeMap::new();
    for pod in list::<Pod>(stage).await {
        kept.insert(format!("pod {}", pod.name_any()), json!([pod.uid(), pod.metadata.deletion_timestamp]));
    }
    for deployment in list::<Deployment>(stage).await {
        let template = deployment.spec.as_ref().map(|spec| json!(spec.template));
        let name = format!("deployment {}", deployment.name_any());
        kept.insert(name, json!([deployment.uid(), deployment.metadata.generation, template]));
    }
    for job in list::<Job>(stage).await {
        kept.insert(format!("job {}", job.name_any()), json!([job.uid(), job.metadata.generation]));
    }
    for secret in list::<Secret>(stage).await {
        kept.insert(format!("secret {}", secret.name_any()), json!([secret.uid(), json!(secret.data)]));
    }
    for fleet in list::<ExecutorDeployment>(stage).await {
        let status = fleet.status.clone().unwrap_or_default();
        let mirror = status.mirror.map(|mirror| json!([mirror.label, mirror.process_id]));
        kept.insert(format!("fleet {}", fleet.name_any()), json!([fleet.uid(), mirror, status.executor]));
    }
    for cron in list::<ColonyCron>(stage).await {
        kept.insert(format!("cron {}", cron.name_any()), json!([cron.uid(), cron.spec]));
    }
    kept
}

async fn list<K>(stage: &Stage) -> Vec<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    stage.api::<K>().list(&ListParams::default()).await.unwrap().items
}

/// Another operator does what is new, and looks at what was there.
async fn until_it_works(stage: &Stage, mark: &str) {
    encode(stage, mark, "encoder").await;
    stage.until_state::<ColonyProcess>(mark, WorkState::Succeeded).await;
    let fleets = stage.api::<ExecutorDeployment>();
    for name in ["workers", "batch"] {
        let noted =
            Patch::Merge(json!({ "metadata": { "annotations": { "colonies.io/reconcile-at": mark } } }));
        fleets.patch(name, &PatchParams::default(), &noted).await.unwrap();
    }
    // A fleet that comes later is carried out: those before it were looked at as well.
    stage.apply(&format!("fleet-{mark}"), &json!({ "replicas": 1 })).await;
    stage.wait_until_ready(&format!("fleet-{mark}"), 1).await;
}

/// What is there when the upgrade comes: fleets with most of what a template has, work in every state, and a kind. The process that
/// `slow` runs.
async fn plant(stage: &Stage, slow: &Session) -> Process {
    let full = json!({
        "replicas": 2,
        "config": { "env": { "MODE": "fast", "NUMBER": "010" }, "volumes": [{ "target": "/scratch", "emptyDir": {} }] },
        "resources": { "requests": { "cpu": "50m", "memory": "1024Mi" }, "limits": { "memory": "1Gi" } },
        "template": { "metadata": { "labels": { "team": "a" } } },
    });
    stage.apply("workers", &full).await;
    stage.apply("batch", &json!({ "workload": "Job", "replicas": 1 })).await;
    encode(stage, "long", "slow").await;
    let running = assigned(slow).await;
    encode(stage, "waits", "nowhere").await;
    let nodes = json!([
        { "name": "a", "function": "encode", "conditions": { "executorType": "nowhere" } },
        { "name": "b", "function": "encode", "conditions": { "executorType": "encoder" }, "dependencies": ["a"] },
    ]);
    let graph =
        json!({ "metadata": { "name": "graph" }, "spec": { "colony": stage.colony.name, "nodes": nodes } });
    stage.create::<ColonyWorkflow>(graph).await.unwrap();
    let run = json!({ "spec": { "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": "encoder" } } });
    let cron = json!({ "metadata": { "name": "yearly" }, "spec": { "schedule": "0 0 1 1 *", "processTemplate": run } });
    stage.create::<ColonyCron>(cron).await.unwrap();
    let kind = OwnKind::of(stage);
    kind.define_until_ready().await;
    stage.wait_until_ready("workers", 2).await;
    let is_over = |status: &ExecutorDeploymentStatus| status.is_true("Finished") || status.is_true("Ready");
    stage.until_status::<ExecutorDeployment>("batch", "its Job has run", is_over).await;
    stage.until_state::<ColonyProcess>("long", WorkState::Running).await;
    let is_sent =
        |status: &colonyos_operator::api::colony_workflow::ColonyWorkflowStatus| status.graph_id.is_some();
    stage.until_status::<ColonyWorkflow>("graph", "it is submitted", is_sent).await;
    running
}

/// Creates processes, until it is told to stop.
fn load(stage: &Stage, stops: &Arc<AtomicBool>, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let api: Api<ColonyProcess> = stage.api();
    let (stops, count, colony) = (Arc::clone(stops), Arc::clone(count), stage.colony.name.clone());
    tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(250));
        while !stops.load(Ordering::Relaxed) {
            pace.tick().await;
            let number = count.fetch_add(1, Ordering::Relaxed);
            let spec = json!({ "colony": colony, "function": "encode", "conditions": { "executorType": "encoder" } });
            let object = json!({ "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
                                 "metadata": { "name": format!("load-{number}") }, "spec": spec });
            let object = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        }
    })
}

#[tokio::test]
async fn an_upgrade_under_load_and_back_runs_nothing_twice_and_restarts_no_pod() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "upgrade", async |namespace| {
        let turn = Turn::take().await;
        let colony = OwnColony::create(&namespace).await;
        let configuration = elected(&namespace.name);
        let operator = Operator::start_previous(&configuration, &namespace.name, &turn).await;
        colony.wait_until_ready().await;
        let mut stage = Stage { namespace, colony, operator, turn };
        let (stops, leaves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let executor = stage.colony.executor("encoder-1", "encoder").await;
        let slow = stage.colony.executor("slow-1", "slow").await;
        let serving = tokio::spawn(serve(executor, Arc::clone(&leaves)));

        let running = plant(&stage, &slow).await;
        let waiting = stage.until_state::<ColonyProcess>("waits", WorkState::Waiting).await;
        let before = kept(&stage).await;

        // The load, from before the first change to after the last.
        let count = Arc::new(AtomicUsize::new(0));
        let creating = load(&stage, &stops, &count);
        for (round, is_new) in [("up", true), ("down", false), ("again", true)] {
            // As a rollout does it, and once as a node does that is lost.
            stage.operator.signal(if round == "down" { Signal::Kill } else { Signal::Terminate });
            stage.operator.wait_for_end(SOON).await;
            let name = stage.namespace.name.clone();
            stage.operator = if is_new {
                Operator::start(configuration.clone(), &name, &stage.turn).await
            } else {
                Operator::start_previous(&configuration, &name, &stage.turn).await
            };
            until_it_works(&stage, round).await;
            let now = kept(&stage).await;
            for (what, was) in &before {
                assert_eq!(now.get(what), Some(was), "{what}, after the change {round}");
            }
        }
        slow.close_successful(&running.id, &[]).await.unwrap();
        let ended = stage.until_state::<ColonyProcess>("long", WorkState::Succeeded).await;
        assert_eq!(ended.process_id.as_deref(), Some(running.id.as_str()));
        let still = stage.until_state::<ColonyProcess>("waits", WorkState::Waiting).await;
        assert_eq!(still.process_id, waiting.process_id);

        // All of the load is done, each once.
        let created = eventually("all of the load has succeeded", Duration::from_mins(2), async || {
            if count.load(Ordering::Relaxed) < 20 {
                return Err("there was no load yet".to_owned());
            }
            stops.store(true, Ordering::Relaxed);
            let all = list::<ColonyProcess>(&stage).await;
            let load: Vec<ColonyProcess> =
                all.into_iter().filter(|process| process.name_any().starts_with("load-")).collect();
            let reached = |process: &ColonyProcess| process.status.as_ref().and_then(|status| status.state);
            let left = load.iter().filter(|process| reached(process) != Some(WorkState::Succeeded)).count();
            if left == 0 { Ok(load) } else { Err(format!("{left} of {} are left", load.len())) }
        })
        .await;
        creating.await.unwrap();
        for process in created {
            let label = process.status.unwrap().mirror.unwrap().label;
            let found = stage.colony.member.processes_labelled(&label).await.unwrap();
            assert_eq!(found.len(), 1, "{label}");
        }
        for fleet in list::<ExecutorDeployment>(&stage).await {
            let label = fleet.status.unwrap().mirror.unwrap().label;
            assert_eq!(stage.colony.member.processes_labelled(&label).await.unwrap().len(), 1, "{label}");
        }
        leaves.store(true, Ordering::Relaxed);
        serving.await.unwrap();
        let Stage { namespace: _namespace, colony, operator, turn: _turn } = stage;
        drop(operator);
        colony.remove().await;
    })
    .await;
}
