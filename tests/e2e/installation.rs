//! The operator as Helm installs it: two replicas with the chart's rights, in a namespace that lets only restricted pods
//! in.

use std::time::Duration;

use colonyos_operator::api::{colony::Colony, executor_deployment::ExecutorDeployment};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    commands::{helm, kubectl, output},
    support::{
        cluster::connect,
        environment::variable,
        wait::{eventually, within},
    },
};

/// Namespace of the operator.
pub const NAMESPACE: &str = "colonyos-system";
/// Name of the release, hence of its Deployment and its service account.
pub const RELEASE: &str = "colonyos-operator";
/// Marks what tests make outside of their namespaces, and the namespaces.
pub const TEST_LABEL: &str = "colonyos-operator-tests/rung";
/// Selects the operator's pods.
pub const POD_SELECTOR: &str = "app.kubernetes.io/name=colonyos-operator";

/// Group of the kind of two versions.
pub const THINGS_GROUP: &str = "things.example.com";
/// Groups of the example kinds, and of the tests' own.
const USER_GROUPS: &[&str] =
    &["goop.example.com", "samplecontroller.example.com", "app.colonies.io", THINGS_GROUP];
/// How many replicas the operator has: the one that leads, and one that stands by.
pub const REPLICAS: i32 = 2;
/// How long what the tests made may take to go.
const CLEANUP_LIMIT: Duration = Duration::from_secs(90);

/// Image of the operator.
pub fn operator_image() -> String {
    image("OPERATOR_IMAGE")
}

/// Image of the example executor.
pub fn executor_image() -> String {
    image("EXECUTOR_IMAGE")
}

fn image(name: &str) -> String {
    variable(name).unwrap_or_else(|| {
        panic!("{name} is not set: `cargo xtask test --rung e2e` builds the images and names them")
    })
}

/// Installs both charts.
pub async fn install() {
    let kubernetes = connect().await;
    clean_up(&kubernetes.calls).await;
    let namespaces = Api::<Namespace>::all(kubernetes.calls.clone());
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    let parameters = PatchParams::apply("colonyos-operator-tests").force();
    namespaces.patch(NAMESPACE, &parameters, &Patch::Apply(namespace)).await.unwrap();
    let chart = |name: &str| format!("{}/charts/{name}", env!("CARGO_MANIFEST_DIR"));
    // Another rung may have left the CRDs behind, as the chart itself does.
    let definitions = chart("colonyos-operator-crds");
    let common = ["upgrade", "--install", "--namespace", NAMESPACE, "--wait", "--timeout", "6m"];
    helm(&[&common[..], &["--take-ownership", "colonyos-operator-crds", &definitions]].concat()).await;
    let image = operator_image();
    let (repository, tag) = image.rsplit_once(':').expect("OPERATOR_IMAGE has a tag");
    let values = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        format!("replicas={REPLICAS}"),
    ];
    let set: Vec<&str> = values.iter().flat_map(|value| ["--set-string", value.as_str()]).collect();
    let replicas = format!("replicas={REPLICAS}");
    let groups = format!("userKinds.groups={}", json!(USER_GROUPS));
    let composes = format!("userKinds.composes={}", composes());
    let identities = ["--set", "podIdentities.enabled=true"];
    let set = [&set[..4], &identities, &["--set", &replicas, "--set-json", &groups, "--set-json", &composes]]
        .concat();
    helm(&[&common[..], &set, &[RELEASE, &chart(RELEASE)]].concat()).await;
}

/// What the example kinds are made of.
fn composes() -> Value {
    json!([
        {"apiGroups": ["batch"], "resources": ["jobs"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "daemonsets", "statefulsets"]},
        {"apiGroups": [""], "resources": ["services", "secrets", "persistentvolumeclaims"]},
        {"apiGroups": ["app.colonies.io"], "resources": ["databases", "webservices", "workerpools"]},
    ])
}

/// Takes away what tests left, then the operator. The CRDs stay, as Helm leaves them.
pub async fn uninstall() {
    let kubernetes = connect().await;
    scale(REPLICAS).await;
    clean_up(&kubernetes.calls).await;
    helm(&["uninstall", "--namespace", NAMESPACE, "--wait", RELEASE]).await;
    helm(&["uninstall", "--namespace", NAMESPACE, "colonyos-operator-crds"]).await;
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).await;
}

/// Sets the number of replicas and waits until they are ready, or gone.
pub async fn scale(replicas: i32) {
    let deployment = format!("deployment/{RELEASE}");
    kubectl(&["-n", NAMESPACE, "scale", &deployment, &format!("--replicas={replicas}")]).await;
    let kubernetes = connect().await;
    eventually(&format!("the operator has {replicas} replicas"), Duration::from_mins(1), async || {
        let pods = pods(&kubernetes.calls).await?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        let wanted = usize::try_from(replicas).unwrap_or_default();
        (pods.len() == wanted && ready == wanted)
            .then_some(())
            .ok_or_else(|| format!("{} pods, {ready} ready", pods.len()))
    })
    .await;
}

/// The operator's pods.
pub async fn pods(client: &Client) -> Result<Vec<Pod>, String> {
    let api = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    let listed = api.list(&ListParams::default().labels(POD_SELECTOR)).await;
    Ok(listed.map_err(|error| error.to_string())?.items)
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What the operator has logged, all replicas.
pub async fn log() -> String {
    let arguments = ["-n", NAMESPACE, "logs", "-l", POD_SELECTOR, "--tail=-1", "--prefix"];
    output("kubectl", &arguments).await.unwrap_or_else(|error| error)
}

/// The last of what the operator has logged about a namespace.
pub async fn log_about(namespace: &str) -> String {
    const LINES: usize = 60;
    let log = log().await;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(namespace)).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    format!("──── the operator about {namespace} ────\n{}", last.join("\n"))
}

/// Deletes what tests made, of this run and of one that was interrupted.
async fn clean_up(client: &Client) {
    let ours = ListParams::default().labels(TEST_LABEL);
    let deletion = DeleteParams::background();
    let namespaces = Api::<Namespace>::all(client.clone());
    let names: Vec<String> =
        namespaces.list(&ours).await.unwrap().iter().map(kube::ResourceExt::name_any).collect();
    for name in &names {
        // One that is being deleted already refuses nothing.
        let _ = namespaces.delete(name, &deletion).await;
        // Before the first installation there is no such kind.
        let fleets = Api::<ExecutorDeployment>::namespaced(client.clone(), name);
        let _ = fleets.delete_collection(&deletion, &ListParams::default()).await;
    }
    let is_served = pods(client).await.is_ok_and(|pods| pods.iter().any(is_ready));
    if !is_served || !is_empty_soon(client, &names).await {
        release(client, &names).await;
    }
    let colonies = Api::<Colony>::all(client.clone());
    // Nothing is in them any more, and the operator that holds them may be gone.
    for colony in colonies.list(&ours).await.map(|list| list.items).unwrap_or_default() {
        let name = kube::ResourceExt::name_any(&colony);
        let _ = colonies.delete(&name, &deletion).await;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let _ = colonies.patch(&name, &PatchParams::default(), &patch).await;
    }
    if let Err(error) = colonies.delete_collection(&deletion, &ours).await {
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 404), "{error}");
    }
    kubectl(&["-n", NAMESPACE, "delete", "secrets", "-l", TEST_LABEL, "--ignore-not-found"]).await;
}

/// Waits for the operator to let go of what is being deleted; whether it has.
async fn is_empty_soon(client: &Client, namespaces: &[String]) -> bool {
    let emptied = within(CLEANUP_LIMIT, async || {
        let left = fleets_in(client, namespaces).await;
        let names: Vec<_> = left.iter().map(|fleet| (fleet.namespace(), fleet.name_any())).collect();
        if names.is_empty() { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
    if let Err(left) = &emptied {
        eprintln!("the operator has not released {left}; their finalizers are removed");
    }
    emptied.is_ok()
}

/// Removes finalizers in place of an operator that is not there, or has failed at it.
async fn release(client: &Client, namespaces: &[String]) {
    for fleet in fleets_in(client, namespaces).await {
        let api =
            Api::<ExecutorDeployment>::namespaced(client.clone(), &fleet.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        // It may be gone by now.
        let _ = api.patch(&fleet.name_any(), &PatchParams::default(), &patch).await;
    }
}

/// The fleets in some namespaces; none where the kind is not known.
async fn fleets_in(client: &Client, namespaces: &[String]) -> Vec<ExecutorDeployment> {
    let listed = Api::<ExecutorDeployment>::all(client.clone()).list(&ListParams::default()).await;
    let is_there =
        |fleet: &ExecutorDeployment| fleet.namespace().is_some_and(|name| namespaces.contains(&name));
    listed.map(|list| list.items.into_iter().filter(is_there).collect()).unwrap_or_default()
}
