//! Processes that are born in the colony and ask for a fleet in the cluster.

use std::fs;

use colonyos_operator::{
    api::{
        executor_deployment::ExecutorDeployment,
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION},
    },
    colony::{FunctionSpec, ProcessId, ProcessState},
};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::{
    commands::colonies,
    fleet::{Fleet, START_LIMIT},
    installation::executor_image,
    stage::Stage,
    support::{namespace::wait_until_gone, wait::eventually},
};

/// A process that asks for an object as it stands.
fn ask(stage: &Stage, name: &str, namespace: &str, spec: &Value) -> FunctionSpec {
    let function = FunctionSpec::new(&stage.colony, CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION).unwrap();
    function
        .kwarg("apiVersion", "compute.colonies.io/v1")
        .kwarg("kind", "ExecutorDeployment")
        .kwarg("metadata", json!({"name": name, "namespace": namespace}))
        .kwarg("spec", spec.clone())
}

fn spec(stage: &Stage, replicas: i32) -> Value {
    json!({
        "image": executor_image(), "executorType": stage.executor_type, "replicas": replicas,
        "nodeSelector": {"colonies.io/node": "real"},
    })
}

pub async fn a_process_becomes_a_fleet(stage: Stage) {
    stage.connect().await;
    // As a person submits it, with the colony's own tool.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("process.json");
    let asked = json!({
        "conditions": {"executortype": CONTROLLER_EXECUTOR_TYPE},
        "funcname": RECONCILE_FUNCTION,
        "kwargs": {
            "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
            "metadata": {"name": "asked-for", "namespace": stage.namespace.name}, "spec": spec(&stage, 1),
        },
        "maxexectime": 300, "maxretries": 3,
    });
    fs::write(&path, asked.to_string()).unwrap();
    colonies(&stage, &["function", "submit", "--spec", path.to_str().unwrap()]).await;
    let api = stage.namespace.api::<ExecutorDeployment>();
    eventually("the process has become an object", START_LIMIT, async || {
        api.get("asked-for").await.map_err(|error| error.to_string())
    })
    .await;
    let fleet = Fleet::existing(&stage, "asked-for").await;
    let object = fleet.until_ready(1).await;
    assert_eq!(object.labels()["colonies.io/origin"], "process");
    let id = ProcessId::new(&object.annotations()["colonies.io/process"]);
    let closed = stage.until_state(&id, ProcessState::Successful).await;
    assert_eq!(closed.output[0]["readyReplicas"], 1);
    let carried = fleet.until_condition("Mirrored", "True", "CarriedByProcess").await;
    assert!(carried.message.contains(id.as_str()), "{}", carried.message);
    let echo = stage.submit(&stage.function("echo").arg("asked for")).await;
    stage.until_state(&echo, ProcessState::Successful).await;

    // Asked again: the same object, changed.
    let again = stage.submit(&ask(&stage, "asked-for", &stage.namespace.name, &spec(&stage, 2))).await;
    let closed = stage.until_state(&again, ProcessState::Successful).await;
    assert_eq!(closed.output[0]["readyReplicas"], 2);
    let object = fleet.until_ready(2).await;
    assert_eq!(object.uid(), Some(fleet.uid.clone()));
    assert!(object.status.unwrap().mirror.is_none(), "nothing was submitted for it");

    // From here on it is a fleet like any other: a change by kubectl is carried by a process of its own.
    let generation = fleet.change(json!({"replicas": 1})).await;
    fleet.until_ready(1).await;
    fleet.until_mirrored().await;
    assert_eq!(fleet.processes(generation).await.unwrap().len(), 1);
    let executor = fleet.executor_name().await;
    fleet.delete().await;
    fleet.until_gone(&executor).await;
}

/// The requester has only the process to learn what is wrong.
pub async fn what_cannot_be_done_is_answered(stage: Stage) {
    stage.connect().await;
    let own = stage.namespace.name.as_str();
    let mine = Fleet::create(&stage, "mine", json!({})).await;
    mine.until_ready(1).await;
    let function = |name: &str| FunctionSpec::new(&stage.colony, CONTROLLER_EXECUTOR_TYPE, name).unwrap();
    let mut privileged = spec(&stage, 1);
    privileged["template"] = json!({"spec": {"hostNetwork": true}});
    let mut negative = spec(&stage, 1);
    negative["replicas"] = json!(-1);
    let mut unknown = spec(&stage, 1);
    unknown["privileged"] = json!(true);
    let cases = [
        (ask(&stage, "ok", "no-such-namespace", &spec(&stage, 1)), "no-such-namespace: create it"),
        (ask(&stage, "mine", own, &spec(&stage, 1)), "exists and is not this one's to change"),
        (ask(&stage, "negative", own, &negative), "replicas"),
        (ask(&stage, "unknown", own, &unknown), "spec.privileged: true"),
        (ask(&stage, "Bad_Name", own, &spec(&stage, 1)), "kwargs.metadata.name: \"Bad_Name\""),
        (
            function("reconcile").kwarg("kind", "Database").kwarg("blueprintName", "x"),
            "kwargs.kind: \"Database\"",
        ),
        (
            function("reconcile").kwarg("kind", "ExecutorDeployment").kwarg("blueprintName", "x"),
            "no blueprint x",
        ),
        (function("anything"), "kwargs: none"),
        (ask(&stage, "privileged", own, &privileged), "spec.template: a pod template"),
    ];
    for (asked, expected) in cases {
        let id = stage.submit(&asked).await;
        let process = stage.until_ended(&id).await;
        assert_eq!(process.state, ProcessState::Failed, "{expected}: {process:#?}");
        assert!(process.errors.join(" ").contains(expected), "{expected}: {:?}", process.errors);
    }
    let api = stage.namespace.api::<ExecutorDeployment>();
    for name in ["ok", "negative", "unknown", "privileged"] {
        assert!(api.get_opt(name).await.unwrap().is_none(), "{name}");
    }
    // Cancelled while it waits: the operator lets go of it and goes on.
    let mut never = spec(&stage, 1);
    never["nodeSelector"] = json!({"colonies.io/node": "none-such"});
    let waiting = stage.submit(&ask(&stage, "never", own, &never)).await;
    eventually("the object is there", START_LIMIT, async || {
        api.get("never").await.map_err(|error| error.to_string())
    })
    .await;
    stage.user.cancel(&waiting).await.unwrap();
    assert_eq!(stage.until_ended(&waiting).await.state, ProcessState::Cancelled);
    Fleet::existing(&stage, "never").await.delete().await;
    wait_until_gone::<ExecutorDeployment>(&stage.namespace, "never").await;
}
