//! Executors and their registration in the colony are one thing, whatever happens to either.

use std::collections::BTreeSet;

use colonyos_operator::colony::{ExecutorState, FunctionSpec, PrivateKey, ProcessState};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{
    fleet::{Fleet, RUN_LIMIT, START_LIMIT},
    stage::Stage,
    support::wait::eventually,
};

/// An executor's type is fixed when it is registered, and so is its location.
pub async fn an_executor_follows_its_type_and_its_location(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "moving", json!({})).await;
    fleet.until_ready(1).await;
    let first = fleet.executor_name().await;

    let other_type = format!("{}-other", stage.executor_type);
    fleet.change(json!({"executorType": other_type})).await;
    let echo = FunctionSpec::new(&stage.colony, &other_type, "echo").unwrap().arg("typed");
    let echo = stage.submit(&echo).await;
    stage.until_state(&echo, ProcessState::Successful).await;
    until_removed(&stage, &first).await;
    fleet.until_ready(1).await;
    fleet.until_mirrored().await;
    let second = fleet.executor_name().await;

    // Nothing would handle what stays behind in the old colony.
    let elsewhere = Patch::Merge(json!({"spec": {"colony": "elsewhere"}}));
    let refusal = fleet.api().patch("moving", &PatchParams::default(), &elsewhere).await.unwrap_err();
    assert!(refusal.to_string().contains("colony cannot change"), "{refusal}");

    let move_it = json!({"spec": {"location": "elsewhere"}});
    stage.colonies().patch(&stage.colony, &PatchParams::default(), &Patch::Merge(move_it)).await.unwrap();
    let echo = FunctionSpec::new(&stage.colony, &other_type, "echo").unwrap();
    let echo = stage.submit(&echo.location("elsewhere").unwrap().arg("moved")).await;
    stage.until_state(&echo, ProcessState::Successful).await;
    until_removed(&stage, &second).await;
    let third = fleet.executor_name().await;

    fleet.delete().await;
    fleet.until_gone(&third).await;
}

async fn until_removed(stage: &Stage, executor: &str) {
    eventually(&format!("executor {executor} has left colony {}", stage.colony), START_LIMIT, async || {
        let found = stage.user.executor(executor).await.map_err(|error| error.to_string())?;
        (found.state == ExecutorState::Unregistered)
            .then_some(())
            .ok_or_else(|| format!("it is {}", found.state))
    })
    .await;
}

/// The server does so to executors of which it has not heard for a while; here the colony's owner does.
pub async fn one_that_the_colony_dropped_comes_back(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "dropped", json!({})).await;
    fleet.until_ready(1).await;
    let first = fleet.executor_name().await;
    let key = PrivateKey::from_hex(&stage.keys["the colony's owner"]).unwrap();
    let owner = stage.user.client().session(&stage.colony, key);
    owner.remove_executor(&first).await.unwrap();

    // Before that, its waiting long-poll could win a process that it may not close.
    eventually("it is approved again", RUN_LIMIT, async || {
        let approved = stage.approved_executors(&stage.executor_type).await?;
        (approved == [first.clone()]).then_some(()).ok_or_else(|| format!("{approved:?}"))
    })
    .await;
    let echo = stage.submit(&stage.function("echo").arg("again")).await;
    stage.until_state(&echo, ProcessState::Successful).await;
    let object = fleet.until_ready(1).await;
    assert_eq!(object.metadata.generation, Some(1));
}

/// With the webhook and the rights of the chart: two pods work at the same time, each as an executor of its own, and leave
/// nothing when they go.
pub async fn each_pod_works_as_an_executor_of_its_own(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "each", json!({"replicas": 2, "identity": "PerPod"})).await;
    fleet.until_ready(2).await;
    let registered = stage.approved_executors(&stage.executor_type).await.unwrap();
    assert_eq!(registered.len(), 2, "{registered:?}");
    let (one, other) = (stage.function("sleep").arg(3), stage.function("sleep").arg(3));
    let (one, other) = (stage.submit(&one).await, stage.submit(&other).await);
    let ran = [
        stage.until_state(&one, ProcessState::Successful).await,
        stage.until_state(&other, ProcessState::Successful).await,
    ];
    let by: BTreeSet<_> = ran.iter().map(|process| process.assigned_executor.clone()).collect();
    let executors = stage.user.executors().await.unwrap();
    let ids: BTreeSet<_> = executors
        .iter()
        .filter(|executor| registered.contains(&executor.name))
        .map(|executor| Some(executor.id.clone()))
        .collect();
    assert_eq!(by, ids, "each worked as itself");

    fleet.change(json!({"replicas": 0})).await;
    eventually("no executor without a pod", RUN_LIMIT, async || {
        let left = stage.approved_executors(&stage.executor_type).await?;
        left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}"))
    })
    .await;
    let secrets = stage.secret_names().await.unwrap();
    assert!(secrets.iter().all(|name| !name.starts_with("each-executor-identity")), "{secrets:?}");
    fleet.delete().await;
}
