//! What the Secrets of executors say besides the key, so that they need not be read on every pass. They are not watched:
//! that would take the right to list every Secret.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::snapshot::Identity;

/// How long what was read is believed. A Secret that somebody deletes is missed only by pods that start, and those are
/// seen to wait for it.
const VALIDITY: Duration = Duration::from_mins(10);

/// Identities that were read, by namespace and name of the Secret.
#[derive(Clone, Default)]
pub struct Identities {
    read: Arc<Mutex<HashMap<SecretKey, (Identity, Instant)>>>,
}

/// Namespace and name of a Secret.
type SecretKey = (String, String);

impl Identities {
    /// What a Secret said when it was last read, unless that is too long ago.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str, now: Instant) -> Option<Identity> {
        let read = self.read.lock();
        read.get(&(namespace.to_owned(), name.to_owned()))
            .filter(|(_, at)| now.saturating_duration_since(*at) < VALIDITY)
            .map(|(identity, _)| identity.clone())
    }

    /// Notes what a Secret says.
    pub fn put(&self, namespace: &str, name: &str, identity: Identity, now: Instant) {
        let mut read = self.read.lock();
        read.insert((namespace.to_owned(), name.to_owned()), (identity, now));
    }

    /// Forgets a Secret that is written to or gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut read = self.read.lock();
        read.remove(&(namespace.to_owned(), name.to_owned()));
    }
}
