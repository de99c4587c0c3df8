//! The shipped path: what the README and the examples say, done as they say it.

use colonyos_operator::{
    api::executor_deployment::ExecutorDeployment,
    colony::{ExecutorState, FunctionSpec, ProcessState},
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::Fleet,
    installation::TEST_LABEL,
    kinds::the_example_kinds_run,
    stage::{ColonyAddress, Stage},
};

/// Of `order-4711`, by sha256.
const DIGEST: &str = "173d0ddbff034193face7ce60d3f58b416940a4c29306f9af512e4e8f2bf61e3";
/// Of that text, once more.
const DIGEST_OF_DIGEST: &str = "7e2cfea6944291a3dee5242a980e2346151efcfd73d66c07bea351b6a5a46e6a";

/// Two manifests as they are in the repository: one that this cluster carries out, one that is for another runtime.
pub async fn the_examples_apply_unchanged_and_work(stage: Stage) {
    let address =
        ColonyAddress { host: stage.server.host.clone(), port: stage.server.port, is_default: true };
    stage.connect_by(&address).await;
    let ready = "--for=condition=Ready";
    kubectl(&["wait", ready, &format!("colony/{}", stage.colony), "--timeout=5m"]).await;

    let namespace = stage.namespace.name.as_str();
    kubectl(&["-n", namespace, "apply", "-f", &example("fleet.yaml")]).await;
    kubectl(&["-n", namespace, "wait", ready, "executordeployment/workers", "--timeout=5m"]).await;
    let fleet = Fleet::existing(&stage, "workers").await;
    let object = fleet.until_ready(2).await;
    pods_run_on_a_real_node(&fleet).await;
    executor_is_listed(&stage, &object).await;
    processes_are_run(&stage, &fleet).await;
    generation_is_mirrored(&stage, &fleet).await;
    work_is_done(namespace).await;
    let row = kubectl(&["-n", namespace, "get", "executordeployments", "workers", "--no-headers"]).await;
    let columns: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        columns.get(1..9),
        Some(
            &["kubernetes", "Deployment", "2", "2", "worker", "Ready", "AllReplicasReady", "Successful"][..]
        ),
        "{row}"
    );

    tokio::join!(fleet_of_another_runtime(&stage), the_example_kinds_run(&stage));
}

async fn pods_run_on_a_real_node(fleet: &Fleet<'_>) {
    let pods = fleet.pods().await.unwrap();
    assert_eq!(pods.len(), 2);
    let nodes = Api::<Node>::all(fleet.stage.namespace.kubernetes.calls.clone());
    for pod in pods {
        assert_eq!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Running"));
        let node = nodes.get(pod.spec.as_ref().unwrap().node_name.as_ref().unwrap()).await.unwrap();
        let runtime = node.status.unwrap().node_info.unwrap().container_runtime_version;
        assert!(runtime.starts_with("containerd://"), "{runtime}: nothing really runs there");
    }
}

async fn executor_is_listed(stage: &Stage, object: &ExecutorDeployment) {
    let executors = stage.user.executors().await.unwrap();
    let [executor] =
        &executors.iter().filter(|executor| executor.executor_type == "worker").collect::<Vec<_>>()[..]
    else {
        panic!("one executor of type worker is expected: {executors:#?}");
    };
    assert_eq!((executor.state, &executor.location), (ExecutorState::Approved, &stage.location));
    let told = object.status.as_ref().unwrap().executor.as_ref().unwrap();
    assert_eq!((&told.name, told.id.as_str()), (&executor.name, executor.id.as_str()));
}

async fn processes_are_run(stage: &Stage, fleet: &Fleet<'_>) {
    let function = |name: &str| FunctionSpec::new(&stage.colony, "worker", name).unwrap();
    let echo = stage.submit(&function("echo").arg("hello").kwarg("to", "you")).await;
    let digest = stage.submit(&function("sha256").arg("abc")).await;
    let expected = [
        (echo, json!(["hello", {"to": "you"}])),
        (digest, json!(["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"])),
    ];
    for (id, output) in expected {
        let process = stage.until_state(&id, ProcessState::Successful).await;
        assert_eq!(json!(process.output), output);
        let executor = stage.user.executor_by_id(&process.assigned_executor.unwrap()).await.unwrap();
        assert_eq!(executor.name, fleet.executor_name().await);
        let selector = "compute.colonies.io/executor-deployment=workers";
        let log = kubectl(&["-n", &stage.namespace.name, "logs", "-l", selector, "--tail=-1"]).await;
        assert!(log.contains(&id.to_string()), "a pod has run process {id}: {log}");
    }
}

/// Objects that are work, done by the pods of the fleet.
async fn work_is_done(namespace: &str) {
    kubectl(&["-n", namespace, "apply", "-f", &example("work.yaml")]).await;
    let objects = ["colonyprocess/hash", "requeststate/order-4711"];
    kubectl(&["-n", namespace, "wait", "--for=condition=Finished", objects[0], objects[1], "--timeout=5m"])
        .await;
    let of = async |object: &str, path: &str| kubectl(&["-n", namespace, "get", object, "-o", path]).await;
    let hash = of(objects[0], "jsonpath={.status.state} {.status.output[0]}").await;
    assert_eq!(hash, "Succeeded 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let history = of(objects[1], "jsonpath={range .status.history[*]}{.job} {.state},{end}").await;
    let expected =
        "FIRST REQUESTED,FIRST STARTED,FIRST COMPLETED,SECOND REQUESTED,SECOND STARTED,SECOND COMPLETED,";
    assert_eq!(history, expected);
    // sha256 of "order-4711", and of that.
    let outputs = of(objects[1], "jsonpath={.status.jobs[*].output[0]}").await;
    let outputs: Vec<&str> = outputs.split_whitespace().collect();
    assert_eq!(outputs, [DIGEST, DIGEST_OF_DIGEST]);
}

async fn generation_is_mirrored(stage: &Stage, fleet: &Fleet<'_>) {
    let process = fleet.until_mirrored().await;
    let object = fleet.api().get(&fleet.name).await.unwrap();
    assert_eq!(process.spec.function, "reconcile_executor_deployment");
    assert_eq!(process.spec.conditions.executor_type, "executor-deployment-controller");
    assert_eq!(process.spec.conditions.executor_names.len(), 1, "of several operators it is for this one");
    let kwargs: Vec<&str> = process.spec.kwargs.keys().map(String::as_str).collect();
    assert_eq!(kwargs, ["apiVersion", "kind", "metadata", "spec"]);
    let text = |name: &str| process.spec.kwargs[name].as_str().unwrap();
    assert_eq!((text("apiVersion"), text("kind")), ("compute.colonies.io/v1", "ExecutorDeployment"));
    assert_eq!(
        process.spec.kwargs["metadata"],
        json!({"name": "workers", "namespace": stage.namespace.name, "uid": object.uid(), "generation": 1})
    );
    // Members of the colony read the process, and no value of a variable in it.
    let mut told = serde_json::to_value(&object.spec).unwrap();
    told["config"]["env"]["GREETING"] = json!("(not shown)");
    assert_eq!(process.spec.kwargs["spec"], told);
    assert_eq!(
        process.output,
        [
            json!({"observedGeneration": 1, "workload": {"kind": "Deployment", "name": "workers"}, "replicas": 2,
                "readyReplicas": 2})
        ]
    );
    let operator = stage.user.executor_by_id(&process.assigned_executor.unwrap()).await.unwrap();
    let connected = stage.colonies().get(&stage.colony).await.unwrap().status.unwrap();
    assert_eq!(Some(operator.name), connected.operator_executor);
}

/// Its manifest was written for another system, and names the namespace `dev`.
async fn fleet_of_another_runtime(stage: &Stage) {
    let namespaces = Api::<Namespace>::all(stage.namespace.kubernetes.calls.clone());
    let is_new = namespaces.get_opt("dev").await.unwrap().is_none();
    if is_new {
        let labels = [(TEST_LABEL.to_owned(), "e2e".to_owned())];
        let metadata =
            ObjectMeta { name: Some("dev".to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    kubectl(&["apply", "-f", &example("executor-deployment.yaml")]).await;
    let mut there = stage.clone();
    there.namespace.name = "dev".to_owned();
    let fleet = Fleet::existing(&there, "ml-training-executors").await;
    let ready = fleet.until_condition("Ready", "Unknown", "RuntimeNotServed").await;
    assert!(ready.message.contains("runtime docker"), "{}", ready.message);
    assert_eq!(fleet.workloads().await, [] as [&str; 0], "nothing is run here");
    let row = kubectl(&["-n", "dev", "get", "executordeployments", "--no-headers"]).await;
    assert!(row.contains("docker") && row.contains("RuntimeNotServed"), "{row}");
    fleet.delete().await;
    crate::support::namespace::wait_until_gone::<ExecutorDeployment>(&there.namespace, &fleet.name).await;
    if is_new {
        namespaces.delete("dev", &DeleteParams::background()).await.unwrap();
    }
}

fn example(file: &str) -> String {
    format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"))
}
