//! The last writes of this process, so that a pass over a cache that does not show them yet is put off: it would write
//! again, or undo what was written.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// After this time the cache is believed all the same: the watch may have skipped what was written, since the object has
/// been deleted meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How many own versions of a kind are kept until its watch shows them: more than any watch lags behind.
const VERSIONS: usize = 4096;
/// From how many notes on old ones are looked for.
const MANY: usize = 1024;

/// An object of some kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub kind: Cow<'static, str>,
    pub namespace: String,
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
struct LastWrite {
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
    written: HashMap<Key, LastWrite>,
    seen: HashMap<Cow<'static, str>, u64>,
    invalidated: HashSet<Key>,
    /// Versions that passes brought about and no watch has shown yet.
    own: HashMap<Cow<'static, str>, BTreeSet<u64>>,
    /// Who waits for the caches, by object.
    waiting: HashMap<Key, Waiting>,
    /// The objects that wait for a kind's watch to come to a version.
    awaited: HashMap<Cow<'static, str>, BTreeMap<u64, Vec<Key>>>,
}

/// Has an object looked at again.
type Wake = Box<dyn FnOnce() + Send>;

struct Waiting {
    /// The version that each kind's watch has to come to.
    until: HashMap<Cow<'static, str>, u64>,
    wake: Wake,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Waiting").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Writes {
    /// Notes the version that a write brought about.
    pub fn wrote(&self, key: Key, resource_version: Option<&str>, at: Instant) {
        if let Some(resource_version) = parse(resource_version) {
            let mut inner = self.lock();
            inner.invalidated.remove(&key);
            if inner.written.len() >= MANY && inner.written.len().is_power_of_two() {
                // Kinds that no watch shows, and objects that are gone.
                inner.written.retain(|_, written| at.saturating_duration_since(written.at) < PATIENCE);
            }
            inner.written.insert(key, LastWrite { resource_version, at });
        }
    }

    /// Notes how far the watch of a kind has come. Versions of one kind are comparable numbers.
    pub fn saw(&self, kind: impl Into<Cow<'static, str>>, resource_version: Option<&str>) {
        let Some(version) = parse(resource_version) else { return };
        let kind = kind.into();
        let woken = {
            let mut inner = self.lock();
            let seen = inner.seen.entry(kind.clone()).or_default();
            *seen = version.max(*seen);
            inner.ensure_cache_fresh(&kind, version)
        };
        for wake in woken {
            wake();
        }
    }

    /// As [`Writes::wrote`], by the pass over the object itself, or over that of which it is a workload: it knows of the
    /// write and sees to what follows. What another controller makes is none of that.
    pub fn wrote_in_pass(&self, key: Key, resource_version: Option<&str>, at: Instant) {
        if let Some(version) = parse(resource_version) {
            let mut inner = self.lock();
            // The watch may have shown it before the write was answered, and shows a version once.
            if inner.seen.get(&key.kind).is_none_or(|seen| *seen < version) {
                let own = inner.own.entry(key.kind.clone()).or_default();
                own.insert(version);
                if own.len() > VERSIONS {
                    own.pop_first();
                }
            }
        }
        self.wrote(key, resource_version, at);
    }

    /// Whether a version of a kind was noted by [`Writes::wrote_in_pass`]. Each version is told once.
    #[must_use]
    pub fn is_own(&self, kind: &str, resource_version: Option<&str>) -> bool {
        let Some(version) = parse(resource_version) else { return false };
        self.lock().own.get_mut(kind).is_some_and(|own| own.remove(&version))
    }

    /// Has `wake` called once, as soon as the caches show the last writes to all of `keys`, on behalf of `object`; whether
    /// they do not yet. Of several that wait for the same object the last counts. An object whose watch has skipped a write
    /// is never woken: look again after [`PATIENCE`] all the same.
    #[must_use]
    pub fn when_caught_up(
        &self,
        object: &Key,
        keys: &[Key],
        now: Instant,
        wake: impl FnOnce() + Send + 'static,
    ) -> bool {
        let mut inner = self.lock();
        let mut until: HashMap<Cow<'static, str>, u64> = HashMap::new();
        for key in keys {
            let Some(written) = inner.written.get(key) else { continue };
            let seen = inner.seen.get(&key.kind).copied().unwrap_or_default();
            if seen < written.resource_version && now.saturating_duration_since(written.at) < PATIENCE {
                let version = until.entry(key.kind.clone()).or_default();
                *version = written.resource_version.max(*version);
            }
        }
        if until.is_empty() {
            return false;
        }
        for (kind, version) in &until {
            let awaited = inner.awaited.entry(kind.clone()).or_default();
            awaited.entry(*version).or_default().push(object.clone());
        }
        inner.waiting.insert(object.clone(), Waiting { until, wake: Box::new(wake) });
        true
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
    pub fn invalidate(&self, key: Key) {
        self.lock().invalidated.insert(key);
    }

    /// Whether the API server itself has to be asked for an object.
    #[must_use]
    pub fn is_invalidated(&self, key: &Key) -> bool {
        self.lock().invalidated.contains(key)
    }

    /// The objects of a kind in a namespace for which the API server itself has to be asked.
    #[must_use]
    pub fn invalidated(&self, kind: &str, namespace: &str) -> Vec<String> {
        let inner = self.lock();
        let invalidated =
            inner.invalidated.iter().filter(|key| key.kind == kind && key.namespace == namespace);
        invalidated.map(|key| key.name.clone()).collect()
    }

    /// Records that the cache is current.
    pub fn revalidate(&self, key: &Key) {
        self.lock().invalidated.remove(key);
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Inner {
    /// Those that wait for nothing any more now that the watch of a kind has come to a version.
    fn ensure_cache_fresh(&mut self, kind: &str, version: u64) -> Vec<Wake> {
        let Some(awaited) = self.awaited.get_mut(kind) else { return Vec::new() };
        let later = awaited.split_off(&version.saturating_add(1));
        let reached = std::mem::replace(awaited, later);
        let mut woken = Vec::new();
        for object in reached.into_values().flatten() {
            let Some(waiting) = self.waiting.get_mut(&object) else { continue };
            if waiting.until.get(kind).is_some_and(|until| *until <= version) {
                waiting.until.remove(kind);
            }
            if waiting.until.is_empty() {
                woken.extend(self.waiting.remove(&object).map(|waiting| waiting.wake));
            }
        }
        woken
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

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    /// A timer would have most passes look in vain, and the others late.
    #[test]
    fn who_waits_for_the_caches_is_woken_once_by_the_last_of_them() {
        let (writes, start) = (Writes::default(), start());
        let [fleet, deployment] = ["Fleet", "Deployment"].map(|kind| Key::new(kind, "blue", "encoders"));
        let woken = Arc::new(Mutex::new(0));
        let wait = || {
            let woken = woken.clone();
            let keys = [fleet.clone(), deployment.clone()];
            writes.when_caught_up(&fleet, &keys, start, move || *woken.lock() += 1)
        };
        assert!(!wait(), "nothing was written");
        writes.wrote(fleet.clone(), Some("12"), start);
        writes.wrote(deployment.clone(), Some("14"), start);
        assert!(wait() && wait());
        writes.saw("Deployment", Some("20"));
        writes.saw("Fleet", Some("11"));
        assert_eq!(*woken.lock(), 0);
        writes.saw("Fleet", Some("13"));
        writes.saw("Fleet", Some("15"));
        assert_eq!(*woken.lock(), 1);
        assert!(!wait(), "the caches show everything");
        let inner = writes.lock();
        assert!(inner.waiting.is_empty() && inner.awaited.values().all(BTreeMap::is_empty));
    }

    /// A pass on the strength of an own write would find nothing new.
    #[test]
    fn own_versions_are_told_from_those_of_others_once() {
        let (writes, key) = (Writes::default(), Key::new("Deployment", "blue", "encoders"));
        writes.wrote(key.clone(), Some("10"), start());
        writes.wrote_in_pass(key, Some("12"), start());
        assert!(!writes.is_own("Deployment", Some("10")), "another controller made it");
        assert!(!writes.is_own("Deployment", Some("11")) && !writes.is_own("Job", Some("12")));
        assert!(writes.is_own("Deployment", Some("12")) && !writes.is_own("Deployment", Some("12")));
    }

    /// It would hide the object from the first list of the next watch.
    #[test]
    fn a_version_that_the_watch_has_shown_already_is_not_waited_for() {
        let writes = Writes::default();
        writes.saw("Deployment", Some("12"));
        writes.wrote_in_pass(Key::new("Deployment", "blue", "encoders"), Some("12"), start());
        assert!(!writes.is_own("Deployment", Some("12")));
    }

    #[test]
    fn notes_of_what_no_watch_shows_are_not_kept() {
        let (writes, start) = (Writes::default(), start());
        for index in 0..4 * MANY {
            let at = start + PATIENCE * u32::try_from(index).unwrap();
            writes.wrote(Key::new("Secret", "blue", &index.to_string()), Some(&index.to_string()), at);
        }
        assert!(writes.lock().written.len() <= MANY + 1);
    }
}
