//! A colony for a reconciler, and what is seen of the replicas that it runs: as plain processes or in containers, each is a process
//! of this machine.

use std::{collections::BTreeSet, fs, process::Command};

use colonyos_operator::colony::{
    Blueprint, BlueprintDefinition, ExecutorState, LogQuery, PrivateKey, Process, ProcessQuery, ProcessState,
    Session,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    stage::{Stage, until},
    support::{
        program::Program,
        server::{letters, setting},
    },
};

const KIND: &str = "ExecutorDeployment";
const LOCATION: &str = "lab";

/// A colony with a definition, and the keys of its owner.
pub struct Lab {
    pub stage: Stage,
    pub owner_key: PrivateKey,
    pub handler: String,
    /// How the reconciler is to run replicas.
    options: Vec<String>,
}

/// A process of a replica, as the machine has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub name: String,
    pub id: String,
    pub pid: u32,
}

impl Lab {
    /// A new one, whose reconciler runs with these options.
    pub async fn new(options: &[&str]) -> Self {
        let stage = Stage::new().await;
        let (owner_key, colony) = (stage.owner_key.clone(), stage.colony.clone());
        let handler = format!("reconciler-{}", letters());
        let definition =
            BlueprintDefinition::new(&colony, "executor-deployment", KIND, &handler, "reconcile").unwrap();
        stage.owner.add_blueprint_definition(&definition).await.unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { stage, owner_key, handler, options }
    }

    pub fn command(&self, state: &TempDir) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"));
        command.args(["reconciler", "--location", LOCATION, "--executor-type", &self.handler]);
        command.args(&self.options);
        command.args(["--resync", "2s", "--state-dir"]).arg(state.path());
        self.surround(&mut command);
        command
    }

    fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("COLONIES_SERVER_HOST", &self.stage.server.host)
            .env("COLONIES_SERVER_PORT", self.stage.server.port.to_string())
            .env("COLONIES_TLS", setting("COLONIES_TLS"))
            .env("COLONIES_COLONY_NAME", &self.stage.colony)
            .env("COLONIES_COLONY_PRVKEY", self.owner_key.to_hex().as_str())
    }

    /// A command of ours, in the environment of the colony's owner.
    pub fn ask(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"));
        let output = self.surround(command.args(arguments)).env_remove("COLONIES_PRVKEY").output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    pub fn start(&self, state: &TempDir) -> Program {
        Program::start("the reconciler", self.command(state), TempDir::new().unwrap())
    }

    pub async fn add(&self, name: &str, spec: Value) {
        let mut blueprint = Blueprint::new(&self.stage.colony, KIND, name).unwrap();
        blueprint.metadata.location = LOCATION.to_owned();
        blueprint.spec = spec.as_object().unwrap().clone();
        self.stage.user.add_blueprint(&blueprint).await.unwrap();
    }

    /// Changes the spec, and keeps the rest of the blueprint as it is.
    pub async fn change(&self, name: &str, change: impl Fn(&mut serde_json::Map<String, Value>)) {
        let mut blueprint = self.stage.user.blueprint(name).await.unwrap();
        change(&mut blueprint.spec);
        self.stage.user.update_blueprint(&blueprint, false).await.unwrap();
    }

    pub async fn scale(&self, name: &str, replicas: u32) {
        self.change(name, |spec| drop(spec.insert("replicas".to_owned(), json!(replicas)))).await;
    }

    /// The replicas that run, by what the machine says.
    pub fn processes(&self) -> Vec<Found> {
        processes_of(&self.stage.colony)
    }

    /// Names and identities of the executors that live, but for reconcilers.
    pub async fn executors(&self) -> BTreeSet<(String, String)> {
        let executors = self.stage.user.executors().await.unwrap();
        let living = executors.into_iter().filter(|executor| executor.state != ExecutorState::Unregistered);
        let of_type = living.filter(|executor| executor.executor_type == self.stage.executor_type);
        of_type.map(|executor| (executor.name, executor.id.to_string())).collect()
    }

    /// Waits until so many replicas run, each with its executor, and the status says so.
    pub async fn until_running(&self, name: &str, count: usize) -> Vec<Found> {
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

    pub async fn closed(&self, function: &str, state: ProcessState) -> Vec<Process> {
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

pub fn processes_of(colony: &str) -> Vec<Found> {
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

pub fn slot(name: &str) -> &str {
    name.rsplit_once('-').unwrap().0
}

/// Submits work for one replica alone.
pub async fn work_for(stage: &Stage, replica: &str, seconds: f64) -> Process {
    let spec = stage.spec("sleep").arg(seconds).executor_name(replica).unwrap();
    stage.user.submit(&spec).await.unwrap()
}

/// How often a process was begun: the executor writes a line each time.
pub async fn begun(user: &Session, process: &Process) -> usize {
    let lines = user.logs(&LogQuery::new(process.id.clone())).await.unwrap();
    lines.iter().filter(|line| line.message.starts_with("running ")).count()
}
