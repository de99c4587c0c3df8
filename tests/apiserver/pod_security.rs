//! The table of the Pod Security Standard that unit tests hold templates to, against the API server's own enforcement.

use std::time::Duration;

use colonyos_operator::api::executor_deployment::ExecutorDeployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    requester::{grant, impersonate, install},
    support::{cluster::connect_with_crds, namespace::in_namespace, wait::eventually},
};

#[path = "../../src/desired/executor_deployment/standard/templates.rs"]
mod templates;

const CASES: &str = include_str!("../../src/desired/executor_deployment/standard/cases.json");
const REFUSAL: &str = "violates PodSecurity";
/// How the answer of the chart's policy for templates begins.
const POLICY: &str = "colonyos-operator-template' with binding";

fn container(name: &str) -> Value {
    json!({"name": name, "image": "i:1",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
}

/// A pod that the standard allows.
fn pod() -> Value {
    json!({"metadata": {"name": "case", "annotations": {}}, "spec": {
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": false,
        "containers": [container("c")],
    }})
}

/// Objects field by field; a null removes.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

fn pods(case: &Value) -> Vec<Value> {
    let value = &case["value"];
    let changed = |pointers: &[(&str, &Value)]| {
        let mut made = pod();
        for (pointer, over) in pointers {
            merge(made.pointer_mut(pointer).unwrap(), over);
        }
        made
    };
    match case["at"].as_str().unwrap() {
        "pod" => vec![changed(&[("/spec", value)])],
        "annotation" => {
            let annotations: Value = serde_json::from_str(&value.to_string().replace("NAME", "c")).unwrap();
            vec![changed(&[("/metadata/annotations", &annotations)])]
        }
        "every" => vec![changed(&[("/spec", &value["pod"]), ("/spec/containers/0", &value["container"])])],
        "container" => {
            let mut init = pod();
            init["spec"]["initContainers"] = json!([container("i")]);
            if case["server"] == "sidecar" {
                init["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
            }
            merge(init.pointer_mut("/spec/initContainers/0").unwrap(), value);
            vec![changed(&[("/spec/containers/0", value)]), init]
        }
        other => panic!("{other} is no place"),
    }
}

#[tokio::test]
async fn the_table_of_the_pod_security_standard_is_the_servers() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "pod-security", async |namespace| {
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        Api::<Namespace>::all(kubernetes.calls.clone())
            .patch(&namespace.name, &PatchParams::default(), &Patch::Merge(labels))
            .await
            .unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let ask = async |pod: &Value| {
            let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
            namespace.api::<Pod>().create(&dry, &pod).await.map(drop).map_err(|error| error.to_string())
        };
        let mut refused = pod();
        refused["spec"]["hostPID"] = json!(true);
        eventually("the namespace enforces the standard", Duration::from_secs(30), async || {
            match ask(&refused).await {
                Err(error) if error.contains(REFUSAL) => Ok(()),
                other => Err(format!("the answer is {other:?}")),
            }
        })
        .await;
        let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
        let mut wrong = Vec::new();
        for case in &cases {
            for pod in pods(case) {
                let answer = ask(&pod).await;
                // What the API server finds invalid, it does not hold to the standard.
                let agrees = match &answer {
                    Ok(()) => case["standard"] == "allowed",
                    Err(error) if error.contains(REFUSAL) => case["standard"] == "refused",
                    Err(_) => case["server"] == "invalid",
                };
                if !agrees {
                    wrong.push(format!("{case}: {answer:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    })
    .await;
}

/// What the operator would refuse by a condition is refused when it is written, and nothing else is.
#[tokio::test]
async fn the_policy_answers_for_a_template_as_the_operator_does() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "templates", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let rules = json!([
            {"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments"], "verbs": ["create"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]},
        ]);
        grant(&namespace, &user, "fleets", rules).await;
        install(&kubernetes, &namespace).await;
        let fleets: Api<ExecutorDeployment> = Api::namespaced(impersonate(&user).await, &namespace.name);
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let ask = async |template: &Value| {
            let fleet: ExecutorDeployment = serde_json::from_value(json!({
                "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment", "metadata": {"name": "e"},
                "spec": {"executorType": "t", "image": "i:1", "template": template},
            }))
            .unwrap();
            fleets.create(&dry, &fleet).await.map(drop).map_err(|error| error.to_string())
        };
        let refused = json!({"spec": {"hostPID": true}});
        eventually("the policy is enforced", Duration::from_secs(30), async || match ask(&refused).await {
            Err(error) if error.contains(POLICY) => Ok(()),
            other => Err(format!("the answer is {other:?}")),
        })
        .await;
        let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
        let mut wrong = Vec::new();
        for case in &cases {
            let expected = case.get("operator").unwrap_or(&case["standard"]) == "allowed";
            for (place, template) in templates::templates(case) {
                let answer = ask(&template).await;
                let agrees = match &answer {
                    Ok(()) => expected,
                    // An expression that fails refuses, too, but tells no one why.
                    Err(error) => !expected && error.contains(POLICY) && !error.contains("resulted in error"),
                };
                if !agrees {
                    wrong.push(format!("{place} {}: {answer:?}", case["value"]));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

        // A large template costs less than a policy may.
        let containers: Vec<Value> = (0..40)
            .map(|index| {
                let env: Vec<Value> =
                    (0..100).map(|index| json!({"name": format!("V{index}"), "value": "v"})).collect();
                templates::container(&format!("c{index}"), &json!({"env": env}))
            })
            .collect();
        ask(&json!({"spec": {"containers": containers}})).await.unwrap();
        // What is no template is the operator's to tell; the policy neither fails nor is evaded.
        for template in [json!({"spec": null}), json!({"spec": {"containers": 5, "volumes": {}}})] {
            ask(&template).await.unwrap();
        }
        ask(&json!({"spec": {"containers": 5, "hostPID": true}})).await.unwrap_err();
    })
    .await;
}
