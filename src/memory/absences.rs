//! What colonies, and caches, have reported to be gone. Much follows from an absence: work is given up, objects are deleted. Hence it is
//! believed only when it was seen twice, some time apart: a row may be hidden for a moment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::pruned::Pruned;

/// How much later an absence has to be seen again.
const CONFIRMED_AFTER: Duration = Duration::from_secs(5);
/// For how long an absence is remembered that was not seen again: it was there in between, as far as is known.
const KEPT: Duration = Duration::from_mins(2);

/// Something that there was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Absent {
    /// A process or a workflow, by its id.
    Work(String),
    /// A blueprint, by the names of the `Colony` and its own.
    Blueprint(String, String),
    /// An object of the cluster, by its UID, that a colony has something of.
    Object(String),
    /// The pod of an executor, by the names of the `Colony` and of the executor.
    Pod(String, String),
    /// A kind that the cluster served, by its group and name.
    Kind(String, String),
    /// What was to outlive its object in a colony, by the UID of the object.
    Left(String),
}

/// Absences, and when each was first and last seen.
#[derive(Clone, Default)]
pub struct Absences {
    seen: Arc<Mutex<Pruned<Absent, Seen>>>,
}

#[derive(Clone, Copy)]
struct Seen {
    first: Instant,
    last: Instant,
}

impl Absences {
    /// Notes that something is reported to be gone, in an answer to a question that was asked at `now`; whether that is believed.
    #[must_use]
    pub fn seen(&self, absent: Absent, now: Instant) -> bool {
        let is_kept = |seen: &Seen| now.saturating_duration_since(seen.last) <= KEPT;
        let mut all = self.seen.lock();
        let first = all.get(&absent).filter(|seen| is_kept(seen)).map_or(now, |seen| seen.first);
        all.insert(absent, Seen { first, last: now }, is_kept);
        now.saturating_duration_since(first) >= CONFIRMED_AFTER
    }

    /// Whether something that is reported to be gone at `now` would be believed to be; none if it was not reported before.
    #[must_use]
    pub fn is_due(&self, absent: &Absent, now: Instant) -> Option<bool> {
        let all = self.seen.lock();
        let seen = all.get(absent).filter(|seen| now.saturating_duration_since(seen.last) <= KEPT)?;
        Some(now.saturating_duration_since(seen.first) >= CONFIRMED_AFTER)
    }

    /// Notes that something is there.
    pub fn present(&self, absent: &Absent) {
        self.seen.lock().remove(absent);
    }

    /// Notes that this process has taken something away itself: its absence is no surprise.
    pub fn expected(&self, absent: Absent, now: Instant) {
        let first = now.checked_sub(CONFIRMED_AFTER).unwrap_or(now);
        let is_kept = |seen: &Seen| now.saturating_duration_since(seen.last) <= KEPT;
        self.seen.lock().insert(absent, Seen { first, last: now }, is_kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |second| start + Duration::from_secs(second)
    }

    fn work(id: &str) -> Absent {
        Absent::Work(id.to_owned())
    }

    #[test]
    fn what_is_missing_twice_is_gone() {
        let (absences, at) = (Absences::default(), clock());
        assert!(!absences.seen(work("a"), at(100)));
        assert!(!absences.seen(work("a"), at(104)), "the same moment, asked twice");
        assert_eq!(absences.is_due(&work("a"), at(104)), Some(false));
        assert_eq!(absences.is_due(&work("a"), at(105)), Some(true));
        assert_eq!(absences.is_due(&work("b"), at(105)), None);
        assert!(absences.seen(work("a"), at(105)));
        absences.present(&work("a"));
        assert!(!absences.seen(work("a"), at(200)), "it was there in between");
        absences.expected(work("b"), at(200));
        assert!(absences.seen(work("b"), at(200)), "this process removed it");
        assert!(!absences.seen(work("a"), at(400)), "it was not asked about in between");
        assert!(!absences.seen(work("b"), at(400)));
    }
}
