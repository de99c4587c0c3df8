//! The owner of a workload, and how an object adopts and orphans it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::metadata::{found, merge};
use crate::{
    api::{
        executor_deployment::Workload,
        names::{
            APP_MANAGED_BY_LABEL, CONTENT_HASH_ANNOTATION, EXECUTOR_DEPLOYMENT_LABEL, OPERATOR,
            RUN_ANNOTATION,
        },
        policy::{AdoptionPolicy, ManagementPolicy},
    },
    desired::{DesiredWorkload, WorkloadPolicies},
    diff::{KubernetesStep, OwnershipError},
    snapshot::Workloads,
};

/// Orphans the workloads that the object owns, so that they stay when it is deleted: the garbage collector would take
/// them.
pub fn releases(actual: &Workloads, owner_uid: &str) -> Vec<KubernetesStep> {
    let found = [
        actual.deployment.known().and_then(Option::as_ref).and_then(|found| released(found, owner_uid)),
        actual.daemon_set.known().and_then(Option::as_ref).and_then(|found| released(found, owner_uid)),
        actual.job.known().and_then(Option::as_ref).and_then(|found| released(found, owner_uid)),
    ];
    let differences = vec!["metadata.ownerReferences".to_owned()];
    let step = |workload| KubernetesStep::UpdateWorkload { workload, differences: differences.clone() };
    found.into_iter().flatten().map(step).collect()
}

/// A workload as it is, but without its owner, and only if it has not changed since it was seen.
fn released<K>(found: &K, owner_uid: &str) -> Option<DesiredWorkload>
where
    K: Resource<DynamicType = ()> + Clone + Into<DesiredWorkload>,
{
    if !is_owned(found.meta(), owner_uid) || found.meta().deletion_timestamp.is_some() {
        return None;
    }
    let mut released = found.clone();
    let metadata = released.meta_mut();
    metadata.managed_fields = None;
    metadata.owner_references.get_or_insert_default().retain(|reference| reference.uid != owner_uid);
    Some(released.into())
}

/// Kinds and names of orphaned workloads of the object: the user who deleted it requested this, and their pods keep
/// running.
pub fn orphaned(actual: &Workloads, owner: &str) -> Vec<String> {
    let is_ours = |metadata: &ObjectMeta| {
        let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name));
        label(APP_MANAGED_BY_LABEL).is_some_and(|value| value == OPERATOR)
            && label(EXECUTOR_DEPLOYMENT_LABEL).is_some_and(|value| value == owner)
    };
    let is_controlled = |metadata: &ObjectMeta| {
        metadata.owner_references.iter().flatten().any(|reference| reference.controller == Some(true))
    };
    found(actual)
        .filter(|(_, metadata)| is_ours(metadata) && !is_controlled(metadata))
        .map(|(kind, metadata)| format!("{} {}", kind.as_str(), metadata.name.as_deref().unwrap_or_default()))
        .collect()
}

/// Whether a workload is the object's.
pub fn is_owned(metadata: &ObjectMeta, owner_uid: &str) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|reference| reference.uid == owner_uid && reference.controller == Some(true))
}

/// Whether a workload may be taken over. One that has a controller, or goes, never is.
pub(super) fn may_adopt(policies: &WorkloadPolicies, found: &ObjectMeta, owner_uid: &str) -> bool {
    policies.adoption != AdoptionPolicy::Fail
        && policies.management.allow(ManagementPolicy::Update)
        && !is_owned(found, owner_uid)
        && found.deletion_timestamp.is_none()
        && found.owner_references.iter().flatten().all(|reference| reference.controller != Some(true))
}

/// Metadata of a workload that is taken over, unless it has changed since it was seen: another owner may have adopted
/// it. The hash of the desired state is not written yet, so that the next pass does the rest.
pub(super) fn adopt(wanted: &ObjectMeta, found: &ObjectMeta) -> ObjectMeta {
    let mut adopted = merge(wanted, found);
    adopted.resource_version.clone_from(&found.resource_version);
    let annotations = adopted.annotations.get_or_insert_default();
    annotations.remove(CONTENT_HASH_ANNOTATION);
    // What it runs is what it was made for.
    let run = found.annotations.as_ref().and_then(|found| found.get(RUN_ANNOTATION));
    match run {
        Some(run) => annotations.insert(RUN_ANNOTATION.to_owned(), run.clone()),
        None => annotations.remove(RUN_ANNOTATION),
    };
    adopted
        .owner_references
        .get_or_insert_default()
        .extend(wanted.owner_references.clone().unwrap_or_default());
    adopted
}

/// A workload that is in the way must be the object's.
pub(super) fn foreign(kind: Workload, found: &ObjectMeta, owner_uid: &str) -> Result<(), OwnershipError> {
    if is_owned(found, owner_uid) {
        return Ok(());
    }
    Err(OwnershipError::Foreign {
        kind: kind.as_str().to_owned(),
        name: found.name.clone().unwrap_or_default(),
        owner: controller_of(found),
    })
}

/// Who controls an object, in words.
fn controller_of(metadata: &ObjectMeta) -> String {
    metadata
        .owner_references
        .iter()
        .flatten()
        .find(|reference| reference.controller == Some(true))
        .map_or_else(
            || "an unknown owner".to_owned(),
            |reference| format!("{} {}", reference.kind, reference.name),
        )
}
