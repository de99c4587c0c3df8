//! Blueprints of the colony and fleets of the cluster: each side shows the truth about the other, and one owns the spec.

use std::{fs, path::Path};

use colonyos_operator::{
    api::{
        executor_deployment::ExecutorDeployment,
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE},
    },
    colony::{Blueprint, NewExecutor, PrivateKey, Process, ProcessQuery, ProcessState},
};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    commands::{colonies, kubectl},
    fleet::{Fleet, RUN_LIMIT, START_LIMIT},
    installation::executor_image,
    stage::Stage,
    support::{colony, conditions::Conditions as _, namespace::wait_until_gone, wait::eventually},
};

/// A file in a folder that goes with the test.
fn file(folder: &TempDir, name: &str, content: &Value) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content.to_string()).unwrap();
    Path::new(&path).to_str().unwrap().to_owned()
}

fn definition(executor_type: &str) -> Value {
    json!({
        "kind": "BlueprintDefinition",
        "metadata": {"name": "executor-deployment"},
        "spec": {
            "group": "compute.colonies.io", "version": "v1", "scope": "Namespaced",
            "names": {"kind": "ExecutorDeployment", "plural": "executordeployments"},
            "handler": {"executorType": executor_type, "functionName": "reconcile"},
        },
    })
}

fn blueprint(stage: &Stage, name: &str, replicas: i32) -> Value {
    json!({
        "kind": "ExecutorDeployment",
        "metadata": {"name": name, "locationname": stage.location},
        "spec": {
            "image": executor_image(), "executorType": stage.executor_type, "replicas": replicas,
            "env": {"BORN_IN": "the colony"}, "nodeSelector": {"colonies.io/node": "real"},
        },
    })
}

/// Every process that asked for a reconcile or a clean-up, and is over.
async fn answered(stage: &Stage) -> Vec<Process> {
    eventually("every process of a blueprint is answered", RUN_LIMIT, async || {
        let mut all = Vec::new();
        for state in ProcessState::ALL {
            let query = ProcessQuery::new(state).executor_type(RECONCILER_EXECUTOR_TYPE).unwrap();
            all.extend(stage.user.processes(&query).await.map_err(|error| error.to_string())?);
        }
        let open: Vec<_> = all.iter().filter(|process| !process.state.is_final()).collect();
        if open.is_empty() { Ok(all) } else { Err(format!("{open:#?}")) }
    })
    .await
}

async fn until_blueprint(
    stage: &Stage,
    name: &str,
    what: &str,
    is_so: impl Fn(&Blueprint) -> bool,
) -> Blueprint {
    colony::until_blueprint(&stage.user, name, what, START_LIMIT, is_so).await
}

fn running(blueprint: &Blueprint) -> Option<i64> {
    blueprint.status.get("runningInstances")?.as_i64()
}

pub async fn the_colonys_own_tools_drive_a_fleet(stage: Stage) {
    stage.connect().await;
    let folder = tempfile::tempdir().unwrap();
    let defined = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/blueprint-definition.json");
    colonies(&stage, &["blueprint", "definition", "add", "--spec", defined]).await;
    let wanted = file(&folder, "blueprint.json", &blueprint(&stage, "workers", 1));
    colonies(&stage, &["blueprint", "add", "--spec", &wanted]).await;

    let api = stage.namespace.api::<ExecutorDeployment>();
    eventually("the blueprint has become an object", START_LIMIT, async || {
        api.get("workers").await.map_err(|error| error.to_string())
    })
    .await;
    let fleet = Fleet::existing(&stage, "workers").await;
    let object = fleet.until_ready(1).await;
    assert_eq!(object.labels()["colonies.io/origin"], "blueprint");
    assert_eq!(object.annotations()["colonies.io/blueprint"], "workers");
    let env = object.spec.config.as_ref().unwrap().env.as_ref().unwrap();
    assert_eq!(env["BORN_IN"], "the colony");
    let told = until_blueprint(&stage, "workers", "shows its pod", |found| running(found) == Some(1)).await;
    let instance = &told.status["instances"][0];
    let pod = &fleet.pods().await.unwrap()[0];
    assert_eq!(
        (instance["type"].as_str(), instance["name"].as_str()),
        (Some("pod"), pod.metadata.name.as_deref())
    );
    let echo = stage.submit(&stage.function("echo").arg("born in the colony")).await;
    stage.until_state(&echo, ProcessState::Successful).await;

    // What others write to the status of a blueprint is theirs.
    let mut status = told.status.clone();
    status.insert("note".to_owned(), json!("of another client"));
    stage.user.update_blueprint_status("workers", &status).await.unwrap();
    colonies(&stage, &["blueprint", "set", "--name", "workers", "--key", "spec.replicas", "--value", "3"])
        .await;
    fleet.until_ready(3).await;
    let told =
        until_blueprint(&stage, "workers", "shows three pods", |found| running(found) == Some(3)).await;
    assert_eq!(told.status["note"], "of another client");

    let pods = pod_names(&fleet).await;
    let said = colonies(&stage, &["blueprint", "reconcile", "--name", "workers", "--force"]).await;
    let id = said.lines().find_map(|line| line.strip_prefix("Reconciliation process submitted: ")).unwrap();
    let forced =
        stage.until_state(&colonyos_operator::colony::ProcessId::new(id), ProcessState::Successful).await;
    assert_eq!(forced.output[0]["readyReplicas"], 3);
    eventually("all pods are other ones", START_LIMIT, async || {
        let now = pod_names(&fleet).await;
        let left: Vec<_> = now.iter().filter(|name| pods.contains(name)).collect();
        if left.is_empty() && now.len() == 3 {
            Ok(())
        } else {
            Err(format!("{now:?}, of which {left:?} are old"))
        }
    })
    .await;

    for process in answered(&stage).await {
        assert_eq!(process.state, ProcessState::Successful, "{process:#?}");
    }
    nothing_was_submitted_for_it(&stage).await;

    let executor = fleet.executor_name().await;
    colonies(&stage, &["blueprint", "remove", "--name", "workers"]).await;
    fleet.until_gone(&executor).await;
    for process in answered(&stage).await {
        assert_eq!(process.state, ProcessState::Successful, "{process:#?}");
    }
}

async fn pod_names(fleet: &Fleet<'_>) -> Vec<String> {
    let pods = fleet.pods().await.unwrap();
    pods.iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(kube::ResourceExt::name_any)
        .collect()
}

/// The blueprint's own processes carry the fleet: one more from the operator would be a second.
async fn nothing_was_submitted_for_it(stage: &Stage) {
    for state in ProcessState::ALL {
        let query = ProcessQuery::new(state).executor_type(CONTROLLER_EXECUTOR_TYPE).unwrap();
        assert_eq!(stage.user.processes(&query).await.unwrap(), [], "{state}");
    }
}

pub async fn one_side_owns_the_spec(stage: Stage) {
    stage.connect().await;
    // The operator keeps the definition when the Colony says so.
    let keep = Patch::Merge(json!({"spec": {"inbound": {"definition": "Keep"}}}));
    stage.colonies().patch(&stage.colony, &PatchParams::default(), &keep).await.unwrap();
    eventually("the operator has added the definition", START_LIMIT, async || {
        let found = stage.user.blueprint_definitions().await.map_err(|error| error.to_string())?;
        let kinds: Vec<_> = found.iter().map(|definition| definition.spec.names.kind.as_str()).collect();
        (kinds == ["ExecutorDeployment"]).then_some(()).ok_or_else(|| format!("{kinds:?}"))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let wanted = file(&folder, "blueprint.json", &blueprint(&stage, "workers", 1));
    colonies(&stage, &["blueprint", "add", "--spec", &wanted]).await;
    let api = stage.namespace.api::<ExecutorDeployment>();
    eventually("the blueprint has become an object", START_LIMIT, async || {
        api.get("workers").await.map_err(|error| error.to_string())
    })
    .await;
    let fleet = Fleet::existing(&stage, "workers").await;
    fleet.until_ready(1).await;
    fleet.until_condition("Conflict", "False", "InSync").await;

    // The colony owns it: an edit with kubectl is replaced, and both values are shown.
    let before = fleet.api().get("workers").await.unwrap().metadata.generation.unwrap();
    let namespace = stage.namespace.name.as_str();
    kubectl(&["-n", namespace, "scale", &fleet.reference(), "--replicas=2"]).await;
    let overruled = fleet.until_condition("Conflict", "True", "Overruled").await;
    assert!(
        overruled.message.contains("spec.replicas: 2 in Kubernetes, 1 in the colony"),
        "{}",
        overruled.message
    );
    let object = fleet.until_ready(1).await;
    assert_eq!(object.spec.replicas, 1);
    // One write for the edit and one for its replacement: nothing went back and forth.
    assert_eq!(object.metadata.generation, Some(before + 2));
    assert_eq!(stage.user.blueprint("workers").await.unwrap().metadata.generation, 0, "the CLI starts at 0");

    // Once the owner has moved on, no edit is overruled any more.
    colonies(&stage, &["blueprint", "set", "--name", "workers", "--key", "spec.replicas", "--value", "2"])
        .await;
    fleet.until_ready(2).await;
    fleet.until_condition("Conflict", "False", "InSync").await;

    // No side owns it: the difference is shown, and both sides stay as they are.
    fleet.change(json!({"syncPolicy": "Observe"})).await;
    colonies(&stage, &["blueprint", "set", "--name", "workers", "--key", "spec.replicas", "--value", "1"])
        .await;
    let differs = fleet.until_condition("Conflict", "True", "Differs").await;
    assert!(
        differs.message.contains("spec.replicas: 2 in Kubernetes, 1 in the colony"),
        "{}",
        differs.message
    );

    // The object owns it: what it says goes to the colony, from now on too.
    fleet.change(json!({"syncPolicy": "KubernetesWins"})).await;
    let written =
        until_blueprint(&stage, "workers", "says what the object says", |found| found.spec["replicas"] == 2)
            .await;
    // That it wrote this is on record: else its own write would look like an edit of the colony.
    fleet.until_condition("Conflict", "True", "Overruled").await;
    kubectl(&["-n", namespace, "scale", &fleet.reference(), "--replicas=1"]).await;
    let scaled = until_blueprint(&stage, "workers", "follows", |found| found.spec["replicas"] == 1).await;
    assert_eq!(scaled.metadata.generation, written.metadata.generation + 1);
    // What the new owner replaced when it became the owner is told until it moves on, which it has.
    fleet.until_condition("Conflict", "False", "InSync").await;
    colonies(&stage, &["blueprint", "set", "--name", "workers", "--key", "spec.replicas", "--value", "3"])
        .await;
    let overruled = fleet.until_condition("Conflict", "True", "Overruled").await;
    assert!(
        overruled.message.contains("spec.replicas: 1 in Kubernetes, 3 in the colony"),
        "{}",
        overruled.message
    );
    let replaced =
        until_blueprint(&stage, "workers", "is replaced", |found| found.spec["replicas"] == 1).await;
    assert_eq!(replaced.metadata.generation, scaled.metadata.generation + 2, "the edit and its replacement");
    let object = fleet.until_ready(1).await;
    let followed = object.status.unwrap().blueprint.unwrap();
    assert!(followed.generation <= replaced.metadata.generation, "{followed:?}");

    // The object owns it, hence takes it along.
    fleet.delete().await;
    wait_until_gone::<ExecutorDeployment>(&stage.namespace, "workers").await;
    assert!(stage.user.blueprint("workers").await.unwrap_err().is_not_found());
    answered(&stage).await;
}

/// A fleet for another runtime is carried by a blueprint to the runtime's reconciler, and shows what that one reports. Alone: the server
/// asks the handler of the first definition of a kind to reconcile, in whatever colony, and here that is another handler.
pub async fn a_fleet_elsewhere_is_a_blueprint(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "elsewhere", json!({"runtime": "docker", "replicas": 2})).await;
    let refused = fleet.until_condition("Mirrored", "False", "ColonyRefused").await;
    assert!(refused.message.contains("BlueprintDefinition"), "it says what is missing: {}", refused.message);

    let folder = tempfile::tempdir().unwrap();
    let defined = file(&folder, "definition.json", &definition("docker-reconciler"));
    colonies(&stage, &["blueprint", "definition", "add", "--spec", &defined]).await;
    let made = until_blueprint(&stage, "elsewhere", "is there", |_| true).await;
    assert_eq!(made.metadata.location, stage.location);
    let lonely = fleet.until_condition("Ready", "Unknown", "RuntimeNotServed").await;
    assert!(lonely.message.contains(&format!("--location {}", stage.location)), "{}", lonely.message);
    let owner = PrivateKey::from_hex(&stage.keys["the colony's owner"]).unwrap();
    let owner = stage.user.client().session(&stage.colony, owner);
    let id = PrivateKey::generate().unwrap().id().clone();
    let reconciler = NewExecutor::new(&stage.colony, "reconciler", "docker-reconciler", id).unwrap();
    owner.add_executor(&reconciler.location(&stage.location).unwrap()).await.unwrap();
    owner.approve_executor("reconciler").await.unwrap();
    assert_eq!((&made.spec["runtime"], &made.spec["replicas"]), (&json!("docker"), &json!(2)));
    fleet.until_condition("Mirrored", "True", "CarriedByBlueprint").await;
    let status = json!({"totalInstances": 2, "runningInstances": 2, "instances": []});
    stage.user.update_blueprint_status("elsewhere", status.as_object().unwrap()).await.unwrap();
    fleet
        .until("shows what the reconciler reports", START_LIMIT, |_, status| {
            let ready = status.conditions.is_true("Ready");
            (ready && status.ready_replicas == 2).then_some(()).ok_or_else(|| format!("{status:?}"))
        })
        .await;
    let namespace = stage.namespace.name.as_str();
    kubectl(&["-n", namespace, "scale", &fleet.reference(), "--replicas=5"]).await;
    let scaled = until_blueprint(&stage, "elsewhere", "is scaled", |found| found.spec["replicas"] == 5).await;
    assert_eq!(scaled.status["runningInstances"], 2, "the reconciler's word stays");
    assert_eq!(fleet.workloads().await, [] as [&str; 0], "nothing is run here");

    // What the colony owns and removes is not made anew, and the object, born here, says so and stays.
    let owned_by = async |policy: &str| {
        let patch = json!({"spec": {"syncPolicy": policy}}).to_string();
        kubectl(&["-n", namespace, "patch", &fleet.reference(), "--type=merge", "-p", &patch]).await;
    };
    owned_by("ColonyWins").await;
    colonies(&stage, &["blueprint", "remove", "--name", "elsewhere"]).await;
    fleet.until_condition("Conflict", "True", "BlueprintLost").await;
    owned_by("KubernetesWins").await;
    until_blueprint(&stage, "elsewhere", "is made anew", |found| found.spec["replicas"] == 5).await;
    fleet.delete().await;
    wait_until_gone::<ExecutorDeployment>(&stage.namespace, "elsewhere").await;
    assert!(stage.user.blueprint("elsewhere").await.unwrap_err().is_not_found());
    colonies(&stage, &["blueprint", "definition", "remove", "--name", "executor-deployment"]).await;
}
