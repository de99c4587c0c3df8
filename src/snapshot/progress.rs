//! The progress that a workload reports: shared by the stage that closes the process and the one that writes status.
//! Pure.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    core::v1::{ContainerStatus, Pod},
};

use crate::api::executor_deployment::FinishedJob;

/// How far a workload is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// How many pods there should be, as the workload understands it.
    pub desired: i32,
    /// How many there are.
    pub replicas: i32,
    /// How many are ready, or have succeeded.
    pub ready: i32,
    /// What that means.
    pub phase: Phase,
}

/// What a workload's numbers mean.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It is getting there.
    Progressing,
    /// All pods of the current template are ready.
    Ready,
    /// All pods of a Job succeeded.
    Completed,
    /// It will not get there; reason and message of the workload.
    Failed {
        /// Reason that the workload gives.
        reason: String,
        /// Message that it gives.
        message: String,
    },
}

/// How far a Deployment is.
#[must_use]
pub fn of_deployment(deployment: &Deployment) -> Progress {
    let desired = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else {
        return Progress { desired, replicas: 0, ready: 0, phase: Phase::Progressing };
    };
    let count = |number: Option<i32>| number.unwrap_or_default();
    let observed = status.observed_generation >= deployment.metadata.generation;
    let failed = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "Progressing"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    let complete = [status.replicas, status.updated_replicas, status.available_replicas]
        .into_iter()
        .all(|number| count(number) == desired);
    let phase = match failed {
        _ if !observed => Phase::Progressing,
        _ if complete => Phase::Ready,
        Some(condition) => Phase::Failed {
            reason: "ProgressDeadlineExceeded".to_owned(),
            message: condition.message.clone().unwrap_or_default(),
        },
        None => Phase::Progressing,
    };
    Progress { desired, replicas: count(status.replicas), ready: count(status.ready_replicas), phase }
}

/// How far a `DaemonSet` is. One that no node matches is ready with nothing.
#[must_use]
pub fn of_daemon_set(daemon_set: &DaemonSet) -> Progress {
    let Some(status) = &daemon_set.status else {
        return Progress { desired: 0, replicas: 0, ready: 0, phase: Phase::Progressing };
    };
    let desired = status.desired_number_scheduled;
    let observed = status.observed_generation >= daemon_set.metadata.generation;
    let updated = status.updated_number_scheduled.unwrap_or_default() == desired;
    let available = status.number_available.unwrap_or_default() == desired;
    let phase = if observed && updated && available { Phase::Ready } else { Phase::Progressing };
    Progress { desired, replicas: status.current_number_scheduled, ready: status.number_ready, phase }
}

/// How far a Job is.
#[must_use]
pub fn of_job(job: &Job) -> Progress {
    let desired = job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1);
    let Some(status) = &job.status else {
        return Progress { desired, replicas: 0, ready: 0, phase: Phase::Progressing };
    };
    let succeeded = status.succeeded.unwrap_or_default();
    let ready = status.ready.unwrap_or_default() + succeeded;
    let condition = |wanted: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == wanted && condition.status == "True")
    };
    let phase = if condition("Complete").is_some() {
        Phase::Completed
    } else if let Some(failed) = condition("Failed") {
        Phase::Failed {
            reason: failed.reason.clone().unwrap_or_default(),
            message: failed.message.clone().unwrap_or_default(),
        }
    } else if ready >= desired {
        Phase::Ready
    } else {
        Phase::Progressing
    };
    Progress { desired, replicas: status.active.unwrap_or_default() + succeeded, ready, phase }
}

/// How far a Job was that is gone.
#[must_use]
pub fn of_finished_job(job: &FinishedJob) -> Progress {
    let phase = job.failure.as_ref().map_or(Phase::Completed, |failure| Phase::Failed {
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    });
    Progress { desired: job.replicas, replicas: job.succeeded, ready: job.succeeded, phase }
}

/// The first thing that keeps a pod from running, for a person; none while all is well or only young.
#[must_use]
pub fn pod_problem(pods: &[Pod]) -> Option<String> {
    let mut problems: Vec<String> = pods.iter().filter_map(problem).collect();
    // Pods come in no order; the message must not change with it.
    problems.sort();
    problems.into_iter().next()
}

/// Whether some pod waits for a Secret or `ConfigMap` that is not there.
#[must_use]
pub fn waits_for_configuration(pods: &[Pod]) -> bool {
    pods.iter().flat_map(waiting).any(|(reason, _)| reason == "CreateContainerConfigError")
}

fn problem(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let harmless = |reason: &str| matches!(reason, "ContainerCreating" | "PodInitializing");
    if let Some((reason, message)) = waiting(pod).find(|(reason, _)| !harmless(reason)) {
        let message = if message.is_empty() { String::new() } else { format!(": {message}") };
        return Some(format!("pod {name}: {reason}{message}"));
    }
    let status = pod.status.as_ref()?;
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    Some(format!("pod {name} cannot be placed: {}", unschedulable.message.as_deref().unwrap_or_default()))
}

/// Reasons and messages of the containers of a pod that wait.
fn waiting(pod: &Pod) -> impl Iterator<Item = (&str, &str)> {
    let status = pod.status.as_ref();
    let containers = status.into_iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    containers.filter_map(|container: &ContainerStatus| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some((waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default()))
    })
}
