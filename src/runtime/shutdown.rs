//! Orderly shutdown: one request that all tasks hear, and a bound on how long the rest may take.

use std::{io, process, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Exit code of a process that was asked twice: 128 + SIGINT, as a shell reports it.
const EXIT_CODE_INTERRUPTED: i32 = 130;

/// Hears of a shutdown; clones are of the same one.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { requested: watch::Sender::new(false) }
    }
}

impl Shutdown {
    /// A shutdown that is requested by SIGTERM or SIGINT. A second signal ends the process at once.
    ///
    /// # Errors
    ///
    /// When the operating system refuses the signal handlers. Needs a Tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = Self::default();
        tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                for is_second in [false, true] {
                    let name = tokio::select! {
                        _ = terminate.recv() => "SIGTERM",
                        _ = interrupt.recv() => "SIGINT",
                    };
                    if is_second {
                        tracing::warn!(signal = name, "stopping at once, after a second signal");
                        process::exit(EXIT_CODE_INTERRUPTED);
                    }
                    tracing::info!(signal = name, "shutting down");
                    shutdown.request();
                }
            }
        });
        Ok(shutdown)
    }

    /// Requests the shutdown; more often has no effect.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }

    /// Whether it has been requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Waits for the request; at once if it has been made.
    pub async fn requested(&self) {
        // This very handle holds a sender, so the channel is open for as long as a task waits.
        let _ = self.requested.subscribe().wait_for(|requested| *requested).await;
    }

    /// Waits for the request and then for `work`, but no longer than `bound` after the request; whether the work
    /// came to its end. Work that ends before any request is reported at once.
    pub async fn drain<F: Future>(&self, work: F, bound: Duration) -> Option<F::Output> {
        tokio::select! {
            output = work => Some(output),
            () = async {
                self.requested().await;
                tokio::time::sleep(bound).await;
            } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_request_reaches_those_who_wait_and_those_who_come_later() {
        let shutdown = Shutdown::default();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        assert!(!shutdown.is_requested());
        shutdown.request();
        waiting.await.unwrap();
        shutdown.clone().requested().await;
        assert!(shutdown.is_requested());
    }

    /// Work that hangs must not keep the process beyond its grace period.
    #[tokio::test]
    async fn draining_is_bounded_from_the_request_on() {
        let shutdown = Shutdown::default();
        assert_eq!(shutdown.drain(async { 7 }, Duration::ZERO).await, Some(7));
        shutdown.request();
        assert_eq!(shutdown.drain(pending::<()>(), Duration::from_millis(5)).await, None);
    }
}
