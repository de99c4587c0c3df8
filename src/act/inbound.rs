//! Writes for a process that was born in a colony: the object, and the answer.

use super::{
    colony::refused_as_over,
    failure::of_colony,
    kubernetes::Cluster,
    outcome::{FailureKind, StepFailure},
};
use crate::{
    api::executor_deployment::ExecutorDeployment,
    colony::{Process, Session},
    diff::inbound::{Answer, InboundPlan, InboundStep},
    runtime::lease::Leadership,
};
use kube::ResourceExt as _;

/// What came of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundOutcome {
    /// The process is answered, or is no longer this operator's to answer.
    Answered,
    /// Something was written: look again at once.
    Changed,
    /// There was nothing to do yet.
    Waiting,
}

/// Carries a plan out as `operator`, the executor that was assigned the process. What the cluster refuses for good is
/// the answer.
///
/// # Errors
///
/// What failed and may succeed later.
pub async fn carry_out(
    plan: &InboundPlan,
    process: &Process,
    cluster: &Cluster,
    operator: &Session,
    leadership: &Leadership,
) -> Result<InboundOutcome, StepFailure> {
    for step in &plan.steps {
        lead(leadership)?;
        match write(step, cluster).await {
            Ok(()) => {}
            // Somebody was faster, or the cache is old: look again.
            Err(failure) if failure.kind == FailureKind::Conflict => return Ok(InboundOutcome::Changed),
            Err(failure) if failure.kind == FailureKind::Refused => {
                return close(&Answer::Failed(failure.message), process, operator, leadership).await;
            }
            Err(failure) => return Err(failure),
        }
    }
    match &plan.answer {
        Some(answer) => close(answer, process, operator, leadership).await,
        None if plan.steps.is_empty() => Ok(InboundOutcome::Waiting),
        None => Ok(InboundOutcome::Changed),
    }
}

/// Carries out one write that no process waits for.
///
/// # Errors
///
/// What failed.
pub async fn carry_out_alone(
    step: &InboundStep,
    cluster: &Cluster,
    leadership: &Leadership,
) -> Result<(), StepFailure> {
    lead(leadership)?;
    match write(step, cluster).await {
        Err(failure) if failure.kind == FailureKind::Conflict => Ok(()),
        result => result,
    }
}

async fn write(step: &InboundStep, cluster: &Cluster) -> Result<(), StepFailure> {
    match step {
        InboundStep::Create(object) => cluster.create(&namespace(object), object.as_ref()).await,
        InboundStep::Replace(object) => cluster.replace(&namespace(object), object.as_ref()).await.map(drop),
        InboundStep::Delete { namespace, name, uid } => {
            cluster.delete::<ExecutorDeployment>(namespace, name, Some(uid)).await
        }
    }
}

/// Closes the process. One that was cancelled or given to another meanwhile is over for this operator.
async fn close(
    answer: &Answer,
    process: &Process,
    operator: &Session,
    leadership: &Leadership,
) -> Result<InboundOutcome, StepFailure> {
    lead(leadership)?;
    let closed = match answer {
        Answer::Successful(output) => {
            operator.close_successful(&process.id, std::slice::from_ref(output)).await
        }
        Answer::Failed(why) => operator.close_failed(&process.id, std::slice::from_ref(why)).await,
    };
    match closed {
        Ok(()) => {
            tracing::info!(process = %process.id, ?answer, "answered");
            Ok(InboundOutcome::Answered)
        }
        Err(error) if refused_as_over(&error) => Ok(InboundOutcome::Answered),
        Err(error) => Err(of_colony(&format!("close process {}", process.id), &error)),
    }
}

fn namespace(object: &ExecutorDeployment) -> String {
    object.namespace().unwrap_or_default()
}

fn lead(leadership: &Leadership) -> Result<(), StepFailure> {
    if leadership.is_leader() {
        return Ok(());
    }
    Err(StepFailure { kind: FailureKind::Unavailable, message: "another replica leads".to_owned() })
}
