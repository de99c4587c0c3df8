//! What a test of the operator starts from: a namespace, a colony and a running operator of its own.

use std::{fmt::Debug, time::Duration};

use colonyos_operator::{
    api::{
        colony::Colony,
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        mirror::MirrorState,
        names::operator_secret,
        work::{WorkObject, WorkState},
    },
    colony::{PrivateKey, Session},
    runtime::config::OperatorConfiguration,
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Secret},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::object::HasStatus,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    cluster::{self, Connection},
    colony::OwnColony,
    conditions::Conditions as _,
    environment,
    namespace::{TestNamespace, in_namespace},
    object,
    operator::{Operator, Signal, Turn, configuration},
};

/// How long the operator may take.
pub const SOON: Duration = object::SOON;

/// A kind of objects in namespaces, known to the compiler.
pub trait Ours:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl<K> Ours for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
{
}

/// A namespace, a colony and a running operator.
pub struct Stage {
    /// Where everything of the test is, the operator's lease and Secrets included.
    pub namespace: TestNamespace,
    /// The colony.
    pub colony: OwnColony,
    /// The operator.
    pub operator: Operator,
    /// Held so that no other test runs operators meanwhile.
    pub turn: Turn,
}

/// Runs `body` with an operator that is connected to a colony of its own.
pub async fn with_operator(connection: &Connection, test: &str, body: impl AsyncFnOnce(&mut Stage)) {
    with_configured_operator(connection, test, |_| {}, body).await;
}

/// As [`with_operator`], with a configuration that `adjust` has changed.
pub async fn with_configured_operator(
    connection: &Connection,
    test: &str,
    adjust: impl FnOnce(&mut OperatorConfiguration),
    body: impl AsyncFnOnce(&mut Stage),
) {
    in_namespace(connection, test, async |namespace| {
        let turn = Turn::take().await;
        let colony = OwnColony::create(&namespace).await;
        let mut configuration = configuration(&namespace.name);
        adjust(&mut configuration);
        let operator = Operator::start(configuration, &namespace.name, &turn).await;
        colony.wait_until_ready().await;
        let mut stage = Stage { namespace, colony, operator, turn };
        Box::pin(body(&mut stage)).await;
        let Stage { namespace: _namespace, colony, operator, turn: _turn } = stage;
        assert!(!operator.log().contains(&colony.owner_key), "the owner's key is in the operator's log");
        drop(operator);
        colony.remove().await;
    })
    .await;
}

/// As [`with_operator`], where the operator also looks after a second namespace, in which others are.
pub async fn with_operator_beside(
    connection: &Connection,
    test: &str,
    others: &str,
    body: impl AsyncFnOnce(&mut Stage, &TestNamespace),
) {
    in_namespace(connection, others, async |beside| {
        let adjust = |configuration: &mut OperatorConfiguration| {
            configuration.watch_namespaces.push(beside.name.clone());
        };
        let within = async |stage: &mut Stage| body(stage, &beside).await;
        Box::pin(with_configured_operator(connection, test, adjust, within)).await;
    })
    .await;
}

impl Stage {
    /// The objects of one kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.namespace.api()
    }

    /// The colony as the operator submits to it: with the key of its member.
    pub async fn operators_member(&self) -> Session {
        let secret: Secret = self.api().get(&operator_secret(&self.colony.name)).await.unwrap();
        let key = String::from_utf8(secret.data.unwrap()["prvKey"].0.clone()).unwrap();
        self.colony.owner.client().session(&self.colony.name, PrivateKey::from_hex(&key).unwrap())
    }

    /// A command of the operator's about an object of the namespace, as a user types it.
    pub fn command(&self, command: &str, object: &str) -> Command {
        let built = env!("CARGO_BIN_EXE_colonyos-operator");
        let mut typed = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built));
        typed.args([command, object, "--namespace", &self.namespace.name]);
        typed.args(["--operator-namespace", &self.namespace.name]).kill_on_drop(true);
        typed
    }

    /// Applies an `ExecutorDeployment` with these fields of `spec` besides the needed ones.
    pub async fn apply(&self, name: &str, spec: &Value) -> ExecutorDeployment {
        let object = executor_deployment(name, &self.colony.name, spec);
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    /// Changes an `ExecutorDeployment` by a merge patch of `spec`.
    pub async fn change(&self, name: &str, spec: &Value) -> ExecutorDeployment {
        self.patch(name, spec.clone()).await.unwrap()
    }

    /// Creates an object of any kind.
    pub async fn create<K: Ours>(&self, object: Value) -> Result<K, kube::Error> {
        object::create(&self.api::<K>(), object).await
    }

    /// Changes an object of any kind by a merge patch of `spec`.
    pub async fn patch<K: Ours>(&self, name: &str, spec: Value) -> Result<K, kube::Error> {
        object::change(&self.api::<K>(), name, spec).await
    }

    /// Waits until an object is as it should be.
    pub async fn until<K: Ours>(&self, name: &str, what: &str, is_reached: impl Fn(&K) -> bool) -> K {
        object::until(&self.api::<K>(), name, what, is_reached).await
    }

    /// Waits until the status of an object is as it should be.
    pub async fn until_status<K>(
        &self,
        name: &str,
        what: &str,
        is_reached: impl Fn(&K::Status) -> bool,
    ) -> K::Status
    where
        K: Ours + HasStatus,
        K::Status: Clone,
    {
        let object: K = self.until(name, what, |object: &K| object.status().is_some_and(&is_reached)).await;
        object.status().cloned().unwrap()
    }

    /// Waits until work stands somewhere.
    pub async fn until_state<K>(&self, name: &str, wanted: WorkState) -> K::Status
    where
        K: Ours + WorkObject,
    {
        self.until_status::<K>(name, wanted.as_str(), |status| K::record(status).state == Some(wanted)).await
    }

    /// Waits until an object is gone.
    pub async fn until_gone<K: Ours>(&self, name: &str) {
        object::until_gone(&self.api::<K>(), name).await;
    }

    /// What the cluster is called in labels of processes.
    pub async fn cluster(&self) -> String {
        cluster::uid(&self.namespace.kubernetes).await
    }

    /// Whether the Colony admits the namespace, from now on.
    pub async fn admit(&self, is_admitted: bool) {
        let calls = self.namespace.kubernetes.calls.clone();
        let selector = json!({ "from": "Selector", "selector": { "matchLabels": { "admitted": "yes" } } });
        let colonies: Api<Colony> = Api::all(calls.clone());
        let change = json!({ "allowedNamespaces": selector });
        object::change(&colonies, &self.colony.name, change).await.unwrap();
        let label = is_admitted.then_some("yes");
        let labels = Patch::Merge(json!({ "metadata": { "labels": { "admitted": label } } }));
        let namespaces: Api<Namespace> = Api::all(calls);
        namespaces.patch(&self.namespace.name, &PatchParams::default(), &labels).await.unwrap();
    }

    /// Kills the operator, if it runs still, and starts another in its place.
    pub async fn restart(&mut self) {
        let namespace = &self.namespace.name;
        self.operator.signal(Signal::Kill);
        self.operator.wait_for_end(SOON).await;
        self.operator = Operator::start(configuration(namespace), namespace, &self.turn).await;
    }

    /// Waits until the status of the latest generation of an `ExecutorDeployment` satisfies `is_reached`.
    pub async fn wait_for_status(
        &self,
        name: &str,
        what: &str,
        is_reached: impl Fn(&ExecutorDeploymentStatus) -> bool,
    ) -> ExecutorDeployment {
        self.until(name, what, |object: &ExecutorDeployment| {
            object.status.as_ref().is_some_and(|status| {
                status.observed_generation.is_some()
                    && status.observed_generation == object.metadata.generation
                    && is_reached(status)
            })
        })
        .await
    }

    /// Waits until an `ExecutorDeployment` is ready with so many replicas, and its mirrored process is closed.
    pub async fn wait_until_ready(&self, name: &str, replicas: i32) -> ExecutorDeployment {
        self.wait_for_status(name, &format!("{replicas} executors are ready and mirrored"), |status| {
            status.is_true("Ready") && is_closed(status) && status.ready_replicas == replicas
        })
        .await
    }
}

/// An `ExecutorDeployment` whose pods may run on nodes that are only pretended.
pub fn executor_deployment(name: &str, colony: &str, spec: &Value) -> ExecutorDeployment {
    let mut object = json!({
        "apiVersion": "compute.colonies.io/v1",
        "kind": "ExecutorDeployment",
        "metadata": { "name": name },
        "spec": {
            "colony": colony,
            "executorType": format!("{name}-type"),
            "image": "registry.example.com/executor:1",
            "nodeSelector": { "colonies.io/node": "kwok" },
            "tolerations": [{ "operator": "Exists" }],
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// Whether the process of the generation that the status speaks of was closed as successful.
pub fn is_closed(status: &ExecutorDeploymentStatus) -> bool {
    status.is_true("Mirrored")
        && status.mirror.as_ref().is_some_and(|mirror| {
            mirror.state == MirrorState::Successful && Some(mirror.generation) == status.observed_generation
        })
}
