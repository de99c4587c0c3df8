//! What `helm test` runs, with the rights that the chart gives it: doctor sees whether a release works, and reads no Secret.

use std::{fs, path::Path, process::Command};

use colonyos_operator::runtime::config::OperatorConfiguration;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    authorization::v1::SubjectAccessReview,
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Resource as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    config::Kubeconfig,
    core::{ApiResource, GroupVersionKind, TypeMeta},
};
use serde_json::{Value, json};

use crate::{
    doctor::finding,
    support::{
        cluster::{TESTER, connect_with_crds},
        environment,
        operator::{Signal, by_lease, elected},
        stage::{SOON, Stage, with_configured_operator},
        wait::eventually,
    },
};

const RIGHTS: [&str; 5] = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

/// The accounts and rights of a release, those of its test included. They go with the namespace.
pub(crate) async fn install(stage: &Stage, values: &str) {
    let namespace = &stage.namespace.name;
    let helm = environment::variable("HELM").unwrap_or_else(|| "helm".to_owned());
    let output = Command::new(&helm)
        .args(["template", namespace, "charts/colonyos-operator", "--namespace", namespace])
        .args(["--kube-version", "1.36.0", "--set-json", values])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap_or_else(|error| panic!("failed to start {helm}: {error}; `cargo xtask test` provides it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let client = stage.namespace.kubernetes.calls.clone();
    let owner = Api::<Namespace>::all(client.clone()).get(namespace).await.unwrap();
    let owner = owner.owner_ref(&()).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
        let Ok(mut object) = serde_norway::from_str::<Value>(document) else { continue };
        let Some(kind) = object["kind"].as_str().filter(|kind| RIGHTS.contains(kind)) else { continue };
        let types =
            TypeMeta { api_version: object["apiVersion"].as_str().unwrap().into(), kind: kind.into() };
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types).unwrap());
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        object["metadata"]["ownerReferences"] = json!([owner]);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &PatchParams::apply(TESTER).force(), &Patch::Apply(&object)).await.unwrap();
    }
}

/// A kubeconfig with a token of an account of the release.
pub(crate) async fn kubeconfig_of(stage: &Stage, account: &str) -> String {
    let accounts: Api<ServiceAccount> = stage.namespace.api();
    let (asked, create) = (TokenRequest::default(), PostParams::default());
    let token = accounts.create_token_request(account, &create, &asked).await.unwrap();
    let token = token.status.unwrap().token;
    let mut kubeconfig = serde_json::to_value(Kubeconfig::read().unwrap()).unwrap();
    for user in kubeconfig["users"].as_array_mut().unwrap() {
        user["user"] = json!({ "token": token });
    }
    kubeconfig.to_string()
}

/// Runs doctor as the test's account, as the pod does; whether it found the release healthy, and all that it found.
async fn doctor(stage: &Stage, configuration: &OperatorConfiguration) -> (bool, Value) {
    let namespace = &stage.namespace.name;
    let name = format!("{namespace}-colonyos-operator");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let kubeconfig = file("kubeconfig", kubeconfig_of(stage, &format!("{name}-test")).await);
    let configuration = file("operator.yaml", serde_norway::to_string(configuration).unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"))
        .args(["doctor", "--output", "json", "--namespace", namespace, "--account", &name, "--config"])
        .arg(configuration)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let found = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), found)
}

#[tokio::test]
async fn a_release_is_tested_by_an_account_that_reads_no_secret() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "release", by_lease, async |stage| {
        let (namespace, colony) = (stage.namespace.name.clone(), stage.colony.name.clone());
        install(stage, &format!("watchNamespaces={}", json!([namespace]))).await;
        // Roles are heeded a moment later.
        let found = eventually("the release is healthy", SOON, async || {
            let (is_healthy, found) = doctor(stage, &elected(&namespace)).await;
            is_healthy.then_some(found.clone()).ok_or_else(|| format!("{found:#}"))
        })
        .await;
        for check in ["CRD colonies.colonies.io", "permissions", "lease", &format!("Colony {colony}")] {
            assert_eq!(finding(&found, check)["verdict"], "ok", "{found:#}");
        }

        // What does not work is told.
        let client = connection.calls.clone();
        let bindings = Api::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>::all(client);
        let binding = format!("{namespace}-colonyos-operator");
        bindings.delete(&binding, &DeleteParams::default()).await.unwrap();
        stage.operator.signal(Signal::Terminate);
        stage.operator.wait_for_end(SOON).await;
        eventually("the release is not healthy", SOON, async || {
            let (is_healthy, found) = doctor(stage, &elected(&namespace)).await;
            let says = |check: &str| {
                let findings = found["findings"].as_array().unwrap();
                findings.iter().any(|one| one["check"] == check && one["verdict"] == "failure")
            };
            let is_told = !is_healthy && says("lease") && says("may list colonies.colonies.io");
            is_told.then_some(()).ok_or_else(|| format!("{found:#}"))
        })
        .await;
    })
    .await;
}

/// Of the Secrets of a cluster, those of the listed namespaces and of its own are enough.
#[tokio::test]
async fn a_release_needs_the_secrets_of_the_listed_namespaces_alone() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "release-secrets", by_lease, async |stage| {
        let namespace = stage.namespace.name.clone();
        install(stage, &format!("secretNamespaces={}", json!([namespace]))).await;
        let mut configuration = elected(&namespace);
        configuration.watch_namespaces = Vec::new();
        configuration.secret_namespaces = vec![namespace.clone()];
        let found = eventually("all permissions are granted", SOON, async || {
            let (_, found) = doctor(stage, &configuration).await;
            let permissions =
                found["findings"].as_array().unwrap().iter().find(|one| one["check"] == "permissions");
            let is_ok = permissions.is_some_and(|one| one["verdict"] == "ok");
            is_ok.then_some(found.clone()).ok_or_else(|| format!("{found:#}"))
        })
        .await;
        assert!(finding(&found, "permissions")["seen"].as_str().unwrap().contains("granted"), "{found:#}");

        let account = format!("system:serviceaccount:{namespace}:{namespace}-colonyos-operator");
        let reviews = Api::<SubjectAccessReview>::all(connection.calls.clone());
        let may = async |verb: &str, resource: &str, place: &str| {
            let asked = json!({ "spec": { "user": account, "resourceAttributes": {
                "verb": verb, "resource": resource, "namespace": place,
            } } });
            let asked = serde_json::from_value(asked).unwrap();
            reviews.create(&PostParams::default(), &asked).await.unwrap().status.unwrap().allowed
        };
        for verb in ["get", "create", "patch", "delete"] {
            assert!(may(verb, "secrets", &namespace).await, "{verb}");
            assert!(!may(verb, "secrets", "default").await, "{verb}");
        }
        assert!(may("list", "pods", "default").await, "it looks after objects everywhere");
    })
    .await;
}
