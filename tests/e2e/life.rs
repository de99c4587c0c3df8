//! A fleet from its creation to its end.

use std::collections::BTreeSet;

use colonyos_operator::colony::ExecutorState;
use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::{Fleet, START_LIMIT},
    installation::{executor_image, operator_image},
    stage::Stage,
    support::wait::eventually,
};

pub async fn it_is_scaled_changed_suspended_and_deleted(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "fleet", json!({})).await;
    let created = fleet.until_ready(1).await;
    let executor = fleet.executor_name().await;
    fleet.until_mirrored().await;

    let namespace = stage.namespace.name.as_str();
    kubectl(&["-n", namespace, "scale", &fleet.reference(), "--replicas=3"]).await;
    let scaled = fleet.until_ready(3).await;
    assert_eq!(scaled.metadata.generation, created.metadata.generation.map(|before| before + 1));
    fleet.until_mirrored().await;

    let image = "localhost/executor:dev";
    assert_ne!(image, executor_image());
    fleet.change(json!({"image": image})).await;
    fleet.until_ready(3).await;
    eventually("all pods have the new image", START_LIMIT, async || {
        let images = images(&fleet).await?;
        (images == BTreeSet::from([image.to_owned()])).then_some(()).ok_or_else(|| format!("{images:?}"))
    })
    .await;
    fleet.until_mirrored().await;
    assert_eq!(fleet.executor_name().await, executor, "an image is no reason for another identity");

    fleet.change(json!({"suspend": true})).await;
    fleet.until_condition("Ready", "False", "Suspended").await;
    fleet.until_pods(0).await;
    let registered = stage.user.executor(&executor).await.unwrap();
    assert_eq!(registered.state, ExecutorState::Approved, "it comes back");
    fleet.until_mirrored().await;
    let generation = fleet.change(json!({"suspend": false, "replicas": 2})).await;
    fleet.until_ready(2).await;
    fleet.until_mirrored().await;

    kubectl(&["-n", namespace, "delete", &fleet.reference(), "--timeout=5m"]).await;
    fleet.until_gone(&executor).await;
    for generation in 1..=generation {
        let processes = fleet.processes(generation).await.unwrap();
        assert_eq!(processes.len(), 1, "generation {generation}: {processes:#?}");
        assert!(processes[0].state.is_final(), "generation {generation}: {}", processes[0].state);
    }
}

async fn images(fleet: &Fleet<'_>) -> Result<BTreeSet<String>, String> {
    let pods = fleet.pods().await?;
    Ok(pods.iter().filter_map(|pod| pod.spec.as_ref()?.containers.first()?.image.clone()).collect())
}

pub async fn one_workload_takes_the_place_of_another(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "fleet", json!({})).await;
    fleet.until_ready(1).await;
    let executor = fleet.executor_name().await;
    assert_eq!(fleet.workloads().await, ["Deployment"]);

    fleet.change(json!({"workload": "DaemonSet"})).await;
    // One on each node that is not tainted; there is one such node at least.
    fleet
        .until("runs on each node", START_LIMIT, |_, status| {
            let is_ready = status.state.as_deref() == Some("Ready");
            (is_ready && status.ready_replicas >= 1 && status.desired_replicas == Some(status.ready_replicas))
                .then_some(())
                .ok_or_else(|| format!("{:?}", status.state))
        })
        .await;
    assert_eq!(fleet.workloads().await, ["DaemonSet"]);
    fleet.until_mirrored().await;

    // Executors that end by themselves: the operator's image has a program that does.
    let ending = json!({"workload": "Job", "replicas": 2, "image": operator_image(),
                        "command": ["/colonyos-operator"], "args": ["crds"]});
    fleet.change(ending).await;
    let namespace = stage.namespace.name.as_str();
    kubectl(&["-n", namespace, "wait", "--for=condition=Finished", &fleet.reference(), "--timeout=5m"]).await;
    fleet.until_condition("Finished", "True", "JobCompleted").await;
    assert_eq!(fleet.workloads().await, ["Job"]);
    let job = stage.namespace.api::<Job>().get("fleet").await.unwrap();
    assert_eq!(job.status.and_then(|status| status.succeeded), Some(2));
    fleet.until_mirrored().await;

    fleet.delete().await;
    fleet.until_gone(&executor).await;
}
