//! `colonyos-operator worker`: does the jobs of requests, with nothing but an API server.
//!
//! Each request has a task of its own, which decides by [`work`](crate::diff::request::work) whenever the request has
//! changed or its job has ended. A conflict is no failure: the request is read and decided again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use kube::ResourceExt as _;
use tokio::{
    runtime::Runtime,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{
    RETRY, duration,
    flow::{self, Choice},
    follow::{Seen, follow},
    job::{self, Work},
    process,
    tracked_request::{Setting, TrackedRequest, Wanted, entry},
};
use crate::{
    act::request::{Change, Layout, Requests, WriteError},
    api::{
        names::CLAIM_ANNOTATION,
        request_state::{RequestState, State},
    },
    cli::{Failure, connection::Connection, output::complain},
    diff::request::{Claim, Ending, Holder, InterruptedJob, Position, Turn, WorkerStep, WorkerView, work},
    runtime::{clock::Clock, shutdown::Shutdown},
};

/// How long jobs may go on after a signal; less than the 30 s after which a pod is killed.
const DRAIN: Duration = Duration::from_secs(20);

/// Arguments of `worker`.
#[derive(Debug, Args)]
#[command(mut_arg("namespace", |namespace| namespace.help("Serve only this namespace [default: all]")))]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Serve all namespaces, regardless of --namespace
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Jobs in their order, separated by commas, or the name of a `RequestFlow`; for requests that name none
    #[arg(long, value_name = "FLOW", default_value = "JOB1,JOB2", value_parser = flow::read)]
    flow: Choice,
    /// How long a job without a command takes, such as 500ms or 1m30s
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = duration)]
    job_duration: Duration,
    /// Run a command for a job, by /bin/sh, which finds the request in its environment; may be repeated
    #[arg(
        long,
        long_help = "Run a command for a job, by /bin/sh, with REQUEST_UID, JOB, REQUEST_NAME and REQUEST_NAMESPACE in its environment. Exit code 0 completes the job, any other fails it. May be repeated.",
        value_name = "JOB=COMMAND", value_parser = job::read)]
    exec: Vec<(String, String)>,
    /// Identity of this worker: a worker that restarts with it finishes its jobs [default: the host name]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
}

/// Serves until a signal.
pub(in crate::cli) fn serve(arguments: Arguments) -> Result<(), Failure> {
    Runtime::new()?.block_on(run(arguments))
}

/// What all requests of a worker have in common.
struct Worker {
    setting: Setting,
    commands: BTreeMap<String, String>,
    job_duration: Duration,
    identity: String,
    process: String,
    shutdown: Shutdown,
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()?;
    let kubernetes = arguments.connection.connect().await?;
    let requests = Requests::discover(kubernetes.calls.clone(), "colonyos-worker").await?;
    let course = arguments.flow.course(&kubernetes.calls, &kubernetes.namespace).await?;
    let setting = Setting::new(kubernetes.calls.clone(), requests, course, Clock::system());
    let worker = Arc::new(Worker {
        setting,
        commands: arguments.exec.into_iter().collect(),
        job_duration: arguments.job_duration,
        identity: arguments.identity.unwrap_or_else(process::host),
        process: process::own(),
        shutdown: shutdown.clone(),
    });
    let namespace = arguments.connection.namespace.filter(|_| !arguments.all_namespaces);
    let mut requests = follow(kubernetes.watches, namespace.as_deref());
    let place =
        namespace.map_or_else(|| "all namespaces".to_owned(), |namespace| format!("namespace {namespace}"));
    super::say(&worker.setting.clock, format_args!("worker {} serves {place}", worker.identity));

    let mut inboxes: HashMap<String, watch::Sender<RequestState>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let serving = async {
        loop {
            tokio::select! {
                () = shutdown.requested(), if tasks.is_empty() => return,
                Some(ended) = tasks.join_next() => {
                    // What a request that has ended was like need not be remembered.
                    if let Ok(uid) = ended
                        && inboxes.get(&uid).is_some_and(watch::Sender::is_closed)
                    {
                        inboxes.remove(&uid);
                    }
                }
                Some(seen) = requests.recv() => match seen {
                    Seen::Gone(uid) => drop(inboxes.remove(&uid)),
                    Seen::Is(object) => {
                        let uid = object.uid().unwrap_or_default();
                        let is_served =
                            inboxes.get(&uid).is_some_and(|inbox| inbox.send((*object).clone()).is_ok());
                        if !is_served && !shutdown.is_requested() {
                            let (sender, inbox) = watch::channel((*object).clone());
                            inboxes.insert(uid.clone(), sender);
                            let served = serve_request(worker.clone(), *object, inbox);
                            tasks.spawn(async move {
                                served.await;
                                uid
                            });
                        }
                    }
                },
            }
        }
    };
    if shutdown.drain(serving, DRAIN).await.is_none() {
        super::say(&worker.setting.clock, "some jobs did not end in time and were killed");
    }
    Ok(())
}

/// A job that runs; dropped, it is killed.
struct Running(JoinHandle<Ending>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What comes after a step.
enum After {
    /// Decide again at once.
    Again,
    /// Decide again after an event.
    News,
    /// As `News`, but soon in any case.
    Retry,
    /// Nothing more will happen.
    Done,
}

/// One request, and the job that this worker does for it.
struct RequestTask {
    worker: Arc<Worker>,
    known: TrackedRequest,
    /// The claim that was made here. One that this process created before it served the request again belongs to a
    /// job that has ended since: watch events are late.
    claim: Option<Claim>,
    running: Option<Running>,
    ending: Option<Ending>,
}

async fn serve_request(worker: Arc<Worker>, object: RequestState, mut inbox: watch::Receiver<RequestState>) {
    let known = TrackedRequest::new(object, &worker.setting);
    let shutdown = worker.shutdown.clone();
    let mut task = RequestTask { worker, known, claim: None, running: None, ending: None };
    loop {
        let after = task.step().await;
        if matches!(after, After::Done) {
            return;
        }
        let is_idle = task.running.is_none() && task.ending.is_none();
        let running = task.running.as_mut();
        tokio::select! {
            () = std::future::ready(()), if matches!(after, After::Again) => {}
            // Its inbox is closed when the request is gone; so is its job, then.
            changed = inbox.changed() => match changed {
                Ok(()) => {
                    let object = inbox.borrow_and_update().clone();
                    task.known.update(object, &task.worker.setting);
                }
                Err(_) => return,
            },
            ended = async { (&mut running?.0).await.ok() }, if !is_idle && task.ending.is_none() => {
                task.running = None;
                let lost = || Ending::failed("JobFailed", "the job ended without a result");
                task.ending = Some(ended.unwrap_or_else(lost));
            }
            () = tokio::time::sleep(RETRY), if matches!(after, After::Retry) => {}
            () = shutdown.requested(), if is_idle => return,
        }
    }
}

impl RequestTask {
    async fn step(&mut self) -> After {
        let worker = self.worker.clone();
        let object = &self.known.object;
        let holder = match Holder::of(object, &worker.identity, &worker.process, process::runs) {
            Holder::Ourselves(claim) if self.claim.as_ref() != Some(&claim) => Holder::Other,
            holder => holder,
        };
        if !matches!(holder, Holder::Ourselves(_)) || object.metadata.deletion_timestamp.is_some() {
            self.running = None;
            self.ending = None;
        }
        let step = work(&WorkerView {
            object,
            turn: worker.setting.turn_of(object),
            holder: &holder,
            ending: self.ending.as_ref(),
            interrupted: match self.work() {
                Work::Command(_) => InterruptedJob::Fail,
                Work::Time(_) => InterruptedJob::Resume,
            },
            takes: !worker.shutdown.is_requested(),
        });
        match step {
            WorkerStep::Wait => After::News,
            WorkerStep::Claim => self.claim().await,
            WorkerStep::Resume(claim) => {
                let claim = Claim { process: worker.process.clone(), ..claim };
                let annotation = Some((CLAIM_ANNOTATION, claim.text()));
                self.claim = Some(claim);
                self.write(Change { annotation, ..Change::default() }).await
            }
            WorkerStep::End(ending) => self.end(&ending, &holder).await,
            WorkerStep::Record => {
                if let Holder::Ourselves(claim) = &holder
                    && self.running.is_none()
                {
                    self.begin(claim);
                }
                self.record(&holder).await
            }
        }
    }

    fn work(&self) -> Work {
        let command = self.worker.commands.get(&self.known.object.spec.job);
        command.map_or(Work::Time(self.worker.job_duration), |command| Work::Command(command.clone()))
    }

    async fn claim(&mut self) -> After {
        let (setting, object) = (&self.worker.setting, &self.known.object);
        let now = setting.clock.now();
        let claim = Claim {
            identity: self.worker.identity.clone(),
            process: self.worker.process.clone(),
            generation: object.metadata.generation.unwrap_or(0) + 1,
            at: now,
        };
        let job = &object.spec.job;
        let started = entry(job, State::Started, now);
        let wanted = Wanted { entering: Some(&started), is_ahead: true, ..Wanted::default() };
        let (status, history) = self.known.status(setting, wanted);
        let change = Change {
            position: Some(Position::new(job, State::Started)),
            annotation: Some((CLAIM_ANNOTATION, claim.text())),
            after: Some(status),
            ..Change::default()
        };
        self.claim = Some(claim);
        self.worker.setting.archive_history(&self.known.object, &history.dropped).await;
        self.write(change).await
    }

    /// Begins the job; one that takes time began with its claim.
    fn begin(&mut self, claim: &Claim) {
        let mut work = self.work();
        if let Work::Time(span) = &mut work {
            let passed = self.worker.setting.clock.now().duration_since(claim.at);
            *span = span.saturating_sub(passed.try_into().unwrap_or_default());
        }
        self.running = Some(Running(tokio::spawn(job::run(work, self.known.object.clone()))));
    }

    /// Writes the end down, then lets the job end: after that it is another party's turn.
    async fn end(&mut self, ending: &Ending, holder: &Holder) -> After {
        let (setting, object) = (&self.worker.setting, &self.known.object);
        let mut end = entry(&object.spec.job, ending.state, setting.clock.now());
        (end.reason, end.message) = (ending.reason.clone(), ending.message.clone());
        let position = Position::new(&object.spec.job, ending.state);
        let mut moved = object.clone();
        moved.spec.state = ending.state;
        let is_last = setting.turn_of(&moved) == Turn::Finished;
        let wanted = Wanted { since: since(holder), entering: Some(&end), is_ahead: false };
        let (before, history) = self.known.status(setting, wanted);
        let (ahead, _) = self.known.status(setting, Wanted { is_ahead: true, ..wanted });
        let is_whole = setting.requests.layout() == Layout::Whole;
        let change = Change {
            before: Some(before),
            position: Some(position),
            annotation: None,
            after: Some(ahead).filter(|_| is_last || is_whole),
        };
        self.worker.setting.archive_history(&self.known.object, &history.dropped).await;
        self.write(change).await
    }

    /// Brings status up to date. Only at our own turn, or when no turn is pending.
    async fn record(&mut self, holder: &Holder) -> After {
        let is_over = self.worker.setting.turn_of(&self.known.object) == Turn::Finished;
        let wanted = Wanted { since: since(holder), ..Wanted::default() };
        let Some((status, history)) = self.known.news(&self.worker.setting, wanted) else {
            return if is_over { After::Done } else { After::News };
        };
        self.worker.setting.archive_history(&self.known.object, &history.dropped).await;
        self.write(Change { before: Some(status), ..Change::default() }).await
    }

    async fn write(&mut self, change: Change) -> After {
        let setting = &self.worker.setting;
        let is_status_only = change.position.is_none() && change.annotation.is_none();
        match setting.requests.write(&self.known.object, change).await {
            Ok(object) => {
                self.known.update(object, setting);
                if is_status_only {
                    self.known.settle();
                }
                After::Again
            }
            Err(WriteError::Conflict) => match setting.requests.read(&self.known.object).await {
                Ok(Some(object)) => {
                    self.known.update(object, setting);
                    After::Again
                }
                Ok(None) => After::Done,
                Err(why) => {
                    complain(format_args!("warning: {why}"));
                    After::Retry
                }
            },
            Err(WriteError::Gone) => After::Done,
            Err(WriteError::Failed(why)) => {
                complain(format_args!("warning: {why}"));
                After::Retry
            }
        }
    }
}

/// Since when a job is started, if the claim is ours.
fn since(holder: &Holder) -> Option<jiff::Timestamp> {
    match holder {
        Holder::Ourselves(claim) | Holder::Predecessor(claim) => Some(claim.at),
        Holder::Other => None,
    }
}
