//! An executor behind a gate: drained without losing what it has, or what is on its way to it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use colonyos_operator::{
    api::gate::{DRAIN_PATH, STARTED_PATH, TOKEN_HEADER},
    colony::{
        Client, ErrorKind, FunctionSpec, PrivateKey, Process, ProcessId, ProcessState, Retries, Server,
        Session, TimeLimit, Timeouts, Tls,
    },
    gate::{AtTimeout, Gate, Settings},
    runtime::shutdown::Shutdown,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use crate::backend::{Stage, checks};

checks! {
    work_passes_as_if_there_were_no_gate,
    an_idle_executor_is_drained_at_once_and_gets_nothing_more,
    a_busy_one_is_drained_when_its_process_is_closed,
    what_a_call_under_way_wins_is_finished_before_the_drain_ends,
    what_is_won_after_the_executor_left_is_given_to_its_next_call,
    what_the_colony_has_ended_is_not_waited_for,
    a_drain_whose_caller_leaves_is_withdrawn,
    an_executor_that_is_started_again_is_served_again,
    a_drain_ends_at_its_time_limit_and_cancels_where_it_is_told_to,
    a_gate_that_starts_again_waits_for_what_was_in_hand,
    a_stranger_drains_nothing,
    a_large_output_passes_and_its_process_counts_as_closed,
}

const POLL: Duration = Duration::from_secs(2);
const TOKEN: &str = "a-uid";

/// A gate before the server, and an executor behind it.
struct Gated {
    executor: Session,
    key: PrivateKey,
    control: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Options {
    timeout: Option<Duration>,
    at_timeout: AtTimeout,
    directory: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: None, at_timeout: AtTimeout::Requeue, directory: None }
    }
}

impl Gated {
    async fn new(stage: &Stage) -> Self {
        Self::with(stage, Options::default()).await
    }

    async fn with(stage: &Stage, options: Options) -> Self {
        let key = PrivateKey::generate().unwrap();
        let direct = stage.named_executor(&format!("gated-{}", &key.id().as_str()[..8]), key.clone()).await;
        drop(direct);
        Self::of(stage, key, options).await
    }

    async fn of(stage: &Stage, key: PrivateKey, options: Options) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings {
            server: stage.server.clone(),
            colony: stage.colony.clone(),
            key: key.clone(),
            listen: any,
            control: any,
            token: TOKEN.to_owned(),
            timeout: options.timeout,
            at_timeout: options.at_timeout,
            hold: Duration::from_hours(1),
            withdrawal: Duration::from_millis(100),
            directory: options.directory,
        };
        let gate = Gate::bind(settings).await.unwrap();
        let (through, control) = (gate.executor_address(), gate.control_address());
        let serving = tokio::spawn(gate.run(Shutdown::default()));
        let server = Server { host: "127.0.0.1".to_owned(), port: through.port(), tls: Tls::Insecure };
        let client = Client::new(&server, Timeouts::default()).unwrap();
        let executor = client.session(&stage.colony, key.clone());
        Self { executor, key, control, serving }
    }

    async fn running(&self, stage: &Stage, spec: &FunctionSpec) -> Process {
        stage.running(&self.executor, spec).await
    }

    /// Asks to drain; gives the answer when it is there.
    fn drain(&self) -> JoinHandle<String> {
        tokio::spawn(call(self.control, DRAIN_PATH, TOKEN))
    }

    /// Waits until nothing is assigned any more, although there is work.
    async fn until_closed(&self) {
        // It answers what the server does when nothing came in time; a call for work that is there would not.
        assert_eq!(self.executor.assign(Duration::from_secs(1)).await.unwrap(), None);
    }
}

/// As the kubelet asks.
async fn call(address: SocketAddr, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n{TOKEN_HEADER}: {token}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    format!("{} {}", &answer[9..12], body.trim())
}

async fn assigned_once(stage: &Stage, process: &Process) {
    let found = stage.user.process(&process.id).await.unwrap();
    assert_eq!((found.retries, found.started_at), (0, process.started_at), "it was run once");
}

async fn work_passes_as_if_there_were_no_gate(stage: Stage) {
    let gated = Gated::new(&stage).await;
    let running = gated.running(&stage, &stage.spec("f").arg(1)).await;
    gated.executor.add_log(&running.id, "a line").await.unwrap();
    gated.executor.set_output(&running.id, &[json!(0.5)]).await.unwrap();
    let mut told = gated
        .executor
        .subscribe(&running.id, ProcessState::Successful, Duration::from_secs(20))
        .await
        .unwrap();
    gated.executor.close_successful(&running.id, &[json!("done")]).await.unwrap();
    assert_eq!(told.next().await.unwrap().map(|process| process.id), Some(running.id.clone()));
    assert_eq!(stage.user.process(&running.id).await.unwrap().output, [json!("done")]);
    let missing = gated.executor.process(&ProcessId::new("0".repeat(64))).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound, "errors pass too");
}

async fn an_idle_executor_is_drained_at_once_and_gets_nothing_more(stage: Stage) {
    let gated = Gated::new(&stage).await;
    assert_eq!(gated.executor.assign(Duration::from_secs(1)).await.unwrap(), None);
    assert_eq!(gated.drain().await.unwrap(), "200 drained");
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    gated.until_closed().await;
    let waiting = stage.user.process(&waiting.id).await.unwrap();
    assert_eq!((waiting.state, waiting.assigned_executor), (ProcessState::Waiting, None));
}

async fn a_busy_one_is_drained_when_its_process_is_closed(stage: Stage) {
    for is_failure in [false, true] {
        let gated = Gated::new(&stage).await;
        let running = gated.running(&stage, &stage.spec("f")).await;
        let draining = gated.drain();
        let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
        gated.until_closed().await;
        assert!(!draining.is_finished(), "its process runs");
        if is_failure {
            gated.executor.close_failed(&running.id, &["no luck".to_owned()]).await.unwrap();
        } else {
            gated.executor.close_successful(&running.id, &[]).await.unwrap();
        }
        assert_eq!(draining.await.unwrap(), "200 drained");
        assigned_once(&stage, &running).await;
        stage.user.cancel(&waiting.id).await.unwrap();
    }
}

async fn what_a_call_under_way_wins_is_finished_before_the_drain_ends(stage: Stage) {
    let gated = Gated::new(&stage).await;
    let executor = gated.executor.clone();
    let asking = tokio::spawn(async move { executor.assign(Duration::from_mins(1)).await });
    // The process that the call is to win is there only when the drain has begun.
    until_asked(&stage, &gated).await;
    let draining = gated.drain();
    gated.until_closed().await;
    assert!(!draining.is_finished(), "the call is under way");
    let submitted = stage.user.submit(&stage.spec("f")).await.unwrap();
    let won = asking.await.unwrap().unwrap();
    // The server may have missed the wake-up: then the call has ended with nothing, and nothing is lost.
    if let Some(won) = won {
        assert_eq!(won.id, submitted.id);
        assert!(!draining.is_finished(), "its process runs");
        gated.executor.close_successful(&won.id, &[]).await.unwrap();
        assigned_once(&stage, &won).await;
    }
    assert_eq!(draining.await.unwrap(), "200 drained");
}

/// Until the server has heard of the executor.
async fn until_asked(stage: &Stage, gated: &Gated) {
    crate::stage::until("the server has heard of the executor", || async {
        let executors = stage.user.executors().await.unwrap();
        let found = executors.into_iter().find(|executor| executor.id == *gated.key.id());
        found.and_then(|executor| executor.last_heard_at)
    })
    .await;
}

async fn what_is_won_after_the_executor_left_is_given_to_its_next_call(stage: Stage) {
    let gated = Gated::new(&stage).await;
    let executor = gated.executor.clone();
    let asking = tokio::spawn(async move { executor.assign(Duration::from_secs(8)).await });
    until_asked(&stage, &gated).await;
    asking.abort();
    let _ = asking.await;
    let submitted = stage.user.submit(&stage.spec("f")).await.unwrap();
    let running = stage.until_state(&submitted.id, ProcessState::Running).await;
    let won = crate::stage::until("its next call has it", || async {
        gated.executor.assign(Duration::from_secs(1)).await.unwrap()
    })
    .await;
    assert_eq!((won.id.clone(), won.started_at), (submitted.id, running.started_at));
    let draining = gated.drain();
    gated.until_closed().await;
    assert!(!draining.is_finished());
    gated.executor.close_successful(&won.id, &[]).await.unwrap();
    assert_eq!(draining.await.unwrap(), "200 drained");
    assigned_once(&stage, &running).await;
}

async fn what_the_colony_has_ended_is_not_waited_for(stage: Stage) {
    let gated = Gated::new(&stage).await;
    let cancelled = gated.running(&stage, &stage.spec("f")).await;
    stage.user.cancel(&cancelled.id).await.unwrap();
    let limited = stage.spec("f").max_exec(TimeLimit::seconds(1).unwrap()).max_retries(Retries::AtMost(0));
    let limited = gated.running(&stage, &limited).await;
    stage.until_ended(&limited.id).await;
    assert_eq!(gated.drain().await.unwrap(), "200 drained");
}

async fn a_drain_whose_caller_leaves_is_withdrawn(stage: Stage) {
    let gated = Gated::new(&stage).await;
    let running = gated.running(&stage, &stage.spec("f")).await;
    let draining = gated.drain();
    gated.until_closed().await;
    draining.abort();
    let _ = draining.await;
    gated.executor.close_successful(&running.id, &[]).await.unwrap();
    stage.user.submit(&stage.spec("f")).await.unwrap();
    crate::stage::until("it serves again", || async { gated.executor.assign(POLL).await.unwrap() }).await;
}

async fn an_executor_that_is_started_again_is_served_again(stage: Stage) {
    let gated = Gated::new(&stage).await;
    assert_eq!(gated.drain().await.unwrap(), "200 drained");
    let submitted = stage.user.submit(&stage.spec("f")).await.unwrap();
    gated.until_closed().await;
    assert_eq!(call(gated.control, STARTED_PATH, TOKEN).await, "200 ok");
    let won = gated.executor.assign(POLL).await.unwrap().expect("it is served");
    assert_eq!(won.id, submitted.id);
}

async fn a_drain_ends_at_its_time_limit_and_cancels_where_it_is_told_to(stage: Stage) {
    for (at_timeout, state) in
        [(AtTimeout::Requeue, ProcessState::Running), (AtTimeout::Cancel, ProcessState::Cancelled)]
    {
        let timeout = Some(Duration::from_millis(200));
        let gated = Gated::with(&stage, Options { timeout, at_timeout, ..Options::default() }).await;
        let running = gated.running(&stage, &stage.spec("f")).await;
        assert_eq!(gated.drain().await.unwrap(), "200 not drained in time");
        assert_eq!(stage.user.process(&running.id).await.unwrap().state, state, "{at_timeout:?}");
    }
}

async fn a_gate_that_starts_again_waits_for_what_was_in_hand(stage: Stage) {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { directory: Some(directory.path().to_owned()), ..Options::default() };
    let gated = Gated::with(&stage, options()).await;
    let running = gated.running(&stage, &stage.spec("f")).await;
    let key = gated.key.clone();
    drop(gated);
    let gated = Gated::of(&stage, key, options()).await;
    let draining = gated.drain();
    gated.until_closed().await;
    assert!(!draining.is_finished(), "its process runs");
    gated.executor.close_successful(&running.id, &[]).await.unwrap();
    assert_eq!(draining.await.unwrap(), "200 drained");
}

async fn a_stranger_drains_nothing(stage: Stage) {
    let gated = Gated::new(&stage).await;
    for (path, token) in [(DRAIN_PATH, ""), (DRAIN_PATH, "other"), (STARTED_PATH, "a-ui")] {
        assert!(call(gated.control, path, token).await.starts_with("403 "), "{path} {token}");
    }
    gated.running(&stage, &stage.spec("f")).await;
}

/// It is larger than what is read before it is passed on.
async fn a_large_output_passes_and_its_process_counts_as_closed(stage: Stage) {
    let gated = Gated::new(&stage).await;
    let running = gated.running(&stage, &stage.spec("f").arg("x".repeat(100 << 10))).await;
    gated.executor.close_successful(&running.id, &[json!("y".repeat(200 << 10))]).await.unwrap();
    assert_eq!(gated.drain().await.unwrap(), "200 drained");
    let output = stage.user.process(&running.id).await.unwrap().output;
    assert_eq!(output[0].as_str().map(str::len), Some(200 << 10));
}
