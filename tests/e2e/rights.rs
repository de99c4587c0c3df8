//! The right to create fleets does not include the right to run pods: the chart's admission policy asks for the requester's own right.

use std::fs;

use serde_json::json;

use crate::{
    commands::{kubectl, output},
    stage::Stage,
};

pub async fn the_operator_lends_no_user_its_rights(stage: Stage) {
    let namespace = stage.namespace.name.as_str();
    kubectl(&["-n", namespace, "create", "serviceaccount", "requester"]).await;
    let requester = format!("--as=system:serviceaccount:{namespace}:requester");
    let subject = format!("--serviceaccount={namespace}:requester");
    allow(namespace, "fleets", "create,get", "executordeployments.compute.colonies.io", &subject).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.yaml");
    let file = file.to_str().unwrap();
    let fleet = |name: &str, workload: &str| {
        json!({
            "apiVersion": "compute.colonies.io/v1",
            "kind": "ExecutorDeployment",
            "metadata": {"name": name},
            "spec": {"workload": workload, "executorType": stage.executor_type, "image": "localhost/none:1"},
        })
    };
    let create = ["-n", namespace, requester.as_str(), "create", "-f", file];

    fs::write(file, fleet("one", "Deployment").to_string()).unwrap();
    let refusal = output("kubectl", &create).await.unwrap_err();
    let told = ["may not create deployments", "requester", "ask for that right"];
    assert!(told.iter().all(|part| refusal.contains(part)), "{refusal}");

    allow(namespace, "deployments", "create", "deployments.apps", &subject).await;
    crate::support::wait::eventually("the right is given", crate::fleet::SOON, async || {
        output("kubectl", &create).await.map(|_| ())
    })
    .await;
    fs::write(file, fleet("two", "Job").to_string()).unwrap();
    let refusal = output("kubectl", &create).await.unwrap_err();
    assert!(refusal.contains("may not create jobs"), "{refusal}");
}

async fn allow(namespace: &str, name: &str, verbs: &str, resource: &str, subject: &str) {
    let (verbs, resource) = (format!("--verb={verbs}"), format!("--resource={resource}"));
    kubectl(&["-n", namespace, "create", "role", name, &verbs, &resource]).await;
    kubectl(&["-n", namespace, "create", "rolebinding", name, &format!("--role={name}"), subject]).await;
}
