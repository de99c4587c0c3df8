//! The operator's own binary as a child process, with its configuration in a file and its log kept.

use std::{
    collections::BTreeMap,
    fs,
    num::NonZero,
    process::{Command, ExitStatus},
    sync::LazyLock,
    thread,
    time::Duration,
};

use colonyos_operator::runtime::config::{LeaderElection, OperatorConfiguration};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use super::program::Signal;
use super::{environment, program::Program, times::uncounted, wait::eventually};

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
        Self { _permit: uncounted(TURNS.acquire()).await.expect("it is never closed") }
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
    program: Program,
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
        let text = serde_norway::to_string(&configuration).unwrap();
        let built = env!("CARGO_BIN_EXE_colonyos-operator");
        let program = environment::variable("OPERATOR_BIN").unwrap_or_else(|| built.to_owned());
        Self::start_program(&program, &text, namespace, surroundings).await
    }

    /// Starts the operator of an earlier release, which `PREVIOUS_OPERATOR_BIN` names; without it, this one in its place.
    /// It is told what differs from the defaults: it refuses keys that it does not know.
    pub async fn start_previous(
        configuration: &OperatorConfiguration,
        namespace: &str,
        _turn: &Turn,
    ) -> Self {
        let built = env!("CARGO_BIN_EXE_colonyos-operator");
        let named = ["PREVIOUS_OPERATOR_BIN", "OPERATOR_BIN"].into_iter().find_map(environment::variable);
        let mut configuration = configuration.clone();
        configuration.http.bind_address = "127.0.0.1:0".parse().unwrap();
        let [mut told, usual] = [configuration, OperatorConfiguration::default()]
            .map(|configuration| serde_json::to_value(configuration).unwrap());
        told.as_object_mut().unwrap().retain(|key, value| usual[key] != *value);
        let text = serde_norway::to_string(&told).unwrap();
        Self::start_program(named.as_deref().unwrap_or(built), &text, namespace, &[]).await
    }

    async fn start_program(
        program: &str,
        configuration: &str,
        namespace: &str,
        surroundings: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("operator.yaml");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program);
        command.args(["run", "--namespace", namespace, "--config"]).arg(&file);
        command.env_remove("RUST_LOG").envs(surroundings.iter().copied());
        let program = Program::start("the operator", command, folder);
        let mut operator = Self { program, http: String::new() };
        operator.http = eventually("the operator serves probes", Duration::from_secs(20), async || {
            operator.program.assert_running();
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
        self.program.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        self.program.output()
    }

    /// Waits until it has ended.
    pub async fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        self.program.wait_for_end(limit).await
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
            self.program.assert_running();
            match self.get("/readyz").await? {
                (200, _) => Ok(()),
                (status, text) => Err(format!("{status} {text}")),
            }
        })
        .await;
    }
}
