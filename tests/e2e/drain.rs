//! What an executor runs is finished, whatever happens to its pod.

use colonyos_operator::colony::{LogQuery, Process, ProcessId, ProcessState};
use serde_json::json;

use crate::{commands::kubectl, fleet::Fleet, stage::Stage};

/// Well below the 30 s that a pod has to end, and well above what it takes to notice.
const SECONDS: u32 = 8;

pub async fn no_running_process_is_lost(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "busy", json!({"replicas": 2})).await;
    fleet.until_ready(2).await;
    let executor = fleet.executor_name().await;

    let sleepers = [submit_sleep(&stage).await, submit_sleep(&stage).await];
    let mut running = Vec::new();
    for id in &sleepers {
        running.push(stage.until_state(id, ProcessState::Running).await);
    }
    kubectl(&["-n", &stage.namespace.name, "scale", &fleet.reference(), "--replicas=0"]).await;
    for process in &running {
        finished_once(&stage, process).await;
    }
    fleet.until_pods(0).await;

    fleet.change(json!({"replicas": 1})).await;
    fleet.until_ready(1).await;
    let last = submit_sleep(&stage).await;
    let last = stage.until_state(&last, ProcessState::Running).await;
    fleet.delete().await;
    finished_once(&stage, &last).await;
    fleet.until_gone(&executor).await;
}

async fn submit_sleep(stage: &Stage) -> ProcessId {
    stage.submit(&stage.function("sleep").arg(SECONDS)).await
}

/// It ends well, with what ran it being what began it.
async fn finished_once(stage: &Stage, running: &Process) {
    let process = stage.until_state(&running.id, ProcessState::Successful).await;
    assert_eq!(process.output, [json!(SECONDS * 1000)]);
    assert_eq!((process.retries, process.started_at), (0, running.started_at), "it was run once");
    let log = stage.user.logs(&LogQuery::new(process.id)).await.unwrap();
    let lines: Vec<&str> = log.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["running sleep", "succeeded"]);
}
