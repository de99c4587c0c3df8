//! `colonyos-operator reconciler --runtime local` on a real server: fleets of processes that follow their blueprints.

use std::{collections::BTreeSet, fs, time::Duration};

use colonyos_operator::colony::{PrivateKey, ProcessState};
use rand::Rng as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    executor::executor_binary,
    lab::{Lab, begun, slot, work_for},
    stage::until,
    support::program::{Signal, send},
};

async fn lab() -> Lab {
    Lab::new(&["--runtime", "local"]).await
}

fn spec(lab: &Lab, replicas: u32) -> Value {
    json!({
        "replicas": replicas, "executorType": lab.stage.executor_type, "command": [executor_binary()],
        "env": {"EXECUTOR_POLL_SECONDS": "2", "MODEL_CACHE_DIR": "/models"},
    })
}

#[tokio::test]
async fn a_fleet_of_processes_follows_its_blueprint() {
    let lab = lab().await;
    let state = TempDir::new().unwrap();
    let reconciler = lab.start(&state);
    lab.add("ml", spec(&lab, 3)).await;
    let first = lab.until_running("ml", 3).await;
    let names: Vec<_> = first.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["ml-0-1", "ml-1-1", "ml-2-1"]);
    for line in [
        "ml: Current replicas: 0, Desired: 3",
        "Scaling up: starting 3 processes",
        "Started process ml-0-1 (",
    ] {
        assert!(reconciler.output().contains(line), "{line}: {}", reconciler.output());
    }
    reconciler.wait_for("Reconciliation complete: 3 replicas running", Duration::from_secs(30)).await;

    // Each is an executor with a key of its own, has what the blueprint gives, and nothing of the owner's.
    let owner_key = lab.owner_key.to_hex();
    let mut keys = BTreeSet::new();
    for found in &first {
        let environment =
            String::from_utf8_lossy(&fs::read(format!("/proc/{}/environ", found.pid)).unwrap()).into_owned();
        assert!(
            environment.contains("MODEL_CACHE_DIR=/models") && environment.contains("COLONIES_DEPLOYMENT=ml")
        );
        assert!(!environment.contains(owner_key.as_str()));
        let key = environment.split('\0').find_map(|one| one.strip_prefix("COLONIES_PRVKEY=")).unwrap();
        assert_eq!(PrivateKey::from_hex(key).unwrap().id().to_string(), found.id);
        keys.insert(key.to_owned());
        let process = work_for(&lab.stage, &found.name, 0.01).await;
        lab.stage.until_state(&process.id, ProcessState::Successful).await;
    }
    assert_eq!(keys.len(), 3);
    until("the server's process is answered", || async {
        let closed = lab.closed("reconcile", ProcessState::Successful).await;
        closed.into_iter().find(|process| process.output[0]["blueprint"] == "ml")
    })
    .await;

    lab.scale("ml", 5).await;
    let five = lab.until_running("ml", 5).await;
    assert!(first.iter().all(|found| five.contains(found)), "{first:?} {five:?}");

    // One that is to go finishes what it has.
    let work = work_for(&lab.stage, "ml-4-1", 3.0).await;
    lab.stage.until_state(&work.id, ProcessState::Running).await;
    lab.scale("ml", 1).await;
    let one = lab.until_running("ml", 1).await;
    assert_eq!(one[0], first[0]);
    assert_eq!(lab.stage.user.process(&work.id).await.unwrap().state, ProcessState::Successful);
    assert_eq!(begun(&lab.stage.user, &work).await, 1);

    // A new generation is a new executor with a new key.
    lab.scale("ml", 2).await;
    let before = lab.until_running("ml", 2).await;
    lab.change("ml", |spec| spec["env"]["MODEL_CACHE_DIR"] = json!("/other")).await;
    until("both are of the new generation", || async {
        let after = lab.processes();
        let is_new =
            after.len() == 2 && after.iter().all(|found| before.iter().all(|old| old.id != found.id));
        is_new.then_some(())
    })
    .await;
    for found in lab.until_running("ml", 2).await {
        let environment = fs::read(format!("/proc/{}/environ", found.pid)).unwrap();
        assert!(String::from_utf8_lossy(&environment).contains("MODEL_CACHE_DIR=/other"));
    }

    // What has ended is replaced, with its executor.
    let victim = lab.processes().remove(0);
    send(victim.pid, Signal::Kill);
    until("it is replaced", || async { lab.processes().iter().all(|found| *found != victim).then_some(()) })
        .await;
    lab.until_running("ml", 2).await;

    lab.stage.user.remove_blueprint("ml").await.unwrap();
    until("nothing is left", || async {
        (lab.processes().is_empty() && lab.executors().await.is_empty()).then_some(())
    })
    .await;
    // The server queues the cleanup for the handler of the first definition of the kind in any colony, so here it may be another's:
    // what is left is found without it.
}

#[tokio::test]
async fn a_blueprint_that_cannot_be_read_is_told_and_stops_no_other() {
    let lab = lab().await;
    let state = TempDir::new().unwrap();
    let _reconciler = lab.start(&state);
    lab.add("bad", json!({"replicas": 2, "executorType": lab.stage.executor_type, "image": "an/image"}))
        .await;
    lab.add("good", spec(&lab, 1)).await;
    lab.until_running("good", 1).await;
    until("its status says why", || async {
        let status = lab.stage.user.blueprint("bad").await.unwrap().status;
        status
            .get("message")
            .and_then(Value::as_str)
            .filter(|message| message.contains("spec.command"))
            .map(drop)
    })
    .await;
    until("its process says why", || async {
        let failed = lab.closed("reconcile", ProcessState::Failed).await;
        failed
            .iter()
            .any(|process| process.errors.iter().any(|error| error.contains("spec.command")))
            .then_some(())
    })
    .await;
}

/// Wherever the reconciler is killed, what runs and what is registered come together again, and no work is begun twice.
#[tokio::test]
async fn killed_at_any_point_it_doubles_loses_and_interrupts_nothing() {
    const ROUNDS: usize = 25;
    let lab = lab().await;
    let state = TempDir::new().unwrap();
    let (mut work, mut most) = (Vec::new(), 0);
    lab.add("ml", spec(&lab, 3)).await;
    for round in 0..ROUNDS {
        let reconciler = lab.start(&state);
        let (replicas, pause) = {
            let mut chance = rand::rng();
            (chance.random_range(1..=5), chance.random_range(0..3000))
        };
        if round % 2 == 1 {
            lab.scale("ml", replicas).await;
        }
        for _ in 0..3 {
            work.push(lab.stage.user.submit(&lab.stage.spec("sleep").arg(0.3)).await.unwrap());
        }
        // By chance: the point at which it is killed is what is tried.
        tokio::time::sleep(Duration::from_millis(pause)).await;
        reconciler.signal(Signal::Kill);
        drop(reconciler);
        let found = lab.processes();
        let slots: BTreeSet<_> = found.iter().map(|found| slot(&found.name).to_owned()).collect();
        assert_eq!(slots.len(), found.len(), "doubled: {found:?}");
        most = most.max(found.len());
    }
    lab.scale("ml", 4).await;
    let _reconciler = lab.start(&state);
    lab.until_running("ml", 4).await;
    let mut interrupted = 0;
    for process in &work {
        lab.stage.until_state(&process.id, ProcessState::Successful).await;
        interrupted += begun(&lab.stage.user, process).await - 1;
    }
    println!("{ROUNDS} kills, at most {most} replicas, {} processes, {interrupted} interrupted", work.len());
    assert_eq!(interrupted, 0);
}

/// Two hosts at one location share the slots: the colony gives each name to one of them.
#[tokio::test]
async fn two_reconcilers_of_one_location_do_not_double() {
    let lab = lab().await;
    let states = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let _both = states.each_ref().map(|state| lab.start(state));
    lab.add("ml", spec(&lab, 6)).await;
    for count in [6, 8, 2] {
        lab.scale("ml", u32::try_from(count).unwrap()).await;
        until(&format!("{count} run"), || async {
            let found = lab.processes();
            let slots: BTreeSet<_> = found.iter().map(|found| slot(&found.name).to_owned()).collect();
            assert_eq!(slots.len(), found.len(), "doubled: {found:?}");
            (found.len() == count && lab.executors().await.len() == count).then_some(())
        })
        .await;
    }
}

/// A second one with the same state folder takes over when the first one is gone.
#[tokio::test]
async fn a_second_one_with_the_same_folder_stands_by() {
    let lab = lab().await;
    let state = TempDir::new().unwrap();
    let first = lab.start(&state);
    first.wait_for("Serving colony", Duration::from_secs(30)).await;
    let second = lab.start(&state);
    second.wait_for("Standing by", Duration::from_secs(30)).await;
    first.signal(Signal::Kill);
    second.wait_for("Serving colony", Duration::from_secs(30)).await;
    lab.add("ml", spec(&lab, 1)).await;
    lab.until_running("ml", 1).await;
}

#[tokio::test]
async fn without_the_owner_s_key_it_says_what_is_missing() {
    let lab = lab().await;
    let state = TempDir::new().unwrap();
    let output = lab.command(&state).env_remove("COLONIES_COLONY_PRVKEY").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("set COLONIES_COLONY_PRVKEY"));
}

/// The blueprint is for another runtime: nothing runs, and the process of the server is answered.
#[tokio::test]
async fn a_blueprint_for_another_runtime_is_left_alone() {
    let lab = lab().await;
    let state = TempDir::new().unwrap();
    let _reconciler = lab.start(&state);
    let mut wish = spec(&lab, 1);
    wish["runtime"] = json!("docker");
    lab.add("elsewhere", wish).await;
    until("its process says why", || async {
        let failed = lab.closed("reconcile", ProcessState::Failed).await;
        failed
            .iter()
            .any(|process| process.errors.iter().any(|error| error.contains("spec.runtime")))
            .then_some(())
    })
    .await;
    assert_eq!(lab.processes(), []);
}

/// Without a cluster and without the `colonies` command line: a definition and an instance from files.
#[tokio::test]
async fn what_files_say_is_registered_submitted_and_carried_out() {
    let lab = lab().await;
    let state = TempDir::new().unwrap();
    let _reconciler = lab.start(&state);
    let folder = TempDir::new().unwrap();
    let file = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path.display().to_string()
    };
    let definition = |kind: &str, handler: &str| {
        json!({"kind": "CustomResourceDefinition", "spec": {
            "names": {"kind": kind}, "handler": {"executorType": handler, "functionName": "reconcile"}}})
    };
    let expect = |arguments: &[&str], works: bool, expected: &str| {
        let (has_worked, said) = lab.ask(arguments);
        assert!(has_worked == works && said.contains(expected), "{arguments:?}: {said}");
    };
    let other = file("other.json", &definition("HomeLamp", "lamps"));
    expect(&["colony", "register", &other], true, "Kind HomeLamp is registered in colony");
    let same = file("same.json", &definition("ExecutorDeployment", &lab.handler));
    expect(&["colony", "register", &same], true, "is registered already");
    let stranger = file("stranger.json", &definition("ExecutorDeployment", "stranger"));
    expect(&["colony", "register", &stranger], false, "has another definition executor-deployment");

    let instance = |replicas: u32| {
        let mut wish = spec(&lab, replicas);
        wish["runtime"] = json!("local");
        wish["colony"] = json!("of a cluster");
        file(
            "ml.json",
            &json!({"apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
            "metadata": {"name": "ml", "namespace": "dev"}, "spec": wish}),
        )
    };
    let (one, place) = (instance(1), ["--location", "lab"]);
    expect(&[&["colony", "submit", &one], &place[..]].concat(), true, "is submitted as generation 1");
    lab.until_running("ml", 1).await;
    expect(&[&["colony", "submit", &one], &place[..]].concat(), true, "is as it was, generation 1");
    let two = instance(2);
    expect(&[&["colony", "submit", &two], &place[..]].concat(), true, "is changed, generation 2");
    lab.until_running("ml", 2).await;
    expect(&["colony", "submit", &two], false, "at location \"lab\"");
    let unknown = file("unknown.json", &json!({"kind": "NoSuchKind", "metadata": {"name": "a"}}));
    expect(&["colony", "submit", &unknown], false, "colony register FILE");
}
