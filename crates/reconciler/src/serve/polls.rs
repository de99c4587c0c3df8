//! The long poll for processes. What it is given is found by its state afterwards, so it only says that there is something.

use std::time::Duration;

use colonyos_client::{Error, Session};
use tokio::{
    sync::watch::{Receiver, Sender},
    task::JoinHandle,
};

/// The pause after a failed poll.
const PAUSE: Duration = Duration::from_secs(2);

/// A task that polls.
pub(super) struct Polls {
    arrivals: Receiver<u64>,
    stop: Sender<bool>,
    task: JoinHandle<()>,
}

impl Polls {
    pub(super) fn start(session: Session, length: Duration) -> Self {
        let (sender, arrivals) = tokio::sync::watch::channel(0);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(poll(session, length, sender, stopped));
        Self { arrivals, stop, task }
    }

    /// Counts the processes that arrived.
    pub(super) fn arrivals(&self) -> Receiver<u64> {
        self.arrivals.clone()
    }

    /// Lets the poll under way come to its end.
    pub(super) async fn end(self) {
        self.stop.send_replace(true);
        // A task that has failed has ended too.
        let _ = self.task.await;
    }
}

async fn poll(session: Session, length: Duration, arrivals: Sender<u64>, mut stopped: Receiver<bool>) {
    while !*stopped.borrow() {
        match session.assign(length).await {
            Ok(None) => {}
            // Also when the answer was lost: it may have been a process.
            Ok(Some(_)) => arrivals.send_modify(|count| *count += 1),
            Err(error) => {
                if error.may_have_happened() {
                    arrivals.send_modify(|count| *count += 1);
                }
                // The reconciler's own reads meet the same.
                let pause = if matches!(error, Error::Paused(_)) { length } else { PAUSE };
                // That it is not asked in time is what is expected.
                let _ = tokio::time::timeout(pause, asked(&mut stopped)).await;
            }
        }
    }
}

async fn asked(stopped: &mut Receiver<bool>) {
    // Without its sender there is nobody to ask.
    let _ = stopped.wait_for(|stop| *stop).await;
}
