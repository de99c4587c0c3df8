//! The metadata of workloads. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::PodTemplateSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::Value;

use crate::{
    api::{executor_deployment::Workload, names::FIELDS_ANNOTATION},
    snapshot::Workloads,
};

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

/// Keeps the labels and annotations that others have put on the template of a workload, as `kubectl rollout restart` does:
/// all that the operator did not write there itself.
pub(super) fn keep_additions(template: &mut PodTemplateSpec, there: &PodTemplateSpec, found: &ObjectMeta) {
    let written = found.annotations.as_ref().and_then(|all| all.get(FIELDS_ANNOTATION));
    let written: Value = written.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let is_ours = |part: &str, key: &str| {
        let fields = written.pointer(&format!("/spec/template/metadata/{part}"));
        fields.is_some_and(|fields| fields.get(key).is_some())
    };
    let Some(there) = &there.metadata else { return };
    let metadata = template.metadata.get_or_insert_default();
    let parts = [
        ("labels", &mut metadata.labels, &there.labels),
        ("annotations", &mut metadata.annotations, &there.annotations),
    ];
    for (part, wanted, there) in parts {
        let added: BTreeMap<String, String> = there
            .iter()
            .flatten()
            .filter(|(key, _)| !is_ours(part, key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !added.is_empty() {
            let wanted = wanted.get_or_insert_default();
            for (key, value) in added {
                wanted.entry(key).or_insert(value);
            }
        }
    }
}
