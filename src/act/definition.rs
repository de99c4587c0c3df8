//! Carries out what was planned for a `ResourceDefinition`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::{
    failure::of_colony,
    kubernetes::Cluster,
    outcome::{DefinitionOutcome, FailureKind, StepFailure},
};
use crate::{
    api::resource_definition::ResourceDefinition,
    colony::{BlueprintDefinition, Session},
    diff::definition::{DefinitionPlan, DefinitionStep},
    runtime::lease::Leadership,
};

/// Carries the steps of a plan out in their order, and asks before each whether this process still leads. One that fails
/// holds up those behind it. `owner` calls as the owner of the kind's colony, if that is connected.
pub async fn carry_out(
    plan: &DefinitionPlan,
    object: &ResourceDefinition,
    cluster: &Cluster,
    owner: Option<&Session>,
    leadership: &Leadership,
) -> DefinitionOutcome {
    let mut outcome = DefinitionOutcome::default();
    for step in &plan.steps {
        if !leadership.is_leader() {
            let message = "another replica leads".to_owned();
            outcome.failure = Some(StepFailure { kind: FailureKind::Unavailable, message });
            break;
        }
        let result = match step {
            DefinitionStep::Hold => cluster.hold(&(), object).await.map(|version| {
                outcome.resource_version = version;
            }),
            DefinitionStep::LetGo => cluster.release(&(), object).await.map(drop),
            DefinitionStep::Create(crd) => cluster.create("", crd.as_ref()).await,
            DefinitionStep::Update { crd, .. } => cluster.replace("", crd.as_ref()).await.map(|written| {
                outcome.updated = Some(Box::new(written));
            }),
            DefinitionStep::AddToColony(definition) => match owner {
                Some(owner) => add_to_colony(owner, definition, step).await,
                None => Err(not_connected()),
            },
            DefinitionStep::RemoveFromColony { name } => match owner {
                Some(owner) => remove_from_colony(owner, name, step).await,
                None => Err(not_connected()),
            },
            DefinitionStep::Delete { name, uid } => {
                cluster.delete::<CustomResourceDefinition>("", name, Some(uid)).await
            }
        };
        match result {
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

/// A name that is taken is looked at in the next pass: an earlier try may have been carried out and not answered.
async fn add_to_colony(
    owner: &Session,
    definition: &BlueprintDefinition,
    step: &DefinitionStep,
) -> Result<(), StepFailure> {
    match owner.add_blueprint_definition(definition).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let failure = of_colony(&step.to_string(), &error);
            let kind = if error.is_already_exists() { FailureKind::Conflict } else { failure.kind };
            Err(StepFailure { kind, ..failure })
        }
    }
}

async fn remove_from_colony(owner: &Session, name: &str, step: &DefinitionStep) -> Result<(), StepFailure> {
    match owner.remove_blueprint_definition(name).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(of_colony(&step.to_string(), &error)),
    }
}

fn not_connected() -> StepFailure {
    let message = "the colony is not connected; see the status of the Colony".to_owned();
    StepFailure { kind: FailureKind::Unavailable, message }
}
