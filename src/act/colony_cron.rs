//! Carries out what was planned for a `ColonyCron`.

use super::{
    kubernetes::Cluster,
    outcome::{CronOutcome, FailureKind, StepFailure},
};
use crate::{
    api::{colony_cron::RunKind, colony_process::ColonyProcess, colony_workflow::ColonyWorkflow},
    desired::colony_cron::DesiredRun,
    diff::colony_cron::{CronPlan, CronStep},
    runtime::lease::Leadership,
};

/// Carries the steps of a plan out in their order, and asks before each whether this process still leads. One that fails
/// holds up those behind it.
pub async fn carry_out(
    plan: &CronPlan,
    namespace: &str,
    cluster: &Cluster,
    leadership: &Leadership,
) -> CronOutcome {
    let mut outcome = CronOutcome::default();
    for step in &plan.steps {
        match write(step, namespace, cluster, leadership).await {
            Ok(()) => {
                tracing::info!(%step, "done");
                outcome.done.push(step.clone());
            }
            Err(failure) => {
                tracing::warn!(%step, kind = ?failure.kind, "{}", failure.message);
                outcome.failure = Some(failure);
                break;
            }
        }
    }
    outcome
}

async fn write(
    step: &CronStep,
    namespace: &str,
    cluster: &Cluster,
    leadership: &Leadership,
) -> Result<(), StepFailure> {
    if !leadership.is_leader() {
        return Err(StepFailure {
            kind: FailureKind::Unavailable,
            message: "another replica leads".to_owned(),
        });
    }
    match step {
        CronStep::Create { run: DesiredRun::Process(run), .. } => {
            cluster.create(namespace, run.as_ref()).await
        }
        CronStep::Create { run: DesiredRun::Workflow(run), .. } => {
            cluster.create(namespace, run.as_ref()).await
        }
        CronStep::Delete { kind, name, uid, .. } => {
            let deleted = match kind {
                RunKind::Process => cluster.delete::<ColonyProcess>(namespace, name, Some(uid)).await,
                RunKind::Workflow => cluster.delete::<ColonyWorkflow>(namespace, name, Some(uid)).await,
            };
            match deleted {
                // Another object has the name by now: the one that was meant is gone.
                Err(failure) if failure.kind == FailureKind::Conflict => Ok(()),
                result => result,
            }
        }
    }
}
