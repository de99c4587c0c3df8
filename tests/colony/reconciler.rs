//! `colonyos-operator reconciler --runtime local` on a real server: fleets of processes that follow their blueprints.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use colonyos_operator::colony::{
    Blueprint, BlueprintDefinition, ExecutorState, LogQuery, PrivateKey, Process, ProcessQuery, ProcessState,
    Session,
};
use rand::Rng as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    executor::executor_binary,
    stage::{Stage, until},
    support::{
        program::{Program, Signal, send},
        server::{letters, setting},
    },
};

const KIND: &str = "ExecutorDeployment";
const LOCATION: &str = "lab";

/// A colony with a definition, and the keys of its owner.
struct Lab {
    stage: Stage,
    owner_key: PrivateKey,
    handler: String,
}

/// A process of a replica, as the machine has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    name: String,
    id: String,
    pid: u32,
}

impl Lab {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let (owner_key, colony) = (stage.owner_key.clone(), stage.colony.clone());
        let handler = format!("reconciler-{}", letters());
        let definition =
            BlueprintDefinition::new(&colony, "executor-deployment", KIND, &handler, "reconcile").unwrap();
        stage.owner.add_blueprint_definition(&definition).await.unwrap();
        Self { stage, owner_key, handler }
    }

    fn command(&self, state: &TempDir) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"));
        command.args([
            "reconciler",
            "--runtime",
            "local",
            "--location",
            LOCATION,
            "--executor-type",
            &self.handler,
        ]);
        command.args(["--resync", "2s", "--state-dir"]).arg(state.path());
        command
            .env("COLONIES_SERVER_HOST", &self.stage.server.host)
            .env("COLONIES_SERVER_PORT", self.stage.server.port.to_string())
            .env("COLONIES_TLS", setting("COLONIES_TLS"))
            .env("COLONIES_COLONY_NAME", &self.stage.colony)
            .env("COLONIES_COLONY_PRVKEY", self.owner_key.to_hex().as_str());
        command
    }

    fn start(&self, state: &TempDir) -> Program {
        Program::start("the reconciler", self.command(state), TempDir::new().unwrap())
    }

    async fn add(&self, name: &str, spec: Value) {
        let mut blueprint = Blueprint::new(&self.stage.colony, KIND, name).unwrap();
        blueprint.metadata.location = LOCATION.to_owned();
        blueprint.spec = spec.as_object().unwrap().clone();
        self.stage.user.add_blueprint(&blueprint).await.unwrap();
    }

    fn spec(&self, replicas: u32) -> Value {
        json!({
            "replicas": replicas, "executorType": self.stage.executor_type, "command": [executor_binary()],
            "env": {"EXECUTOR_POLL_SECONDS": "2", "MODEL_CACHE_DIR": "/models"},
        })
    }

    /// Changes the spec, and keeps the rest of the blueprint as it is.
    async fn change(&self, name: &str, change: impl Fn(&mut serde_json::Map<String, Value>)) {
        let mut blueprint = self.stage.user.blueprint(name).await.unwrap();
        change(&mut blueprint.spec);
        self.stage.user.update_blueprint(&blueprint, false).await.unwrap();
    }

    async fn scale(&self, name: &str, replicas: u32) {
        self.change(name, |spec| drop(spec.insert("replicas".to_owned(), json!(replicas)))).await;
    }

    /// The replicas that run, by what the machine says.
    fn processes(&self) -> Vec<Found> {
        processes_of(&self.stage.colony)
    }

    /// Names and identities of the executors that live, but for reconcilers.
    async fn executors(&self) -> BTreeSet<(String, String)> {
        let executors = self.stage.user.executors().await.unwrap();
        let living = executors.into_iter().filter(|executor| executor.state != ExecutorState::Unregistered);
        let of_type = living.filter(|executor| executor.executor_type == self.stage.executor_type);
        of_type.map(|executor| (executor.name, executor.id.to_string())).collect()
    }

    /// Waits until so many replicas run, each with its executor, and the status says so.
    async fn until_running(&self, name: &str, count: usize) -> Vec<Found> {
        until(&format!("{count} replicas of {name} run, with as many executors"), || async {
            let found: Vec<Found> = self.processes();
            let executors = self.executors().await;
            let running: BTreeSet<_> =
                found.iter().map(|found| (found.name.clone(), found.id.clone())).collect();
            let status = self.stage.user.blueprint(name).await.unwrap().status;
            let is_told = ["runningInstances", "totalInstances", "readyReplicas"].iter().all(|field| {
                status.get(*field).and_then(Value::as_f64) == Some(f64::from(u32::try_from(count).unwrap()))
            });
            (found.len() == count && running == executors && is_told && !status.contains_key("message"))
                .then_some(found)
        })
        .await
    }

    async fn closed(&self, function: &str, state: ProcessState) -> Vec<Process> {
        let query = ProcessQuery::new(state).executor_type(&self.handler).unwrap();
        let mut listed = self.stage.user.processes(&query).await.unwrap();
        listed.retain(|process| process.spec.function == function);
        listed
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Replicas outlive their reconcilers, and must not outlive the test.
        for found in self.processes() {
            let _ = Command::new("kill").args(["-KILL", &found.pid.to_string()]).status();
        }
    }
}

fn processes_of(colony: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        let variables: Vec<String> = environment
            .split(|byte| *byte == 0)
            .map(|one| String::from_utf8_lossy(one).into_owned())
            .collect();
        let value = |name: &str| {
            variables.iter().find_map(|one| one.strip_prefix(&format!("{name}="))).map(str::to_owned)
        };
        if value("COLONIES_COLONY_NAME").as_deref() != Some(colony) {
            continue;
        }
        let (Some(name), Some(id)) = (value("COLONIES_EXECUTOR_NAME"), value("COLONIES_EXECUTOR_ID")) else {
            continue;
        };
        all.push(Found { name, id, pid });
    }
    all.sort();
    all
}

fn slot(name: &str) -> &str {
    name.rsplit_once('-').unwrap().0
}

/// Submits work for one replica alone.
async fn work_for(stage: &Stage, replica: &str, seconds: f64) -> Process {
    let spec = stage.spec("sleep").arg(seconds).executor_name(replica).unwrap();
    stage.user.submit(&spec).await.unwrap()
}

/// How often a process was begun: the executor writes a line each time.
async fn begun(user: &Session, process: &Process) -> usize {
    let lines = user.logs(&LogQuery::new(process.id.clone())).await.unwrap();
    lines.iter().filter(|line| line.message.starts_with("running ")).count()
}

#[tokio::test]
async fn a_fleet_of_processes_follows_its_blueprint() {
    let lab = Lab::new().await;
    let state = TempDir::new().unwrap();
    let reconciler = lab.start(&state);
    lab.add("ml", lab.spec(3)).await;
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
    let lab = Lab::new().await;
    let state = TempDir::new().unwrap();
    let _reconciler = lab.start(&state);
    lab.add("bad", json!({"replicas": 2, "executorType": lab.stage.executor_type, "image": "an/image"}))
        .await;
    lab.add("good", lab.spec(1)).await;
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
    let lab = Lab::new().await;
    let state = TempDir::new().unwrap();
    let (mut work, mut most) = (Vec::new(), 0);
    lab.add("ml", lab.spec(3)).await;
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
    let lab = Lab::new().await;
    let states = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let _both = states.each_ref().map(|state| lab.start(state));
    lab.add("ml", lab.spec(6)).await;
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
    let lab = Lab::new().await;
    let state = TempDir::new().unwrap();
    let first = lab.start(&state);
    first.wait_for("Serving colony", Duration::from_secs(30)).await;
    let second = lab.start(&state);
    second.wait_for("Standing by", Duration::from_secs(30)).await;
    first.signal(Signal::Kill);
    second.wait_for("Serving colony", Duration::from_secs(30)).await;
    lab.add("ml", lab.spec(1)).await;
    lab.until_running("ml", 1).await;
}

#[tokio::test]
async fn without_the_owner_s_key_it_says_what_is_missing() {
    let lab = Lab::new().await;
    let state = TempDir::new().unwrap();
    let output = lab.command(&state).env_remove("COLONIES_COLONY_PRVKEY").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("set COLONIES_COLONY_PRVKEY"));
}

/// The blueprint is for another runtime: nothing runs, and the process of the server is answered.
#[tokio::test]
async fn a_blueprint_for_another_runtime_is_left_alone() {
    let lab = Lab::new().await;
    let state = TempDir::new().unwrap();
    let _reconciler = lab.start(&state);
    let mut spec = lab.spec(1);
    spec["runtime"] = json!("docker");
    lab.add("elsewhere", spec).await;
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
