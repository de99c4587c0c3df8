//! `colonyos-operator uninstall`: nothing is left in the cluster or in the colony. The kinds go too, so no other test may run
//! meanwhile.

use std::{fs, time::Duration};

use colonyos_operator::{
    api::{
        colony::Colony, colony_cron::ColonyCron, colony_process::ColonyProcess,
        executor_deployment::ExecutorDeployment, names::operator_secret, work::WorkState,
    },
    colony::{ExecutorState, ProcessId, ProcessState},
};
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    cluster::{connect_alone, install_crds},
    environment,
    operator::{Signal, by_lease, elected},
    own_kind::OwnKind,
    stage::{SOON, Stage, with_configured_operator},
    wait::eventually,
};

/// Runs the command with the configuration of the operator; whether it succeeded, and what it printed.
async fn uninstall(stage: &Stage, more: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("operator.yaml");
    let configuration = elected(&stage.namespace.name);
    fs::write(&file, serde_norway::to_string(&configuration).unwrap()).unwrap();
    let built = env!("CARGO_BIN_EXE_colonyos-operator");
    let mut command = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built));
    command.args(["uninstall", "--timeout", "60", "--namespace", &stage.namespace.name, "--config"]);
    let output = command.arg(&file).args(more).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The same for an operator of which it is not known what it looks after.
async fn without_configuration(stage: &Stage) -> (bool, String) {
    let built = env!("CARGO_BIN_EXE_colonyos-operator");
    let mut command = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built));
    let output = command.args(["uninstall", "--namespace", &stage.namespace.name]).output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// Something of each kind, and a process in the colony.
async fn furnish(stage: &Stage) -> (OwnKind, ProcessId) {
    let colony = &stage.colony.name;
    stage.apply("fleet", &json!({ "replicas": 1 })).await;
    stage.wait_until_ready("fleet", 1).await;
    let spec = json!({ "colony": colony, "function": "wait", "conditions": { "executorType": "nowhere" } });
    let process = |name: &str, spec: &Value| json!({ "metadata": { "name": name }, "spec": spec });
    stage.create::<ColonyProcess>(process("waits", &spec)).await.unwrap();
    let waits = stage.until_state::<ColonyProcess>("waits", WorkState::Waiting).await;
    let cron = json!({ "metadata": { "name": "cron" }, "spec": {
        "schedule": "0 0 1 1 *", "processTemplate": { "spec": spec } } });
    stage.create::<ColonyCron>(cron).await.unwrap();
    let mut kind = OwnKind::of(stage);
    // There is no executor that could clean up.
    kind.whole["spec"]["handler"].as_object_mut().unwrap().remove("cleanupFunction");
    kind.define_until_ready().await;
    let (api_version, name) = (&kind.resource.api_version, &kind.resource.kind);
    let model = serde_json::from_value(json!({ "apiVersion": api_version, "kind": name,
        "metadata": { "name": "model" }, "spec": { "image": "i", "framework": "onnx" } }))
    .unwrap();
    kind.instances.create(&PostParams::default(), &model).await.unwrap();
    eventually("the instance is held", SOON, async || {
        let read = kind.instances.get("model").await.map_err(|error| error.to_string())?;
        let held = read.metadata.finalizers.unwrap_or_default();
        (!held.is_empty()).then_some(()).ok_or_else(|| "nothing holds it".to_owned())
    })
    .await;
    (kind, ProcessId::new(waits.mirror.unwrap().process_id.unwrap()))
}

#[tokio::test]
async fn an_uninstallation_leaves_nothing_in_the_cluster_or_in_the_colony() {
    let connection = connect_alone().await;
    with_configured_operator(&connection, "uninstall", by_lease, async |stage| {
        let (kind, process) = furnish(stage).await;
        let (colonies, namespace) = (Api::<Colony>::all(connection.calls.clone()), stage.namespace.clone());
        let (is_ok, plan) = uninstall(stage, &["--plan"]).await;
        assert!(is_ok && plan.contains("runs, and ends what is in colonies"), "{plan}");
        let order = [
            "delete 1 ColonyCron:",
            "delete 1 Instance",
            "delete 1 ResourceDefinition",
            "delete 1 ColonyProcess:",
            &format!("process {process} in Colony"),
            "delete 1 ExecutorDeployment",
            "delete 1 Colony:",
            "helm uninstall",
            "delete Lease",
            &format!("delete Secret {}", operator_secret(&stage.colony.name)),
            "stays: Secret",
        ];
        let places: Vec<Option<usize>> = order.iter().map(|words| plan.find(words)).collect();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}\n{plan}");
        assert!(colonies.get_opt(&stage.colony.name).await.unwrap().is_some(), "a plan deletes nothing");

        let (is_ok, said) = without_configuration(stage).await;
        assert!(!is_ok && said.contains("give its configuration by --config"), "{said}");
        assert!(colonies.get_opt(&stage.colony.name).await.unwrap().is_some(), "{said}");
        let (is_ok, said) = uninstall(stage, &[]).await;
        assert!(is_ok && said.contains("helm uninstall"), "{said}");
        assert!(colonies.get_opt(&stage.colony.name).await.unwrap().is_none());
        assert!(namespace.api::<ExecutorDeployment>().get_opt("fleet").await.unwrap().is_none());
        assert!(kind.crds.get_opt(&kind.name).await.unwrap().is_none(), "the kind goes with its definition");
        let member = &stage.colony.member;
        let executors = member.executors().await.unwrap();
        let is_gone = |state| state == ExecutorState::Unregistered;
        assert!(executors.iter().all(|executor| is_gone(executor.state)), "{executors:?}");
        assert!(executors.len() >= 3, "the operator had two, and the fleet one: {executors:?}");
        let users: Vec<String> = member.users().await.unwrap().into_iter().map(|user| user.name).collect();
        assert_eq!(users, ["tester"]);
        assert_eq!(member.process(&process).await.unwrap().state, ProcessState::Cancelled);

        stage.operator.signal(Signal::Terminate);
        stage.operator.wait_for_end(SOON).await;
        // What failed tests have left behind is no operator's.
        for left in colonies.list(&ListParams::default()).await.unwrap() {
            let (name, release) = (left.name_any(), json!({ "metadata": { "finalizers": null } }));
            colonies.patch(&name, &PatchParams::default(), &Patch::Merge(release)).await.unwrap();
            // One that was being deleted is gone by now.
            let _ = colonies.delete(&name, &DeleteParams::default()).await;
        }
        // Of another operator, and so are the kinds.
        let other = json!({ "apiVersion": "colonies.io/v1", "kind": "Colony", "metadata": { "name": namespace.name },
            "spec": { "server": { "host": "h" }, "colonyName": "c", "credentialsSecretName": "s" } });
        let other: Colony = serde_json::from_value(other).unwrap();
        colonies.create(&PostParams::default(), &other).await.unwrap();
        let (is_ok, said) = uninstall(stage, &["--crds"]).await;
        assert!(!is_ok && said.contains("1 of colonies.colonies.io"), "{said}");
        colonies.delete(&namespace.name, &DeleteParams::default()).await.unwrap();
        assert_eq!(namespace.api::<Lease>().list(&ListParams::default()).await.unwrap().items, []);
        let secrets = namespace.api::<Secret>().list_metadata(&ListParams::default()).await.unwrap();
        let secrets: Vec<_> = secrets.into_iter().filter_map(|secret| secret.metadata.name).collect();
        assert_eq!(secrets, [stage.colony.name.as_str()], "the user's own");
        // What tests before this one have left behind goes with their namespaces.
        eventually("the kinds are gone", Duration::from_mins(1), async || {
            let (is_ok, said) = uninstall(stage, &["--crds"]).await;
            is_ok.then_some(()).ok_or(said)
        })
        .await;
        let crds = Api::<CustomResourceDefinition>::all(connection.calls.clone());
        eventually("no definition is left", SOON, async || {
            let found = crds.get_opt("colonies.colonies.io").await.map_err(|error| error.to_string())?;
            found.is_none().then_some(()).ok_or_else(|| "it is there".to_owned())
        })
        .await;
        install_crds(&connection).await;
    })
    .await;
}

/// Deleted objects that no operator releases would hang, and their kinds with them.
#[tokio::test]
async fn nothing_is_deleted_while_no_operator_runs() {
    let connection = connect_alone().await;
    with_configured_operator(&connection, "uninstall-alone", by_lease, async |stage| {
        stage.operator.signal(Signal::Terminate);
        stage.operator.wait_for_end(SOON).await;
        let (is_ok, plan) = uninstall(stage, &["--plan"]).await;
        assert!(is_ok && plan.contains("does not run: start it first"), "{plan}");
        let (is_ok, said) = uninstall(stage, &["--crds"]).await;
        assert!(!is_ok && said.contains("1 objects have finalizers"), "{said}");
        let colonies = Api::<Colony>::all(connection.calls.clone());
        let colony = colonies.get(&stage.colony.name).await.unwrap();
        assert_eq!(colony.metadata.deletion_timestamp, None);
    })
    .await;
}
