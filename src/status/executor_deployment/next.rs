//! When a fleet is looked at again. Pure.

use std::time::Duration;

use crate::{
    act::outcome::Outcome,
    api::{
        executor_deployment::{ExecutorDeploymentStatus, Runtime, Workload},
        mirror::MirrorState,
        policy::AdoptionPolicy,
    },
    diff::{Problem, current_progress},
    snapshot::{ExecutorDeploymentSnapshot, pod_trouble, progress::lacks_pods},
    status::look::{LOOK_UP, Look, RESYNC},
};

/// When to look again after a pass.
#[must_use]
pub fn next(
    snapshot: &ExecutorDeploymentSnapshot,
    status: Option<&ExecutorDeploymentStatus>,
    pass: Result<&Outcome, &Problem>,
) -> Look {
    let Ok(outcome) = pass else { return Look::Backoff };
    let quiet = snapshot.submit_not_before.map(|moment| moment.duration_since(snapshot.now));
    if let Some(quiet) = quiet.and_then(|quiet| Duration::try_from(quiet).ok()) {
        return Look::About(quiet);
    }
    let spec = &snapshot.object.spec;
    let is_untold = match status.and_then(|status| status.mirror.as_ref()) {
        // No watch shows a workload of another owner.
        _ if spec.management_policies.only_observe() => true,
        // What is bound is followed by lists and websockets, unless it could not be read even once.
        Some(mirror) if mirror.state.is_live() => snapshot.processes.unknown().is_some(),
        Some(mirror) => mirror.state == MirrorState::Intended,
        None => true,
    };
    // Nor of an object that is not the operator's yet.
    let adopts = spec.adoption_policy == AdoptionPolicy::Adopt && !outcome.plan.awaiting.is_empty();
    let in_flight = snapshot.in_flight;
    let in_flight = [in_flight.blueprint, in_flight.executor, in_flight.recorded_executor];
    let awaits = in_flight.into_iter().flatten().any(|until| snapshot.now < until)
        || snapshot.blueprint.unknown().is_some();
    let awaits = awaits && !outcome.plan.awaiting.is_empty();
    // Of pods that are refused to a Job or a DaemonSet only Events tell, which are not watched.
    let lacks_pods = spec.runtime == Runtime::Kubernetes
        && spec.workload != Workload::Deployment
        && current_progress(snapshot).is_some_and(|progress| lacks_pods(&progress));
    // Nor of a volume that cannot be mounted.
    let is_begun =
        spec.runtime == Runtime::Kubernetes && pod_trouble::being_created(&snapshot.pods).next().is_some();
    let lacks_pods = lacks_pods || is_begun;
    // Nor of what was not there once, or of a pod that waits for a better one.
    let lacks_pods = lacks_pods
        || snapshot.pod_identities.as_ref().is_some_and(|known| !known.missing_pod.is_empty())
        || snapshot.pod_executors().any(|pod| pod.name.is_none());
    let is_leaving = snapshot.object.metadata.deletion_timestamp.is_some();
    Look::About(if is_untold || adopts || awaits || lacks_pods || is_leaving { LOOK_UP } else { RESYNC })
}
