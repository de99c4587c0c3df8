//! Carries out what was planned for a `ResourceDefinition`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::{
    kubernetes::Cluster,
    outcome::{DefinitionOutcome, FailureKind, StepFailure},
};
use crate::{
    api::resource_definition::ResourceDefinition,
    diff::definition::{DefinitionPlan, DefinitionStep},
    runtime::lease::Leadership,
};

/// Carries the steps of a plan out in their order, and asks before each whether this process still leads. One that fails
/// holds up those behind it.
pub async fn carry_out(
    plan: &DefinitionPlan,
    object: &ResourceDefinition,
    cluster: &Cluster,
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
