//! The executors of a fleet in which each pod is one, in numbers. Pure.

use std::collections::BTreeMap;

use kube::ResourceExt as _;

use crate::{
    act::outcome::Outcome,
    api::{
        condition::Reason,
        executor_deployment::{ExecutorsStatus, PodProcess},
    },
    colony::model::ExecutorState,
    diff::ColonyStep,
    snapshot::{
        ExecutorDeploymentSnapshot, Observed, PodExecutor, RunningProcess,
        pod_trouble::{PodCause, PodTrouble},
    },
    status::event::Note,
};

/// How many processes a status lists.
const LISTED: usize = 10;

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
    let mut counted = ExecutorsStatus {
        registered: count(registered),
        waiting: count(names.len().saturating_sub(registered)),
        leaving: count(leaving),
        ..ExecutorsStatus::default()
    };
    match &identities.running {
        Observed::Known(running) => {
            let (mut processes, draining) = processes(snapshot, running);
            let serving = snapshot.pod_executors().filter(|pod| !pod.is_leaving());
            let serving = serving.filter_map(|pod| pod.name).filter(|(name, _)| is_approved(name)).count();
            let busy = processes.len() - draining;
            processes.truncate(LISTED);
            (counted.busy, counted.idle) = (Some(count(busy)), Some(count(serving.saturating_sub(busy))));
            (counted.draining, counted.processes) = (count(draining), processes);
        }
        // As it was last known.
        Observed::Unknown(_) => {
            let previous = previous.unwrap_or_default();
            (counted.busy, counted.idle) = (previous.busy, previous.idle);
            (counted.draining, counted.processes) = (previous.draining, previous.processes);
        }
    }
    (snapshot.object.spec.is_per_pod() || !counted.is_empty()).then_some(counted)
}

/// What the pods run, those first that are to go, and how many these are.
fn processes(
    snapshot: &ExecutorDeploymentSnapshot,
    running: &BTreeMap<String, RunningProcess>,
) -> (Vec<PodProcess>, usize) {
    let runs = |pod: PodExecutor<'_>| {
        let runs = running.get(pod.name?.0)?;
        // Of an operator that has just begun, what is marked has lasted.
        let lasts = runs.lasts || pod.busy_with() == Some(runs.id.as_str());
        let (name, process) = (pod.pod.name_any(), runs.id.as_str().to_owned());
        (lasts || pod.is_leaving()).then(|| PodProcess { pod: name, process, draining: pod.is_leaving() })
    };
    let mut all: Vec<PodProcess> = snapshot.pod_executors().filter_map(runs).collect();
    all.sort_by(|one, other| (!one.draining, &one.pod).cmp(&(!other.draining, &other.pod)));
    let draining = all.iter().filter(|process| process.draining).count();
    (all, draining)
}

/// What people are told of pods that are to go: that some run something first, and that none does any more.
pub(super) fn notes(snapshot: &ExecutorDeploymentSnapshot, outcome: Option<&Outcome>) -> Vec<Note> {
    let before = snapshot.object.status.as_ref().and_then(|status| status.executors.as_ref());
    let before = before.map_or(0, |executors| executors.draining);
    let after = executors(snapshot, outcome).unwrap_or_default();
    let (reason, message) = match (before, after.draining) {
        (0, count) if count > 0 => {
            let named = after.processes.iter().filter(|process| process.draining);
            let named = named.map(|process| format!("{} runs process {}", process.pod, process.process));
            let named: Vec<String> = named.collect();
            let pods = if count == 1 { "pod is" } else { "pods are" };
            let message = format!("{count} {pods} to go and run something first: {}", named.join(", "));
            (Reason::Draining, message)
        }
        (count, 0) if count > 0 => {
            (Reason::Drained, "no pod that is to go runs anything any more".to_owned())
        }
        _ => return Vec::new(),
    };
    vec![Note { warning: false, reason: reason.as_str().to_owned(), message }]
}
