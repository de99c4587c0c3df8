//! `colonyos-operator doctor` against a real cluster and a real colony: what it finds, and with which exit code.

use std::process::Command;

use colonyos_operator::api::resource_definition::ResourceDefinition;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    kinds,
    operator::TEST_LABEL,
    stage::{SOON, with_operator},
    wait::eventually,
};

/// Runs doctor with the operator's namespace; its exit code and what it found, by check.
fn doctor(namespace: &str) -> (Option<i32>, Value) {
    doctor_with(namespace, &[])
}

/// The same, with more arguments.
pub fn doctor_with(namespace: &str, more: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"))
        .args(["doctor", "--output", "json", "--namespace", namespace])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let found = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), found)
}

pub fn finding<'a>(found: &'a Value, check: &str) -> &'a Value {
    let findings = found["findings"].as_array().unwrap();
    findings
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("no {check:?} in {found:#}"))
}

#[tokio::test]
async fn each_problem_is_found_with_a_remedy() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "doctor", async |stage| {
        let namespace = stage.namespace.name.clone();
        let colony = stage.colony.name.clone();
        let (_, found) = doctor(&namespace);
        for check in [
            "API server",
            "CRD executordeployments.compute.colonies.io",
            "CRD colonies.colonies.io",
            "permissions",
            &format!("Colony {colony}: server"),
            &format!("Colony {colony}: credentials"),
            &format!("Colony {colony}: member key"),
            &format!("Colony {colony}: operator's executor of type executor-deployment-controller"),
            &format!("Colony {colony}: operator's executor of type kubernetes-reconciler"),
            &format!("Colony {colony}: owner key"),
        ] {
            assert_eq!(finding(&found, check)["verdict"], "ok", "{check} in {found:#}");
        }
        assert!(!found.to_string().contains(&stage.colony.owner_key), "the owner's key is shown");

        // A key, but of no member of this colony.
        let secrets = stage.api::<Secret>();
        let stranger = "ab".repeat(32);
        let patch = Patch::Merge(json!({ "stringData": { "colonyPrvKey": stranger } }));
        secrets.patch(&colony, &PatchParams::default(), &patch).await.unwrap();
        let (code, found) = doctor(&namespace);
        let owner = finding(&found, &format!("Colony {colony}: owner key"));
        assert_eq!((code, owner["verdict"].as_str()), (Some(1), Some("failure")), "{owner}");
        assert!(owner["remedy"].as_str().unwrap().contains("colonyPrvKey"), "{owner}");
        assert!(!found.to_string().contains(&stranger), "a key is shown");

        let patch = Patch::Merge(json!({ "stringData": { "colonyPrvKey": "no key" } }));
        secrets.patch(&colony, &PatchParams::default(), &patch).await.unwrap();
        let (code, found) = doctor(&namespace);
        let credentials = finding(&found, &format!("Colony {colony}: credentials"));
        assert_eq!((code, credentials["verdict"].as_str()), (Some(1), Some("failure")), "{credentials}");

        secrets.delete(&colony, &DeleteParams::default()).await.unwrap();
        let (code, found) = doctor(&namespace);
        let credentials = finding(&found, &format!("Colony {colony}: credentials"));
        assert_eq!((code, credentials["verdict"].as_str()), (Some(1), Some("failure")), "{credentials}");
        assert!(credentials["remedy"].as_str().unwrap().contains("create secret generic"), "{credentials}");
    })
    .await;
}

/// `doctor` reports a kind that cannot be defined, with what to write instead.
#[tokio::test]
async fn definitions_that_cannot_be_carried_out_are_found() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "doctor-kinds", async |stage| {
        let namespace = stage.namespace.name.clone();
        let definitions: Api<ResourceDefinition> = Api::all(stage.namespace.kubernetes.calls.clone());
        let group = kinds::group(&stage.namespace);
        let define = async |plural: &str, field: &Value| {
            let name = format!("{plural}.{group}");
            let schema = json!({ "type": "object", "properties": { "spec": field } });
            let definition = json!({
                "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition",
                "metadata": { "name": name, "labels": { TEST_LABEL: namespace } },
                "spec": {
                    "group": group, "names": { "kind": "Thing", "plural": plural },
                    "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": schema } }],
                    "handler": { "mode": "process", "executorType": "unserved", "functionName": "f", "colony": stage.colony.name },
                },
            });
            let definition = serde_json::from_value(definition).unwrap();
            definitions.create(&PostParams::default(), &definition).await.unwrap();
            name
        };
        let name = define("things", &json!({ "type": "text" })).await;
        let found = eventually("doctor tells of the definition", SOON, async || {
            let (code, found) = doctor(&namespace);
            let finding = finding(&found, &format!("ResourceDefinition {name}")).clone();
            let is_told = finding["seen"].as_str().unwrap().contains("is no type") && code == Some(1);
            if is_told { Ok(finding) } else { Err(finding.to_string()) }
        })
        .await;
        assert_eq!(found["verdict"], "failure", "{found}");
        assert!(found["remedy"].as_str().unwrap().contains("kubectl describe rd"), "{found}");
        definitions.delete(&name, &DeleteParams::default()).await.unwrap();
    })
    .await;
}

/// Without a server there is one finding, and no list of things that could not be asked.
#[test]
fn an_unreachable_api_server_is_the_only_finding() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: x, users: [{name: x, user: {}}],\n\
                contexts: [{name: x, context: {cluster: x, user: x}}],\n\
                clusters: [{name: x, cluster: {server: 'http://127.0.0.1:9'}}]}\n";
    std::fs::write(&kubeconfig, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"))
        .arg("doctor")
        .env("KUBECONFIG", &kubeconfig)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("FAIL  API server") && text.contains("127.0.0.1:9"), "{text}");
    assert!(text.contains("→ check KUBECONFIG") && text.ends_with("0 ok, 0 warnings, 1 failed\n"), "{text}");
}
