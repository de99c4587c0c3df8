//! Which namespace may register executors of a type. Executors of one type are given each other's work: who registers a second
//! fleet reads arguments of the first one, and answers for it. Pure.

use jiff::Timestamp;

use crate::{
    api::condition::Reason,
    desired::Problem,
    snapshot::{ExecutorDeploymentSnapshot, Observed, ResolvedColony, TypeHolder},
};

/// Whether a fleet may have its executor type: where the `Colony` lists the type, if it lists the namespace; else, if no other
/// namespace had it first.
///
/// # Errors
///
/// When it may not.
pub fn check(snapshot: &ExecutorDeploymentSnapshot, colony: &ResolvedColony) -> Result<(), Problem> {
    let object = &snapshot.object;
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let (executor_type, name) = (&object.spec.executor_type, &colony.name);
    let refused = |why: &str| Problem {
        reason: Reason::ExecutorTypeNotAllowed,
        message: format!(
            "spec.executorType: {executor_type:?} {why}: name another type, or have namespace {namespace} listed for it in spec.executorTypes of Colony {name}"
        ),
    };
    let mut rules = colony.spec.executor_types.iter();
    if let Some(rule) = rules.find(|rule| rule.executor_type == *executor_type) {
        let is_listed = rule.namespaces.iter().any(|listed| listed == namespace);
        return if is_listed {
            Ok(())
        } else {
            Err(refused(&format!("is for other namespaces alone in Colony {name}")))
        };
    }
    let is_first = snapshot.type_use.others.iter().all(|other| precedes(snapshot, other));
    if is_first {
        Ok(())
    } else {
        Err(refused(&format!("belongs to another namespace, which had it first in Colony {name}")))
    }
}

/// Whether a fleet comes before another one that has its type. One whose executors are registered comes before one that only
/// asks for it, whatever their age: an old object can be given any type. While the colony cannot be asked, none that has
/// executors, by its status, is refused.
fn precedes(snapshot: &ExecutorDeploymentSnapshot, other: &TypeHolder) -> bool {
    let metadata = &snapshot.object.metadata;
    let is_registered = match &snapshot.type_use.is_registered {
        Observed::Known(is_registered) => *is_registered,
        Observed::Unknown(_) => {
            let executor = snapshot.object.status.as_ref().and_then(|status| status.executor.as_ref());
            if executor.is_some_and(|executor| executor.registered) {
                return true;
            }
            false
        }
    };
    let created = |at: Option<Timestamp>| at.unwrap_or(Timestamp::MAX);
    let own = metadata.creation_timestamp.as_ref().map(|created| created.0);
    let own = (!is_registered, created(own), metadata.uid.as_deref().unwrap_or_default());
    own < (!other.is_registered.unwrap_or_default(), created(other.created_at), other.uid.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::snapshot::{
        AddsInFlight, Policy, Registration, TypeUse, Workloads,
        fixtures::{at, colony, resolved},
    };

    fn fleet(
        registered: Observed<bool>,
        status: &Value,
        others: Vec<TypeHolder>,
    ) -> ExecutorDeploymentSnapshot {
        let object = json!({
            "metadata": { "name": "encoders", "namespace": "media", "uid": "m", "generation": 1,
                          "creationTimestamp": "2026-11-21T10:00:00Z" },
            "spec": { "executorType": "encoder", "image": "i" },
            "status": status,
        });
        ExecutorDeploymentSnapshot {
            object: serde_json::from_value(object).unwrap(),
            cluster: "c".to_owned(),
            colony: colony(),
            workloads: Workloads {
                deployment: Observed::Known(None),
                daemon_set: Observed::Known(None),
                job: Observed::Known(None),
            },
            pods: Vec::new(),
            identity: Observed::Known(None),
            registration: Observed::Known(Registration::Absent),
            recorded_registration: Observed::Known(Registration::Absent),
            processes: Observed::Known(Vec::new()),
            blueprint: Observed::Known(None),
            carrier: crate::snapshot::Carrier::default(),
            submit_not_before: None,
            in_flight: AddsInFlight::default(),
            similar_executor_types: Vec::new(),
            earlier: Observed::Known(Vec::new()),
            refused_pods: None,
            unmounted: None,
            pod_identities: None,
            type_use: TypeUse { is_registered: registered, others },
            policy: Policy::default(),
            now: at("2026-11-21T10:00:05Z"),
        }
    }

    fn other(created: &str, uid: &str, is_registered: Option<bool>) -> TypeHolder {
        TypeHolder { uid: uid.to_owned(), created_at: Some(at(created)), is_registered }
    }

    fn is_allowed(snapshot: &ExecutorDeploymentSnapshot) -> bool {
        match check(snapshot, &resolved()) {
            Ok(()) => true,
            Err(problem) => {
                assert_eq!(problem.reason, Reason::ExecutorTypeNotAllowed);
                assert!(problem.message.contains("\"encoder\" belongs to another namespace"), "{problem:?}");
                false
            }
        }
    }

    #[test]
    fn a_type_belongs_to_the_namespace_that_has_it_first() {
        let (early, same, late) = ("2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z");
        let asks = |others| fleet(Observed::Known(false), &json!(null), others);
        assert!(is_allowed(&asks(Vec::new())));
        assert!(!is_allowed(&asks(vec![other(early, "z", Some(false))])), "it is older");
        assert!(is_allowed(&asks(vec![other(late, "a", Some(false))])));
        assert!(!is_allowed(&asks(vec![other(same, "a", Some(false))])), "by UID within a second");
        assert!(is_allowed(&asks(vec![other(same, "z", Some(false))])));
        assert!(!is_allowed(&asks(vec![other(late, "z", Some(false)), other(early, "a", Some(false))])));
    }

    /// An object that is older than all can be given the type of another's fleet at any time.
    #[test]
    fn executors_that_are_registered_come_first() {
        let (early, late) = ("2026-11-21T09:00:00Z", "2026-11-21T11:00:00Z");
        let asks = |others| fleet(Observed::Known(false), &json!(null), others);
        assert!(!is_allowed(&asks(vec![other(late, "z", Some(true))])));
        let unwatched = TypeHolder { created_at: None, ..other(late, "z", Some(true)) };
        assert!(!is_allowed(&asks(vec![unwatched.clone()])));
        let has = |others| fleet(Observed::Known(true), &json!(null), others);
        assert!(is_allowed(&has(vec![other(early, "a", Some(false)), unwatched])));
    }

    /// It would be reported as refused whenever its colony is away.
    #[test]
    fn what_runs_is_not_refused_for_what_is_not_known() {
        let unknown = || Observed::Unknown("not connected".to_owned());
        let older = || vec![other("2026-11-21T09:00:00Z", "a", None)];
        let status = json!({ "executor": { "name": "media-encoders-abc", "id": "e", "registered": true } });
        assert!(is_allowed(&fleet(unknown(), &status, older())));
        assert!(!is_allowed(&fleet(unknown(), &json!(null), older())), "nothing of it is there");
    }

    #[test]
    fn a_colony_says_which_namespaces_may_register_a_type() {
        let older = vec![other("2026-11-21T09:00:00Z", "a", Some(true))];
        let snapshot = fleet(Observed::Known(false), &json!(null), older);
        let mut colony = resolved();
        let rules = |namespaces: Value| {
            serde_json::from_value(json!([
                { "type": "decoder", "namespaces": [] }, { "type": "encoder", "namespaces": namespaces },
            ]))
            .unwrap()
        };
        colony.spec.executor_types = rules(json!(["batch", "media"]));
        assert_eq!(check(&snapshot, &colony), Ok(()));
        colony.spec.executor_types = rules(json!(["batch"]));
        let refused = check(&snapshot, &colony).unwrap_err().message;
        assert_eq!(
            refused,
            "spec.executorType: \"encoder\" is for other namespaces alone in Colony dev: name another type, or have namespace media listed for it in spec.executorTypes of Colony dev"
        );
    }
}
