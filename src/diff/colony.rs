//! What to do for a `Colony`: keys of the operator's own, its membership, its executors, the definition of blueprints
//! for fleets. Pure.

use super::blueprint::definition;
use crate::{
    api::{
        colony::{DefinitionPolicy, InboundPolicy},
        names::EXECUTOR_DEPLOYMENT_KIND,
    },
    colony::model::{BlueprintDefinition, ExecutorState},
    snapshot::{ColonySnapshot, Credentials, Membership, Observed},
};

/// One write on behalf of a `Colony`.
#[derive(Clone, Debug, PartialEq)]
pub enum ColonyConnectionStep {
    /// Make keys for a member and for executors and write them to the operator's own Secret.
    CreateOperatorKeys,
    /// Add the key of the reconciler to the operator's own Secret.
    AddReconcilerKey,
    /// Register the member key as a user of the colony.
    RegisterMember,
    /// Register one of the operator's executors and approve it.
    RegisterOperatorExecutor {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// Its type.
        executor_type: &'static str,
        /// Its location.
        location: Option<String>,
    },
    /// Add the definition by which blueprints become fleets of this cluster.
    AddDefinition(Box<BlueprintDefinition>),
}

/// Plans a connection. Nothing is done on the strength of an answer that did not come.
#[must_use]
pub fn plan_colony(snapshot: &ColonySnapshot) -> Vec<ColonyConnectionStep> {
    match snapshot.credentials {
        Credentials::Complete => {}
        Credentials::OperatorKeysMissing => return vec![ColonyConnectionStep::CreateOperatorKeys],
        Credentials::ReconcilerKeyMissing => return vec![ColonyConnectionStep::AddReconcilerKey],
        Credentials::SecretNotFound | Credentials::Invalid { .. } | Credentials::Unknown(_) => {
            return Vec::new();
        }
    }
    if snapshot.server.known().is_none() {
        return Vec::new();
    }
    match snapshot.membership {
        Membership::Stranger => return vec![ColonyConnectionStep::RegisterMember],
        Membership::Unknown(_) => return Vec::new(),
        Membership::Member(_) => {}
    }
    let mut steps = registrations(snapshot);
    steps.extend(kept_definition(snapshot));
    steps
}

fn registrations(snapshot: &ColonySnapshot) -> Vec<ColonyConnectionStep> {
    let Observed::Known(executors) = &snapshot.executors else { return Vec::new() };
    let state =
        |name: &str| executors.iter().find(|executor| executor.name == name).map(|executor| executor.state);
    let missing = snapshot.operator_executors.iter().filter(|own| match state(&own.name) {
        // One that the server has dropped, since the operator was away for too long, comes back by approval.
        None | Some(ExecutorState::Pending | ExecutorState::Unregistered) => true,
        // Rejected by somebody: it is not ours to overrule.
        Some(ExecutorState::Approved | ExecutorState::Rejected) => false,
    });
    missing
        .map(|own| ColonyConnectionStep::RegisterOperatorExecutor {
            name: own.name.clone(),
            id: own.id.clone(),
            executor_type: own.executor_type,
            location: snapshot.object.spec.location.clone(),
        })
        .collect()
}

/// The definition, if the operator is to keep one and the colony has none for this kind. One that is there is left as it
/// is, whoever made it: it cannot be changed while blueprints use it.
fn kept_definition(snapshot: &ColonySnapshot) -> Option<ColonyConnectionStep> {
    let inbound = &snapshot.object.spec.inbound;
    let wanted = inbound.policy == InboundPolicy::Accept && inbound.definition == DefinitionPolicy::Keep;
    let definitions = snapshot.definitions.known().filter(|_| wanted)?;
    let is_there =
        definitions.iter().any(|definition| definition.spec.names.kind == EXECUTOR_DEPLOYMENT_KIND);
    if is_there {
        return None;
    }
    let definition = definition(&snapshot.object.spec.colony_name).ok()?;
    Some(ColonyConnectionStep::AddDefinition(Box::new(definition)))
}
