//! The `PodDisruptionBudget` of the busy pods of a fleet, by which an eviction of one is refused. Pure.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use crate::api::{
    executor_deployment::{ExecutorDeploymentSpec, Workload},
    metadata::Owner,
    names::{BUSY_LABEL, busy_budget},
};

/// The budget; none where busy pods are not marked.
pub(super) fn build(owner: &Owner, spec: &ExecutorDeploymentSpec) -> Option<PodDisruptionBudget> {
    if !spec.marks_busy_pods() {
        return None;
    }
    let mut selector = owner.selector();
    selector.insert(BUSY_LABEL.to_owned(), "true".to_owned());
    // How many pods a DaemonSet or a Job should have is not known to the disruption controller, which then fails to count: none may
    // go where more have to stay than there can be.
    let (max_unavailable, min_available) = match spec.workload {
        Workload::Deployment => (Some(IntOrString::Int(0)), None),
        Workload::DaemonSet | Workload::Job => (None, Some(IntOrString::Int(i32::MAX))),
    };
    Some(PodDisruptionBudget {
        metadata: owner.child(&busy_budget(&owner.name), &spec.executor_type),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable,
            min_available,
            selector: Some(LabelSelector { match_labels: Some(selector), match_expressions: None }),
            unhealthy_pod_eviction_policy: None,
        }),
        status: None,
    })
}
