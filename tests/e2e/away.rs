//! A colony that is away for a while, and one that answers no submit.

use colonyos_operator::{
    api::{executor_deployment::ExecutorDeployment, mirror::MirrorState},
    colony::ProcessState,
};
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::{Fleet, RUN_LIMIT, START_LIMIT},
    relay::Relay,
    stage::{ColonyAddress, Stage},
    support::{conditions::Conditions as _, namespace::wait_until_gone, wait::eventually},
};

pub async fn work_goes_on_without_the_colony(stage: Stage) {
    let relay = Relay::start(&stage.server, 0).await;
    let port = relay.port;
    let address = ColonyAddress { host: stage.server.host.clone(), port, is_default: false };
    stage.connect_by(&address).await;
    let fleet = Fleet::create(&stage, "old", json!({})).await;
    fleet.until_ready(1).await;
    let first = fleet.until_mirrored().await;
    let short = Fleet::create(&stage, "short", json!({})).await;
    short.until_ready(1).await;
    short.until_mirrored().await;

    drop(relay);
    let colony = stage.until_connected(false).await;
    let conditions = colony.status.unwrap().conditions;
    let ready = conditions.condition("Ready").unwrap();
    assert_eq!(ready.reason, "ColonyUnavailable");
    let namespace = stage.namespace.name.as_str();
    for replicas in ["--replicas=3", "--replicas=2"] {
        kubectl(&["-n", namespace, "scale", &fleet.reference(), replicas]).await;
        fleet.until_ready(replicas.trim_start_matches("--replicas=").parse().unwrap()).await;
    }
    let lag = fleet.until_condition("Mirrored", "False", "ColonyUnavailable").await;
    assert!(lag.message.contains(&stage.colony), "it says which colony, and why: {}", lag.message);
    let late = Fleet::create(&stage, "late", json!({})).await;
    late.until_ready(1).await;
    late.until_condition("Mirrored", "False", "ColonyUnavailable").await;

    nothing_is_held_up_for_ever(&stage, &short).await;

    let relay = Relay::start(&stage.server, port).await;
    stage.until_connected(true).await;
    let last = fleet.until_mirrored().await;
    assert_ne!(last.id, first.id);
    late.until_mirrored().await;
    for (fleet, generations) in [(&fleet, 3), (&late, 1)] {
        for generation in 1..=generations {
            let processes = fleet.processes(generation).await.unwrap();
            // One that was over before the colony came back was never asked for there.
            assert!(processes.len() <= 1, "{} {generation}: {processes:#?}", fleet.name);
        }
    }
    late.executor_name().await;
    let echo = stage.submit(&stage.function("echo").arg("back")).await;
    assert_eq!(stage.until_state(&echo, ProcessState::Successful).await.output, [json!("back")]);

    answers_are_lost(&stage, &relay, &fleet).await;
    // While the colony can be reached: they wait for it otherwise.
    for fleet in [fleet, late] {
        let executor = fleet.executor_name().await;
        fleet.delete().await;
        fleet.until_gone(&executor).await;
    }
}

/// Deletion waits for the colony, and says how not to; but not where there is nothing in the colony.
async fn nothing_is_held_up_for_ever(stage: &Stage, fleet: &Fleet<'_>) {
    let unborn = Fleet::create(stage, "unborn", json!({})).await;
    unborn.until_ready(1).await;
    unborn.delete().await;
    wait_until_gone::<ExecutorDeployment>(&stage.namespace, "unborn").await;

    fleet.delete().await;
    fleet.until_pods(0).await;
    eventually("status says what deletion waits for", START_LIMIT, async || {
        let object = fleet.api().get("short").await.map_err(|error| error.to_string())?;
        let conditions = object.status.unwrap_or_default().conditions;
        let progressing = conditions.condition("Progressing").map(|found| found.message.clone());
        let told = progressing.unwrap_or_default();
        (told.contains("waiting for") && told.contains("colony"))
            .then_some(())
            .ok_or_else(|| format!("it says {told:?}"))
    })
    .await;
    let namespace = stage.namespace.name.as_str();
    kubectl(&["-n", namespace, "annotate", &fleet.reference(), "colonies.io/abandon-remote=true"]).await;
    wait_until_gone::<ExecutorDeployment>(&stage.namespace, "short").await;
}

/// The process is on the server, and its reply was lost: it is found by its label, not submitted again.
async fn answers_are_lost(stage: &Stage, relay: &Relay, fleet: &Fleet<'_>) {
    relay.lose_answers_to_submits(true);
    kubectl(&["-n", &stage.namespace.name, "scale", &fleet.reference(), "--replicas=1"]).await;
    eventually("an answer to a submit is lost", RUN_LIMIT, async || {
        (relay.lost() >= 1).then_some(()).ok_or_else(|| "none is".to_owned())
    })
    .await;
    // While answers are still lost: the look-up gets its answer.
    fleet
        .until("knows its process", START_LIMIT, |object, status| match &status.mirror {
            Some(mirror)
                if Some(mirror.generation) == object.metadata.generation
                    && mirror.state != MirrorState::Intended =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        })
        .await;
    relay.lose_answers_to_submits(false);
    fleet.until_mirrored().await;
    assert_eq!(relay.lost(), 1, "one answer was lost, and no second submit was sent");
}
