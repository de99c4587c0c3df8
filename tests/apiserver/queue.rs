//! Fleets that wait in a queue of Kueue. Its part is played here by what its documentation says that it writes.

use colonyos_operator::api::executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    stage::{SOON, Stage, executor_deployment, with_operator},
    wait::eventually,
};

const QUEUE: &str = "kueue.x-k8s.io/queue-name";
const PRIORITY: &str = "kueue.x-k8s.io/priority-class";

fn fleet(stage: &Stage, name: &str, spec: &Value) -> Value {
    let mut object = serde_json::to_value(executor_deployment(name, &stage.colony.name, spec)).unwrap();
    object["metadata"]["labels"] = json!({ QUEUE: "team-a", PRIORITY: "low", "team": "a" });
    object
}

async fn pods(stage: &Stage, name: &str) -> Vec<Pod> {
    let own = ListParams::default().labels(&format!("compute.colonies.io/executor-deployment={name}"));
    stage.api::<Pod>().list(&own).await.unwrap().items
}

/// As the queue does it: selectors while the Job is suspended, then the Job runs.
async fn admit(jobs: &Api<Job>, name: &str, selector: &Value) -> Job {
    let patch = json!({ "spec": { "suspend": false, "template": { "spec": { "nodeSelector": selector } } } });
    jobs.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap()
}

fn waits_in_queue(status: &ExecutorDeploymentStatus) -> bool {
    status.reason("Progressing") == "Queued" && !status.is_true("Ready")
}

#[tokio::test]
async fn a_job_runs_when_and_where_its_queue_says() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "queue-job", async |stage| {
        let object = fleet(stage, "batch", &json!({ "workload": "Job" }));
        stage.create::<ExecutorDeployment>(object).await.unwrap();
        let waiting = stage.wait_for_status("batch", "it waits in its queue", waits_in_queue).await;
        let message = waiting.status.unwrap().message("Progressing");
        assert!(message.contains("Job batch waits in queue team-a: kubectl get workloads"), "{message}");
        let jobs = stage.api::<Job>();
        let job = jobs.get("batch").await.unwrap();
        assert_eq!(job.spec.as_ref().unwrap().suspend, Some(true));
        let labels = job.labels();
        assert_eq!((labels[QUEUE].as_str(), labels[PRIORITY].as_str()), ("team-a", "low"));
        assert!(!labels.contains_key("team"), "other labels of the fleet are its own");
        assert_eq!(pods(stage, "batch").await.len(), 0, "no pod before admission");

        // Where no node is, so that the pods wait.
        let admitted = admit(&jobs, "batch", &json!({ "pool": "reserved" })).await;
        let selected = |status: &ExecutorDeploymentStatus| status.reason("Progressing") == "PodUnschedulable";
        stage.wait_for_status("batch", "its pods are there", selected).await;
        let now = jobs.get("batch").await.unwrap();
        assert_eq!((now.uid(), now.metadata.generation), (admitted.uid(), admitted.metadata.generation));

        // The queue wants the room back, and gives other room later.
        let stop = json!({ "spec": { "suspend": true } });
        jobs.patch("batch", &PatchParams::default(), &Patch::Merge(&stop)).await.unwrap();
        stage.wait_for_status("batch", "it waits in its queue again", waits_in_queue).await;
        eventually("its pods are gone", SOON, async || {
            let left = pods(stage, "batch").await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} pods")) }
        })
        .await;
        let admitted = admit(&jobs, "batch", &json!({ "pool": null, "colonies.io/node": "kwok" })).await;
        stage.wait_for_status("batch", "it has ended", |status| status.is_true("Finished")).await;
        let ended = jobs.get("batch").await.unwrap();
        assert_eq!((ended.uid(), ended.metadata.generation), (admitted.uid(), admitted.metadata.generation));
    })
    .await;
}

#[tokio::test]
async fn a_suspended_job_leaves_its_queue_and_comes_back() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "queue-suspend", async |stage| {
        let object = fleet(stage, "batch", &json!({ "workload": "Job" }));
        stage.create::<ExecutorDeployment>(object).await.unwrap();
        stage.wait_for_status("batch", "it waits in its queue", waits_in_queue).await;
        stage.change("batch", &json!({ "suspend": true })).await;
        stage.until_gone::<Job>("batch").await;
        stage.change("batch", &json!({ "suspend": false })).await;
        stage.wait_for_status("batch", "it waits in its queue", waits_in_queue).await;
        assert_eq!(stage.api::<Job>().get("batch").await.unwrap().spec.unwrap().suspend, Some(true));
    })
    .await;
}

#[tokio::test]
async fn pods_of_a_deployment_wait_until_their_queue_admits_them() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "queue-pods", async |stage| {
        // What the queue's webhook adds to each pod.
        let gates = json!({ "spec": { "schedulingGates": [{ "name": "kueue.x-k8s.io/admission" }] } });
        let object = fleet(stage, "encoders", &json!({ "replicas": 2, "template": gates }));
        stage.create::<ExecutorDeployment>(object).await.unwrap();
        let two = |status: &ExecutorDeploymentStatus| {
            waits_in_queue(status) && status.message("Progressing").contains("2 pods wait in queue team-a")
        };
        stage.wait_for_status("encoders", "its pods wait in their queue", two).await;
        let deployment = stage.api::<Deployment>().get("encoders").await.unwrap();
        assert_eq!(deployment.labels()[QUEUE], "team-a");
        for pod in pods(stage, "encoders").await {
            let open = json!({ "spec": { "schedulingGates": null } });
            let (name, all) = (pod.name_any(), stage.api::<Pod>());
            all.patch(&name, &PatchParams::default(), &Patch::Merge(&open)).await.unwrap();
        }
        stage.wait_until_ready("encoders", 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_daemon_set_waits_in_no_queue() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "queue-nodes", async |stage| {
        let object = fleet(stage, "agents", &json!({ "workload": "DaemonSet" }));
        stage.create::<ExecutorDeployment>(object).await.unwrap();
        let told = stage
            .wait_for_status("agents", "it says why", |status| status.reason("Progressing") == "InvalidSpec")
            .await;
        let message = told.status.unwrap().message("Degraded");
        assert!(message.contains(QUEUE) && message.contains("Deployment or Job"), "{message}");
    })
    .await;
}
