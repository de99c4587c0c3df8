//! The operator's own binary as a child process, with its configuration in a file and its log kept.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    num::NonZero,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::LazyLock,
    thread,
    time::Duration,
};

use colonyos_operator::runtime::config::{LeaderElection, OperatorConfiguration};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{environment, times::uncounted, wait::eventually};

/// Signals that tests send.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Ask to end.
    Terminate,
    /// End at once.
    Kill,
    /// Stop, as a machine that hangs does.
    Stop,
    /// Go on after a stop.
    Continue,
}

/// Sends a signal to one process.
pub fn send(process: u32, signal: Signal) {
    let name = match signal {
        Signal::Terminate => "-TERM",
        Signal::Kill => "-KILL",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
    };
    let status = Command::new("kill").args([name, &process.to_string()]).status().expect("kill is installed");
    assert!(status.success(), "failed to send {signal:?} to process {process}");
}

/// Tests that run operators at the same time, for each processor: each mostly waits, but more than processors can serve make
/// none faster.
const AT_ONCE: usize = 2;
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Semaphore::new(AT_ONCE * processors)
});
/// On a `Colony`: the namespace of the test that it belongs to. Operators look after those of their own test alone.
pub const TEST_LABEL: &str = "colonies.io/test";

/// The right to run operators, until it is dropped.
pub struct Turn {
    _permit: SemaphorePermit<'static>,
}

impl Turn {
    /// Waits until few enough other tests run operators.
    pub async fn take() -> Self {
        Self { _permit: uncounted(TURNS.acquire()).await.expect("nobody closes it") }
    }
}

/// A configuration for a test: the operator's own namespace is watched, looks at the colony are frequent, and it leads at once.
/// There is no other, and none that was killed leaves a lease that has to run out.
pub fn configuration(namespace: &str) -> OperatorConfiguration {
    OperatorConfiguration {
        watch_namespaces: vec![namespace.to_owned()],
        cluster_selector: BTreeMap::from([(TEST_LABEL.to_owned(), namespace.to_owned())]),
        leader_election: LeaderElection { enabled: false, ..LeaderElection::default() },
        colony_poll_seconds: 2,
        process_poll_seconds: 2,
        ..OperatorConfiguration::default()
    }
}

/// Has the operator lead by a lease, which is renewed often: for tests with more than one, or of the lease.
pub fn by_lease(configuration: &mut OperatorConfiguration) {
    configuration.leader_election = LeaderElection {
        lease_duration_seconds: 4,
        renew_deadline_seconds: 3,
        retry_period_seconds: 1,
        ..LeaderElection::default()
    };
}

/// The configuration of an operator that leads by a lease.
pub fn elected(namespace: &str) -> OperatorConfiguration {
    let mut configuration = configuration(namespace);
    by_lease(&mut configuration);
    configuration
}

/// A running operator; killed when dropped. Its log is printed when the test fails.
pub struct Operator {
    child: Child,
    folder: TempDir,
    /// Base address of probes and metrics, such as `http://127.0.0.1:41234`.
    pub http: String,
}

impl Operator {
    /// Starts `colonyos-operator run` with `configuration` and `namespace` as its own, and waits until it listens. Its
    /// HTTP port is chosen by the operating system. `_turn` is there to be held.
    pub async fn start(configuration: OperatorConfiguration, namespace: &str, _turn: &Turn) -> Self {
        Self::start_in(configuration, namespace, &[]).await
    }

    /// As [`Operator::start`], with more environment and beside whatever else runs.
    pub async fn start_in(
        mut configuration: OperatorConfiguration,
        namespace: &str,
        surroundings: &[(&str, &str)],
    ) -> Self {
        configuration.http.bind_address = "127.0.0.1:0".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("operator.yaml");
        fs::write(&file, serde_norway::to_string(&configuration).unwrap()).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let built = env!("CARGO_BIN_EXE_colonyos-operator");
        let child = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built))
            .args(["run", "--namespace", namespace, "--config"])
            .arg(&file)
            .env_remove("RUST_LOG")
            .envs(surroundings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the operator starts");
        let mut operator = Self { child, folder, http: String::new() };
        operator.http = eventually("the operator serves probes", Duration::from_secs(20), async || {
            operator.check_alive()?;
            let log = operator.log();
            let line = log.lines().find(|line| line.contains("serving probes and metrics"));
            let line = line.ok_or_else(|| format!("its log is\n{log}"))?;
            let event: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            Ok(format!("http://{}", event["address"].as_str().ok_or("no address in the log line")?))
        })
        .await;
        operator
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.process(), signal);
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until it has ended.
    pub async fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually("the operator has ended", limit, async || {
            child.try_wait().map_err(|error| error.to_string())?.ok_or_else(|| "it runs".to_owned())
        })
        .await
    }

    /// One of its pages: status code and text.
    pub async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let response =
            reqwest::get(format!("{}{path}", self.http)).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|error| error.to_string())?))
    }

    /// Waits until `/readyz` says so.
    pub async fn wait_until_ready(&mut self) {
        eventually("the operator is ready", Duration::from_secs(30), async || {
            self.check_alive()?;
            match self.get("/readyz").await? {
                (200, _) => Ok(()),
                (status, text) => Err(format!("{status} {text}")),
            }
        })
        .await;
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn check_alive(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(Some(status)) => panic!("the operator ended with {status}; its log is\n{}", self.log()),
            Ok(None) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("──── log of the operator ────\n{}", self.log());
        }
        // Ended or not: both are fine here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
