//! What to do for an `ExecutorDeployment`: identity, workload and process put in one order. Pure.

use kube::ResourceExt as _;
use serde_json::json;

use super::{ColonyStep, Error, KubernetesStep, Plan, Step, Sync, blueprint, identity, mirror, workload};
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, Workload},
        names::{self, ABANDON_ANNOTATION, EXECUTOR_DEPLOYMENT_FINALIZER, PROCESS_SPEC_ANNOTATION},
    },
    colony::model::ExecutorState,
    desired::{DesiredExecutorDeployment, SharedSpec},
    watch::snapshot::{
        ColonyReference, ExecutorDeploymentSnapshot, Observed, Registration,
        progress::{self, Progress},
    },
};

/// Plans an object that is to be.
///
/// # Errors
///
/// When an object of a name that is needed belongs to somebody else.
pub fn plan(
    snapshot: &ExecutorDeploymentSnapshot,
    desired: &DesiredExecutorDeployment,
) -> Result<Plan, Error> {
    let blueprint = blueprint::plan(snapshot);
    if let Some(step) = blueprint.object {
        // Whatever follows from the spec follows from the next one.
        let steps = vec![Step::Kubernetes(step)];
        return Ok(Plan { steps, sync: blueprint.sync, ..Plan::default() });
    }
    let Some(here) = &desired.here else {
        // Another runtime carries it out. What this one made for an earlier spec goes.
        let mut plan = withdraw(snapshot, "another runtime carries it out");
        if !has_finalizer(snapshot) {
            plan.steps.insert(0, Step::Kubernetes(KubernetesStep::AddFinalizer));
        }
        plan.steps.extend(blueprint.steps.into_iter().map(Step::Colony));
        plan.awaiting.extend(blueprint.awaiting);
        plan.sync = blueprint.sync;
        return Ok(plan);
    };
    let owner = &desired.owner;
    let identity = identity::plan(snapshot, &here.identity, owner, serves(snapshot))?;
    // While a new key is made, the workload stays as it is: its pods would otherwise roll twice.
    let workload = if here.workload.is_some() || snapshot.object.spec.suspend {
        workload::plan(here.workload.as_ref(), &snapshot.workloads, &owner.uid, snapshot.object.spec.suspend)?
    } else {
        workload::WorkloadPlan::default()
    };
    let settled =
        (identity.kubernetes.is_empty() && workload.steps.is_empty() && workload.awaiting.is_empty())
            .then(|| current_progress(snapshot))
            .flatten();
    let mirror = if is_carried_by_colony(&snapshot.object) {
        mirror::plan_end(snapshot)
    } else {
        mirror::plan(snapshot, &here.process, settled.as_ref(), &output(snapshot, settled.as_ref()))
    };

    let mut steps = Vec::new();
    if !has_finalizer(snapshot) {
        steps.push(Step::Kubernetes(KubernetesStep::AddFinalizer));
    }
    steps.extend(identity.kubernetes.into_iter().map(Step::Kubernetes));
    steps.extend(identity.colony.into_iter().map(Step::Colony));
    steps.extend(workload.steps.into_iter().map(Step::Kubernetes));
    steps.extend(mirror.steps.into_iter().map(Step::Colony));
    steps.extend(blueprint.steps.into_iter().map(Step::Colony));
    let awaiting = [identity.awaiting, workload.awaiting, mirror.awaiting, blueprint.awaiting].concat();
    Ok(Plan { steps, awaiting, mirror: mirror.mirror, sync: blueprint.sync })
}

/// Whether the colony itself has what carries this generation, a blueprint or the process of which it was born: a process
/// submitted for it would be a second one.
#[must_use]
pub fn is_carried_by_colony(object: &ExecutorDeployment) -> bool {
    let born_of = object.annotations().get(PROCESS_SPEC_ANNOTATION);
    object.blueprint_name().is_some()
        || born_of.is_some_and(|hash| *hash == SharedSpec::of_object(&object.spec).hash())
}

/// Plans the end of an object that is being deleted: pods first, so that no executor is taken from under its process,
/// then the colony's side, then the object itself. It needs no valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ExecutorDeploymentSnapshot) -> Plan {
    if !has_finalizer(snapshot) {
        return Plan::default();
    }
    let mut plan = withdraw(snapshot, "the object is deleted");
    let abandoned = is_abandoned(snapshot);
    if abandoned {
        plan.steps.retain(|step| matches!(step, Step::Kubernetes(_)));
        plan.awaiting.clear();
    }
    let pods_left = !snapshot.pods.is_empty()
        || workload::any_left(&snapshot.workloads, &snapshot.object.uid().unwrap_or_default());
    let unreadable = workload::unreadable(&snapshot.workloads).is_some();
    let remote_left = !abandoned && !plan.awaiting.is_empty();
    if plan.steps.is_empty() && !pods_left && !unreadable && !remote_left {
        plan.steps.push(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    }
    plan
}

/// Whether the colony's side is left as it is: the colony is gone for good, or somebody says that it is.
fn is_abandoned(snapshot: &ExecutorDeploymentSnapshot) -> bool {
    matches!(snapshot.colony, ColonyReference::NotFound { .. })
        || snapshot.object.annotations().get(ABANDON_ANNOTATION).is_some_and(|value| value == "true")
}

/// What is left in the colony of an object that is let go without it, for a person; none if nothing is.
#[must_use]
pub fn left_behind(snapshot: &ExecutorDeploymentSnapshot) -> Option<String> {
    let status = snapshot.object.status.as_ref().filter(|_| is_abandoned(snapshot))?;
    let executor = status.executor.as_ref().filter(|executor| executor.registered);
    let process = status.mirror.as_ref().filter(|mirror| mirror.state.is_live());
    let left: Vec<String> = [
        executor.map(|executor| format!("executor {}", executor.name)),
        process.and_then(|mirror| mirror.process_id.as_ref()).map(|id| format!("process {id}")),
        status.blueprint.as_ref().map(|blueprint| format!("blueprint {}", blueprint.name)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!left.is_empty()).then(|| format!("left in the colony: {}", left.join(", ")))
}

/// Takes back everything that was made for an object, in the cluster and in the colony.
fn withdraw(snapshot: &ExecutorDeploymentSnapshot, why: &str) -> Plan {
    let uid = snapshot.object.uid().unwrap_or_default();
    let mut plan = Plan { sync: Sync::Unchanged, ..Plan::default() };
    let deletions = workload::deletions(&snapshot.workloads, &uid, None, why);
    plan.steps.extend(deletions.into_iter().map(Step::Kubernetes));
    let end = mirror::plan_end(snapshot);
    plan.steps.extend(end.steps.into_iter().map(Step::Colony));
    plan.awaiting.extend(end.awaiting);
    let blueprint = blueprint::plan_end(snapshot);
    plan.steps.extend(blueprint.steps.into_iter().map(Step::Colony));
    plan.awaiting.extend(blueprint.awaiting);
    if let Some(why) = workload::unreadable(&snapshot.workloads) {
        plan.awaiting.push(format!("the cluster to say what runs: {why}"));
    } else if workload::any_left(&snapshot.workloads, &uid) || !snapshot.pods.is_empty() {
        plan.awaiting.push(format!("{} pods to be gone", snapshot.pods.len()));
    } else {
        withdraw_identity(snapshot, &uid, &mut plan);
    }
    plan
}

/// Removes the executor from the colony, and then its Secret: without the Secret nobody would know what to remove.
fn withdraw_identity(snapshot: &ExecutorDeploymentSnapshot, uid: &str, plan: &mut Plan) {
    let identity = match &snapshot.identity {
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("the Secret with the executor's name: {why}"));
            return;
        }
        Observed::Known(identity) => {
            identity.as_ref().filter(|identity| identity.owner_uid.as_deref() == Some(uid))
        }
    };
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.executor.as_ref());
    let name = identity.map(|identity| &identity.executor_name).or(recorded.map(|recorded| &recorded.name));
    let Some(name) = name else { return };
    if let Some(name) = identity.and_then(|identity| identity::predecessor(snapshot, identity)) {
        plan.steps.push(Step::Colony(ColonyStep::RemoveExecutor { name: name.clone() }));
        plan.awaiting.push(format!("executor {name} to be removed"));
    }
    match &snapshot.registration {
        Observed::Unknown(why) => plan.awaiting.push(format!("the colony to remove executor {name}: {why}")),
        Observed::Known(Registration::Absent | Registration::Present(ExecutorState::Unregistered)) => {
            if identity.is_some() {
                let name = names::identity_secret(&snapshot.object.name_any());
                plan.steps.push(Step::Kubernetes(KubernetesStep::DeleteIdentity { name }));
            }
        }
        Observed::Known(Registration::Present(_)) => {
            plan.steps.push(Step::Colony(ColonyStep::RemoveExecutor { name: name.clone() }));
            plan.awaiting.push(format!("executor {name} to be removed"));
        }
    }
}

fn has_finalizer(snapshot: &ExecutorDeploymentSnapshot) -> bool {
    snapshot.object.finalizers().iter().any(|finalizer| finalizer == EXECUTOR_DEPLOYMENT_FINALIZER)
}

/// Whether pods serve the colony now.
fn serves(snapshot: &ExecutorDeploymentSnapshot) -> bool {
    current_progress(snapshot)
        .is_some_and(|progress| progress.ready > 0 && progress.phase != progress::Phase::Completed)
}

/// How far the workload of the current spec is; none while there is no such workload.
#[must_use]
pub fn current_progress(snapshot: &ExecutorDeploymentSnapshot) -> Option<Progress> {
    let workloads = &snapshot.workloads;
    match snapshot.object.spec.workload {
        Workload::Deployment => workloads.deployment.known()?.as_ref().map(progress::of_deployment),
        Workload::DaemonSet => match workloads.daemon_set.known()? {
            Some(daemon_set) => Some(progress::of_daemon_set(daemon_set)),
            None if snapshot.object.spec.suspend => {
                Some(Progress { desired: 0, replicas: 0, ready: 0, phase: progress::Phase::Ready })
            }
            None => None,
        },
        Workload::Job => {
            let mut progress = workloads.job.known()?.as_ref().map(progress::of_job)?;
            if snapshot.object.spec.suspend && progress.phase == progress::Phase::Progressing {
                progress.phase = progress::Phase::Ready;
            }
            Some(progress)
        }
    }
}

/// What the mirrored process is closed with.
fn output(snapshot: &ExecutorDeploymentSnapshot, settled: Option<&Progress>) -> serde_json::Value {
    let (replicas, ready) = settled.map_or((0, 0), |progress| (progress.replicas, progress.ready));
    json!({
        "observedGeneration": snapshot.object.metadata.generation,
        "workload": {"kind": snapshot.object.spec.workload.as_str(), "name": snapshot.object.name_any()},
        "replicas": replicas,
        "readyReplicas": ready,
    })
}
