//! What can be known of an operator without its rights: whether one holds the lease, and what its Colonies report.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt as _, api::ListParams};

use super::finding::Finding;
use crate::{
    api::{colony::Colony, condition::ConditionType},
    runtime::{
        clock::Clock,
        config::LeaderElection,
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
        lease::is_held,
    },
    watch::stores::label_selector,
};

/// Whether an operator holds the lease; nothing if it needs none.
pub(super) async fn lease(
    kubernetes: &Kubernetes,
    election: &LeaderElection,
    clock: &Clock,
) -> Option<Finding> {
    if !election.enabled {
        return None;
    }
    let (check, name) = ("lease", &election.lease_name);
    let remedy = format!(
        "see the operator's pods and their log: kubectl --namespace {} get pods",
        kubernetes.namespace
    );
    let api = Api::<Lease>::namespaced(kubernetes.calls.clone(), &kubernetes.namespace);
    Some(match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
        Ok(Some(lease)) if is_held(&lease, clock.now()) => {
            let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            Finding::ok(check, format!("{name} is held by {holder}"))
        }
        Ok(Some(_)) => Finding::failure(check, format!("no operator holds {name}"), remedy),
        Ok(None) => Finding::failure(check, format!("there is no Lease {name}"), remedy),
        Err(error) => Finding::unread(check, &error),
    })
}

/// What each `Colony` says of itself.
pub(super) async fn colonies(kubernetes: &Kubernetes, selector: &BTreeMap<String, String>) -> Vec<Finding> {
    let api = Api::<Colony>::all(kubernetes.calls.clone());
    let parameters = ListParams::default().labels(&label_selector(selector));
    match call(CALL_TIME_LIMIT, api.list(&parameters)).await {
        Ok(list) if list.items.is_empty() => {
            let remedy = "apply a Colony that names your ColonyOS server; executors need one to serve";
            vec![Finding::warning("Colonies", "there is none", remedy)]
        }
        Ok(list) => list.iter().map(judge).collect(),
        // The missing CRD was reported already.
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => vec![Finding::unread("Colonies", &error)],
    }
}

pub(super) fn judge(colony: &Colony) -> Finding {
    let check = format!("Colony {}", colony.name_any());
    let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut ready = conditions.iter().filter(|condition| condition.type_ == ConditionType::Ready.as_str());
    match ready.next() {
        Some(ready) if ready.status == "True" => Finding::ok(check, ready.message.clone()),
        Some(ready) => {
            let seen = format!("{}: {}", ready.reason, ready.message);
            // The operator does its part by saying so: the outage of a colony must not undo an upgrade of the operator.
            Finding::warning(check, seen, "follow the message; doctor with the operator's rights says more")
        }
        None => {
            let remedy = "see whether an operator runs that looks after it: its log, and clusterSelector of its configuration";
            Finding::failure(check, "the operator has not looked at it", remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::finding::Verdict, *};

    #[test]
    fn a_colony_is_taken_at_its_word() {
        let colony = |status| -> Colony {
            serde_json::from_value(json!({ "metadata": { "name": "dev" }, "status": status,
                "spec": { "server": { "host": "h" }, "colonyName": "c", "credentialsSecretName": "s" } }))
            .unwrap()
        };
        let ready = |status| {
            json!({ "conditions": [{ "type": "Ready", "status": status, "reason": "Connected", "message": "m",
                "lastTransitionTime": "2026-11-21T10:00:00Z" }] })
        };
        assert_eq!(judge(&colony(ready("True"))).verdict, Verdict::Ok);
        let unready = judge(&colony(ready("False")));
        assert_eq!((unready.verdict, unready.seen.as_str()), (Verdict::Warning, "Connected: m"));
        assert_eq!(judge(&colony(json!({ "observedGeneration": -1 }))).verdict, Verdict::Failure);
    }
}
