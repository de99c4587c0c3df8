//! The status of the blueprint that mirrors an object. Pure.

use kube::ResourceExt as _;

use super::condition::Finding;
use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        executor_deployment::{BlueprintStatus, ExecutorDeployment},
        names::PROCESS_ANNOTATION,
        policy::SyncPolicy,
    },
    diff::{ColonyStep, KubernetesStep, Step, Sync},
};

/// The record of the blueprint after a pass.
pub(super) fn record(previous: Option<BlueprintStatus>, outcome: &Outcome) -> Option<BlueprintStatus> {
    match &outcome.plan.sync {
        Sync::None => None,
        Sync::Unchanged | Sync::Invalid(_) | Sync::NameTaken(_) | Sync::Lost(_) => previous,
        Sync::Differs { agreed, .. } => agreed.clone(),
        // What was to be written and was not is not agreed.
        Sync::Agreed(_) if has_unwritten_side(outcome) => previous,
        Sync::Agreed(recorded) | Sync::Undoes(recorded) => Some(recorded.clone()),
    }
}

/// Whether object and blueprint are equal; none for an object without a blueprint.
pub(super) fn conflict(
    policy: SyncPolicy,
    recorded: Option<&BlueprintStatus>,
    outcome: &Outcome,
) -> Option<Finding> {
    let kind = ConditionType::Conflict;
    let in_sync = |status: &BlueprintStatus| {
        let says = format!(
            "blueprint {} generation {} is equal; {}",
            status.name,
            status.generation,
            policy.as_str()
        );
        match &status.overruled {
            Some(overruled) => Finding::yes(kind, Reason::Overruled, overruled.clone()),
            None => Finding::no(kind, Reason::InSync, says),
        }
    };
    match &outcome.plan.sync {
        Sync::None => None,
        Sync::Invalid(message) => Some(Finding::yes(kind, Reason::BlueprintInvalid, message.clone())),
        Sync::NameTaken(message) => Some(Finding::yes(kind, Reason::BlueprintNameTaken, message.clone())),
        Sync::Lost(message) => Some(Finding::yes(kind, Reason::BlueprintLost, message.clone())),
        Sync::Differs { message, .. } => Some(Finding::yes(kind, Reason::Differs, message.clone())),
        Sync::Unchanged | Sync::Agreed(_) | Sync::Undoes(_) => {
            recorded.filter(|recorded| !recorded.agreed.is_empty()).map(in_sync)
        }
    }
}

/// What mirrors the current generation of an object without a submitted process.
pub(super) fn carried(
    object: &ExecutorDeployment,
    recorded: Option<&BlueprintStatus>,
    sync: Option<&Sync>,
    problem: Option<(Reason, String)>,
) -> Finding {
    if let Some(Sync::Lost(message)) = sync {
        return Finding::no(ConditionType::Mirrored, Reason::BlueprintLost, message.clone());
    }
    if let Some(name) = object.blueprint_name() {
        return carried_by(&name, recorded, problem);
    }
    let process = object.annotations().get(PROCESS_ANNOTATION).cloned().unwrap_or_default();
    let says = format!("process {process} of the colony asked for it");
    Finding::yes(ConditionType::Mirrored, Reason::CarriedByProcess, says)
}

/// Whether the blueprint of a name mirrors an object.
pub(super) fn carried_by(
    name: &str,
    recorded: Option<&BlueprintStatus>,
    problem: Option<(Reason, String)>,
) -> Finding {
    let kind = ConditionType::Mirrored;
    match recorded.filter(|recorded| !recorded.agreed.is_empty()) {
        None => {
            let not_yet = (Reason::SubmitIntended, format!("blueprint {name} is not there yet"));
            let (reason, message) = problem.unwrap_or(not_yet);
            Finding::no(kind, reason, message)
        }
        Some(recorded) => {
            let says = format!("blueprint {name} generation {} mirrors it", recorded.generation);
            let says = problem.map_or(says.clone(), |(_, why)| format!("{says}; its state lags: {why}"));
            Finding::yes(kind, Reason::CarriedByBlueprint, says)
        }
    }
}

/// Whether a write that would have made both sides agree was not done.
pub(super) fn has_unwritten_side(outcome: &Outcome) -> bool {
    let is_sync =
        |step: &ColonyStep| matches!(step, ColonyStep::AddBlueprint(_) | ColonyStep::UpdateBlueprint { .. });
    let planned = outcome.plan.steps.iter().any(|step| match step {
        Step::Kubernetes(step) => matches!(step, KubernetesStep::UpdateSpec { .. }),
        Step::Colony(step) => is_sync(step),
    });
    let done = outcome.done_kubernetes().any(|step| matches!(step, KubernetesStep::UpdateSpec { .. }))
        || outcome.done_colony().any(|(step, _)| is_sync(step));
    planned && !done
}
