//! Statuses that are not written yet, since what follows within a moment changes them again. The pass after such a one stands
//! on what it found. A process that ends before the write loses it: nothing may wait here that the next one cannot find out.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use kube::{ResourceExt as _, core::object::HasStatus as _};
use parking_lot::Mutex;

use super::{
    context::Services,
    stages::{Acted, Stages, Status},
};
use crate::api::mirror::MirrorStatus;

/// How long a status waits at most.
const LONGEST: Duration = Duration::from_secs(2);
/// When what follows a submit is looked at where nothing tells of it.
const AT_ONCE: Duration = Duration::from_millis(20);
/// From how many on those are looked for whose objects are gone.
const MANY: usize = 1024;

/// Statuses that wait, by UID of their object.
pub(super) struct Unwritten<T> {
    by_uid: Mutex<HashMap<String, Waiting<T>>>,
}

struct Waiting<T> {
    /// What is on record, over which it was computed.
    recorded: Option<T>,
    status: T,
    until: Instant,
    /// Since when no other process can have written.
    alone_since: Instant,
}

impl<T> Default for Unwritten<T> {
    fn default() -> Self {
        Self { by_uid: Mutex::default() }
    }
}

impl<T: Clone + PartialEq> Unwritten<T> {
    /// The status that waits for an object of which `recorded` is on record. One that was computed over another, or by an
    /// operator that others may have followed, is forgotten.
    pub fn get(&self, uid: &str, recorded: Option<&T>, alone_since: Option<Instant>) -> Option<T> {
        let mut by_uid = self.by_uid.lock();
        let waiting = by_uid.get(uid)?;
        if waiting.recorded.as_ref() == recorded && Some(waiting.alone_since) == alone_since {
            return Some(waiting.status.clone());
        }
        by_uid.remove(uid);
        None
    }

    /// Has a status wait, unless one of the object has waited for long enough; for how long it waits.
    pub fn put(
        &self,
        uid: &str,
        recorded: Option<&T>,
        status: &T,
        alone_since: Option<Instant>,
        now: Instant,
    ) -> Option<Duration> {
        let alone_since = alone_since?;
        let mut by_uid = self.by_uid.lock();
        let since = by_uid.get(uid).map(|waiting| waiting.until);
        let until = since.or_else(|| now.checked_add(LONGEST))?;
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        if by_uid.len() >= MANY && by_uid.len().is_power_of_two() {
            by_uid.retain(|_, waiting| now.saturating_duration_since(waiting.until) < LONGEST);
        }
        let (recorded, status) = (recorded.cloned(), status.clone());
        by_uid.insert(uid.to_owned(), Waiting { recorded, status, until, alone_since });
        Some(left)
    }

    /// Forgets the status of an object: it is written, or the object is gone.
    pub fn forget(&self, uid: &str) {
        self.by_uid.lock().remove(uid);
    }
}

/// Since when no other process can have written.
fn alone_since(services: &Services) -> Option<Instant> {
    services.leadership.alone_since().map(|since| since.monotonic)
}

/// An object with the status that waits for it, if one does.
pub(super) fn shown<S: Stages>(
    unwritten: &Unwritten<Status<S>>,
    services: &Services,
    object: &S::Object,
) -> Option<S::Object> {
    let waiting = unwritten.get(&object.uid()?, object.status(), alone_since(services))?;
    let mut shown = object.clone();
    *shown.status_mut() = Some(waiting);
    Some(shown)
}

/// Has the status of `object`, as it is on record, wait where it only says that a process was just submitted and all goes well;
/// when to look again.
pub(super) fn put_off<S: Stages>(
    unwritten: &Unwritten<Status<S>>,
    services: &Services,
    object: &S::Object,
    status: &Status<S>,
    acted: &Acted<S>,
) -> Option<Duration> {
    let uid = object.uid()?;
    let alone_since = alone_since(services);
    let begins = acted.outcome.submitted().is_some();
    let goes_on = || unwritten.get(&uid, object.status(), alone_since).is_some();
    // Without it, the process is looked up by the label of the intent.
    let intent = object.status().and_then(S::recorded).filter(|intent| intent.is_unbound())?;
    let is_its = |bound: &MirrorStatus| bound.label == intent.label && bound.state.is_live();
    if !S::recorded(status).is_some_and(is_its) || !(begins || goes_on()) {
        return None;
    }
    let left = unwritten.put(&uid, object.status(), status, alone_since, services.clock.instant())?;
    // A workload that was just written is watched; of one that was there before, nothing new may ever be seen.
    let is_watched = !begins || acted.outcome.done_kubernetes().next().is_some();
    Some(if is_watched { left } else { left.min(AT_ONCE) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_status_waits_once_and_not_for_long() {
        let (unwritten, start) = (Unwritten::default(), start());
        let put = |status, at| unwritten.put("u", Some(&1), &status, Some(start), at);
        assert_eq!(put(2, start), Some(LONGEST));
        assert_eq!(unwritten.get("u", Some(&1), Some(start)), Some(2));
        assert_eq!(put(3, start + LONGEST / 4), Some(LONGEST * 3 / 4), "the first began it");
        assert_eq!(put(4, start + LONGEST), None);
        assert_eq!(unwritten.get("u", Some(&1), Some(start)), Some(3), "until it is written");
        unwritten.forget("u");
        assert_eq!(unwritten.get("u", Some(&1), Some(start)), None);
        assert_eq!(put(5, start + 9 * SECOND), Some(LONGEST));
    }

    /// Others have written to the object meanwhile, or may have.
    #[test]
    fn a_status_that_was_computed_over_another_is_forgotten() {
        let (unwritten, start) = (Unwritten::default(), start());
        let put = || unwritten.put("u", Some(&1), &2, Some(start), start);
        for (recorded, alone_since) in
            [(Some(&7), Some(start)), (None, Some(start)), (Some(&1), None), (Some(&1), Some(start + SECOND))]
        {
            assert!(put().is_some());
            assert_eq!(unwritten.get("u", recorded, alone_since), None);
            assert_eq!(unwritten.get("u", Some(&1), Some(start)), None);
        }
        assert_eq!(unwritten.put("u", Some(&1), &2, None, start), None, "another may write");
    }
}
