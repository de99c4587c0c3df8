//! When to try again: a delay for each object that grows with every failure, with jitter, and resets after a success.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::Rng as _;

/// Delay after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// Delay after the first write that came too late: the next snapshot looks at what came before it.
const FIRST_CONFLICT: Duration = Duration::from_millis(20);
/// Longest delay.
const LONGEST: Duration = Duration::from_mins(1);

/// Failures in a row, by UID.
#[derive(Clone, Default)]
pub struct Retries {
    failures: Arc<Mutex<HashMap<String, u32>>>,
}

impl Retries {
    /// Counts a failure; how long to wait.
    #[must_use]
    pub fn after_failure(&self, uid: &str) -> Duration {
        self.after(FIRST, uid)
    }

    /// Counts a write that was refused because the world had changed; how long to wait.
    #[must_use]
    pub fn after_conflict(&self, uid: &str) -> Duration {
        self.after(FIRST_CONFLICT, uid)
    }

    fn after(&self, first: Duration, uid: &str) -> Duration {
        let mut failures = self.failures.lock();
        let count = failures.entry(uid.to_owned()).or_default();
        let delay = first.saturating_mul(2_u32.saturating_pow(*count)).min(LONGEST);
        *count = count.saturating_add(1);
        jitter(delay)
    }

    /// The object is well, or gone.
    pub fn reset(&self, uid: &str) {
        self.failures.lock().remove(uid);
    }
}

/// Up to a quarter more than `delay`, so that those who failed together do not return together.
#[must_use]
pub fn jitter(delay: Duration) -> Duration {
    delay.mul_f64(rand::rng().random_range(1.0..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_start_anew() {
        let retries = Retries::default();
        let delays: Vec<Duration> = (0..12).map(|_| retries.after_failure("a")).collect();
        assert!(delays.first() < delays.get(3), "{delays:?}");
        assert!(delays.iter().all(|delay| *delay <= LONGEST.mul_f64(1.25)));
        assert!(retries.after_failure("b") < Duration::from_secs(1), "another object is not held up");
        retries.reset("a");
        assert!(retries.after_failure("a") < Duration::from_secs(1));
    }
}
