//! A drain, from its begin to its end.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    shared::{AtTimeout, Inner},
    state::State,
};
use crate::colony::{Error, Process, ProcessId, ProcessState};

/// How often the colony is asked whether what seems to be in hand still is: a process that was cancelled, or has run out of time, is
/// never closed.
const CHECK: Duration = Duration::from_secs(5);
/// How many of them are asked about at a time.
const CHECKED_MAX: usize = 64;

/// One who waits until the executor is drained. Those who leave withdraw their wish.
struct Wish {
    gate: Arc<Inner>,
    is_met: bool,
}

impl Wish {
    fn new(gate: Arc<Inner>) -> Self {
        gate.change_quietly(State::drain);
        Self { gate, is_met: false }
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        let hold = self.gate.change_quietly(State::end_drain);
        let span = if self.is_met { self.gate.hold } else { self.gate.withdrawal };
        if !self.is_met {
            tracing::info!("who asked to drain has left");
        }
        let gate = self.gate.clone();
        tokio::spawn(async move {
            sleep(span).await;
            gate.change_quietly(|state| state.release(hold));
        });
    }
}

/// Lets nothing more in, and waits until nothing is in hand; what happened.
pub(super) async fn drain(gate: Arc<Inner>) -> &'static str {
    tracing::info!(open = gate.state.borrow().open_processes().count(), "draining");
    let mut wish = Wish::new(gate.clone());
    let drained = until_empty(&gate);
    let is_drained = match gate.timeout {
        None => {
            drained.await;
            true
        }
        Some(limit) => timeout(limit, drained).await.is_ok(),
    };
    if !is_drained && gate.at_timeout == AtTimeout::Cancel {
        cancel(&gate).await;
    }
    wish.is_met = true;
    let outcome = if is_drained { "drained\n" } else { "not drained in time\n" };
    tracing::info!(outcome = outcome.trim_end(), "the executor may be stopped");
    outcome
}

async fn until_empty(gate: &Inner) {
    let mut changes = gate.state.subscribe();
    loop {
        check(gate).await;
        let is_empty = async {
            // The gate holds a sender.
            let _ = changes.wait_for(State::is_empty).await;
        };
        if timeout(CHECK, is_empty).await.is_ok() {
            return;
        }
    }
}

/// Forgets what the colony says that the executor does not have any more. What cannot be read counts as in hand.
pub(super) async fn check(gate: &Inner) {
    let open: Vec<ProcessId> = gate.state.borrow().open_processes().take(CHECKED_MAX).cloned().collect();
    for process in open {
        let is_over = match gate.session.process(&process).await {
            Ok(found) => !is_own(gate, &found),
            Err(Error::NotFound(_)) => true,
            Err(Error::TooLarge { cut: Some(found), .. }) => !is_own(gate, &found),
            Err(error) => {
                tracing::warn!(%process, %error, "it is not known whether a process is in hand");
                false
            }
        };
        if is_over {
            tracing::info!(%process, "not in hand any more");
            gate.kept.lock().retain(|reply| !reply.is_of(&process));
            gate.change(|state| state.close(&process));
        }
    }
}

fn is_own(gate: &Inner, process: &Process) -> bool {
    process.state == ProcessState::Running && process.assigned_executor.as_ref() == Some(gate.session.id())
}

/// Cancels what is in hand. What cannot be cancelled goes back to the queue, as without this.
async fn cancel(gate: &Inner) {
    let open: Vec<ProcessId> = gate.state.borrow().open_processes().cloned().collect();
    for process in open {
        match gate.session.cancel(&process).await {
            Ok(()) => tracing::info!(%process, "cancelled: the time to drain is over"),
            Err(error) => tracing::warn!(%process, %error, "not cancelled"),
        }
    }
}
