//! What a test of the operator starts from: a namespace, a colony and a running operator of its own.

use std::time::Duration;

use colonyos_operator::{
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        mirror::MirrorState,
    },
    runtime::config::OperatorConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    cluster::Connection,
    colony::OwnColony,
    environment,
    namespace::{TestNamespace, in_namespace},
    operator::{Operator, Turn, configuration},
    wait::eventually,
};

/// How long the operator may take for what needs several steps and a colony.
pub const SOON: Duration = Duration::from_secs(30);

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

impl Stage {
    /// The objects of one kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.namespace.api()
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
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api().patch(name, &PatchParams::default(), &patch).await.unwrap()
    }

    /// Waits until the status of the latest generation satisfies `is_reached`.
    pub async fn wait_for_status(
        &self,
        name: &str,
        what: &str,
        is_reached: impl Fn(&ExecutorDeploymentStatus) -> bool,
    ) -> ExecutorDeployment {
        let api: Api<ExecutorDeployment> = self.api();
        eventually(&format!("{name}: {what}"), SOON, async || {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let is_current = |status: &ExecutorDeploymentStatus| {
                status.observed_generation.is_some()
                    && status.observed_generation == object.metadata.generation
            };
            match &object.status {
                Some(status) if is_current(status) && is_reached(status) => Ok(object),
                other => Err(format!("generation {:?}, {other:?}", object.metadata.generation)),
            }
        })
        .await
    }

    /// Waits until an `ExecutorDeployment` is ready with so many replicas, and its mirrored process is closed.
    pub async fn wait_until_ready(&self, name: &str, replicas: i32) -> ExecutorDeployment {
        self.wait_for_status(name, &format!("{replicas} executors are ready and mirrored"), |status| {
            is_true(status, "Ready") && is_closed(status) && status.ready_replicas == replicas
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

/// The condition of a type.
pub fn condition<'a>(status: &'a ExecutorDeploymentStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the process of the generation that the status speaks of was closed as successful.
pub fn is_closed(status: &ExecutorDeploymentStatus) -> bool {
    is_true(status, "Mirrored")
        && status.mirror.as_ref().is_some_and(|mirror| {
            mirror.state == MirrorState::Successful && Some(mirror.generation) == status.observed_generation
        })
}

/// Whether a condition is there and true.
pub fn is_true(status: &ExecutorDeploymentStatus, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition.status == "True")
}
