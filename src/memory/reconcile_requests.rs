//! The reconcile requests of objects, so that each request counts once.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};

/// What was last asked for each object, by its UID.
#[derive(Clone, Default)]
pub struct ReconcileRequests(Arc<Mutex<HashMap<String, String>>>);

impl ReconcileRequests {
    /// Whether an object asks for something that it did not ask for when it was last looked at. What this process has
    /// never seen counts as new: it remembers nothing then that could be wrong.
    #[must_use]
    pub fn is_new(&self, uid: &str, asked: Option<&str>) -> bool {
        let mut seen = self.lock();
        match asked {
            None => {
                seen.remove(uid);
                false
            }
            Some(asked) if seen.get(uid).is_some_and(|seen| seen == asked) => false,
            Some(asked) => {
                seen.insert(uid.to_owned(), asked.to_owned());
                true
            }
        }
    }

    /// Forgets an object that goes.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An annotation stays where it is: read again on every pass, it would cost a request each time.
    #[test]
    fn each_asking_counts_once() {
        let reconcile_requests = ReconcileRequests::default();
        assert!(!reconcile_requests.is_new("u1", None));
        assert!(reconcile_requests.is_new("u1", Some("a")) && !reconcile_requests.is_new("u1", Some("a")));
        assert!(reconcile_requests.is_new("u2", Some("a")), "another object");
        assert!(reconcile_requests.is_new("u1", Some("b")));
        assert!(
            !reconcile_requests.is_new("u1", None) && reconcile_requests.is_new("u1", Some("b")),
            "it was taken away"
        );
        reconcile_requests.forget("u1");
        assert!(reconcile_requests.is_new("u1", Some("b")));
    }
}
