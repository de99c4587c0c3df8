//! An object after its controller has reconciled it, as far as that is known: what a rehearsal assumes of what an
//! instance is made of. Unknown fields are omitted, and awaited.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{condition::ConditionType, kind::Kind, work::WorkState};

/// What stands for an address that the cluster gives.
const ADDRESS: &str = "<address>";

/// Fills in the status of an object that is ready.
pub(super) fn assume(object: &mut Value, now: Timestamp) {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let generation = object.pointer("/metadata/generation").cloned().unwrap_or_else(|| json!(1));
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(1);
    let replicas = number("/spec/replicas");
    let condition = |names: &[&'static str]| {
        let all = names.iter().map(|name| {
            json!({ "type": name, "status": "True", "reason": "Assumed", "message": "",
                "lastTransitionTime": now.to_string(), "observedGeneration": generation })
        });
        Value::Array(all.collect())
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let status = match (group, kind.as_str()) {
        ("apps", "Deployment") => json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas, "conditions": condition(&["Available", "Progressing"]),
        }),
        ("apps", "StatefulSet") => json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "currentReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        }),
        // On one node.
        ("apps", "DaemonSet") => json!({
            "observedGeneration": generation, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
            "updatedNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1, "numberMisscheduled": 0,
        }),
        ("batch", "Job") => json!({
            "succeeded": number("/spec/completions"), "startTime": now.to_string(), "completionTime": now.to_string(),
            "conditions": condition(&["SuccessCriteriaMet", "Complete"]),
        }),
        ("", "Pod") => json!({ "phase": "Running", "podIP": ADDRESS, "conditions": condition(&["Ready"]) }),
        ("", "PersistentVolumeClaim") => json!({ "phase": "Bound" }),
        ("", "Service") => service(object),
        ("networking.k8s.io", "Ingress") => json!({ "loadBalancer": { "ingress": [{ "ip": ADDRESS }] } }),
        _ if is_defined(group) => own_or_defined(group, &kind, &generation, replicas, condition),
        _ => return,
    };
    object["status"] = status;
}

/// What an object of a kind of the operator's says, or of one that a user defined.
fn own_or_defined(
    group: &str,
    kind: &str,
    generation: &Value,
    replicas: i64,
    condition: impl Fn(&[&'static str]) -> Value,
) -> Value {
    let own = Kind::find(group, kind).filter(|kind| !kind.info().ready_conditions.is_empty());
    let types = own.unwrap_or(Kind::Instance).info().ready_conditions;
    let names: Vec<&str> = types.iter().map(|known| known.as_str()).collect();
    let mut status = json!({ "observedGeneration": generation, "conditions": condition(&names) });
    if own == Some(Kind::ExecutorDeployment) {
        status["replicas"] = json!(replicas);
        status["readyReplicas"] = json!(replicas);
    }
    if types.contains(&ConditionType::Succeeded) {
        status["state"] = json!(WorkState::Succeeded.as_str());
    }
    status
}

/// Whether a kind can be one that a user defined: those of Kubernetes are known above, or have none.
fn is_defined(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// What a Service has once it is there; also the address in its spec.
fn service(object: &mut Value) -> Value {
    let kind = object.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP").to_owned();
    if kind != "ExternalName"
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.entry("clusterIP").or_insert_with(|| json!(ADDRESS));
    }
    match kind.as_str() {
        "LoadBalancer" => json!({ "loadBalancer": { "ingress": [{ "ip": ADDRESS }] } }),
        _ => json!({ "loadBalancer": {} }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assumed(mut object: Value) -> Value {
        assume(&mut object, Timestamp::UNIX_EPOCH);
        object
    }

    /// Invented values would be mistaken for those of a cluster.
    #[test]
    fn of_what_nobody_can_know_nothing_is_assumed() {
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
        assert_eq!(assumed(map.clone()), map);
        let process =
            assumed(json!({ "apiVersion": "ml.example.com/v1", "kind": "MLModel", "metadata": {} }));
        assert_eq!(
            process["status"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["conditions", "observedGeneration"]
        );
    }

    #[test]
    fn a_headless_service_has_no_address() {
        let service = |spec: Value| {
            assumed(json!({ "apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec }))
        };
        assert_eq!(service(json!({ "clusterIP": "None" }))["spec"]["clusterIP"], "None");
        assert_eq!(service(json!({}))["spec"]["clusterIP"], ADDRESS);
        assert!(service(json!({ "type": "ExternalName" }))["spec"]["clusterIP"].is_null());
    }
}
