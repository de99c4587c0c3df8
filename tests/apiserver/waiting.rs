//! Why work waits, on the real servers: what status says is what the colony does.

use std::time::Duration;

use colonyos_operator::api::{
    colony_process::ColonyProcess,
    colony_workflow::ColonyWorkflow,
    request_state::{RequestState, RequestStateStatus},
    work::WorkState,
};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    conditions::Conditions as _,
    environment,
    stage::{Stage, with_operator},
    times::Planted,
    wait::eventually,
};

async fn apply(stage: &Stage, name: &str, conditions: Value) {
    let spec = json!({ "colony": stage.colony.name, "function": "encode", "conditions": conditions });
    stage.create::<ColonyProcess>(json!({ "metadata": { "name": name }, "spec": spec })).await.unwrap();
}

async fn until_says(stage: &Stage, name: &str, text: &str) {
    let says = |status: &colonyos_operator::api::colony_process::ColonyProcessStatus| {
        status.state == Some(WorkState::Waiting) && status.message("Finished").ends_with(text)
    };
    stage.until_status::<ColonyProcess>(name, text, says).await;
}

/// Creates a process, and tells how long it takes until it says what it waits for.
async fn plant(stage: &Stage, name: &str, conditions: Value, cause: &str, text: &str) {
    let planted = Planted::now(cause);
    apply(stage, name, conditions).await;
    until_says(stage, name, text).await;
    let object = stage.api::<ColonyProcess>().get(name).await.unwrap();
    planted.said(&object.status.unwrap().reason("Finished"));
}

#[tokio::test]
async fn a_process_names_what_keeps_it_from_being_taken() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "whywaits", async |stage| {
        let colony = stage.colony.name.clone();
        let worker = stage.colony.executor("w-1", "worker").await;
        let none = format!("waits for an executor of type wroker: none is registered in colony {colony} (there are: worker)");
        plant(stage, "misspelt", json!({ "executorType": "wroker" }), "no executor of the type", &none).await;
        let far = format!("1 is registered in colony {colony}, none at location mars (they have no location)");
        let at_mars = json!({ "executorType": "worker", "location": "mars" });
        plant(stage, "far", at_mars, "none at the location", &far).await;
        let named = format!("none of the names w-2 is registered in colony {colony} (there are: w-1)");
        let of_name = json!({ "executorType": "worker", "executorNames": ["w-2"] });
        plant(stage, "named", of_name, "none of the name", &named).await;
        let spec = json!({ "colony": colony, "nodes": [
            { "name": "a", "function": "encode", "conditions": { "executorType": "nowhere" } },
            { "name": "b", "function": "encode", "conditions": { "executorType": "worker" }, "dependencies": ["a"] },
        ] });
        stage.create::<ColonyWorkflow>(json!({ "metadata": { "name": "graph" }, "spec": spec })).await.unwrap();
        let unserved = format!("an executor of type nowhere: none is registered in colony {colony} (there are: worker) for node a");
        let says = |status: &colonyos_operator::api::colony_workflow::ColonyWorkflowStatus| {
            status.message("Finished").ends_with(&unserved)
        };
        stage.until_status::<ColonyWorkflow>("graph", &unserved, says).await;

        // What comes later is said without a write to the object.
        let _late = stage.colony.executor("n-1", "wroker").await;
        until_says(stage, "misspelt", "waits for an executor of type wroker").await;
        drop(worker);
    })
    .await;
}

#[tokio::test]
async fn a_paused_colony_is_named_and_a_long_wait_is_one_warning() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "pausedcolony", async |stage| {
        let _worker = stage.colony.executor("w-1", "worker").await;
        stage.colony.owner.pause_assignments().await.unwrap();
        let paused = format!("assignments in colony {} are paused", stage.colony.name);
        plant(stage, "held", json!({ "executorType": "worker" }), "assignments are paused", &paused).await;
        let events: Api<Event> = stage.api();
        let warned = eventually("a Warning tells of it", Duration::from_mins(1), async || {
            let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let is_it = |event: &Event| event.reason.as_deref() == Some("AssignmentsPaused");
            let found: Vec<Event> = all.items.into_iter().filter(is_it).collect();
            if found.is_empty() { Err("there is none".to_owned()) } else { Ok(found) }
        })
        .await;
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert_eq!(warned[0].type_.as_deref(), Some("Warning"));
        assert!(warned[0].note.as_deref().unwrap_or_default().contains("paused"), "{warned:?}");
        stage.colony.owner.resume_assignments().await.unwrap();
        until_says(stage, "held", "waits for an executor of type worker").await;
    })
    .await;
}

/// Each cause, planted, in the object that people look at.
#[tokio::test]
async fn busy_executors_a_graph_and_a_request_are_named() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "whybusy", async |stage| {
        let colony = stage.colony.name.clone();
        let worker = stage.colony.executor("w-1", "worker").await;
        apply(stage, "first", json!({ "executorType": "worker" })).await;
        let taken = assigned(&worker).await;
        let since = taken.started_at.unwrap().to_string();
        let since = format!("{}Z", since.split('.').next().unwrap().trim_end_matches('Z'));
        let busy = format!("waits for an executor of type worker: the only one that fits is busy since {since}; ");
        let first = format!("{busy}nothing is before it in the queue");
        plant(stage, "second", json!({ "executorType": "worker" }), "all executors are busy", &first).await;
        apply(stage, "third", json!({ "executorType": "worker" })).await;
        until_says(stage, "third", &format!("{busy}1 process is before it in the queue")).await;
        worker.close_successful(&taken.id, &[]).await.unwrap();
        let next = assigned(&worker).await;
        assert_ne!(next.id, taken.id);
        let moved = |status: &colonyos_operator::api::colony_process::ColonyProcessStatus| {
            status.message("Finished").ends_with("; nothing is before it in the queue")
        };
        stage.until_status::<ColonyProcess>("third", "it has moved up", moved).await;

        let spec = json!({ "colony": colony, "nodes": [
            { "name": "a", "function": "encode", "conditions": { "executorType": "nowhere" } },
            { "name": "b", "function": "encode", "conditions": { "executorType": "worker" }, "dependencies": ["a"] },
        ] });
        stage.create::<ColonyWorkflow>(json!({ "metadata": { "name": "graph" }, "spec": spec })).await.unwrap();
        let says = |status: &colonyos_operator::api::colony_workflow::ColonyWorkflowStatus| {
            let waits: Vec<&str> = status.nodes.iter().filter_map(|node| node.waits_for.as_deref()).collect();
            waits.len() == 2 && waits[0].contains("of type nowhere: none is registered") && waits[1] == "node a"
        };
        stage.until_status::<ColonyWorkflow>("graph", "each node says what it waits for", says).await;

        let object = json!({
            "metadata": { "name": "lost", "annotations": { "colonies.io/colony": colony, "colonies.io/flow": "nowhere",
                                                           "colonies.io/roles": "Director,Worker" } },
            "spec": { "request-uid": "u", "job": "JOB1", "state": "REQUESTED" },
        });
        let planted = Planted::now("a request with an unknown flow");
        stage.create::<RequestState>(object).await.unwrap();
        let says = |status: &RequestStateStatus| {
            status.reason("Finished") == "FlowUnusable" && status.message("Finished").contains("no RequestFlow nowhere")
        };
        stage.until_status::<RequestState>("lost", "it names the flow that is not there", says).await;
        planted.said("FlowUnusable");

        let explained = explain(stage, "colonyprocess/third", &[]).await;
        assert!(explained.contains("What would change it:\n  nothing: it is taken when an executor is free"), "{explained}");
        let explained: Value = serde_json::from_str(&explain(stage, "cwf/graph", &["-o", "json"]).await).unwrap();
        assert_eq!(explained["kind"], "ColonyWorkflow", "{explained}");
        assert!(explained["waitsFor"][0].as_str().unwrap().contains("of type nowhere"), "{explained}");
        let explained = explain(stage, "requeststate/lost", &["-o", "yaml"]).await;
        assert!(explained.contains("create or correct the RequestFlow"), "{explained}");
    })
    .await;
}

/// As a user types it.
async fn explain(stage: &Stage, object: &str, more: &[&str]) -> String {
    let built = env!("CARGO_BIN_EXE_colonyos-operator");
    let mut typed = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built));
    typed.args(["explain", object, "--namespace", &stage.namespace.name]).args(more);
    let output = typed.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
