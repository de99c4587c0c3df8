//! The one place that reads clocks; what decides is told the time.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the calendar clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Counts from its start, by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this crate that reads the monotonic clock"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
