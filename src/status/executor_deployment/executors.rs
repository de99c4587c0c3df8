//! The executors of a fleet in which each pod is one, in numbers. Pure.

use kube::ResourceExt as _;

use crate::{
    act::outcome::Outcome,
    api::executor_deployment::ExecutorsStatus,
    colony::model::ExecutorState,
    diff::ColonyStep,
    snapshot::{
        ExecutorDeploymentSnapshot,
        pod_trouble::{PodCause, PodTrouble},
    },
};

/// Why a pod gets no name for its executor while API servers do not ask for one.
pub(super) fn unnamed(snapshot: &ExecutorDeploymentSnapshot) -> Option<PodTrouble> {
    let identities = snapshot.pod_identities.as_ref()?;
    let why = identities.webhook.unknown()?;
    let unnamed = snapshot.pod_executors().filter(|pod| pod.name.is_none());
    let name = unnamed.map(|pod| pod.pod.name_any()).min()?;
    let what = format!("pod {name} has no name for its executor: {why}");
    Some(PodTrouble { may_pass: identities.is_offered, cause: PodCause::Name, what })
}

/// The executors of the pods, where each pod is one; none once the last of them has left.
pub(super) fn executors(
    snapshot: &ExecutorDeploymentSnapshot,
    outcome: Option<&Outcome>,
) -> Option<ExecutorsStatus> {
    let previous = snapshot.object.status.as_ref().and_then(|status| status.executors.clone());
    let identities = snapshot.pod_identities.as_ref()?;
    let (Some(known), Some(without_pod)) = (identities.registered.known(), identities.without_pod.known())
    else {
        return previous;
    };
    let done = |is_it: &dyn Fn(&ColonyStep) -> bool| {
        outcome.is_some_and(|outcome| outcome.done_colony().any(|(step, _)| is_it(step)))
    };
    let is_approved = |name: &str| {
        let registered_now = |step: &ColonyStep| matches!(step, ColonyStep::RegisterExecutor { name: done, .. } if done == name);
        known.get(name).is_some_and(|found| found.state == ExecutorState::Approved) || done(&registered_now)
    };
    let names: Vec<Option<&str>> =
        snapshot.pod_executors().map(|pod| pod.name.map(|(name, _)| name)).collect();
    let registered = names.iter().flatten().filter(|name| is_approved(name)).count();
    let removed =
        |name: &str| done(&|step| matches!(step, ColonyStep::RemoveExecutor { name: done } if done == name));
    let leaving = without_pod.iter().filter(|name| !removed(name)).count() + identities.missing_pod.len();
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let counted = ExecutorsStatus {
        registered: count(registered),
        waiting: count(names.len().saturating_sub(registered)),
        leaving: count(leaving),
    };
    (snapshot.object.spec.is_per_pod() || counted != ExecutorsStatus::default()).then_some(counted)
}
