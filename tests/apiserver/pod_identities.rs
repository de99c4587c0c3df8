//! Fleets in which each pod is an executor of its own: the webhook names it, the operator registers it before the pod starts, and
//! removes it after the pod has gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
};

use colonyos_operator::{
    api::{executor_deployment::ExecutorDeployment, names::IDENTITY_WEBHOOK},
    colony::{Executor, ExecutorState, PrivateKey},
    runtime::config::OperatorConfiguration,
};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    apps::v1::Deployment,
    core::v1::{Pod, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    operator::{Operator, Signal, configuration},
    stage::{SOON, Stage, with_configured_operator, with_operator},
    wait::eventually,
};

/// A webhook of the operator of one test, as the chart makes it; it goes with the test.
pub struct Webhook {
    name: String,
    address: String,
    all: Api<MutatingWebhookConfiguration>,
}

impl Webhook {
    /// Where the operator will serve, and what the configuration will be called.
    fn of(test: &str, connection: &crate::support::cluster::Connection) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let name = format!("{test}-{}", crate::support::server::letters());
        Self { name, address, all: Api::all(connection.calls.clone()) }
    }

    fn configure(&self, configuration: &mut OperatorConfiguration) {
        configuration.conversion.bind_address = self.address.parse().unwrap();
        configuration.conversion.url = Some(format!("https://{}", self.address));
        configuration.pod_identities.webhook_configuration = Some(self.name.clone());
    }

    async fn create(&self, namespace: &str) {
        let rule = json!({
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
            "scope": "Namespaced",
        });
        let webhook = json!({
            "name": IDENTITY_WEBHOOK, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 5, "rules": [rule],
            "objectSelector": {"matchLabels": {
                "app.kubernetes.io/managed-by": "colonyos-operator", "compute.colonies.io/identity": "PerPod",
            }},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "clientConfig": {"url": format!("https://{}/pods", self.address)},
        });
        let configuration = json!({"metadata": {"name": self.name}, "webhooks": [webhook]});
        let configuration = serde_json::from_value(configuration).unwrap();
        self.all.create(&PostParams::default(), &configuration).await.unwrap();
    }

    async fn until_set_up(&self) {
        eventually("the webhook is set up", SOON, async || {
            let found = self.all.get(&self.name).await.map_err(|error| error.to_string())?;
            let bundle = found.webhooks.unwrap()[0].client_config.ca_bundle.clone();
            bundle.map(drop).ok_or_else(|| "it has no authorities".to_owned())
        })
        .await;
    }

    async fn remove(self) {
        self.all.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

/// Runs a test with an operator that names the executors of pods.
pub async fn with_webhook(test: &str, body: impl AsyncFnOnce(&mut Stage, &Webhook)) {
    let connection = connect_with_crds().await;
    let webhook = Webhook::of(test, &connection);
    let configure = |configuration: &mut OperatorConfiguration| webhook.configure(configuration);
    with_configured_operator(&connection, test, configure, async |stage| {
        webhook.create(&stage.namespace.name).await;
        webhook.until_set_up().await;
        body(stage, &webhook).await;
    })
    .await;
    webhook.remove().await;
}

/// The executors of a fleet that the colony has not removed, by name.
async fn executors(stage: &Stage) -> BTreeMap<String, Executor> {
    let all = stage.colony.member.executors().await.unwrap();
    let prefix = format!("{}-encoders-", stage.namespace.name);
    all.into_iter()
        .filter(|executor| {
            executor.name.starts_with(&prefix) && executor.state != ExecutorState::Unregistered
        })
        .map(|executor| (executor.name.clone(), executor))
        .collect()
}

pub async fn pods(stage: &Stage) -> Vec<Pod> {
    let own = ListParams::default().labels("compute.colonies.io/executor-deployment=encoders");
    stage.api::<Pod>().list(&own).await.unwrap().items
}

/// The Secret by which the first container of a pod gets its key, and the name of its executor.
pub fn identity(pod: &Pod) -> (String, String) {
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let key = container.env.iter().flatten().find(|variable| variable.name == "COLONIES_PRVKEY").unwrap();
    let secret = key.value_from.as_ref().unwrap().secret_key_ref.as_ref().unwrap().name.clone();
    (secret, pod.annotations()["compute.colonies.io/executor"].clone())
}

/// Waits until there are so many pods, each an executor of its own by a key of its own, and no other executor; what they are.
pub async fn until_registered(stage: &Stage, count: usize) -> BTreeSet<String> {
    let secrets = stage.api::<Secret>();
    eventually(&format!("{count} pods are as many executors"), SOON * 2, async || {
        let (pods, executors) = (pods(stage).await, executors(stage).await);
        let named: BTreeMap<String, String> =
            pods.iter().map(identity).map(|(secret, executor)| (executor, secret)).collect();
        let open = pods.iter().filter(|pod| pod.spec.as_ref().unwrap().scheduling_gates.is_none()).count();
        if (pods.len(), named.len(), open) != (count, count, count) || !named.keys().eq(executors.keys()) {
            let executors: Vec<_> = executors.keys().collect();
            return Err(format!(
                "{} pods, {open} without a gate, {named:?}, executors {executors:?}",
                pods.len()
            ));
        }
        for (name, secret) in &named {
            let secret = secrets.get(secret).await.map_err(|error| error.to_string())?;
            let data = secret.data.clone().unwrap();
            let text = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
            let key = PrivateKey::from_hex(&text("COLONIES_PRVKEY")).unwrap();
            assert_eq!(executors[name].id, *key.id(), "the id follows from the key");
            assert_eq!(
                (executors[name].state, &text("COLONIES_EXECUTOR_NAME")),
                (ExecutorState::Approved, name)
            );
            assert_eq!(secret.owner_references()[0].kind, "Pod");
        }
        Ok(named.into_keys().collect())
    })
    .await
}

/// The main job: as many executors as pods, through scaling, a new revision, the loss of a pod and the end.
#[tokio::test]
async fn each_pod_is_an_executor_of_its_own() {
    with_webhook("own-identities", async |stage, _| {
        stage.apply("encoders", &json!({ "replicas": 3, "identity": "PerPod" })).await;
        let first = until_registered(stage, 3).await;
        let object = stage.wait_until_ready("encoders", 3).await;
        let status = object.status.unwrap();
        assert_eq!(status.executor, None, "there is no executor that all share");
        let counted = stage
            .until_status::<ExecutorDeployment>("encoders", "counts", |status| {
                status.executors.as_ref().is_some_and(|all| all.registered == 3 && all.waiting == 0)
            })
            .await;
        assert_eq!(counted.executors.unwrap().leaving, 0);
        let shared = stage.api::<Secret>().get_opt("encoders-executor-identity").await.unwrap();
        assert!(shared.is_none(), "a key that no pod has");

        stage.change("encoders", &json!({ "replicas": 1 })).await;
        let left = until_registered(stage, 1).await;
        assert!(left.is_subset(&first), "{left:?} of {first:?}");

        // A new revision has new executors: neither names nor keys are used again.
        stage.change("encoders", &json!({ "image": "registry.example.com/executor:2" })).await;
        stage.wait_until_ready("encoders", 1).await;
        let second = until_registered(stage, 1).await;
        assert!(second.is_disjoint(&first), "{second:?} of {first:?}");

        let pod = pods(stage).await.remove(0);
        stage.api::<Pod>().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
        eventually("another pod takes its place", SOON, async || {
            let found = pods(stage).await;
            let is_other = found.iter().all(|other| other.uid() != pod.uid()) && !found.is_empty();
            is_other.then_some(()).ok_or_else(|| format!("{} pods", found.len()))
        })
        .await;
        let third = until_registered(stage, 1).await;
        assert!(third.is_disjoint(&second), "{third:?} of {second:?}");

        let fleets = stage.api::<ExecutorDeployment>();
        fleets.delete("encoders", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ExecutorDeployment>("encoders").await;
        assert_eq!(executors(stage).await.len(), 0, "no executor outlives its fleet");
    })
    .await;
}

/// While the operator is away, pods are created without a name. They never start, and others take their place.
#[tokio::test]
async fn pods_that_are_created_while_the_operator_is_away_are_replaced() {
    with_webhook("own-away", async |stage, webhook| {
        stage.apply("encoders", &json!({ "replicas": 1, "identity": "PerPod" })).await;
        let before = until_registered(stage, 1).await;
        stage.operator.signal(Signal::Kill);
        stage.operator.wait_for_end(SOON).await;
        let scaled = json!({ "spec": { "replicas": 3 } });
        let deployments = stage.api::<Deployment>();
        deployments.patch("encoders", &PatchParams::default(), &Patch::Merge(&scaled)).await.unwrap();
        eventually("pods without a name", SOON, async || {
            let found = pods(stage).await;
            let unnamed = found.iter().filter(|pod| identity(pod).0 == "encoders-executor-identity");
            let waiting = unnamed.filter(|pod| pod.spec.as_ref().unwrap().scheduling_gates.is_some());
            let count = waiting.count();
            if count == 2 { Ok(()) } else { Err(format!("{count} of {}", found.len())) }
        })
        .await;
        // The operator must not take the Deployment back before it has looked at the pods.
        stage.patch::<ExecutorDeployment>("encoders", json!({ "replicas": 3 })).await.unwrap();
        let mut configuration = configuration(&stage.namespace.name);
        webhook.configure(&mut configuration);
        stage.operator = Operator::start(configuration, &stage.namespace.name, &stage.turn).await;
        let after = until_registered(stage, 3).await;
        assert!(after.is_superset(&before), "the pod that had a name serves on: {before:?} of {after:?}");
    })
    .await;
}

/// Both ways: each identity serves until the pods of the other have come up, and leaves nothing.
#[tokio::test]
async fn a_fleet_changes_between_one_identity_and_many() {
    with_webhook("own-modes", async |stage, _| {
        stage.apply("encoders", &json!({ "replicas": 2 })).await;
        stage.wait_until_ready("encoders", 2).await;
        let shared = executors(stage).await;
        assert_eq!(shared.len(), 1);
        stage.change("encoders", &json!({ "identity": "PerPod" })).await;
        let own = until_registered(stage, 2).await;
        assert!(!own.contains(shared.keys().next().unwrap()));
        let secrets = stage.api::<Secret>();
        eventually("the key that all shared is gone", SOON, async || {
            let found =
                secrets.get_opt("encoders-executor-identity").await.map_err(|error| error.to_string())?;
            found.is_none().then_some(()).ok_or_else(|| "it is there".to_owned())
        })
        .await;
        stage.change("encoders", &json!({ "identity": null })).await;
        stage.wait_until_ready("encoders", 2).await;
        eventually("one executor is left", SOON * 2, async || {
            let left: Vec<String> = executors(stage).await.into_keys().collect();
            let is_one = left.len() == 1 && !own.contains(&left[0]);
            is_one.then_some(()).ok_or_else(|| format!("{left:?}"))
        })
        .await;
        stage
            .until_status::<ExecutorDeployment>("encoders", "no executors of pods", |status| {
                status.executors.is_none() && status.executor.is_some()
            })
            .await;
    })
    .await;
}

/// Waiting does not help: the object says what does, and so does `doctor`.
#[tokio::test]
async fn a_fleet_says_that_nothing_names_the_executors_of_its_pods() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "own-without", async |stage| {
        stage.apply("encoders", &json!({ "replicas": 1, "identity": "PerPod" })).await;
        let told = stage
            .until_status::<ExecutorDeployment>("encoders", "says so", |status| {
                status.reason("Ready") == "ExecutorNotNamed"
            })
            .await;
        let said = told.message("Ready");
        assert!(told.is_true("Degraded") && said.contains("podIdentities.enabled"), "{said}");
        assert_eq!(told.state.as_deref(), Some("ExecutorNotNamed"));
        // Of all namespaces, `doctor` names the first few objects alone.
        let file = tempfile::NamedTempFile::new().unwrap();
        let space = &stage.namespace.name;
        std::fs::write(file.path(), json!({ "watchNamespaces": [space] }).to_string()).unwrap();
        let config = ["--config", file.path().to_str().unwrap()];
        let (_, found) = crate::doctor::doctor_with(space, &config);
        let seen = found.to_string();
        assert!(seen.contains("ExecutorNotNamed"), "{seen}");
        stage.change("encoders", &json!({ "identity": null })).await;
        stage.wait_until_ready("encoders", 1).await;
    })
    .await;
}
