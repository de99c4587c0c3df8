//! What to do for a `ResourceDefinition`: make its CRD, put it right, let it go. Pure.

mod colony;
mod impact;
mod migration;

use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use serde_json::Value;

pub use colony::{InColony, checked_here, standing};
pub use impact::by_hand;
pub use migration::{ListPart, Migration, Rewrite, plan_migration};

use super::difference::differences;
use crate::{
    api::{
        condition::Reason,
        names::{
            ACCEPTED_GENERATION_ANNOTATION, CONTENT_HASH_ANNOTATION, CONVERSIONS_ANNOTATION,
            HANDLER_ANNOTATION, RESOURCE_DEFINITION_FINALIZER,
        },
        policy::DeletionPolicy,
        resource_definition::Impact,
    },
    colony::model::BlueprintDefinition,
    kinds::definition::{is_made_for, redirected},
    snapshot::{DefinitionSnapshot, Observed},
};

/// One write for a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum DefinitionStep {
    /// Hold the definition until its instances are gone.
    Hold,
    /// Create its CRD.
    Create(Box<CustomResourceDefinition>),
    /// Write its CRD again.
    Update {
        /// The whole object, with UID and version that were seen.
        crd: Box<CustomResourceDefinition>,
        /// Paths that differ.
        differences: Vec<String>,
    },
    /// Delete its CRD, which has no instances.
    Delete {
        /// Its name.
        name: String,
        /// Its UID: another of the name is not meant.
        uid: String,
    },
    /// Add the definition of the kind to its colony.
    AddToColony(Box<BlueprintDefinition>),
    /// Remove the definition of the kind from its colony, which has no blueprints of it.
    RemoveFromColony {
        /// Its name.
        name: String,
    },
    /// Let the definition go.
    LetGo,
}

/// What to do for a definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefinitionPlan {
    /// The writes, in order.
    pub steps: Vec<DefinitionStep>,
    /// What is waited for before more can be done.
    pub awaiting: Vec<String>,
    /// Why the CRD stays as it is although the definition says something else.
    pub held: Option<HeldBack>,
    /// How the kind stands in its colony, with handler mode `blueprint`.
    pub in_colony: InColony,
}

/// Why a change of a definition is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldBack {
    /// Why, in a word.
    pub reason: Reason,
    /// Why, and what to do.
    pub message: String,
    /// What it would break, if that is why.
    pub impact: Option<Impact>,
}

/// Plans a definition that is to exist and whose CRD is wanted to be so. A CRD of somebody else is left alone.
#[must_use]
pub fn plan(snapshot: &DefinitionSnapshot, desired: &CustomResourceDefinition) -> DefinitionPlan {
    let mut plan = DefinitionPlan::default();
    let found = match &snapshot.crd {
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("the API server to say whether there is such a CRD: {why}"));
            return plan;
        }
        Observed::Known(found) => found,
    };
    if found.as_ref().is_some_and(|found| is_foreign(snapshot, found)) {
        return plan;
    }
    if !is_held(snapshot) {
        plan.steps.push(DefinitionStep::Hold);
    }
    let (in_colony, colony_steps) = colony::keep(snapshot);
    match found {
        None => plan.steps.push(DefinitionStep::Create(Box::new(desired.clone()))),
        Some(found) if found.metadata.deletion_timestamp.is_some() => {
            plan.awaiting.push("the CRD, which somebody deletes, to be gone".to_owned());
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
                plan.steps.push(DefinitionStep::Update { crd, differences });
            } else if !is_established(found) {
                plan.awaiting.push("the API server to serve the kind".to_owned());
            }
        }
    }
    if plan.held.is_none() {
        plan.steps.extend(colony_steps);
    }
    plan.in_colony = in_colony;
    plan
}

/// Plans what must not wait for the rest: API servers are told where objects are converted from now on. It needs no valid
/// spec, and leaves everything else in the CRD as it is.
#[must_use]
pub fn plan_endpoint(snapshot: &DefinitionSnapshot) -> Option<DefinitionPlan> {
    let found = snapshot.crd.known()?.as_ref().filter(|found| !is_foreign(snapshot, found))?;
    let crd = redirected(found, &snapshot.endpoint)?;
    let crd = Box::new(merged(&crd, found));
    let differences = vec!["spec.conversion.webhook.clientConfig".to_owned()];
    let steps = vec![DefinitionStep::Update { crd, differences }];
    Some(DefinitionPlan { steps, ..DefinitionPlan::default() })
}

/// Plans a definition that is being deleted. It needs no valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &DefinitionSnapshot) -> DefinitionPlan {
    let mut plan = DefinitionPlan::default();
    if !is_held(snapshot) {
        return plan;
    }
    let leaves = snapshot.object.spec.deletion_policy == DeletionPolicy::Orphan;
    let found = match &snapshot.crd {
        Observed::Known(found) => found.as_ref().filter(|found| !is_foreign(snapshot, found)),
        // Without rights nothing can be looked after, and what is to be left can be left.
        Observed::Unknown(_) if leaves && lacks_rights(snapshot) => None,
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("the API server to say what is left: {why}; {WAY_OUT}"));
            return plan;
        }
    };
    let Some(found) = found else {
        match colony::end(snapshot) {
            Ok(step) => plan.steps.extend(step.into_iter().chain([DefinitionStep::LetGo])),
            Err(awaited) => plan.awaiting.push(awaited),
        }
        return plan;
    };
    match &snapshot.left {
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("the API server to say which instances there are: {why}; {WAY_OUT}"));
        }
        Observed::Known(left) if leaves && left.held > 0 => {
            plan.awaiting.push(format!("{} instances to be let go as they are", left.held));
        }
        Observed::Known(_) if leaves => plan.steps.push(DefinitionStep::LetGo),
        Observed::Known(left) if left.total > 0 => {
            plan.awaiting.push(format!(
                "{} instances to be gone, which would be lost with the kind: delete them, or set spec.deletionPolicy to Orphan to leave the CRD and them",
                left.total
            ));
        }
        Observed::Known(_) if found.metadata.deletion_timestamp.is_some() => {
            plan.awaiting.push("the CRD to be gone".to_owned());
        }
        Observed::Known(_) => plan
            .steps
            .push(DefinitionStep::Delete { name: found.name_any(), uid: found.uid().unwrap_or_default() }),
    }
    plan
}

const WAY_OUT: &str = "spec.deletionPolicy: Orphan leaves the CRD and the instances as they are";

/// Whether a CRD of the definition's name is somebody else's.
#[must_use]
pub fn is_foreign(snapshot: &DefinitionSnapshot, crd: &CustomResourceDefinition) -> bool {
    !is_made_for(crd, &snapshot.object.name_any())
}

/// Whether the API server serves the kind of a CRD.
#[must_use]
pub fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut established = conditions.filter(|condition| condition.type_ == "Established");
    established.any(|condition| condition.status == "True")
}

/// Whether rights are known to be missing.
#[must_use]
pub fn lacks_rights(snapshot: &DefinitionSnapshot) -> bool {
    let is_missing = snapshot.missing_rights.known().is_some_and(|missing| !missing.is_empty());
    is_missing || !snapshot.composes.missing.is_empty()
}

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
    paths.extend(
        differences(&as_json(desired), &as_json(found)).into_iter().map(|path| format!("spec.{path}")),
    );
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

impl fmt::Display for DefinitionStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => write!(formatter, "add the finalizer"),
            Self::Create(crd) => write!(formatter, "create CustomResourceDefinition {}", crd.name_any()),
            Self::Update { crd, differences } => {
                let name = crd.name_any();
                write!(formatter, "update CustomResourceDefinition {name} ({})", differences.join(", "))
            }
            Self::Delete { name, .. } => write!(formatter, "delete CustomResourceDefinition {name}"),
            Self::AddToColony(definition) => {
                write!(formatter, "add BlueprintDefinition {}", definition.metadata.name)
            }
            Self::RemoveFromColony { name } => write!(formatter, "remove BlueprintDefinition {name}"),
            Self::LetGo => write!(formatter, "remove the finalizer"),
        }
    }
}

#[cfg(test)]
mod tests;
