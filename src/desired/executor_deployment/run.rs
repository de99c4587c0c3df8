//! What makes one run of a Job another one. Pure.

use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use crate::api::{
    executor_deployment::{ExecutorDeployment, ExecutorDeploymentSpec},
    metadata::content_hash,
    names::RESTART_ANNOTATION,
};

/// Hash of what the spec asks to be run: not how many of it, by which policies, or what the Colony and the operator add. Work that
/// is finished is done again when this changes, and only then.
#[must_use]
pub fn run_hash(object: &ExecutorDeployment) -> String {
    // A new field of the spec is decided on here. One that is absent or has its default may not change the hash: what has run
    // before an upgrade would run again.
    let ExecutorDeploymentSpec {
        executor_type,
        image,
        command,
        args,
        config,
        resources,
        node_selector,
        tolerations,
        service_account_name,
        template,
        colony: _,
        runtime: _,
        workload: _,
        replicas: _,
        location: _,
        identity: _,
        drain: _,
        suspend: _,
        deletion_policy: _,
        update_policy: _,
        execution_guarantee: _,
        sync_policy: _,
        adoption_policy: _,
        restore_policy: _,
        drift: _,
        management_policies: _,
    } = &object.spec;
    let run = [
        ("executorType", json!(executor_type)),
        ("image", json!(image)),
        ("command", json!(command)),
        ("args", json!(args)),
        ("config", json!(config)),
        ("resources", json!(resources)),
        ("nodeSelector", json!(node_selector)),
        ("tolerations", json!(tolerations)),
        ("serviceAccountName", json!(service_account_name)),
        ("template", json!(template)),
        ("restartedFor", json!(object.annotations().get(RESTART_ANNOTATION))),
    ];
    let run: Map<_, _> = run
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    content_hash(&Value::Object(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(spec: &Value) -> String {
        let mut object = json!({
            "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment", "metadata": { "name": "e" },
            "spec": { "executorType": "t", "image": "i:1", "workload": "Job" },
        });
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        run_hash(&serde_json::from_value(object).unwrap())
    }

    /// Another hash for the same spec would have an upgrade run all finished work again.
    #[test]
    fn the_hash_stays_the_same_for_ever() {
        assert_eq!(hash(&json!({})), "ffc95e05169124e3");
        let all = json!({
            "command": ["c"], "args": ["a"], "config": { "env": { "A": "1" } }, "resources": { "limits": { "cpu": 1 } },
            "nodeSelector": { "n": "1" }, "tolerations": [{ "key": "k" }], "serviceAccountName": "s",
            "template": { "spec": { "priorityClassName": "p" } },
        });
        assert_eq!(hash(&all), "4399934133ac5031");
    }

    #[test]
    fn what_runs_and_nothing_else_makes_another_run() {
        let before = hash(&json!({}));
        for policy in [
            json!({ "replicas": 7 }),
            json!({ "suspend": true }),
            json!({ "deletionPolicy": "Orphan", "updatePolicy": "WaitForRunning" }),
            json!({ "managementPolicies": ["Observe"] }),
            json!({ "drift": { "policy": "DetectOnly" } }),
        ] {
            assert_eq!(hash(&policy), before, "{policy}");
        }
        for run in [
            json!({ "image": "i:2" }),
            json!({ "args": ["x"] }),
            json!({ "config": { "env": { "A": "2" } } }),
        ] {
            assert_ne!(hash(&run), before, "{run}");
        }
    }
}
