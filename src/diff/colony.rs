//! What to do for a `Colony`: keys of the operator's own, its membership, its executors, the definition of blueprints
//! for fleets. Pure.

use kube::ResourceExt as _;

use super::{ColonyStep, KubernetesStep, Plan, Step, blueprint::definition, orphans, plan::Order};
use crate::{
    api::{
        colony::{DefinitionPolicy, InboundPolicy},
        names::{EXECUTOR_DEPLOYMENT_KIND, operator_origin},
    },
    colony::model::ExecutorState,
    snapshot::{ColonySnapshot, Credentials, Membership, Observed},
};

/// Plans a connection. Nothing is done on the strength of an answer that did not come.
#[must_use]
pub fn plan_colony(snapshot: &ColonySnapshot) -> Plan {
    // What is registered needs the keys that the steps before it write.
    Plan { steps: steps(snapshot), order: Order::Strict, ..Plan::default() }
}

fn steps(snapshot: &ColonySnapshot) -> Vec<Step> {
    let object = &snapshot.object;
    let place = object.spec.location.clone().unwrap_or_else(|| object.name_any());
    match snapshot.credentials {
        Credentials::Complete => {}
        Credentials::OperatorKeysMissing => {
            return vec![Step::Kubernetes(KubernetesStep::CreateOperatorKeys { place })];
        }
        Credentials::ReconcilerKeyMissing => {
            return vec![Step::Kubernetes(KubernetesStep::AddReconcilerKey { place })];
        }
        Credentials::SecretNotFound | Credentials::Invalid { .. } | Credentials::Unknown(_) => {
            return Vec::new();
        }
    }
    if snapshot.server.known().is_none() {
        return Vec::new();
    }
    match snapshot.membership {
        // A colony that has forgotten the operator has forgotten more: a user says that this is meant.
        Membership::Stranger if snapshot.is_reset() && !snapshot.is_reset_accepted() => return Vec::new(),
        Membership::Stranger => return vec![Step::Colony(ColonyStep::RegisterMember)],
        Membership::Unknown(_) => return Vec::new(),
        Membership::Member(_) => {}
    }
    let mut steps = registrations(snapshot);
    steps.extend(missing_definition_step(snapshot));
    steps.extend(orphans::steps(&snapshot.leftovers));
    steps
}

fn registrations(snapshot: &ColonySnapshot) -> Vec<Step> {
    let Observed::Known(executors) = &snapshot.executors else { return Vec::new() };
    let state =
        |name: &str| executors.iter().find(|executor| executor.name == name).map(|executor| executor.state);
    let missing = snapshot.operator_executors.iter().filter(|own| match state(&own.name) {
        // One that the server has dropped, since the operator was away for too long, comes back by approval.
        None | Some(ExecutorState::Pending | ExecutorState::Unregistered) => true,
        // Rejected in the colony: it is not ours to overrule.
        Some(ExecutorState::Approved | ExecutorState::Rejected) => false,
    });
    missing
        .map(|own| {
            Step::Colony(ColonyStep::RegisterOperator {
                name: own.name.clone(),
                id: own.id.clone(),
                executor_type: own.executor_type,
                origin: operator_origin(&snapshot.cluster),
                location: snapshot.object.spec.location.clone(),
            })
        })
        .collect()
}

/// The definition, if the operator is to keep one and the colony has none for this kind. An existing one is left
/// unchanged, whatever its owner: it cannot be changed while blueprints use it.
fn missing_definition_step(snapshot: &ColonySnapshot) -> Option<Step> {
    let inbound = &snapshot.object.spec.inbound;
    let wanted = inbound.policy == InboundPolicy::Accept && inbound.definition == DefinitionPolicy::Keep;
    let definitions = snapshot.definitions.known().filter(|_| wanted)?;
    let is_there =
        definitions.iter().any(|definition| definition.spec.names.kind == EXECUTOR_DEPLOYMENT_KIND);
    if is_there {
        return None;
    }
    let definition = definition(&snapshot.object.spec.colony_name).ok()?;
    Some(Step::Colony(ColonyStep::AddDefinition(Box::new(definition))))
}
