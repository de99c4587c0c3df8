//! Whether the API server asks this operator for the names of the executors of new pods.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::snapshot::Observed;

/// The webhook that names the executors of pods; clones share it.
#[derive(Clone)]
pub struct IdentityWebhook(Arc<State>);

struct State {
    known: RwLock<Observed<Timestamp>>,
    is_offered: AtomicBool,
    doubted: Notify,
}

impl Default for IdentityWebhook {
    fn default() -> Self {
        let known = RwLock::new(Observed::Unknown("the webhook of the operator is being started".to_owned()));
        Self(Arc::new(State { known, is_offered: AtomicBool::new(true), doubted: Notify::new() }))
    }
}

impl IdentityWebhook {
    /// Since when the API server is known to ask, or why it is not.
    #[must_use]
    pub fn known(&self) -> Observed<Timestamp> {
        self.0.known.read().clone()
    }

    /// Notes that the API server asks, as was seen at `now`.
    pub fn is_set_up(&self, now: Timestamp) {
        let mut known = self.0.known.write();
        if known.known().is_none() {
            *known = Observed::Known(now);
        }
    }

    /// Notes why it does not ask.
    pub fn fails(&self, why: String) {
        *self.0.known.write() = Observed::Unknown(why);
    }

    /// Notes that the operator is not set up for it: it stays so.
    pub fn is_not_offered(&self, why: String) {
        self.0.is_offered.store(false, Ordering::Relaxed);
        self.fails(why);
    }

    /// Whether the operator is set up for it.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.0.is_offered.load(Ordering::Relaxed)
    }

    /// Has it looked at again: a pod was created without a name for its executor.
    pub fn doubt(&self) {
        self.0.doubted.notify_one();
    }

    /// Returns when it is to be looked at again.
    pub async fn doubted(&self) {
        self.0.doubted.notified().await;
    }
}
