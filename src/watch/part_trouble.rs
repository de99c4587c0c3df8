//! Why pods of an instance's workloads do not run: they are not watched, and read while a workload is not ready.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::object_events::{events, unmounted};
use crate::{
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::{
        Children, PartTrouble, UnreadyPart,
        pod_trouble::{self, PodTrouble},
        progress,
    },
};

/// How many workloads of an instance are asked about in a pass.
const WORKLOADS: usize = 5;
/// How many pods of a workload are read: what one waits for, others wait for too.
const PODS: u32 = 20;

/// The workloads of an instance that are not ready, and what keeps their pods from running. What cannot be read is not known to
/// be a trouble.
pub(super) async fn of_parts(
    client: &Client,
    namespace: &str,
    children: &Children,
    now: Timestamp,
) -> (usize, Vec<PartTrouble>) {
    let mut unready: Vec<UnreadyPart> = children
        .iter()
        .filter_map(|(kind, found)| Some((kind, found.known()?)))
        .flat_map(|(kind, objects)| objects.iter().filter_map(move |object| UnreadyPart::of(kind, object)))
        .collect();
    unready.sort_by(|one, other| one.name.cmp(&other.name));
    let count = unready.len();
    let mut troubles = Vec::new();
    for part in unready.into_iter().take(WORKLOADS) {
        troubles.extend(of_part(client, namespace, &part, now).await);
    }
    (count, troubles)
}

async fn of_part(
    client: &Client,
    namespace: &str,
    part: &UnreadyPart,
    now: Timestamp,
) -> Option<PartTrouble> {
    if let Some(refusal) = &part.refusal {
        return Some(part.refused(refusal));
    }
    let pods = pods(client, namespace, part).await;
    let trouble: Option<PodTrouble> = match pod_trouble::of_pods(&pods) {
        Some(trouble) => Some(trouble),
        None => unmounted(client, &pods, now).await,
    };
    if let Some(trouble) = trouble {
        return Some(part.stopped_by(&trouble));
    }
    if !part.lacks_pods {
        return None;
    }
    let told = events(client, namespace, &part.uid, progress::FAILED_CREATE).await;
    progress::refusal_of_events(&told, now).map(|words| part.refused(&words))
}

/// Pods that the labels of a workload select and that some workload controls.
async fn pods(client: &Client, namespace: &str, part: &UnreadyPart) -> Vec<Pod> {
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    let listed =
        call(CALL_TIME_LIMIT, api.list(&ListParams::default().labels(&part.selector).limit(PODS))).await;
    match listed {
        Ok(list) => {
            let is_controlled =
                |pod: &Pod| pod.owner_references().iter().any(|owner| owner.controller == Some(true));
            list.items.into_iter().filter(is_controlled).collect()
        }
        Err(error) => {
            tracing::debug!(%error, "pods of a workload cannot be read");
            Vec::new()
        }
    }
}
