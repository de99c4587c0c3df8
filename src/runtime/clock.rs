//! The only source of the current time; everything else is handed a [`Clock`] or a moment read from one.
//!
//! Wall time goes into objects and logs, monotonic time into deadlines. The monotonic clock counts on while the
//! process is stopped by a signal, which is what lets a resumed process see that its lease has run out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use parking_lot::Mutex;

/// The clock; cheap to clone, all clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Mutex<Moment>>),
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The calendar time.
    pub wall: Timestamp,
    /// The monotonic time.
    pub monotonic: Instant,
}

impl Moment {
    /// The calendar time of a monotonic time, as the clocks stand at this moment: however the calendar has jumped meanwhile,
    /// what is to come is as far away as it is.
    #[must_use]
    pub fn wall_of(&self, instant: Instant) -> Timestamp {
        let moved = match instant.checked_duration_since(self.monotonic) {
            Some(ahead) => self.wall.checked_add(ahead),
            None => self.wall.checked_sub(self.monotonic.saturating_duration_since(instant)),
        };
        moved.unwrap_or(self.wall)
    }
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self { source: Source::System }
    }

    /// A clock that stands still at `wall` until [`Clock::advance`] moves it; for tests and simulations.
    #[must_use]
    pub fn manual(wall: Timestamp) -> Self {
        let moment = Moment { wall, monotonic: monotonic_now() };
        Self { source: Source::Manual(Arc::new(Mutex::new(moment))) }
    }

    /// The calendar time in UTC. May jump; never compare it with a deadline.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System => wall_now(),
            Source::Manual(moment) => moment.lock().wall,
        }
    }

    /// The monotonic time, for deadlines and durations within this process.
    #[must_use]
    pub fn instant(&self) -> Instant {
        match &self.source {
            Source::System => monotonic_now(),
            Source::Manual(moment) => moment.lock().monotonic,
        }
    }

    /// Both.
    #[must_use]
    pub fn moment(&self) -> Moment {
        match &self.source {
            Source::System => Moment { wall: wall_now(), monotonic: monotonic_now() },
            Source::Manual(moment) => *moment.lock(),
        }
    }

    /// Moves the calendar of a manual clock by `by`, as a correction does, or time in which the machine is suspended.
    pub fn step(&self, by: jiff::SignedDuration) {
        if let Source::Manual(moment) = &self.source {
            let mut moment = moment.lock();
            moment.wall = moment.wall.checked_add(by).unwrap_or(moment.wall);
        }
    }

    /// Moves a manual clock forward by `by`, both readings alike; the system's clocks cannot be moved and stay.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(moment) = &self.source {
            let mut moment = moment.lock();
            moment.monotonic += by;
            // Past the year 9999 a timestamp saturates, which is no problem in practice.
            moment.wall = moment.wall.saturating_add(by).unwrap_or(Timestamp::MAX);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the calendar clock")]
fn wall_now() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
fn monotonic_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A simulation hands one clock to many parts; they must not drift apart.
    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let (clone, before) = (clock.clone(), clock.instant());
        clock.advance(Duration::from_secs(90));
        assert_eq!(clone.now(), Timestamp::from_second(90).unwrap());
        assert_eq!(clone.instant() - before, Duration::from_secs(90));
    }

    #[test]
    fn the_system_clock_cannot_be_moved() {
        let clock = Clock::system();
        clock.advance(Duration::from_hours(24));
        assert!(clock.now() < Clock::system().now() + Duration::from_hours(1));
    }
}
