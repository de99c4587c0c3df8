//! Events about pods and what controls them, read while something is missing.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use crate::{
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::pod_trouble::{self, PodTrouble},
};

/// How many Events of one object are read.
const EVENTS: u32 = 100;
/// How many pods of a workload are asked about: what one waits for, others wait for too.
const PODS: usize = 3;
/// How long a node may take to begin with a pod before Events are read.
const BEGINNING: SignedDuration = SignedDuration::from_secs(8);

/// Why a volume of a pod cannot be mounted. What cannot be read is not known to be a trouble.
pub(super) async fn unmounted(client: &Client, pods: &[Pod], now: Timestamp) -> Option<PodTrouble> {
    let is_late = |pod: &&Pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        created.is_some_and(|created| now.duration_since(created.0) > BEGINNING)
    };
    let mut late: Vec<&Pod> = pod_trouble::being_created(pods).filter(is_late).collect();
    late.sort_by_key(|pod| pod.name_any());
    for pod in late.into_iter().take(PODS) {
        let (namespace, uid) = (pod.namespace()?, pod.uid()?);
        let events = events(client, &namespace, &uid, pod_trouble::FAILED_MOUNT).await;
        if let Some(trouble) = pod_trouble::of_events(pod, &events) {
            return Some(trouble);
        }
    }
    None
}

/// The Events about an object with a reason; none if they cannot be read.
pub(super) async fn events(client: &Client, namespace: &str, uid: &str, reason: &str) -> Vec<Event> {
    let api = Api::<Event>::namespaced(client.clone(), namespace);
    let fields = format!("regarding.uid={uid},reason={reason}");
    let listed = call(CALL_TIME_LIMIT, api.list(&ListParams::default().fields(&fields).limit(EVENTS))).await;
    listed.map_or_else(
        |error| {
            tracing::debug!(%error, "events cannot be read");
            Vec::new()
        },
        |events| events.items,
    )
}
