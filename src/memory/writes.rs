//! The last writes of this process, so that a pass over a cache that does not show them yet is put off: it would write
//! again, or undo what was written.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// After this time the cache is believed all the same: the watch may have skipped what was written, since the object has
/// been deleted meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// An object of some kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Cow<'static, str>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The object `namespace/name` of `kind`.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, namespace: &str, name: &str) -> Self {
        Self { kind: kind.into(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

#[derive(Clone, Copy)]
struct Written {
    resource_version: u64,
    at: Instant,
}

/// Last writes, how far each watch has come, and objects about which the cache turned out to be wrong.
#[derive(Clone, Default)]
pub struct Writes {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    written: HashMap<Key, Written>,
    seen: HashMap<Cow<'static, str>, u64>,
    doubted: HashSet<Key>,
}

impl Writes {
    /// Notes the version that a write brought about.
    pub fn wrote(&self, key: Key, resource_version: Option<&str>, at: Instant) {
        if let Some(resource_version) = parse(resource_version) {
            let mut inner = self.lock();
            inner.doubted.remove(&key);
            inner.written.insert(key, Written { resource_version, at });
        }
    }

    /// Notes how far the watch of a kind has come. Versions of one kind are comparable numbers.
    pub fn saw(&self, kind: impl Into<Cow<'static, str>>, resource_version: Option<&str>) {
        if let Some(version) = parse(resource_version) {
            let mut inner = self.lock();
            let seen = inner.seen.entry(kind.into()).or_default();
            *seen = version.max(*seen);
        }
    }

    /// Whether the cache has not caught up with the last write to an object.
    #[must_use]
    pub fn is_cache_behind(&self, key: &Key, now: Instant) -> bool {
        let mut inner = self.lock();
        let Some(written) = inner.written.get(key).copied() else { return false };
        let seen = inner.seen.get(&key.kind).copied().unwrap_or_default();
        let behind = seen < written.resource_version && now.saturating_duration_since(written.at) < PATIENCE;
        if !behind {
            inner.written.remove(key);
        }
        behind
    }

    /// Notes that a write was refused because the cache is wrong about an object: it is older than what is there, or shows
    /// a name as free that is taken by something that is not cached. The next snapshot asks the API server itself.
    pub fn doubt(&self, key: Key) {
        self.lock().doubted.insert(key);
    }

    /// Whether the API server itself has to be asked for an object.
    #[must_use]
    pub fn is_doubted(&self, key: &Key) -> bool {
        self.lock().doubted.contains(key)
    }

    /// The objects of a kind in a namespace for which the API server itself has to be asked.
    #[must_use]
    pub fn doubted(&self, kind: &str, namespace: &str) -> Vec<String> {
        let inner = self.lock();
        let doubted = inner.doubted.iter().filter(|key| key.kind == kind && key.namespace == namespace);
        doubted.map(|key| key.name.clone()).collect()
    }

    /// Notes that the cache shows what the API server says.
    pub fn believe(&self, key: &Key) {
        self.lock().doubted.remove(key);
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

fn parse(resource_version: Option<&str>) -> Option<u64> {
    resource_version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pass after a create must not create again, yet a cache that never shows the object must not stop it for ever.
    #[test]
    fn a_pass_waits_for_its_own_write_but_not_for_ever() {
        let (writes, key) = (Writes::default(), Key::new("Deployment", "blue", "encoders"));
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        assert!(!writes.is_cache_behind(&key, start));
        writes.wrote(key.clone(), Some("12"), start);
        writes.saw("Deployment", Some("11"));
        assert!(writes.is_cache_behind(&key, start));
        assert!(!writes.is_cache_behind(&key, start + PATIENCE), "patience is over");
        writes.wrote(key.clone(), Some("14"), start);
        writes.saw("Deployment", Some("14"));
        assert!(!writes.is_cache_behind(&key, start));
    }
}
