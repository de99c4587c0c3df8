//! `executionGuarantee: Strict`: the process that carries an object waits behind a gate until it is on record which of
//! several it is, so that a duplicate is never assigned.

use std::time::Duration;

use colonyos_operator::{
    api::{
        colony_process::{ColonyProcess, ColonyProcessStatus},
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION, process_label},
    },
    colony::{FunctionSpec, Process, ProcessState, WorkflowSpec},
};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    stage::{SOON, Stage, with_operator},
    wait::eventually,
};

async fn node(stage: &Stage, label: &str, name: &str) -> Vec<Process> {
    let mut found = stage.colony.member.processes_labelled(label).await.unwrap();
    found.retain(|process| process.spec.node_name == name);
    found
}

#[tokio::test]
async fn a_process_behind_a_gate_is_assigned_once() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "gate", async |stage| {
        let fleets: Api<ExecutorDeployment> = stage.api();
        stage.apply("guarded", &json!({"executionGuarantee": "Strict", "replicas": 1})).await;
        let object = stage.wait_until_ready("guarded", 1).await;
        let label = process_label(&stage.cluster().await, &object.uid().unwrap(), 1);
        let (gates, runs) = (node(stage, &label, "gate").await, node(stage, &label, "run").await);
        let states = |found: &[Process]| found.iter().map(|process| process.state).collect::<Vec<_>>();
        assert_eq!((states(&gates), states(&runs)), (vec![ProcessState::Successful], vec![ProcessState::Successful]));
        let recorded = object.status.unwrap().mirror.unwrap();
        assert_eq!(recorded.process_id.as_deref(), Some(runs[0].id.as_str()));

        // An unknown workflow of the same label, as a lost answer leaves one behind.
        stage.admit(false).await;
        let wanted = json!({"executionGuarantee": "Strict", "replicas": 1});
        stage.apply("doubled", &wanted).await;
        let uid = fleets.get("doubled").await.unwrap().uid().unwrap();
        let label = process_label(&stage.cluster().await, &uid, 1);
        let colony = &stage.colony.name;
        let function = |function: &str, name: &str| {
            FunctionSpec::new(colony, CONTROLLER_EXECUTOR_TYPE, function).unwrap().label(&label).unwrap().node_name(name).unwrap()
        };
        let run = function(RECONCILE_FUNCTION, "run").depends_on("gate").unwrap();
        let workflow = WorkflowSpec::new(colony, vec![function("gate", "gate"), run]).unwrap();
        for _ in 0..2 {
            stage.operators_member().await.submit_workflow(&workflow).await.unwrap();
        }
        stage.admit(true).await;
        let object = stage.wait_until_ready("doubled", 1).await;
        let recorded = object.status.unwrap().mirror.unwrap().process_id.unwrap();
        let runs = node(stage, &label, "run").await;
        assert_eq!(runs.len(), 3, "{runs:#?}");
        for run in &runs {
            let is_recorded = run.id.as_str() == recorded;
            let expected = if is_recorded { ProcessState::Successful } else { ProcessState::Cancelled };
            assert_eq!(run.state, expected, "{run:#?}");
            assert_eq!(run.assigned_executor.is_some(), is_recorded, "a duplicate was never assigned: {run:#?}");
        }
        assert_eq!(recorded, runs[0].id.as_str(), "the oldest");

        // Deleted while it waits: the workflow goes, for its nodes cannot be cancelled by themselves.
        let nowhere = json!({"executionGuarantee": "Strict", "replicas": 1, "nodeSelector": {"colonies.io/node": "none"}});
        stage.apply("leaving", &nowhere).await;
        let uid = fleets.get("leaving").await.unwrap().uid().unwrap();
        let label = process_label(&stage.cluster().await, &uid, 1);
        eventually("its process runs", SOON, async || {
            let runs = node(stage, &label, "run").await;
            let states: Vec<_> = runs.iter().map(|run| run.state).collect();
            (states == [ProcessState::Running]).then_some(()).ok_or_else(|| format!("{states:?}"))
        })
        .await;
        fleets.delete("leaving", &kube::api::DeleteParams::default()).await.unwrap();
        eventually("it is gone", Duration::from_mins(1), async || {
            let found = fleets.get_opt("leaving").await.map_err(|error| error.to_string())?;
            found.is_none().then_some(()).ok_or_else(|| "it is there".to_owned())
        })
        .await;
        for run in node(stage, &label, "run").await {
            assert_eq!(run.state, ProcessState::Cancelled, "{run:#?}");
        }
    })
    .await;
}

/// Where the work is to run is not where its gate is opened, and of several operators in a colony only one opens it.
#[tokio::test]
async fn a_gate_is_for_the_operator_that_submitted_it() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "gatekeeper", async |stage| {
        let other = stage.colony.executor("other-operator", CONTROLLER_EXECUTOR_TYPE).await;
        let taken = async {
            loop {
                if let Some(taken) = other.assign(Duration::from_secs(1)).await.unwrap() {
                    panic!("another operator was given {taken:#?}");
                }
            }
        };
        let opened = async {
            for number in 0..8 {
                let (name, location) = (format!("pays-{number}"), (number % 2 == 0).then_some("edge-9"));
                let conditions = json!({ "executorType": "bank", "location": location });
                let object = json!({
                    "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name },
                    "spec": {
                        "colony": stage.colony.name, "function": "pay", "conditions": conditions,
                        "executionGuarantee": "Strict",
                    },
                });
                stage.create::<ColonyProcess>(object).await.unwrap();
                let is_open = |status: &ColonyProcessStatus| {
                    status.message("Finished").contains("waits for an executor of type bank")
                };
                stage.until_status::<ColonyProcess>(&name, "its gate is open", is_open).await;
            }
            stage.apply("guarded", &json!({"executionGuarantee": "Strict", "replicas": 1})).await;
            stage.apply("plain", &json!({"replicas": 1})).await;
            for name in ["guarded", "plain"] {
                let is_closed =
                    |status: &ExecutorDeploymentStatus| status.reason("Mirrored") == "ProcessSuccessful";
                stage.wait_for_status(name, "its process is closed", is_closed).await;
            }
        };
        tokio::select! { () = taken => {}, () = opened => {} }
    })
    .await;
}
