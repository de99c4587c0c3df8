//! The example executor as a process of its own: what it answers, and that it loses nothing.

use std::{fs, path::PathBuf, process::Stdio};

use colonyos_operator::colony::{FunctionSpec, PrivateKey, Process, ProcessState, Server};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    relay::{Relay, Replies},
    stage::{DEADLINE, Stage, until},
    support::{
        environment::variable,
        server::{letters, setting},
    },
};

/// A running executor. What it said is shown when the test fails; killed when dropped.
struct Worker {
    child: Child,
    folder: TempDir,
    secret: String,
}

impl Worker {
    /// Starts one that is added to the stage's colony, but not approved.
    async fn pending(stage: &Stage, server: &Server) -> (Self, String) {
        let key = PrivateKey::generate().unwrap();
        let name = format!("executor-{}", letters());
        let secret = key.to_hex().to_string();
        let session = stage.client.session(&stage.colony, key);
        stage.owner.add_executor(&stage.new_executor(&name, &session)).await.unwrap();
        let folder = TempDir::new().unwrap();
        let mut command = executor_command(&folder);
        command
            .env("COLONIES_SERVER_HOST", &server.host)
            .env("COLONIES_SERVER_PORT", server.port.to_string());
        command.env("COLONIES_TLS", setting("COLONIES_TLS"));
        command.env("COLONIES_COLONY_NAME", &stage.colony).env("COLONIES_PRVKEY", &secret);
        command.env("COLONIES_EXECUTOR_NAME", &name).env("EXECUTOR_POLL_SECONDS", "2");
        command.env("EXECUTOR_READY_FILE", folder.path().join("ready"));
        (Self { child: command.spawn().unwrap(), folder, secret }, name)
    }

    /// Starts one and waits until the colony has accepted it.
    async fn ready(stage: &Stage) -> Self {
        let (worker, name) = Self::pending(stage, &stage.server).await;
        stage.owner.approve_executor(&name).await.unwrap();
        worker.until_ready().await;
        worker
    }

    async fn until_ready(&self) {
        until("the executor is ready", || async { self.is_ready().then_some(()) }).await;
    }

    fn is_ready(&self) -> bool {
        self.folder.path().join("ready").exists()
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap()
    }

    /// Asks it to stop, as the kubelet does.
    async fn terminate(&self) {
        let id = self.child.id().expect("it is still running");
        let status = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits until it has ended, well.
    async fn until_ended(&mut self) {
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let status = status.expect("it ends within the deadline").unwrap();
        assert_eq!(status.code(), Some(0), "it ends well");
        assert!(!self.output().contains(&self.secret), "its key is nowhere in its output");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the executor said:\n{}", self.output());
        }
    }
}

fn executor_command(folder: &TempDir) -> Command {
    let output = fs::File::create(folder.path().join("output")).unwrap();
    let mut command = Command::new(executor_binary());
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .kill_on_drop(true);
    command
}

/// `EXECUTOR_BIN`, else where cargo puts the example: beside the folder of this test.
pub fn executor_binary() -> PathBuf {
    let built = || {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().join("examples/executor")
    };
    let binary = variable("EXECUTOR_BIN").map_or_else(built, PathBuf::from);
    assert!(binary.is_file(), "{} is missing: `cargo build --example executor` makes it", binary.display());
    binary
}

async fn finished(stage: &Stage, spec: &FunctionSpec) -> Process {
    let submitted = stage.user.submit(spec).await.unwrap();
    stage.until_ended(&submitted.id).await
}

#[tokio::test]
async fn it_runs_the_functions_that_it_knows_and_names_them_to_who_asks_for_another() {
    let stage = Stage::new().await;
    let mut worker = Worker::ready(&stage).await;
    let spec = |function: &str| stage.spec(function);
    let empty_digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let digest_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (spec, output) in [
        (
            spec("echo").arg("hello").arg(json!({"a": [1, null]})),
            vec![json!("hello"), json!({"a": [1, null]})],
        ),
        (spec("echo").kwarg("b", 2), vec![json!({"b": 2})]),
        (spec("echo"), vec![]),
        (spec("sleep").arg(0.05), vec![json!(50)]),
        (spec("sleep").kwarg("milliseconds", 20), vec![json!(20)]),
        (spec("sha256").arg("abc").arg(""), vec![json!(digest_of_abc), json!(empty_digest)]),
    ] {
        let process = finished(&stage, &spec).await;
        assert_eq!((process.state, process.output), (ProcessState::Successful, output), "{spec:?}");
    }
    for (spec, reason) in [
        (spec("fail").arg("no luck"), "no luck"),
        (spec("fail").kwarg("message", "named"), "named"),
        (spec("sha256").arg(7), "sha256 takes texts, not 7"),
        (
            spec("sleep").arg(-1),
            "sleep takes 0 to 500 seconds as its argument, or `seconds` or `milliseconds`",
        ),
        (
            spec("sleep").arg(1e9),
            "sleep takes 0 to 500 seconds as its argument, or `seconds` or `milliseconds`",
        ),
        (spec("dance"), "unknown function \"dance\": this executor knows echo, fail, sha256, sleep"),
    ] {
        let process = finished(&stage, &spec).await;
        assert_eq!(
            (process.state, process.errors),
            (ProcessState::Failed, vec![reason.to_owned()]),
            "{spec:?}"
        );
    }
    let process = finished(&stage, &spec("echo").arg("logged")).await;
    let lines = stage.user.logs(&colonyos_operator::colony::LogQuery::new(process.id)).await.unwrap();
    assert_eq!(
        lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(),
        ["running echo", "succeeded"]
    );
    worker.terminate().await;
    worker.until_ended().await;
}

#[tokio::test]
async fn on_sigterm_it_finishes_its_process_and_takes_no_other() {
    let stage = Stage::new().await;
    let mut worker = Worker::ready(&stage).await;
    let running = stage.user.submit(&stage.spec("sleep").arg(2)).await.unwrap();
    stage.until_state(&running.id, ProcessState::Running).await;
    let next = stage.user.submit(&stage.spec("echo")).await.unwrap();
    worker.terminate().await;
    worker.until_ended().await;
    let finished = stage.user.process(&running.id).await.unwrap();
    assert_eq!(
        (finished.state, finished.output, finished.retries),
        (ProcessState::Successful, vec![json!(2000)], 0)
    );
    assert_eq!(stage.user.process(&next.id).await.unwrap().state, ProcessState::Waiting);
}

/// The server does not know that the executor is stopping: its waiting long-poll is still served. What it
/// gets then belongs to no other executor, so it must be run.
#[tokio::test]
async fn a_process_won_after_sigterm_is_run_all_the_same() {
    let stage = Stage::new().await;
    let mut won = 0;
    for _ in 0..3 {
        let mut worker = Worker::ready(&stage).await;
        worker.terminate().await;
        until("it has heard the signal", || async {
            worker.output().contains("asked to stop").then_some(())
        })
        .await;
        let late = stage.user.submit(&stage.spec("echo").arg("late")).await.unwrap();
        worker.until_ended().await;
        let late = stage.user.process(&late.id).await.unwrap();
        match late.state {
            ProcessState::Successful => won += 1,
            // Not won: another executor can have it.
            ProcessState::Waiting => stage.user.cancel(&late.id).await.unwrap(),
            other => panic!("left behind as {other}"),
        }
    }
    assert!(won > 0, "the long-poll was never open when the signal came");
}

#[tokio::test]
async fn it_waits_for_its_approval() {
    let stage = Stage::new().await;
    let (worker, name) = Worker::pending(&stage, &stage.server).await;
    let submitted = stage.user.submit(&stage.spec("echo")).await.unwrap();
    until("it was refused", || async { worker.output().contains("trying again").then_some(()) }).await;
    assert!(!worker.is_ready());
    stage.owner.approve_executor(&name).await.unwrap();
    stage.until_state(&submitted.id, ProcessState::Successful).await;
    worker.until_ready().await;
}

/// Only the executor can close its process: it keeps the result until the server is back.
#[tokio::test]
async fn it_outlives_an_absence_of_the_server() {
    let stage = Stage::new().await;
    let relay = Relay::plain(&stage.server, Replies::Pass).await;
    let port = relay.port;
    let by_relay = Server { host: "127.0.0.1".into(), port, tls: stage.server.tls.clone() };
    let (worker, name) = Worker::pending(&stage, &by_relay).await;
    stage.owner.approve_executor(&name).await.unwrap();
    worker.until_ready().await;
    let running = stage.user.submit(&stage.spec("sleep").arg(1)).await.unwrap();
    // The server says that it runs before the executor has heard of it, and a lost answer is another matter.
    let begun = format!("running process={}", running.id);
    until("it has begun", || async { worker.output().contains(&begun).then_some(()) }).await;

    drop(relay);
    let is_holding = || async { worker.output().contains("failed to close a process").then_some(()) };
    until("it has not been able to close its process", is_holding).await;
    assert_eq!(stage.user.process(&running.id).await.unwrap().state, ProcessState::Running);
    let _relay = Relay::again(&stage.server, port).await;
    let closed = stage.until_state(&running.id, ProcessState::Successful).await;
    assert_eq!(closed.output, [json!(1000)]);
    assert_eq!(finished(&stage, &stage.spec("echo").arg("again")).await.output, [json!("again")]);
}

#[tokio::test]
async fn without_its_settings_it_says_which_one_is_missing() {
    let folder = TempDir::new().unwrap();
    let mut child = executor_command(&folder).env("COLONIES_COLONY_NAME", "dev").spawn().unwrap();
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(1));
    let output = fs::read_to_string(folder.path().join("output")).unwrap();
    assert!(output.contains("set COLONIES_PRVKEY in the environment"), "{output}");
}
