//! What to do for a `ResourceDefinition`: create its CRD, correct it, finalize it. Pure.

mod colony;
mod impact;
mod migration;
mod serving;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use serde_json::Value;

pub use colony::{InColony, checked_here, handler_state};
pub use impact::{HeldBack, manual_migration};
pub use migration::{ListPart, Migration, Rewrite, plan_migration};
pub use serving::{Serving, serving};

pub use crate::kinds::definition::{is_established, is_foreign, lacks_rights};

use super::{
    KubernetesStep, Plan, Problem, Step,
    difference::{Surplus, compared},
    plan::Order,
};
use crate::{
    api::{
        condition::Reason,
        names::{
            ACCEPTED_GENERATION_ANNOTATION, CONTENT_HASH_ANNOTATION, CONVERSIONS_ANNOTATION,
            HANDLER_ANNOTATION, RESOURCE_DEFINITION_FINALIZER,
        },
        policy::DeletionPolicy,
    },
    desired::resource_definition::DesiredDefinition,
    snapshot::{DefinitionSnapshot, Observed},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefinitionPlan {
    /// The writes, and what is waited for.
    pub plan: Plan,
    /// Why the CRD does not change although the definition differs.
    pub held: Option<HeldBack>,
    /// How the kind stands in its colony, with handler mode `blueprint`.
    pub in_colony: InColony,
    /// What is done about objects that are stored in another version.
    pub migration: Migration,
    /// Why the spec cannot be carried out, if it cannot.
    pub problem: Option<Problem>,
}

#[must_use]
pub fn plan_definition(snapshot: &DefinitionSnapshot, desired: &DesiredDefinition) -> DefinitionPlan {
    let mut plan = match desired {
        DesiredDefinition::Redirected(crd) => return plan_endpoint(snapshot, crd),
        DesiredDefinition::Crd(crd) => return plan(snapshot, crd),
        DesiredDefinition::Leaving => return plan_deletion(snapshot),
        DesiredDefinition::Unauthorized => strict(),
        DesiredDefinition::Unusable(error) => {
            let problem = Problem { reason: error.reason(), message: error.to_string() };
            DefinitionPlan { problem: Some(problem), ..strict() }
        }
        DesiredDefinition::Foreign(name) => {
            let message = format!(
                "CustomResourceDefinition {name} exists and was not made by the operator: delete it, or choose other names; it is left unchanged"
            );
            DefinitionPlan { problem: Some(Problem { reason: Reason::ForeignObject, message }), ..strict() }
        }
    };
    // What is stored follows from the CRD as it is, whatever the spec says.
    migrate(snapshot, &mut plan);
    plan
}

/// Plans a definition that is to exist and whose CRD is wanted to be so. A CRD of another owner is left unchanged.
#[must_use]
pub fn plan(snapshot: &DefinitionSnapshot, desired: &CustomResourceDefinition) -> DefinitionPlan {
    let mut plan = strict();
    let found = match &snapshot.crd {
        Observed::Unknown(why) => {
            plan.plan.awaiting.push(format!("the API server to report whether the CRD exists: {why}"));
            return plan;
        }
        Observed::Known(found) => found,
    };
    if found.as_ref().is_some_and(|found| is_foreign(snapshot, found)) {
        return plan;
    }
    if !is_held(snapshot) {
        plan.plan.steps.push(kubernetes(KubernetesStep::AddFinalizer));
    }
    let (in_colony, colony_steps) = colony::keep(snapshot);
    match found {
        None => plan.plan.steps.push(kubernetes(KubernetesStep::CreateCrd(Box::new(desired.clone())))),
        Some(found) if found.metadata.deletion_timestamp.is_some() => {
            plan.plan.awaiting.push("the CRD, which is being deleted, to be gone".to_owned());
        }
        Some(found) => {
            let differences = differing(desired, found);
            // Neither side changes without the other.
            let held = match &in_colony {
                InColony::InUse(message) => {
                    let message = message.clone();
                    Some(HeldBack { reason: Reason::DefinitionInUse, message, impact: None })
                }
                _ if differences.is_empty() => None,
                _ => impact::held_back(snapshot, desired, found),
            };
            if held.is_some() {
                plan.held = held;
            } else if !differences.is_empty() {
                let crd = Box::new(merged(desired, found));
                plan.plan.steps.push(kubernetes(KubernetesStep::UpdateCrd { crd, differences }));
            } else if !is_established(found) {
                plan.plan.awaiting.push("the API server to serve the kind".to_owned());
            }
        }
    }
    if plan.held.is_none() {
        plan.plan.steps.extend(colony_steps);
    }
    plan.in_colony = in_colony;
    migrate(snapshot, &mut plan);
    plan
}

/// Adds the next part of the migration, unless the CRD changes: then what was seen of it is not what it is any more.
pub fn migrate(snapshot: &DefinitionSnapshot, plan: &mut DefinitionPlan) {
    let changes = |step: &Step| matches!(step, Step::Kubernetes(KubernetesStep::UpdateCrd { .. }));
    if !plan.plan.steps.iter().any(changes) {
        plan.migration = plan_migration(snapshot);
        plan.plan.steps.extend(plan.migration.steps());
    }
}

/// Nothing yet, and each step waits for those before it: what the cluster has stays as long as the colony has its part.
fn strict() -> DefinitionPlan {
    DefinitionPlan { plan: Plan { order: Order::Strict, ..Plan::default() }, ..DefinitionPlan::default() }
}

const fn kubernetes(step: KubernetesStep) -> Step {
    Step::Kubernetes(step)
}

/// Plans what must not wait for the rest: CRDs get the new address of the conversion endpoint. Everything else in the
/// CRD stays as it is.
#[must_use]
pub fn plan_endpoint(snapshot: &DefinitionSnapshot, redirected: &CustomResourceDefinition) -> DefinitionPlan {
    let mut plan = strict();
    if let Some(found) = snapshot.crd.known().and_then(Option::as_ref) {
        let crd = Box::new(merged(redirected, found));
        let differences = vec!["spec.conversion.webhook.clientConfig".to_owned()];
        plan.plan.steps.push(kubernetes(KubernetesStep::UpdateCrd { crd, differences }));
    }
    plan
}

/// Plans a definition that is being deleted. It needs no valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &DefinitionSnapshot) -> DefinitionPlan {
    let mut plan = strict();
    if !is_held(snapshot) {
        return plan;
    }
    let leaves = snapshot.object.spec.deletion_policy == DeletionPolicy::Orphan;
    let found = match &snapshot.crd {
        Observed::Known(found) => found.as_ref().filter(|found| !is_foreign(snapshot, found)),
        // Without permissions nothing can be reconciled, but objects can be orphaned.
        Observed::Unknown(_) if leaves && lacks_rights(snapshot) => None,
        Observed::Unknown(why) => {
            plan.plan.awaiting.push(format!("the API server to list what remains: {why}; {ORPHAN_HINT}"));
            return plan;
        }
    };
    let Some(found) = found else {
        let is_absent = matches!(snapshot.crd, Observed::Known(None));
        if is_absent && snapshot.create_in_flight_until.is_some_and(|until| snapshot.now < until) {
            plan.plan.awaiting.push("an earlier create of the CRD that may still arrive".to_owned());
            return plan;
        }
        match colony::end(snapshot) {
            Ok(step) => {
                plan.plan.steps.extend(step.into_iter().chain([kubernetes(KubernetesStep::RemoveFinalizer)]));
            }
            Err(awaited) => plan.plan.awaiting.push(awaited),
        }
        return plan;
    };
    match &snapshot.left {
        Observed::Unknown(why) => {
            plan.plan.awaiting.push(format!("the API server to list the instances: {why}; {ORPHAN_HINT}"));
        }
        Observed::Known(left) if leaves && left.held > 0 => {
            plan.plan.awaiting.push(format!("{} instances to be released without cleanup", left.held));
        }
        Observed::Known(_) if leaves => plan.plan.steps.push(kubernetes(KubernetesStep::RemoveFinalizer)),
        Observed::Known(left) if left.total > 0 => {
            plan.plan.awaiting.push(format!(
                "{} instances to be gone, which would be lost with the kind: delete them, or set spec.deletionPolicy to Orphan to leave the CRD and them",
                left.total
            ));
        }
        Observed::Known(_) if found.metadata.deletion_timestamp.is_some() => {
            plan.plan.awaiting.push("the CRD to be gone".to_owned());
        }
        Observed::Known(_) => {
            let (name, uid) = (found.name_any(), found.uid().unwrap_or_default());
            plan.plan.steps.push(kubernetes(KubernetesStep::DeleteCrd { name, uid }));
        }
    }
    plan
}

const ORPHAN_HINT: &str = "spec.deletionPolicy: Orphan leaves the CRD and the instances as they are";

fn is_held(snapshot: &DefinitionSnapshot) -> bool {
    snapshot.object.finalizers().iter().any(|finalizer| finalizer == RESOURCE_DEFINITION_FINALIZER)
}

/// Where a CRD is not as it should be.
fn differing(desired: &CustomResourceDefinition, found: &CustomResourceDefinition) -> Vec<String> {
    let annotation = |crd: &CustomResourceDefinition, name: &str| crd.annotations().get(name).cloned();
    let ours =
        [CONTENT_HASH_ANNOTATION, HANDLER_ANNOTATION, ACCEPTED_GENERATION_ANNOTATION, CONVERSIONS_ANNOTATION];
    let mut paths: Vec<String> = ours
        .into_iter()
        .filter(|name| annotation(desired, name) != annotation(found, name))
        .map(|name| format!("metadata.annotations['{name}']"))
        .collect();
    let as_json = |crd: &CustomResourceDefinition| serde_json::to_value(&crd.spec).unwrap_or(Value::Null);
    let (desired, found) = (as_json(desired), as_json(found));
    let differing = compared(&desired, &found, Surplus::Ours);
    // What the API server drops of a CRD is nothing.
    let differing = differing.iter().filter(|one| one.found.is_some() || !one.is_reworded());
    paths.extend(differing.map(|one| format!("spec.{one}")));
    paths
}

/// What is to be written over a CRD: what others have put into its metadata stays.
fn merged(desired: &CustomResourceDefinition, found: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut metadata = found.metadata.clone();
    metadata.managed_fields = None;
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(desired.labels().clone());
    let annotations = metadata.annotations.get_or_insert_default();
    // What is not declared any more must not be remembered.
    annotations.remove(CONVERSIONS_ANNOTATION);
    annotations.extend(desired.annotations().clone());
    CustomResourceDefinition { metadata, spec: desired.spec.clone(), status: None }
}

#[cfg(test)]
mod tests;
