//! A small, real executor: takes processes from a colony, one at a time, and runs four functions.
//!
//! Its identity comes from the environment, as every executor's does: `COLONIES_SERVER_HOST`,
//! `COLONIES_SERVER_PORT`, `COLONIES_TLS`, `COLONIES_COLONY_NAME`, `COLONIES_EXECUTOR_NAME` and
//! `COLONIES_PRVKEY`. It registers nothing, and is never given a colony's key: it waits until its identity is
//! approved.
//!
//! **It loses no process.** On SIGTERM it finishes the one it has, takes no new one, and exits with 0. Its
//! long-poll is never interrupted, for the server may be assigning a process at that very moment; a process
//! that is won so late is still run. So it needs a grace period of the longest process and a long-poll
//! (`EXECUTOR_POLL_SECONDS`, 5) on top.

mod functions;
mod settings;

use std::{io::IsTerminal as _, path::Path, process::ExitCode, time::Duration};

use colonyos_operator::colony::{Client, Error, Process, Session, Timeouts};
use rand::Rng as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, warn};

use settings::Settings;

/// The longest pause between two attempts, while the server is away or the identity is not approved.
const PAUSE_MAX: Duration = Duration::from_secs(15);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let colours = std::io::stdout().is_terminal();
    tracing_subscriber::fmt().with_target(false).with_ansi(colours).with_writer(std::io::stdout).init();
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn std::error::Error>> {
    // Before anything else: a process that is the first of its container ignores SIGTERM unless it asks for
    // it.
    let stop = stop_on(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let settings = Settings::from_environment()?;
    let client = Client::new(&settings.server, Timeouts::default())?;
    let session = client.session(&settings.colony, settings.key);
    info!(executor = %settings.name, colony = %settings.colony, id = %session.id(), "started");
    let executor = Executor { session, stop, poll: settings.poll };
    executor.work(settings.ready_file.as_deref()).await;
    info!(executor = %settings.name, "stopped");
    Ok(())
}

/// Turns true when the first of the signals arrives, and stays so.
fn stop_on(mut terminate: Signal, mut interrupt: Signal) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("asked to stop: finishing what is at hand, taking nothing new");
        sender.send_replace(true);
        // The sender lives as long as the program, so that "stopped" is the only thing a receiver can learn.
        std::future::pending::<()>().await;
    });
    receiver
}

struct Executor {
    session: Session,
    stop: watch::Receiver<bool>,
    poll: Duration,
}

impl Executor {
    /// Takes and runs processes until asked to stop.
    async fn work(&self, ready_file: Option<&Path>) {
        let mut unannounced = ready_file;
        let mut pause = Backoff::new();
        // The first poll is short: it tells whether the identity is accepted.
        let mut poll = Duration::from_secs(1);
        while !*self.stop.borrow() {
            match self.session.assign(poll).await {
                Ok(process) => {
                    pause = Backoff::new();
                    poll = self.poll;
                    if let Some(file) = unannounced.take() {
                        announce(file);
                    }
                    if let Some(process) = process {
                        self.run(&process).await;
                    }
                }
                Err(Error::Paused(_)) => info!("the colony's owner has paused assignments"),
                Err(error) => {
                    let wait = pause.next();
                    warn!("{}; trying again in {} ms", explain(&error), wait.as_millis());
                    self.wait(wait).await;
                }
            }
        }
    }

    /// Waits, but no longer than until asked to stop.
    async fn wait(&self, time: Duration) {
        let mut stop = self.stop.clone();
        let _ = tokio::time::timeout(time, stop.wait_for(|stop| *stop)).await;
    }

    /// Runs a process and closes it, whatever comes.
    async fn run(&self, process: &Process) {
        let Process { id, spec, .. } = process;
        info!(process = %id, function = %spec.function, "running");
        self.log(process, &format!("running {}", spec.function)).await;
        let result = functions::run(spec).await;
        match &result {
            Ok(_) => info!(process = %id, "succeeded"),
            Err(reason) => info!(process = %id, %reason, "failed"),
        }
        let last =
            result.as_ref().map_or_else(|reason| format!("failed: {reason}"), |_| "succeeded".to_owned());
        self.log(process, &last).await;
        let mut pause = Backoff::new();
        loop {
            let closed = match &result {
                Ok(output) => self.session.close_successful(id, output).await,
                Err(reason) => self.session.close_failed(id, std::slice::from_ref(reason)).await,
            };
            match closed {
                Ok(()) => return,
                // Closing twice does no harm, and no other executor closes it.
                Err(error) if error.is_transient() => {
                    let wait = pause.next();
                    warn!(process = %id, "{}; trying again in {} ms", explain(&error), wait.as_millis());
                    tokio::time::sleep(wait).await;
                }
                // Cancelled, past its time limit, or another's by now: the result is of no use.
                Err(error) => return warn!(process = %id, "result not accepted: {}", explain(&error)),
            }
        }
    }

    /// Adds a line to the process's log. A line that is lost is no reason to fail a process.
    async fn log(&self, process: &Process, line: &str) {
        if let Err(error) = self.session.add_log(&process.id, line).await {
            warn!(process = %process.id, "{}", explain(&error));
        }
    }
}

/// Tells a readiness probe that the colony has accepted this executor.
fn announce(file: &Path) {
    info!(file = %file.display(), "accepted by the colony");
    if let Err(error) = std::fs::write(file, "accepted\n") {
        warn!("failed to write {}: {error}; check EXECUTOR_READY_FILE", file.display());
    }
}

/// An error and what caused it, in one line.
fn explain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Pauses that double from 250 ms to [`PAUSE_MAX`], each between half and all of that, so that many executors
/// do not come back at the same moment.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(Duration::from_millis(250))
    }

    fn next(&mut self) -> Duration {
        let ceiling = self.0;
        self.0 = (ceiling * 2).min(PAUSE_MAX);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}
