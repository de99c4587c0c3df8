//! Two replicas in the cluster: one writes, and when it dies without a word the other takes over.

use std::{collections::BTreeMap, fs, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::Fleet,
    installation::{self, NAMESPACE, RELEASE},
    stage::Stage,
    support::{
        program::{Signal, send},
        wait::eventually,
    },
};

/// The lease's duration (15 s), two pauses between attempts (2 s and jitter), and room for a busy machine.
const FAILOVER_LIMIT: Duration = Duration::from_secs(40);

pub async fn when_the_leader_dies_another_takes_over(stage: Stage) {
    stage.connect().await;
    let idle = Fleet::create(&stage, "idle", json!({})).await;
    let fleet = Fleet::create(&stage, "fleet", json!({})).await;
    fleet.until_ready(1).await;
    idle.until_ready(1).await;
    idle.until_mirrored().await;
    let at_rest = idle.api().get("idle").await.unwrap().resource_version();
    let leader = until_led(&stage, None).await;
    let pod = pod_of(&leader);
    let writes = writes(&stage).await;
    assert_eq!(writes.len(), 2, "two replicas: {writes:?}");
    for (name, count) in &writes {
        // Everything that was written so far was written by the one that leads.
        assert_eq!(*count > 0, name == pod, "{leader} leads: {writes:?}");
    }

    send(process_in(pod), Signal::Kill);
    // The other one, or the one that the kubelet starts in its place: the one that first sees that the lease has run out.
    let next = until_led(&stage, Some(&leader)).await;
    fleet.change(json!({"replicas": 2})).await;
    fleet.until_ready(2).await;
    fleet.until_mirrored().await;
    installation::scale(2).await;
    assert_eq!(until_led(&stage, None).await, next, "a replica that comes back does not take the lease away");
    let now = idle.api().get("idle").await.unwrap().resource_version();
    assert_eq!(now, at_rest, "a new leader has nothing to say about what is as it should be");
}

/// The identity of the process that leads, once it is another than `previous`.
async fn until_led(stage: &Stage, previous: Option<&str>) -> String {
    let leases = Api::<Lease>::namespaced(stage.namespace.kubernetes.calls.clone(), NAMESPACE);
    eventually("another replica leads", FAILOVER_LIMIT, async || {
        let lease = leases.get(RELEASE).await.map_err(|error| error.to_string())?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        (!holder.is_empty() && Some(holder.as_str()) != previous)
            .then(|| holder.clone())
            .ok_or_else(|| format!("the lease is {holder:?}'s"))
    })
    .await
}

/// The pod in an identity: what stands before its random end.
fn pod_of(identity: &str) -> &str {
    identity.rsplit_once('_').expect("an identity is a pod and a suffix").0
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
