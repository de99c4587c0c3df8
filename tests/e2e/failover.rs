//! Two replicas in the cluster: one writes, and when it dies without a word the other takes over.

use std::{collections::BTreeMap, fs, time::Duration};

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::Fleet,
    installation::{self, NAMESPACE, RELEASE},
    stage::Stage,
    support::{
        operator::{Signal, send},
        wait::eventually,
    },
};

/// The lease's duration (15 s), two pauses between attempts (2 s and jitter), and room for a busy machine.
const FAILOVER_LIMIT: Duration = Duration::from_secs(40);

pub async fn the_other_replica_takes_over(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "fleet", json!({})).await;
    fleet.until_ready(1).await;
    let leader = until_led(&stage, None).await;
    let writes = writes(&stage).await;
    assert_eq!(writes.len(), 2, "two replicas: {writes:?}");
    for (pod, count) in &writes {
        // Everything that was written so far was written by the one that leads.
        assert_eq!(*count > 0, *pod == leader, "{leader} leads: {writes:?}");
    }

    let process = process_in(&leader);
    send(process, Signal::Kill);
    let next = until_led(&stage, Some(&leader)).await;
    fleet.change(json!({"replicas": 2})).await;
    fleet.until_ready(2).await;
    fleet.until_mirrored().await;
    assert_eq!(
        until_led(&stage, Some(&leader)).await,
        next,
        "whoever comes back does not take the lease away"
    );
    installation::scale(2).await;
}

/// The pod that leads, once it is another than `previous`.
async fn until_led(stage: &Stage, previous: Option<&str>) -> String {
    let client = stage.namespace.kubernetes.calls.clone();
    let leases = Api::<Lease>::namespaced(client.clone(), NAMESPACE);
    let pods = Api::<Pod>::namespaced(client, NAMESPACE);
    eventually("another replica leads", FAILOVER_LIMIT, async || {
        let lease = leases.get(RELEASE).await.map_err(|error| error.to_string())?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        let pods = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let leader =
            pods.iter().map(kube::ResourceExt::name_any).find(|name| holder.starts_with(name.as_str()));
        leader
            .filter(|leader| Some(leader.as_str()) != previous)
            .ok_or_else(|| format!("the lease is {holder:?}'s"))
    })
    .await
}

/// What each replica says that it has written, by pod.
async fn writes(stage: &Stage) -> BTreeMap<String, u64> {
    let mut writes = BTreeMap::new();
    for pod in installation::pods(&stage.namespace.kubernetes.calls).await.unwrap() {
        let name = pod.name_any();
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/metrics");
        let metrics = kubectl(&["get", "--raw", &path]).await;
        let lines = metrics.lines().filter(|line| line.starts_with("colonyos_operator_writes_total{"));
        let counts = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        writes.insert(name, counts.sum());
    }
    writes
}

/// The operator's process in a pod. Nothing in a cluster lets a container be killed without being asked to end first, so
/// this looks for it among the processes of this machine, which has to be the node.
fn process_in(pod: &str) -> u32 {
    let wanted = format!("POD_NAME={pod}");
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut processes = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    processes
        .find(|process| {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .unwrap_or_else(|| {
            panic!(
                "the process of {pod} is not on this machine: run the tests as root on the node that runs it"
            )
        })
}
