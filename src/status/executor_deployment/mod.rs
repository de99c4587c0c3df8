//! Status of an `ExecutorDeployment`, on success and on failure alike. Pure.

mod elsewhere;
mod executors;
mod news;
mod next;
mod queued;
mod withheld;

use executors::unnamed;
use kube::ResourceExt as _;
pub use news::{is_final, is_news, is_passing};
pub use next::next;
use queued::queued;
use withheld::{drift, missing_workload_findings, warnings, withheld_reason};

use super::{
    blueprint,
    condition::{Finding, merge},
    event::Note,
    mirror,
    summary::Summary,
};
use crate::{
    act::outcome::{FailureKind, Outcome},
    api::{
        condition::{ConditionType, Reason},
        executor_deployment::{
            ExecutorDeployment, ExecutorDeploymentStatus, ExecutorStatus, Runtime, Workload,
            WorkloadReference,
        },
        mirror::Mirrored as _,
        names::{EXECUTOR_DEPLOYMENT_LABEL, RESTART_ANNOTATION},
        policy::SyncPolicy,
    },
    colony::model::ExecutorState,
    diff::{
        ColonyStep, KubernetesStep, Problem, Step, Sync, current_progress, finalizers_of_others,
        finished_job, is_carried_by_colony,
    },
    snapshot::{
        ExecutorDeploymentSnapshot, Observed, Registration,
        pod_trouble::{self, PodTrouble},
        progress::{self, Phase, Progress},
    },
};

/// Reports the outcome.
#[must_use]
pub fn compute(
    snapshot: &ExecutorDeploymentSnapshot,
    pass: Result<&Outcome, &Problem>,
) -> ExecutorDeploymentStatus {
    let object = &snapshot.object;
    let previous = object.status.clone().unwrap_or_default();
    let here = object.spec.runtime == Runtime::Kubernetes;
    let progress = if here { current_progress(snapshot) } else { elsewhere::progress(snapshot) };
    let generation = object.metadata.generation;
    let mirror = match pass {
        Ok(outcome) => mirror::record(previous.mirror.as_ref(), outcome, snapshot.now),
        Err(_) => previous.mirror.clone(),
    };
    let blueprint = match pass {
        Ok(outcome) => blueprint::record(previous.blueprint.clone(), outcome),
        Err(_) => previous.blueprint.clone(),
    };

    let mut findings = match pass {
        _ if object.metadata.deletion_timestamp.is_some() => deleting(object, pass),
        Err(problem) => blocked(problem),
        Ok(outcome) if let Some(overruled) = undone(object, outcome) => Summary::Progressing
            .alike(Reason::Overruled, &format!("the edit is about to be undone: {overruled}")),
        Ok(_) if !here => elsewhere::findings(snapshot),
        Ok(outcome) => running(snapshot, outcome, progress.as_ref()),
    };
    let problem = pass
        .ok()
        .and_then(mirror::colony_problem)
        .or_else(|| colony_problem(snapshot))
        .or_else(|| quiet_period(snapshot))
        .or_else(|| pass.ok().and_then(|outcome| withheld_reason(object, outcome, mirror.as_ref())));
    findings.push(if is_carried_by_colony(object) {
        blueprint::carried(object, blueprint.as_ref(), pass.ok().map(|outcome| &outcome.plan.sync), problem)
    } else {
        mirror::finding(mirror.as_ref(), generation.unwrap_or_default(), problem)
    });
    findings.extend(
        pass.ok().and_then(|outcome| blueprint::conflict(object.sync_policy(), blueprint.as_ref(), outcome)),
    );
    findings.extend(pass.ok().and_then(|outcome| drift(object, outcome)));
    findings.extend(warnings(snapshot, pass.ok()));
    let conditions = merge(&previous.conditions, findings, generation, snapshot.now);
    let executor = executor(snapshot, pass.ok(), previous.executor);
    let is_there = blueprint.is_some() || may_be_registered(snapshot, executor.as_ref());
    let colony = mirror::used_colony(previous.colony.as_ref(), &snapshot.colony, mirror.as_ref(), is_there);

    ExecutorDeploymentStatus {
        observed_generation: generation,
        colony,
        state: state(&conditions),
        desired_replicas: desired_replicas(object, progress.as_ref()),
        replicas: progress.as_ref().map_or(0, |progress| progress.replicas),
        ready_replicas: progress.as_ref().map_or(0, |progress| progress.ready),
        // Pods of a workload that is only looked at may have any labels.
        selector: (here && !object.spec.management_policies.only_observe())
            .then(|| format!("{EXECUTOR_DEPLOYMENT_LABEL}={}", object.name_any())),
        workload: (here && progress.is_some())
            .then(|| WorkloadReference { kind: object.spec.workload, name: object.name_any() }),
        finished_job: finished_job(object, &snapshot.workloads),
        executor,
        executors: executors::executors(snapshot, pass.ok()),
        mirror,
        blueprint,
        instances: if here { Vec::new() } else { elsewhere::instances(snapshot) },
        restarted_for: object.annotations().get(RESTART_ANNOTATION).cloned(),
        conditions,
    }
}

/// Events that follow from a pass, besides those of conditions.
#[must_use]
pub fn notes(snapshot: &ExecutorDeploymentSnapshot, pass: Result<&Outcome, &Problem>) -> Vec<Note> {
    executors::notes(snapshot, pass.ok())
}

/// Whether the colony may know the executor: of one that never answered it is not asked.
fn may_be_registered(snapshot: &ExecutorDeploymentSnapshot, executor: Option<&ExecutorStatus>) -> bool {
    let is_recorded = || snapshot.object.used_colony().is_some();
    let is_connected =
        || snapshot.colony.resolved().is_some_and(|colony| colony.operator_executor_id.known().is_some());
    executor.is_some_and(|executor| executor.registered || is_recorded() || is_connected())
}

/// How many executors there should be: the user's value; for a `DaemonSet`, and for a workload that is only observed,
/// the value of the cluster.
fn desired_replicas(object: &ExecutorDeployment, progress: Option<&Progress>) -> Option<i32> {
    match object.spec.workload {
        _ if object.spec.management_policies.only_observe() => progress.map(|progress| progress.desired),
        Workload::DaemonSet => progress.map(|progress| progress.desired),
        Workload::Deployment | Workload::Job => Some(object.spec.replicas),
    }
}

/// The executor of the pods. The old one stays on record until it has left the colony: it would be forgotten there.
fn executor(
    snapshot: &ExecutorDeploymentSnapshot,
    outcome: Option<&Outcome>,
    previous: Option<ExecutorStatus>,
) -> Option<ExecutorStatus> {
    let Some(identity) = snapshot.identity.known().and_then(Option::as_ref) else { return previous };
    let removed = |name: &str| {
        outcome.is_some_and(|outcome| {
            outcome
                .done_colony()
                .any(|(step, _)| matches!(step, ColonyStep::RemoveExecutor { name: done } if done == name))
        })
    };
    let is_predecessor = |previous: &ExecutorStatus| snapshot.predecessor() == Some(&previous.name);
    if let Some(previous) = previous.filter(|previous| is_predecessor(previous) && !removed(&previous.name)) {
        return Some(previous);
    }
    let registered_now = outcome.is_some_and(|outcome| {
        outcome.done_colony().any(
            |(step, _)| matches!(step, ColonyStep::RegisterExecutor { name, .. } if *name == identity.executor_name),
        )
    });
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.executor.as_ref());
    let registered = match &snapshot.registration {
        Observed::Known(registration) => {
            registered_now || *registration == Registration::Present(ExecutorState::Approved)
        }
        Observed::Unknown(_) => {
            registered_now
                || recorded
                    .is_some_and(|recorded| recorded.name == identity.executor_name && recorded.registered)
        }
    };
    Some(ExecutorStatus {
        name: identity.executor_name.clone(),
        id: identity.executor_id.clone(),
        registered,
        environment_hash: identity.content_hash.clone(),
    })
}

/// Until when nothing may be submitted, if so.
fn quiet_period(snapshot: &ExecutorDeploymentSnapshot) -> Option<(Reason, String)> {
    let until = snapshot.submit_not_before.filter(|moment| snapshot.now < *moment)?;
    let until = until.strftime("%H:%M:%SZ");
    Some((
        Reason::QuietPeriod,
        format!(
            "an earlier submit may still arrive; it is looked up, and submitted if there is none, at {until}"
        ),
    ))
}

/// Why the colony cannot be used, if so.
fn colony_problem(snapshot: &ExecutorDeploymentSnapshot) -> Option<(Reason, String)> {
    let Some(colony) = snapshot.colony.resolved() else { return snapshot.colony.obstacle() };
    let why = colony.operator_executor_id.unknown().or(snapshot.processes.unknown())?;
    Some((Reason::ColonyUnavailable, format!("colony {}: {why}", colony.name)))
}

fn deleting(object: &ExecutorDeployment, pass: Result<&Outcome, &Problem>) -> Vec<Finding> {
    let (reason, message) = match pass {
        Err(problem) => (problem.reason, problem.message.clone()),
        Ok(outcome) => {
            let reason = if finalizers_of_others(object).is_empty() {
                Reason::Deleting
            } else {
                Reason::WaitingForFinalizer
            };
            outcome.kubernetes_failure().or(outcome.colony_failure()).map_or_else(
                || (reason, waiting_for(&outcome.plan.awaiting)),
                |failure| (Reason::WaitingForColony, failure.message.clone()),
            )
        }
    };
    vec![
        Finding::yes(ConditionType::Progressing, reason, message.clone()),
        Finding::no(ConditionType::Ready, Reason::Deleting, message),
    ]
}

fn waiting_for(awaiting: &[String]) -> String {
    if awaiting.is_empty() {
        "the object is being deleted".to_owned()
    } else {
        format!("waiting for {}", awaiting.join(", "))
    }
}

/// What is said of an edit of the object that the next pass undoes: nothing is done about the spec as it stands.
fn undone<'a>(object: &ExecutorDeployment, outcome: &'a Outcome) -> Option<&'a str> {
    let Sync::Undoes(recorded) = &outcome.plan.sync else { return None };
    recorded.overruled.as_deref().filter(|_| object.sync_policy() == SyncPolicy::ColonyWins)
}

fn blocked(problem: &Problem) -> Vec<Finding> {
    Summary::Degraded.alike(problem.reason, &problem.message)
}

fn running(
    snapshot: &ExecutorDeploymentSnapshot,
    outcome: &Outcome,
    progress: Option<&Progress>,
) -> Vec<Finding> {
    if let Some(failure) =
        outcome.kubernetes_failure().filter(|failure| failure.kind != FailureKind::Conflict)
    {
        return blocked(&Problem { reason: Reason::ApplyFailed, message: failure.message.clone() });
    }
    if let (None, Some(left)) = (progress, outcome.plan.left.first()) {
        return missing_workload_findings(snapshot.object.spec.workload, left);
    }
    // What was written in this pass has not been seen to work yet, and what a conflict kept from being written is still to come.
    let written = outcome.plan.steps.iter().any(|step| {
        let is_aside = |step: &KubernetesStep| {
            matches!(
                step,
                KubernetesStep::AddFinalizer
                    | KubernetesStep::UpdateIdentity { .. }
                    | KubernetesStep::MarkPod { .. }
                    | KubernetesStep::CreateBudget(_)
                    | KubernetesStep::UpdateBudget(_)
                    | KubernetesStep::DeleteBudget { .. }
            )
        };
        matches!(step, Step::Kubernetes(step) if !is_aside(step))
    });
    let object = &snapshot.object;
    let is_job = object.spec.workload == Workload::Job;
    let phase = progress.filter(|_| !written).map_or(&Phase::Progressing, |progress| &progress.phase);
    let counts = progress.map_or_else(
        || "no executor is started yet".to_owned(),
        |progress| {
            let verb = if progress.ready == 1 { "is" } else { "are" };
            format!("{} of {} executors {verb} ready", progress.ready, progress.desired)
        },
    );
    let refusal = refused_pods(snapshot).filter(|_| !written);
    let trouble = pod_trouble::of_pods(&snapshot.pods).into_iter().chain(snapshot.unmounted.clone());
    let trouble = trouble.chain(unnamed(snapshot)).min();
    let trouble = trouble.filter(|_| !written);
    let explained = |trouble: &PodTrouble| format!("{counts}; {}: {}", trouble.what, trouble.cause.remedy());
    let is_ended_job = is_job && matches!(phase, Phase::Failed { .. });
    let mut findings = match phase {
        // The rollout fails for this reason as well, once its deadline has passed.
        Phase::Progressing | Phase::Failed { .. } if !is_ended_job && refusal.is_some() => {
            let refusal = refusal.unwrap_or_default();
            let message = format!("{counts}; {refusal}: {}", pod_trouble::remedy_of_refusal(&refusal));
            blocked(&Problem { reason: Reason::PodsRefused, message })
        }
        Phase::Progressing | Phase::Failed { .. }
            if !is_ended_job && let Some(trouble) = trouble.as_ref().filter(|trouble| !trouble.may_pass) =>
        {
            blocked(&Problem { reason: trouble.cause.reason(), message: explained(trouble) })
        }
        Phase::Failed { reason, message } => {
            let why = if is_job { Reason::JobFailed } else { Reason::ProgressDeadlineExceeded };
            let problem = trouble.map(|trouble| format!("; {}", trouble.what)).unwrap_or_default();
            blocked(&Problem { reason: why, message: format!("{counts}; {reason}: {message}{problem}") })
        }
        Phase::Completed => settled(Reason::JobCompleted, true, "all executors ran to their end"),
        Phase::Ready if object.spec.suspend => {
            settled(Reason::Suspended, false, "suspended: set suspend to false to run executors")
        }
        Phase::Ready => settled(Reason::AllReplicasReady, true, &counts),
        Phase::Progressing => {
            let (reason, details) = match (&trouble, queued(snapshot)) {
                (Some(trouble), _) => (trouble.cause.reason(), explained(trouble)),
                (None, Some(queued)) => (Reason::Queued, format!("{counts}; {queued}")),
                (None, None) => (Reason::ReplicasNotReady, counts.clone()),
            };
            let awaited = outcome.plan.awaiting.first().filter(|_| progress.is_none() && trouble.is_none());
            let waits = awaited.map(|awaited| format!("; waiting for {awaited}")).unwrap_or_default();
            Summary::Progressing.findings(|kind| match kind {
                ConditionType::Progressing => (reason, format!("{details}{waits}")),
                ConditionType::Ready => (reason, details.clone()),
                _ => (Reason::Reconciled, String::new()),
            })
        }
    };
    if is_job {
        findings.push(match phase {
            Phase::Completed => {
                Finding::yes(ConditionType::Finished, Reason::JobCompleted, "all executors ran to their end")
            }
            Phase::Failed { message, .. } => {
                Finding::yes(ConditionType::Finished, Reason::JobFailed, message.clone())
            }
            Phase::Ready | Phase::Progressing => {
                Finding::no(ConditionType::Finished, Reason::ReplicasNotReady, counts)
            }
        });
    }
    findings
}

/// Why the API server refuses pods of the workload.
fn refused_pods(snapshot: &ExecutorDeploymentSnapshot) -> Option<String> {
    let by_deployment = || {
        let deployment = snapshot.workloads.deployment.known()?.as_ref()?;
        (snapshot.object.spec.workload == Workload::Deployment)
            .then(|| progress::refusal_of_deployment(deployment))?
    };
    snapshot.refused_pods.clone().or_else(by_deployment)
}

fn settled(reason: Reason, ready: bool, message: &str) -> Vec<Finding> {
    let summary = if ready { Summary::Ready } else { Summary::Settled };
    summary.findings(|kind| match kind {
        ConditionType::Ready => (reason, message.to_owned()),
        _ => (Reason::Reconciled, String::new()),
    })
}

/// The whole in one word, for the column of `kubectl get`.
fn state(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> Option<String> {
    let ready = conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str())?;
    let word = match ready.reason.as_str() {
        "AllReplicasReady" => "Ready",
        "ReplicasNotReady" => "Progressing",
        "JobCompleted" => "Completed",
        "JobFailed" => "Failed",
        other => other,
    };
    Some(word.to_owned())
}
