//! The objects that this process has released: their processes have no owner any more.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Mutex, MutexGuard};

/// How many are remembered, the latest ones. What is forgotten only counts as not known.
const MOST: usize = 10_000;

/// The UIDs of released objects, the oldest first.
#[derive(Clone, Default)]
pub struct ReleasedObjects(Arc<Mutex<VecDeque<String>>>);

impl ReleasedObjects {
    /// Notes an object that nothing holds any more.
    pub fn note(&self, uid: &str) {
        let mut released = self.lock();
        released.push_back(uid.to_owned());
        if released.len() > MOST {
            released.pop_front();
        }
    }

    /// Whether an object is known to have been released.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.lock().iter().any(|released| released == uid)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that runs for years releases more objects than it can remember.
    #[test]
    fn the_latest_are_remembered() {
        let released = ReleasedObjects::default();
        (0..=MOST).for_each(|number| released.note(&number.to_string()));
        assert!(!released.contains("0") && released.contains("1") && released.contains(&MOST.to_string()));
        assert!(!released.contains("never"));
    }
}
