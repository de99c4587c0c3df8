//! Killed with SIGKILL at any moment, again and again: every generation is one process all the same, and nothing is left
//! behind.
//!
//! The operator runs outside of the cluster here, with the rights of the chart's service account, for the kubelet would
//! let one that is killed wait longer each time.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use colonyos_operator::{
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        mirror::MirrorState,
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE, parse_process_label},
    },
    colony::{ExecutorState, Process, ProcessQuery, ProcessState},
    runtime::config::{LeaderElection, OperatorConfiguration},
};
use kube::api::ListParams;
use rand::Rng as _;
use serde_json::{Value, json};

use crate::{
    commands::kubectl,
    fleet::{Fleet, START_LIMIT},
    installation::{self, NAMESPACE, RELEASE},
    stage::Stage,
    support::{
        namespace::wait_until_gone,
        operator::{Operator, Signal},
        wait::eventually,
    },
};

/// How many objects are created, changed and deleted meanwhile.
const OBJECTS: usize = 10;
/// How often the operator is killed at least.
const KILLS: usize = 15;
/// How long the objects may take to settle. A submit that may or may not have been sent is tried again after a
/// quiet period of 15 s.
const SETTLE_LIMIT: Duration = Duration::from_mins(2);

pub async fn killed_at_any_moment_it_does_everything_once(stage: Stage) {
    stage.connect().await;
    installation::scale(0).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig).await;

    let (kills, fleets) = tokio::join!(kill_again_and_again(&kubeconfig), live(&stage));
    eprintln!("crash: killed {kills} times while {} objects lived", fleets.len());
    let (deleted, kept) = fleets.split_at(OBJECTS / 2);
    let operator = start(&kubeconfig).await;
    for fleet in deleted {
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, &fleet.name).await;
    }
    for fleet in kept {
        fleet.until("is mirrored", SETTLE_LIMIT, is_mirrored).await;
        // Looks once more, and at the number of processes.
        fleet.until_mirrored().await;
    }
    every_generation_is_one_process(&stage, &fleets).await;

    for fleet in kept {
        fleet.delete().await;
    }
    for fleet in kept {
        wait_until_gone::<ExecutorDeployment>(&stage.namespace, &fleet.name).await;
    }
    nothing_is_left(&stage).await;
    every_generation_is_one_process(&stage, &fleets).await;
    drop(operator);
    installation::scale(2).await;
}

/// An operator that leads at once: there is no other, and what it has to know is not in its memory.
async fn start(kubeconfig: &Path) -> Operator {
    let configuration = OperatorConfiguration {
        leader_election: LeaderElection { enabled: false, ..LeaderElection::default() },
        ..OperatorConfiguration::default()
    };
    let environment = [("KUBECONFIG", kubeconfig.to_str().unwrap())];
    Operator::start_in(configuration, NAMESPACE, &environment).await
}

async fn kill_again_and_again(kubeconfig: &Path) -> usize {
    for number in 0..KILLS {
        let mut operator = start(kubeconfig).await;
        // A slow machine would never let it come to a pass.
        if number % 2 == 1 {
            operator.wait_until_ready().await;
        }
        // At any moment: soon after its start, in the middle of a pass, when all is quiet.
        let life = rand::rng().random_range(50..2_500);
        tokio::time::sleep(Duration::from_millis(life)).await;
        operator.signal(Signal::Kill);
        operator.wait_for_end(Duration::from_secs(10)).await;
    }
    KILLS
}

/// Creates, scales and deletes while the operator comes and goes. The first half is deleted.
async fn live(stage: &Stage) -> Vec<Fleet<'_>> {
    // Changes come at any moment of the operator's lives; nothing is waited for.
    let pause = async || {
        let time = rand::rng().random_range(100..900);
        tokio::time::sleep(Duration::from_millis(time)).await;
    };
    let mut fleets = Vec::new();
    for number in 0..OBJECTS {
        // Types that only add digits miss wake-ups.
        let letter = char::from(b'a' + u8::try_from(number).unwrap());
        let spec = json!({"replicas": 0, "executorType": format!("{}-{letter}", stage.executor_type)});
        fleets.push(Fleet::create(stage, &format!("fleet-{letter}"), spec).await);
        pause().await;
    }
    for replicas in [1, 0, 1] {
        for fleet in &fleets {
            fleet.change(json!({"replicas": replicas})).await;
            pause().await;
        }
    }
    for fleet in fleets.iter().take(OBJECTS / 2) {
        fleet.delete().await;
        pause().await;
    }
    fleets
}

fn is_mirrored(object: &ExecutorDeployment, status: &ExecutorDeploymentStatus) -> Result<(), String> {
    let mirrored = status.mirror.as_ref().filter(|mirror| {
        Some(mirror.generation) == object.metadata.generation && mirror.state == MirrorState::Successful
    });
    mirrored.map(|_| ()).ok_or_else(|| format!("{:?}", status.mirror))
}

/// No label twice. A generation that was superseded or deleted before a pass was never submitted.
async fn every_generation_is_one_process(stage: &Stage, fleets: &[Fleet<'_>]) {
    let mut by_label: BTreeMap<String, Vec<Process>> = BTreeMap::new();
    for state in ProcessState::ALL {
        let query = ProcessQuery::new(state).executor_type(CONTROLLER_EXECUTOR_TYPE).unwrap();
        for process in stage.user.processes(&query).await.unwrap() {
            by_label.entry(process.spec.label.clone()).or_default().push(process);
        }
    }
    // Of those that were deleted, the operator may have seen none: it was dead most of the time.
    let lasting = fleets.len() - OBJECTS / 2;
    assert!(by_label.len() >= lasting, "there is something to look at: {:?}", by_label.keys());
    for (label, processes) in &by_label {
        assert_eq!(processes.len(), 1, "{label} is there more than once: {processes:#?}");
        let (_, uid, generation) = parse_process_label(label).unwrap();
        assert!(fleets.iter().any(|fleet| fleet.uid == uid) && (1..=4).contains(&generation), "{label}");
    }
}

async fn nothing_is_left(stage: &Stage) {
    eventually("nothing is left", START_LIMIT, async || {
        let executors = stage.user.executors().await.map_err(|error| error.to_string())?;
        let approved: Vec<_> = executors
            .iter()
            .filter(|executor| executor.state == ExecutorState::Approved)
            .filter(|executor| {
                ![CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE]
                    .contains(&executor.executor_type.as_str())
            })
            .map(|executor| &executor.name)
            .collect();
        let secrets = stage.secret_names().await?;
        (approved.is_empty() && secrets.is_empty())
            .then_some(())
            .ok_or_else(|| format!("executors {approved:?} and Secrets {secrets:?} are"))
    })
    .await;
    for state in [ProcessState::Waiting, ProcessState::Running] {
        let live = stage.user.processes(&ProcessQuery::new(state)).await.unwrap();
        assert!(live.is_empty(), "{live:#?}");
    }
    let left = stage.namespace.api::<ExecutorDeployment>().list(&ListParams::default()).await.unwrap();
    assert!(left.items.is_empty(), "{left:#?}");
}

/// The cluster of this process's kubeconfig, as the operator's service account.
async fn write_kubeconfig(target: &Path) {
    let shown = kubectl(&["config", "view", "--raw", "--minify", "--flatten", "--output=json"]).await;
    let mut configuration: Value = serde_json::from_str(&shown).unwrap();
    let token = kubectl(&["-n", NAMESPACE, "create", "token", RELEASE, "--duration=1h"]).await;
    let user = configuration["users"][0]["name"].clone();
    configuration["users"] = json!([{"name": user, "user": {"token": token.trim()}}]);
    fs::write(target, configuration.to_string()).unwrap();
}
