//! Which statuses of a fleet are worth a write at once, and which of its Events are news. Pure.

use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        executor_deployment::ExecutorDeploymentStatus,
        mirror::MirrorStatus,
    },
    diff::ColonyStep,
    snapshot::ExecutorDeploymentSnapshot,
    status::event::Note,
};

/// Whether a status only says that the process of the generation was submitted and is carried out, and nothing that a person has to
/// know. Where nothing holds the fleet up, that is over a moment later.
#[must_use]
pub fn is_passing(
    snapshot: &ExecutorDeploymentSnapshot,
    outcome: &Outcome,
    status: &ExecutorDeploymentStatus,
) -> bool {
    let is_bad =
        [ConditionType::Degraded, ConditionType::Warnings, ConditionType::Conflict, ConditionType::Drifted];
    let says = |kind: &ConditionType| {
        status
            .conditions
            .iter()
            .any(|condition| condition.type_ == kind.as_str() && condition.status == "True")
    };
    let is_start =
        |step: &ColonyStep| matches!(step, ColonyStep::Submit(_) | ColonyStep::RegisterExecutor { .. });
    went_well(snapshot, outcome)
        && outcome.done_colony().all(|(step, _)| is_start(step))
        && !is_bad.iter().any(says)
}

/// Whether a pass saw its generation through: the workload is where it should be, and the pass closed the process.
#[must_use]
pub fn is_final(
    snapshot: &ExecutorDeploymentSnapshot,
    outcome: &Outcome,
    status: &ExecutorDeploymentStatus,
) -> bool {
    let is_end = |step: &ColonyStep| {
        matches!(step, ColonyStep::CloseSuccessful { .. } | ColonyStep::CloseFailed { .. })
    };
    let generation = snapshot.object.metadata.generation;
    let is_over = |mirror: &MirrorStatus| !mirror.may_live() && Some(mirror.generation) == generation;
    went_well(snapshot, outcome)
        && outcome.plan.awaiting.is_empty()
        && outcome.done_kubernetes().next().is_none()
        && outcome.done_colony().next().is_some()
        && outcome.done_colony().all(|(step, _)| is_end(step))
        && status.mirror.as_ref().is_some_and(is_over)
}

/// Whether a pass over a fleet that is to stay did all that it planned.
fn went_well(snapshot: &ExecutorDeploymentSnapshot, outcome: &Outcome) -> bool {
    let is_ending = snapshot.object.metadata.deletion_timestamp.is_some();
    outcome.failure().is_none() && !outcome.is_skipped() && !is_ending
}

/// Whether an Event says what happened. That all of no executors are ready says nothing.
#[must_use]
pub fn is_news(status: &ExecutorDeploymentStatus, note: &Note) -> bool {
    note.reason != Reason::AllReplicasReady.as_str() || status.desired_replicas != Some(0)
}
