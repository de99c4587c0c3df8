//! What should be for an `ExecutorDeployment` with runtime `kubernetes`: a workload, an identity, a process. Pure.

mod blueprint;
mod budget;
mod drain;
mod environment;
mod executor_type;
mod from_colony;
mod pod_template;
mod policies;
mod process;
mod queue;
mod restored;
mod restricted;
mod run;
mod standard;
mod stock;
mod volumes;
mod workload;

pub use blueprint::OURS_ALONE;
pub use environment::DesiredIdentity;
pub use from_colony::check_from_colony;
pub use policies::WorkloadPolicies;
pub use restored::with_earlier_run;
pub use run::run_hash;
pub use stock::not_carried_out;
pub use workload::DesiredWorkload;

use pod_template::Serves;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;

use super::{DesiredProcess, Problem, resolved};
use crate::{
    api::{
        condition::Reason,
        executor_deployment::Runtime,
        metadata::{Incomplete, Owner},
        names::RESTART_ANNOTATION,
    },
    kinds::SpecError,
    snapshot::{ExecutorDeploymentSnapshot, ResolvedColony},
};

/// What should be for an `ExecutorDeployment`.
#[derive(Clone, Debug)]
pub struct DesiredExecutorDeployment {
    /// Who the object is.
    pub owner: Owner,
    /// What this cluster runs for it; none when another runtime does.
    pub here: Option<DesiredInCluster>,
}

/// What this cluster runs for an `ExecutorDeployment`.
#[derive(Clone, Debug)]
pub struct DesiredInCluster {
    /// The executor's identity.
    pub identity: DesiredIdentity,
    /// The object that runs the pods; none while the identity's name is not known or a `DaemonSet` is suspended.
    pub workload: Option<DesiredWorkload>,
    /// What may be done about the workload.
    pub policies: WorkloadPolicies,
    /// The process of this generation.
    pub process: DesiredProcess,
    /// The budget of busy pods, where they are marked.
    pub budget: Option<Box<PodDisruptionBudget>>,
}

/// Stage 2; none for an object that is being deleted.
///
/// # Errors
///
/// When the colony cannot be used, or the spec cannot be carried out.
pub fn desired(snapshot: &ExecutorDeploymentSnapshot) -> Result<Option<DesiredExecutorDeployment>, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let colony = resolved(&snapshot.colony)?;
    // One that only looks registers nothing.
    if !snapshot.object.spec.management_policies.only_observe() {
        executor_type::check(snapshot, colony)?;
    }
    let desired = build(snapshot, colony);
    desired.map(Some).map_err(|error| Problem { reason: Reason::InvalidSpec, message: error.to_string() })
}

/// Computes the desired state.
///
/// # Errors
///
/// When the spec requests something that this operator cannot or may not do.
pub fn build(
    snapshot: &ExecutorDeploymentSnapshot,
    colony: &ResolvedColony,
) -> Result<DesiredExecutorDeployment, SpecError> {
    let owner = Owner::of(&snapshot.object).map_err(|Incomplete(field)| SpecError::Incomplete(field))?;
    if snapshot.object.spec.runtime != Runtime::Kubernetes {
        return Ok(DesiredExecutorDeployment { owner, here: None });
    }
    let identity = environment::identity(&owner, &snapshot.object.spec, colony);
    let executor_name =
        snapshot.identity.known().and_then(Option::as_ref).map(|identity| identity.executor_name.as_str());
    let is_per_pod = snapshot.object.spec.is_per_pod();
    let environment = identity.content_hash().cloned().unwrap_or_default();
    let serves = if is_per_pod {
        Serves::AsItself { name_prefix: &identity.name_prefix, environment: &environment }
    } else {
        Serves::As(executor_name.unwrap_or_default())
    };
    // The template is built even while the name is not known, so that a bad spec is reported at once.
    let template = pod_template::build(
        &owner,
        &snapshot.object.spec,
        &snapshot.policy,
        colony,
        serves,
        snapshot.object.annotations().get(RESTART_ANNOTATION),
    )?;
    let workload = if is_per_pod || executor_name.is_some() {
        workload::build(&owner, &snapshot.object, template)?
    } else {
        None
    };
    let policies = WorkloadPolicies::build(&snapshot.object.spec)?;
    let process = process::build(&owner, &snapshot.object, colony, &snapshot.cluster)?;
    let budget = budget::build(&owner, &snapshot.object.spec).map(Box::new);
    let here = DesiredInCluster { identity, workload, policies, process, budget };
    Ok(DesiredExecutorDeployment { owner, here: Some(here) })
}
