//! What colonies have reported to be gone. Much follows from an absence: work is given up, objects are deleted. Hence it is
//! believed only when it was seen twice, some time apart: a row may be hidden for a moment.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// How much later an absence has to be seen again.
const CONFIRMED_AFTER: Duration = Duration::from_secs(5);
/// For how long an absence is remembered that was not seen again: it was there in between, as far as is known.
const KEPT: Duration = Duration::from_mins(1);
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

/// Absences, and when each was first and last seen.
#[derive(Clone, Default)]
pub struct Absences {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seen: HashMap<Absent, Seen>,
    prune_at: usize,
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
        let mut state = self.state.lock();
        let seen = state.seen.entry(absent).or_insert(Seen { first: now, last: now });
        if now.saturating_duration_since(seen.last) > KEPT {
            seen.first = now;
        }
        seen.last = now;
        let first = seen.first;
        if state.seen.len() >= state.prune_at.max(PRUNED_FROM) {
            state.seen.retain(|_, seen| now.saturating_duration_since(seen.last) <= KEPT);
            state.prune_at = state.seen.len().saturating_mul(2);
        }
        now.saturating_duration_since(first) >= CONFIRMED_AFTER
    }

    /// Notes that something is there.
    pub fn present(&self, absent: &Absent) {
        self.state.lock().seen.remove(absent);
    }

    /// Notes that this process has taken something away itself: its absence is no surprise.
    pub fn expected(&self, absent: Absent, now: Instant) {
        let first = now.checked_sub(CONFIRMED_AFTER).unwrap_or(now);
        self.state.lock().seen.insert(absent, Seen { first, last: now });
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
        assert!(absences.seen(work("a"), at(105)));
        absences.present(&work("a"));
        assert!(!absences.seen(work("a"), at(200)), "it was there in between");
        absences.expected(work("b"), at(200));
        assert!(absences.seen(work("b"), at(200)), "this process removed it");
        assert!(!absences.seen(work("a"), at(400)), "it was not asked about in between");
        assert!(!absences.seen(work("b"), at(400)));
    }

    #[test]
    fn old_ones_are_forgotten() {
        let (absences, at) = (Absences::default(), clock());
        for number in 0..10_000 {
            let _ = absences.seen(work(&number.to_string()), at(number * 10));
        }
        assert!(absences.state.lock().seen.len() <= PRUNED_FROM);
    }
}
