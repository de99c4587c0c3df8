//! Rights that the operator was found to have, so that not every pass asks for all of them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// How long a right is taken for granted. One that is taken away shows by then, or when something is refused.
const GRANTED: Duration = Duration::from_mins(5);

/// Rights that were found, by what they are for.
#[derive(Clone, Default)]
pub struct Rights {
    found: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Rights {
    /// Notes that all rights for `what` were there at `asked_at`, or that some were not.
    pub fn note(&self, what: &str, are_granted: bool, asked_at: Instant) {
        let mut found = self.found.lock();
        if are_granted {
            found.insert(what.to_owned(), asked_at);
        } else {
            found.remove(what);
        }
    }

    /// Whether all rights for `what` were there lately.
    #[must_use]
    pub fn are_granted(&self, what: &str, now: Instant) -> bool {
        let found = self.found.lock();
        found.get(what).is_some_and(|asked_at| now.saturating_duration_since(*asked_at) < GRANTED)
    }
}
