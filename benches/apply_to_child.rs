//! How long after an `ExecutorDeployment` is applied its Deployment is visible, beside what a client that does nothing
//! else would take: see one object, create another. Both take turns in one run, so that the ratio holds where absolute
//! figures belong to the machine.
//!
//! `cargo xtask bench` starts the servers and runs it. By hand: `KUBECONFIG` names a cluster with the definitions
//! installed and no operator running, `COLONIES_SERVER_HOST`, `COLONIES_SERVER_PORT`, `COLONIES_COLONY_NAME` and
//! `COLONIES_COLONY_PRVKEY` a colony; `BENCH_ROUNDS` is how many of each (100).

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures, and takes its servers from the environment"
)]

use std::{
    env,
    time::{Duration, Instant},
};

use colonyos_operator::{
    api::{colony::Colony, executor_deployment::ExecutorDeployment},
    runtime::kubernetes::{Kubernetes, connect},
};
use futures::{StreamExt as _, channel::mpsc};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;

mod stage;

use stage::{Failure, LIMIT, Operator, show};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let rounds: usize = env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let kubernetes = connect().await?;
    let namespace = format!("bench-{}", std::process::id());
    let namespaces = Api::<Namespace>::all(kubernetes.calls.clone());
    let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let result = measure(&kubernetes, &namespace, rounds).await;
    namespaces.delete(&namespace, &DeleteParams::default()).await?;
    Api::<Colony>::all(kubernetes.calls.clone()).delete(&namespace, &DeleteParams::default()).await?;
    let (operator, floor) = result?;
    let [operator_half, operator_most] = show("operator", operator);
    let [floor_half, floor_most] = show("watch and create", floor);
    println!(
        "ratio               p50 {:.1}   p99 {:.1}",
        operator_half / floor_half,
        operator_most / floor_most
    );
    Ok(())
}

async fn measure(
    kubernetes: &Kubernetes,
    namespace: &str,
    rounds: usize,
) -> Result<(Vec<Duration>, Vec<Duration>), Failure> {
    let client = &kubernetes.calls;
    let deployments = Api::<Deployment>::namespaced(kubernetes.watches.clone(), namespace);
    let mut seen = Box::pin(watcher(deployments, watcher::Config::default()).touched_objects());
    let operator = Operator::start(kubernetes, namespace).await?;

    let (sender, mut names) = mpsc::unbounded();
    let follow = tokio::spawn(async move {
        while let Some(change) = seen.next().await {
            if let Ok(deployment) = change
                && sender.unbounded_send((deployment.name_any(), Instant::now())).is_err()
            {
                break;
            }
        }
    });
    let floor_client = tokio::spawn(create_on_sight(kubernetes.clone(), namespace.to_owned()));
    let objects = Api::<ExecutorDeployment>::namespaced(client.clone(), namespace);
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let (mut of_operator, mut of_floor) = (Vec::new(), Vec::new());
    // One round more than is counted: the first one pays for connections and for the start.
    for round in 0..=rounds {
        let name = format!("a{round}");
        let object: ExecutorDeployment = serde_json::from_value(json!({
            "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment", "metadata": {"name": name},
            "spec": {"colony": namespace, "executorType": format!("bench-{round}-x"), "image": "none", "replicas": 0},
        }))?;
        let applied = Instant::now();
        objects.create(&PostParams::default(), &object).await?;
        let operator_took = visible(&mut names, &name, applied).await?;

        let name = format!("b{round}");
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let applied = Instant::now();
        maps.create(&PostParams::default(), &ConfigMap { metadata, ..ConfigMap::default() }).await?;
        let floor_took = visible(&mut names, &name, applied).await?;
        if round > 0 {
            of_operator.push(operator_took);
            of_floor.push(floor_took);
        }
    }
    floor_client.abort();
    follow.abort();
    for object in objects.list(&kube::api::ListParams::default()).await? {
        objects.delete(&object.name_any(), &DeleteParams::default()).await?;
    }
    let emptied = Instant::now();
    while !objects.list(&kube::api::ListParams::default()).await?.items.is_empty()
        && emptied.elapsed() < LIMIT
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(operator);
    Ok((of_operator, of_floor))
}

/// The least that any controller does: sees an object and creates another.
async fn create_on_sight(kubernetes: Kubernetes, namespace: String) {
    let maps = Api::<ConfigMap>::namespaced(kubernetes.watches.clone(), &namespace);
    let deployments = Api::<Deployment>::namespaced(kubernetes.calls.clone(), &namespace);
    let mut seen = Box::pin(watcher(maps, watcher::Config::default()).applied_objects());
    while let Some(change) = seen.next().await {
        let Ok(map) = change else { continue };
        let name = map.name_any();
        let wanted = serde_json::from_value::<Deployment>(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "none", "image": "none"}]},
                },
            },
        }));
        if let Ok(wanted) = wanted
            && name.starts_with('b')
            && let Err(error) = deployments.create(&PostParams::default(), &wanted).await
        {
            eprintln!("create Deployment {name}: {error}");
        }
    }
}

async fn visible(
    names: &mut mpsc::UnboundedReceiver<(String, Instant)>,
    wanted: &str,
    since: Instant,
) -> Result<Duration, Failure> {
    loop {
        let next = tokio::time::timeout(LIMIT, names.next()).await;
        let (name, at) = next
            .map_err(|_| format!("Deployment {wanted} did not appear in {LIMIT:?}"))?
            .ok_or("the watch ended")?;
        if name == wanted {
            return Ok(at.saturating_duration_since(since));
        }
    }
}
