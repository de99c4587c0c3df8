//! How long each test takes, without its wait for a turn: what a rung can be made shorter by.

use std::{
    cell::Cell,
    fs::OpenOptions,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

use colonyos_operator::runtime::clock::Clock;

use super::environment;

thread_local! {
    /// How long the test of this thread has waited for others.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time of a test, noted when it is dropped: a line in the file that `TEST_TIMES` names.
pub struct Watch {
    clock: Clock,
    start: Instant,
}

impl Watch {
    /// Begins to measure.
    pub fn start() -> Self {
        let clock = Clock::system();
        Self { start: clock.instant(), clock }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(file) = environment::variable("TEST_TIMES") else { return };
        let time = (self.clock.instant() - self.start).saturating_sub(WAITED.get());
        let line = format!("{} {}\n", time.as_millis(), thread::current().name().unwrap_or("?"));
        // No test fails because its time is not known.
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(file) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Waits for others; that is not counted.
pub async fn uncounted<T>(wait: impl Future<Output = T>) -> T {
    let clock = Clock::system();
    let start = clock.instant();
    let value = wait.await;
    WAITED.set(WAITED.get() + (clock.instant() - start));
    value
}

/// A cause that was planted, to tell how long it takes until an object says it. A measure, not a limit: nothing depends on it.
pub struct Planted {
    cause: String,
    clock: Clock,
    start: Instant,
}

impl Planted {
    /// Plants it now.
    pub fn now(cause: impl Into<String>) -> Self {
        let clock = Clock::system();
        Self { cause: cause.into(), start: clock.instant(), clock }
    }

    /// It is said: a row of a table on standard error, past what the harness keeps to itself.
    pub fn said(self, reason: &str) {
        let seconds = (self.clock.instant() - self.start).as_secs_f64();
        let row = format!("| {} | `{reason}` | {seconds:.1} |\n", self.cause);
        // No test fails because its time is not known.
        let _ = std::io::stderr().write_all(row.as_bytes());
    }
}
