//! Logs and whole outputs for a user of a namespace, by the way that users have: the chart's roles, the service proxy of the API
//! server, and the operator in its pods.

use std::fs;

use serde_json::{Value, json};

use crate::{
    commands::{kubectl, output},
    fleet::{Fleet, SOON},
    installation::{NAMESPACE, RELEASE},
    stage::Stage,
    support::{environment::variable, wait::eventually},
};

pub async fn a_user_of_a_namespace_reads_logs_and_whole_outputs(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "workers", json!({})).await;
    fleet.until_ready(1).await;
    let namespace = stage.namespace.name.as_str();
    let own = ["-n", namespace];
    let whole = "x".repeat(40_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("work.json");
    let process = json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": "echo" },
        "spec": { "colony": stage.colony, "function": "echo", "args": [whole],
                  "conditions": { "executorType": stage.executor_type } },
    });
    fs::write(&file, process.to_string()).unwrap();
    kubectl(&[&own[..], &["create", "-f", file.to_str().unwrap()]].concat()).await;
    let finished = ["wait", "--for=condition=Finished", "colonyprocess/echo", "--timeout=1m"];
    kubectl(&[&own[..], &finished].concat()).await;
    let cut = ["get", "colonyprocess", "echo", "-o", "jsonpath={.status.state} {.status.outputTruncated}"];
    assert_eq!(kubectl(&[&own[..], &cut].concat()).await, "Succeeded true", "status cannot hold it");

    let kubeconfig = editor(namespace).await;
    let path = folder.path().join("kubeconfig");
    fs::write(&path, kubeconfig.to_string()).unwrap();
    let built = env!("CARGO_BIN_EXE_colonyos-operator");
    let program = variable("OPERATOR_BIN").unwrap_or_else(|| built.to_owned());
    let service = format!("{RELEASE}-conversion");
    let typed = async |words: &[&str]| {
        let place = ["--namespace", namespace, "--kubeconfig", path.to_str().unwrap()];
        let operator = ["--operator-namespace", NAMESPACE, "--operator-service", service.as_str()];
        output(&program, &[words, &place, &operator].concat()).await
    };
    // Aggregated roles take a moment.
    let said =
        eventually("the output is given", SOON, async || typed(&["output", "colonyprocess/echo"]).await)
            .await;
    assert!(said == whole, "{} bytes of {}", said.len(), whole.len());
    let log = typed(&["logs", "colonyprocess/echo"]).await.unwrap();
    assert!(log.contains("echo"), "what the executor wrote about it: {log:?}");
    let shown = typed(&["process", "colonyprocess/echo"]).await.unwrap();
    assert!(shown.contains("State      Successful"), "{shown}");

    // The operator's rights are not the user's.
    let path = path.to_str().unwrap();
    for secret in [
        ["-n", NAMESPACE, "get", "secret", stage.colony.as_str()],
        ["-n", "kube-system", "get", "pods", "-o=name"],
    ] {
        let refused = output("kubectl", &[&["--kubeconfig", path][..], &secret].concat()).await.unwrap_err();
        assert!(refused.contains("forbidden"), "{refused}");
    }
    let colonies =
        output("kubectl", &["--kubeconfig", path, "get", "colonies.colonies.io"]).await.unwrap_err();
    assert!(colonies.contains("forbidden"), "{colonies}");
}

/// A kubeconfig of a service account with the `ClusterRole` `edit` in the namespace and nothing else.
async fn editor(namespace: &str) -> Value {
    let own = ["-n", namespace];
    kubectl(&[&own[..], &["create", "serviceaccount", "editor"]].concat()).await;
    let account = format!("--serviceaccount={namespace}:editor");
    kubectl(&[&own[..], &["create", "rolebinding", "editor", "--clusterrole=edit", &account]].concat()).await;
    let token = kubectl(&[&own[..], &["create", "token", "editor"]].concat()).await;
    let text = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]).await;
    let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = json!({ "token": token.trim() });
    kubeconfig
}
