//! Checks of the kinds that users define: the status of each definition, and the number of degraded instances.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{finding::Finding, objects::list};
use crate::{
    api::{
        condition::{ConditionType, Reason},
        resource_definition::{InstanceCounts, ResourceDefinition},
    },
    cli::{explain::facts::Facts, served::ServedKind},
    runtime::kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
};

/// Findings about every `ResourceDefinition` there is; none if there is none. Instances are those of the namespaces that are
/// watched; none means all.
pub(super) async fn definitions(kubernetes: &Kubernetes, watched: &[String]) -> Vec<Finding> {
    let api: Api<ResourceDefinition> = Api::all(kubernetes.calls.clone());
    match call(CALL_TIME_LIMIT, api.list(&ListParams::default())).await {
        Ok(definitions) => {
            let mut findings = Vec::new();
            for definition in &definitions.items {
                findings.extend(judge(definition, counted(kubernetes, definition, watched).await));
            }
            findings
        }
        // The missing CRD was reported already.
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => vec![Finding::unread("ResourceDefinitions", &error)],
    }
}

/// How many instances there are at this moment; `None` if they cannot be listed. The operator counts them some seconds after they
/// change.
async fn counted(
    kubernetes: &Kubernetes,
    definition: &ResourceDefinition,
    watched: &[String],
) -> Option<InstanceCounts> {
    let served = ServedKind::defined(definition.clone()).ok()?;
    let listed = list(kubernetes, &served, watched).await.ok().filter(|listed| listed.is_whole)?;
    let mut counts = InstanceCounts::default();
    for object in listed.objects {
        let facts = Facts { object, ..Facts::default() };
        let holds =
            |kind: ConditionType| facts.condition(kind).is_some_and(|condition| condition.status == "True");
        counts.total += 1;
        counts.ready += i32::from(holds(ConditionType::Ready));
        counts.degraded += i32::from(holds(ConditionType::Degraded));
    }
    Some(counts)
}

/// The status of a definition, and its instances: as they were counted, else as the status has it.
pub(super) fn judge(definition: &ResourceDefinition, counted: Option<InstanceCounts>) -> Vec<Finding> {
    let name = definition.name_any();
    let check = format!("ResourceDefinition {name}");
    let status = definition.status.as_ref();
    let conditions = status.map_or(&[][..], |status| &status.conditions);
    let is_seen = status.is_some_and(|status| status.observed_generation == definition.metadata.generation);
    if !is_seen || conditions.is_empty() {
        let seen = if conditions.is_empty() {
            "the operator has not looked at it"
        } else {
            "its last change has not been looked at"
        };
        let remedy = "see whether an operator runs that looks after it: its log, and clusterSelector of its configuration";
        return vec![Finding::warning(check, seen, remedy)];
    }
    let lacking = |kind: ConditionType| {
        conditions.iter().find(|condition| condition.type_ == kind.as_str() && condition.status != "True")
    };
    let mut findings = Vec::new();
    let is_carried_out = status.is_some_and(|status| status.accepted_generation.is_some());
    // A definition without permissions is not ready either, and reports why.
    match (lacking(ConditionType::Authorized), lacking(ConditionType::Ready)) {
        (Some(unauthorized), _) => {
            let remedy = "ask the administrator of the operator to run that command";
            findings.push(found(&check, unauthorized, remedy, is_carried_out));
        }
        (None, Some(unready)) => {
            let remedy = format!(
                "follow the message, and see kubectl describe rd {name}; colonyos-operator plan -f lists every mistake in a definition"
            );
            findings.push(found(&check, unready, &remedy, is_carried_out));
        }
        (None, None) => {}
    }
    if let Some(unhandled) = lacking(ConditionType::Handled) {
        let executor_type = definition.spec.handler.executor_type.as_deref().unwrap_or_default();
        let remedy = format!(
            "start executors of type {executor_type}, or approve them (colonies executor ls): until then instances wait"
        );
        findings.push(Finding::warning(format!("{check}: handler"), said(unhandled), remedy));
    }
    // Work in progress is no finding.
    let stuck = lacking(ConditionType::StorageMigrated)
        .filter(|condition| condition.reason != Reason::StorageMigrating.as_str());
    if let Some(stuck) = stuck {
        let remedy = "follow the message: until then, objects may be stored in versions that cannot be removed from the definition";
        findings.push(Finding::warning(format!("{check}: stored versions"), said(stuck), remedy));
    }
    let counts = counted.or_else(|| status.and_then(|status| status.instances));
    if let Some(counts) = counts.filter(|counts| counts.degraded > 0) {
        let seen = format!("{} of {} are degraded", counts.degraded, counts.total);
        let remedy =
            format!("see kubectl get {name} -A, and the condition Degraded of those that are not ready");
        findings.push(Finding::warning(format!("{check}: instances"), seen, remedy));
    }
    if findings.is_empty() {
        let kind = &definition.spec.names.kind;
        let seen = match counts {
            Some(counts) => {
                format!("{kind} is served; {} of {} instances are ready", counts.ready, counts.total)
            }
            None => format!("{kind} is served; its instances were not counted yet"),
        };
        findings.push(Finding::ok(check, seen));
    }
    findings
}

/// A definition that is not ready. It works while instances follow an earlier generation, or while it only needs
/// time.
fn found(check: &str, condition: &Condition, remedy: &str, is_carried_out: bool) -> Finding {
    let waits = [
        Reason::Establishing,
        Reason::ReadFailed,
        Reason::Deleting,
        Reason::InstancesLeft,
        Reason::StorageMigrating,
    ];
    let is_waiting = waits.iter().any(|reason| condition.reason == reason.as_str());
    if is_carried_out || is_waiting {
        Finding::warning(check, said(condition), remedy)
    } else {
        Finding::failure(check, said(condition), remedy)
    }
}

fn said(condition: &Condition) -> String {
    format!("{}: {}", condition.reason, condition.message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::finding::Verdict, *};

    fn definition(status: &Value) -> ResourceDefinition {
        serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition",
            "metadata": { "name": "models.ml.example.com", "generation": 2 },
            "spec": {
                "group": "ml.example.com", "names": { "kind": "Model", "plural": "models" },
                "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }],
                "handler": { "mode": "process", "executorType": "trainer", "functionName": "train" },
            },
            "status": status,
        }))
        .unwrap()
    }

    /// A status of the latest generation with these conditions that do not hold.
    fn status(lacking: &[(&str, &str)], accepted: Option<i64>, degraded: i32) -> Value {
        let conditions = ["Authorized", "Established", "Handled", "Ready"].map(|kind| {
            let found = lacking.iter().find(|(lacking, _)| *lacking == kind);
            json!({ "type": kind, "status": if found.is_some() { "False" } else { "True" },
                    "reason": found.map_or("Fine", |(_, reason)| *reason), "message": "because",
                    "lastTransitionTime": "2026-11-26T10:00:00Z" })
        });
        json!({ "observedGeneration": 2, "acceptedGeneration": accepted, "conditions": conditions,
                "instances": { "total": 3, "ready": 3 - degraded, "degraded": degraded } })
    }

    fn found_of(status: &Value) -> Vec<(String, Verdict, String)> {
        let findings = judge(&definition(status), None);
        findings.into_iter().map(|finding| (finding.check, finding.verdict, finding.seen)).collect()
    }

    const NAME: &str = "ResourceDefinition models.ml.example.com";

    #[test]
    fn a_definition_is_judged_by_what_it_keeps_instances_from() {
        let one = |verdict, seen: &str| vec![(NAME.to_owned(), verdict, seen.to_owned())];
        assert_eq!(
            found_of(&status(&[], Some(2), 0)),
            one(Verdict::Ok, "Model is served; 3 of 3 instances are ready")
        );
        let unready = [("Ready", "InvalidSpec")];
        assert_eq!(found_of(&status(&unready, None, 0)), one(Verdict::Failure, "InvalidSpec: because"));
        assert_eq!(found_of(&status(&unready, Some(1), 0)), one(Verdict::Warning, "InvalidSpec: because"));
        let young = [("Ready", "Establishing")];
        assert_eq!(found_of(&status(&young, None, 0)), one(Verdict::Warning, "Establishing: because"));
        let unauthorized = [("Authorized", "RightsMissing"), ("Ready", "RightsMissing")];
        assert_eq!(
            found_of(&status(&unauthorized, None, 0)),
            one(Verdict::Failure, "RightsMissing: because")
        );
    }

    /// The status follows instances by some seconds: right after the first one it still says that there is none.
    #[test]
    fn what_is_counted_now_is_told_rather_than_what_the_status_has() {
        let told = |status: &Value, counted| judge(&definition(status), counted).remove(0).seen;
        let mut uncounted = status(&[], Some(2), 0);
        uncounted["instances"] = json!(null);
        assert_eq!(told(&uncounted, None), "Model is served; its instances were not counted yet");
        let mut late = status(&[], Some(2), 0);
        late["instances"] = json!({ "total": 0, "ready": 0, "degraded": 0 });
        let now = Some(InstanceCounts { total: 1, ready: 1, degraded: 0 });
        assert_eq!(told(&late, now), "Model is served; 1 of 1 instances are ready");
        let worse = Some(InstanceCounts { total: 1, ready: 0, degraded: 1 });
        assert_eq!(told(&late, worse), "1 of 1 are degraded");
    }

    #[test]
    fn executors_that_lack_and_instances_in_trouble_stand_beside_it() {
        let found = found_of(&status(&[("Handled", "HandlerNotFound")], Some(2), 2));
        let checks: Vec<&str> = found.iter().map(|(check, ..)| check.as_str()).collect();
        assert_eq!(checks, [format!("{NAME}: handler"), format!("{NAME}: instances")]);
        assert!(found.iter().all(|(_, verdict, _)| *verdict == Verdict::Warning), "{found:?}");
        assert_eq!(found[1].2, "2 of 3 are degraded");
        let every = judge(&definition(&status(&[("Handled", "HandlerNotFound")], Some(2), 2)), None);
        assert!(every.iter().all(|finding| finding.remedy.is_some()), "{every:?}");
    }

    #[test]
    fn objects_that_cannot_be_stored_in_another_version_are_told() {
        let migrated = |reason: &str| {
            let mut status = status(&[], Some(2), 0);
            let condition = json!({ "type": "StorageMigrated", "status": "False", "reason": reason,
                "message": "because", "lastTransitionTime": "2026-11-26T10:00:00Z" });
            status["conditions"].as_array_mut().unwrap().push(condition);
            found_of(&status)
        };
        let stuck = migrated("StorageMigrationFailed");
        assert_eq!(stuck[0].0, format!("{NAME}: stored versions"));
        assert_eq!((stuck[0].1, stuck.len()), (Verdict::Warning, 1));
        assert_eq!(migrated("StorageMigrating")[0].1, Verdict::Ok, "it goes on by itself");
    }

    /// It is not reconciled: whatever stands in its status is of another time.
    #[test]
    fn what_nobody_has_looked_at_is_not_called_fine() {
        let mut old = status(&[], Some(1), 0);
        old["observedGeneration"] = json!(1);
        for status in [old, json!({}), Value::Null] {
            let found = judge(&definition(&status), None);
            assert!(found.len() == 1 && found[0].verdict == Verdict::Warning, "{found:?}");
        }
    }
}
