//! What to do for a `Colony`: keys of the operator's own, its membership, its executors, the definition of blueprints
//! for fleets. Pure.

use kube::ResourceExt as _;

use super::{ColonyStep, KubernetesStep, Plan, Step, blueprint::definition, orphans, plan::Order};
use crate::{
    api::{
        colony::{DefinitionPolicy, InboundPolicy},
        names::{
            ABANDON_ANNOTATION, BLUEPRINT_DEFINITION, EXECUTOR_DEPLOYMENT_KIND, RECONCILER_EXECUTOR_TYPE,
            operator_origin,
        },
    },
    colony::model::{BlueprintDefinition, ExecutorState},
    snapshot::{ColonySnapshot, Credentials, Membership, Observed, OperatorExecutor},
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
                let mut steps = departures(snapshot);
                steps.push(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
                return Plan { steps, order: Order::Strict, ..Plan::default() };
            }
            // What is in the colony is ended through it.
            Some(why) => awaiting.push(why),
        }
    }
    // What is registered needs the keys that the steps before it write.
    Plan { steps: steps(snapshot), order: Order::Strict, awaiting, ..Plan::default() }
}

fn is_abandoned(snapshot: &ColonySnapshot) -> bool {
    let says = snapshot.object.annotations().get(ABANDON_ANNOTATION);
    says.is_some_and(|value| value == "true")
}

/// The operator leaves the colony: its executors and its member, as far as the colony can be asked. One that cannot, or whose
/// keys another installation uses as well, holds nothing.
fn departures(snapshot: &ColonySnapshot) -> Vec<Step> {
    let is_shared = snapshot.leftovers.withheld.is_some();
    if is_abandoned(snapshot) || is_shared || snapshot.is_doubtful() || !snapshot.is_connected() {
        return Vec::new();
    }
    let Observed::Known(executors) = &snapshot.executors else { return Vec::new() };
    let is_there =
        |name: &str| executors.iter().any(|one| one.name == name && one.state != ExecutorState::Unregistered);
    let own = snapshot.operator_executors.iter().filter(|own| is_there(&own.name));
    let own = own.map(|own| ColonyStep::RemoveExecutor { name: own.name.clone() });
    own.chain([ColonyStep::RemoveMember]).map(Step::Colony).collect()
}

/// What a `Colony` that is deleted waits for; none if nothing of this cluster is in its colony, or a user gives that up.
fn in_use(snapshot: &ColonySnapshot) -> Option<String> {
    if is_abandoned(snapshot) {
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
    if let Some(steps) = moved_reconciler(snapshot, &place) {
        return steps;
    }
    let mut steps = registrations(snapshot);
    if !snapshot.is_leaving() {
        // Before anything can be submitted: from then on it takes the Colony to end that.
        if !snapshot.has_finalizer() {
            steps.insert(0, Step::Kubernetes(KubernetesStep::AddFinalizer));
        }
        steps.extend(missing_definition_step(snapshot));
    }
    steps.extend(orphans::steps(&snapshot.leftovers));
    steps
}

/// Has the executor to which reconcilers' processes are sent follow `spec.location`: the server fixes where an executor is when it
/// is registered, and sends it no process for another location. What it was running is another location's by now.
fn moved_reconciler(snapshot: &ColonySnapshot, place: &str) -> Option<Vec<Step>> {
    let of_type = |own: &&OperatorExecutor| own.executor_type == RECONCILER_EXECUTOR_TYPE;
    let own = snapshot.operator_executors.iter().find(of_type)?;
    let wanted = snapshot.object.spec.location.as_deref().unwrap_or_default();
    let registered = snapshot.executors.known()?.iter().find(|one| one.name == own.name)?;
    // Another installation uses its key, or it was rejected in the colony: it is not this operator's to end.
    let is_kept = snapshot.leftovers.withheld.is_some() || registered.state == ExecutorState::Rejected;
    if registered.location == wanted || is_kept || snapshot.is_leaving() {
        return None;
    }
    let is_there = registered.state != ExecutorState::Unregistered;
    let removed = is_there.then(|| Step::Colony(ColonyStep::RemoveExecutor { name: own.name.clone() }));
    // A name is never given twice, and a key of two executors would speak for both.
    let renewed = Step::Kubernetes(KubernetesStep::AddReconcilerKey { place: place.to_owned() });
    Some(removed.into_iter().chain([renewed]).collect())
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
    let definitions = kept_definitions(snapshot)?;
    let is_there = definitions.iter().any(is_of_fleets);
    // A second one of the name cannot be added.
    if is_there || definition_name_taken_by(snapshot).is_some() {
        return None;
    }
    let definition = definition(&snapshot.object.spec.colony_name).ok()?;
    Some(Step::Colony(ColonyStep::AddDefinition(Box::new(definition))))
}

/// The kind that has a definition by the name of the one for fleets, if the operator is to keep that one and cannot.
#[must_use]
pub fn definition_name_taken_by(snapshot: &ColonySnapshot) -> Option<&str> {
    let definitions = kept_definitions(snapshot)?;
    if definitions.iter().any(is_of_fleets) {
        return None;
    }
    let taken = definitions.iter().find(|definition| definition.metadata.name == BLUEPRINT_DEFINITION)?;
    Some(&taken.spec.names.kind)
}

/// The definitions that the colony has, if the operator is to keep its own among them.
fn kept_definitions(snapshot: &ColonySnapshot) -> Option<&Vec<BlueprintDefinition>> {
    let inbound = &snapshot.object.spec.inbound;
    let is_kept = inbound.policy == InboundPolicy::Accept && inbound.definition == DefinitionPolicy::Keep;
    snapshot.definitions.known().filter(|_| is_kept)
}

fn is_of_fleets(definition: &BlueprintDefinition) -> bool {
    definition.spec.names.kind == EXECUTOR_DEPLOYMENT_KIND
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::names::COLONY_FINALIZER,
        snapshot::{Leftovers, fixtures::at_second},
    };

    fn connected(definitions: Vec<BlueprintDefinition>) -> ColonySnapshot {
        let object = json!({
            "metadata": { "finalizers": [COLONY_FINALIZER], "name": "c", "uid": "u", "generation": 1 },
            "spec": { "server": { "host": "h", "port": 443 }, "colonyName": "hive", "credentialsSecretName": "s",
                      "inbound": { "policy": "Accept", "definition": "Keep" } },
        });
        let counts = [
            "executors",
            "activeexecutors",
            "unregisteredexecutors",
            "waitingprocesses",
            "runningprocesses",
            "successfulprocesses",
            "failedprocesses",
            "cancelledprocesses",
        ];
        let counts = Value::from_iter(counts.map(|name| (name, 0)));
        ColonySnapshot {
            object: serde_json::from_value(object).unwrap(),
            cluster: "k".to_owned(),
            leftovers: Leftovers::default(),
            refused_blueprints: std::collections::BTreeMap::new(),
            users: Observed::Known(Vec::new()),
            other_default: None,
            knows_earlier_member: None,
            credentials: Credentials::Complete,
            server: Observed::Known(
                serde_json::from_value(json!({ "buildversion": "1", "buildtime": "1" })).unwrap(),
            ),
            membership: Membership::Member(serde_json::from_value(counts).unwrap()),
            member_id: None,
            executors: Observed::Known(Vec::new()),
            busy_executors: None,
            operator_executors: Vec::new(),
            definitions: Observed::Known(definitions),
            blueprints: Observed::Known(Vec::new()),
            now: at_second(0),
        }
    }

    /// It was asked for no process of its new location, for ever.
    #[test]
    fn the_reconciler_is_registered_anew_where_the_colony_is_now() {
        let mut moved = connected(Vec::new());
        moved.object.spec.inbound.definition = DefinitionPolicy::Ignore;
        moved.operator_executors = vec![OperatorExecutor {
            name: "edge-1-reconciler-a".to_owned(),
            id: "1".repeat(64),
            executor_type: RECONCILER_EXECUTOR_TYPE,
        }];
        let registered = |state: i32, location: &str| {
            let executor = json!({ "executorid": "1".repeat(64), "executorname": "edge-1-reconciler-a",
                "executortype": RECONCILER_EXECUTOR_TYPE, "colonyname": "hive", "state": state,
                "locationname": location, "commissiontime": "2026-11-20T10:00:00Z",
                "lastheardfromtime": "2026-11-20T10:00:00Z" });
            Observed::Known(vec![serde_json::from_value(executor).unwrap()])
        };
        let shown = |snapshot: &ColonySnapshot| -> Vec<String> {
            plan_colony(snapshot).steps.iter().map(ToString::to_string).collect()
        };
        moved.executors = registered(1, "");
        assert!(shown(&moved).is_empty());
        moved.object.spec.location = Some("edge-2".to_owned());
        let renewed = "kubernetes  add the reconciler's key to the Secret with the operator's keys";
        assert_eq!(shown(&moved), ["colony      remove executor edge-1-reconciler-a", renewed]);
        moved.executors = registered(3, "edge-1");
        assert_eq!(shown(&moved), [renewed], "the first step was taken in an earlier pass");
        moved.executors = registered(2, "edge-1");
        assert!(shown(&moved).is_empty(), "rejected in the colony");
        moved.executors = registered(1, "edge-2");
        assert!(shown(&moved).is_empty());
    }

    fn named(kind: &str) -> BlueprintDefinition {
        let mut definition = definition("hive").unwrap();
        kind.clone_into(&mut definition.spec.names.kind);
        definition
    }

    /// It would be tried on every pass.
    #[test]
    fn a_definition_whose_name_another_kind_has_is_not_added() {
        assert_eq!(plan_colony(&connected(Vec::new())).steps.len(), 1);
        assert!(plan_colony(&connected(vec![named(EXECUTOR_DEPLOYMENT_KIND)])).steps.is_empty());
        let taken = connected(vec![named("Other")]);
        assert!(plan_colony(&taken).steps.is_empty());
        assert_eq!(definition_name_taken_by(&taken), Some("Other"));
    }
}
