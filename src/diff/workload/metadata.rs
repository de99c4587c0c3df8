//! The metadata of workloads. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{api::executor_deployment::Workload, snapshot::Workloads};

/// The objects with the workload's name, whatever their owner.
pub(super) fn found(actual: &Workloads) -> impl Iterator<Item = (Workload, &ObjectMeta)> {
    let found = [
        (
            Workload::Deployment,
            actual.deployment.known().and_then(Option::as_ref).map(|found| &found.metadata),
        ),
        (
            Workload::DaemonSet,
            actual.daemon_set.known().and_then(Option::as_ref).map(|found| &found.metadata),
        ),
        (Workload::Job, actual.job.known().and_then(Option::as_ref).map(|found| &found.metadata)),
    ];
    found.into_iter().filter_map(|(kind, metadata)| Some((kind, metadata?)))
}

/// Our metadata over what others put there. The UID stays as precondition, so that another object of the name is not
/// meant; the version goes, for controllers write status of their own all the time, and the operator owns the spec:
/// with it, drift would stay for as long as they are quicker.
pub(super) fn merge(wanted: &ObjectMeta, found: &ObjectMeta) -> ObjectMeta {
    let mut merged = found.clone();
    merged.managed_fields = None;
    merged.resource_version = None;
    merged.labels.get_or_insert_default().extend(wanted.labels.clone().unwrap_or_default());
    merged.annotations.get_or_insert_default().extend(wanted.annotations.clone().unwrap_or_default());
    merged
}
