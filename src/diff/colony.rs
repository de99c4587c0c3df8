//! What to do for a `Colony`: keys of the operator's own, its membership, its executors, the definition of blueprints
//! for fleets. Pure.

use kube::ResourceExt as _;

use super::{ColonyStep, KubernetesStep, Plan, Step, blueprint::definition, plan::Order};
use crate::{
    api::{
        colony::{DefinitionPolicy, InboundPolicy},
        names::{ABANDON_ANNOTATION, EXECUTOR_DEPLOYMENT_KIND},
    },
    colony::model::ExecutorState,
    snapshot::{ColonySnapshot, Credentials, Membership, Observed},
};

/// How many of the objects that are in a colony are named.
const NAMED: usize = 8;

/// Plans a connection. Nothing is done on the strength of an answer that did not come.
#[must_use]
pub fn plan_colony(snapshot: &ColonySnapshot) -> Plan {
    let mut awaiting = Vec::new();
    if snapshot.is_leaving() {
        if !snapshot.has_finalizer() {
            return Plan::default();
        }
        match in_use(snapshot) {
            None => {
                let steps = vec![Step::Kubernetes(KubernetesStep::RemoveFinalizer)];
                return Plan { steps, ..Plan::default() };
            }
            // What is in the colony is ended through it.
            Some(why) => awaiting.push(why),
        }
    }
    // What is registered needs the keys that the steps before it write.
    Plan { steps: steps(snapshot), order: Order::Strict, awaiting, ..Plan::default() }
}

/// What a `Colony` that is deleted waits for; none if nothing of this cluster is in its colony, or a user gives that up.
fn in_use(snapshot: &ColonySnapshot) -> Option<String> {
    let says = snapshot.object.annotations().get(ABANDON_ANNOTATION);
    if says.is_some_and(|value| value == "true") {
        return None;
    }
    match &snapshot.users {
        Observed::Unknown(why) => Some(format!("the objects that are in the colony to be known: {why}")),
        Observed::Known(users) if users.is_empty() => None,
        Observed::Known(users) => {
            let names: Vec<&str> = users.iter().take(NAMED).map(|user| user.object.as_str()).collect();
            let more = users.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let (count, names) = (users.len(), names.join(", "));
            Some(format!("{count} objects that are in the colony to be gone or finished: {names}{more}"))
        }
    }
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
        Membership::Stranger | Membership::Member(_) if snapshot.is_doubtful() => return Vec::new(),
        Membership::Stranger => return vec![Step::Colony(ColonyStep::RegisterMember)],
        Membership::Unknown(_) => return Vec::new(),
        Membership::Member(_) => {}
    }
    let mut steps = registrations(snapshot);
    if !snapshot.is_leaving() {
        // Before anything can be submitted: from then on it takes the Colony to end that.
        if !snapshot.has_finalizer() {
            steps.insert(0, Step::Kubernetes(KubernetesStep::AddFinalizer));
        }
        steps.extend(missing_definition_step(snapshot));
    }
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
