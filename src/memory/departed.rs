//! Which objects this process has let go: what they had is nobody's any more.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Mutex, MutexGuard};

/// How many are remembered, the latest ones. What is forgotten only counts as not known.
const MOST: usize = 10_000;

/// The UIDs of objects that were let go, the oldest first.
#[derive(Clone, Default)]
pub struct Departed(Arc<Mutex<VecDeque<String>>>);

impl Departed {
    /// Notes an object that nothing holds any more.
    pub fn note(&self, uid: &str) {
        let mut departed = self.lock();
        departed.push_back(uid.to_owned());
        if departed.len() > MOST {
            departed.pop_front();
        }
    }

    /// Whether an object is known to have been let go.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.lock().iter().any(|departed| departed == uid)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that runs for years lets go of more objects than it has memory for.
    #[test]
    fn the_latest_are_remembered() {
        let departed = Departed::default();
        (0..=MOST).for_each(|number| departed.note(&number.to_string()));
        assert!(!departed.contains("0") && departed.contains("1") && departed.contains(&MOST.to_string()));
        assert!(!departed.contains("never"));
    }
}
