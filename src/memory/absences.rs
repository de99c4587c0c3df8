//! What colonies have reported to be gone. Much follows from an absence: work is given up, objects are deleted. Hence it is
//! believed only when it was seen twice, some time apart: a row may be hidden for a moment.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// How much later an absence has to be seen again.
const CONFIRMED_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// For how long an absence is remembered that was not asked about again.
const KEPT: SignedDuration = SignedDuration::from_mins(10);
/// How many are remembered before the first look for those that no longer matter.
const PRUNED_FROM: usize = 256;

/// Something that a colony had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Absent {
    /// A process or a workflow, by its id.
    Work(String),
    /// A blueprint, by the names of the `Colony` and its own.
    Blueprint(String, String),
}

/// Absences, and when each was first seen.
#[derive(Clone, Default)]
pub struct Absences {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    first_seen: HashMap<Absent, Timestamp>,
    prune_at: usize,
}

impl Absences {
    /// Notes that something is reported to be gone, in an answer to a question that was asked at `now`; whether that is believed.
    #[must_use]
    pub fn seen(&self, absent: Absent, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        let first = *state.first_seen.entry(absent).or_insert(now);
        if state.first_seen.len() >= state.prune_at.max(PRUNED_FROM) {
            state.first_seen.retain(|_, at| now.duration_since(*at) <= KEPT);
            state.prune_at = state.first_seen.len().saturating_mul(2);
        }
        now.duration_since(first) >= CONFIRMED_AFTER
    }

    /// Notes that something is there.
    pub fn present(&self, absent: &Absent) {
        self.state.lock().first_seen.remove(absent);
    }

    /// Notes that this process has taken something away itself: its absence is no surprise.
    pub fn expected(&self, absent: Absent, now: Timestamp) {
        let long_ago = now.checked_sub(CONFIRMED_AFTER).unwrap_or(Timestamp::MIN);
        self.state.lock().first_seen.insert(absent, long_ago);
    }

    /// From when on an absence that was seen is believed, if it is seen again.
    #[must_use]
    pub fn believed_at(&self, absent: &Absent) -> Option<Timestamp> {
        self.state.lock().first_seen.get(absent)?.checked_add(CONFIRMED_AFTER).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn work(id: &str) -> Absent {
        Absent::Work(id.to_owned())
    }

    #[test]
    fn what_is_missing_twice_is_gone() {
        let absences = Absences::default();
        assert!(!absences.seen(work("a"), at(100)));
        assert_eq!(absences.believed_at(&work("a")), Some(at(105)));
        assert!(!absences.seen(work("a"), at(104)), "the same moment, asked twice");
        assert!(absences.seen(work("a"), at(105)));
        absences.present(&work("a"));
        assert!(!absences.seen(work("a"), at(200)), "it was there in between");
        absences.expected(work("b"), at(200));
        assert!(absences.seen(work("b"), at(200)), "this process removed it");
    }

    #[test]
    fn old_ones_are_forgotten() {
        let absences = Absences::default();
        for number in 0..10_000 {
            let _ = absences.seen(work(&number.to_string()), at(number * 10));
        }
        assert!(absences.state.lock().first_seen.len() <= PRUNED_FROM);
        assert_eq!(absences.believed_at(&work("0")), None);
    }
}
