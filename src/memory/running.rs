//! What the executors of a colony run, as one read after another has shown it. Much is over a moment later: only what was seen again
//! some time later counts as work that takes time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    colony::{Id, ProcessId},
    snapshot::RunningProcess,
};

/// How much later a process has to be seen again: colonies are asked less often than that, so that the second read shows it.
const LASTS: Duration = Duration::from_secs(5);

/// What the executors of a colony run.
#[derive(Clone, Debug)]
pub struct Running {
    /// Since when it has been read without a gap.
    begun_at: Instant,
    read_at: Instant,
    runs: BTreeMap<Id, (ProcessId, Instant)>,
}

impl Running {
    /// What was shown by a read that was begun at `now`, after `previous` and no other.
    #[must_use]
    pub fn after(previous: Option<&Self>, shown: &BTreeMap<Id, ProcessId>, now: Instant) -> Self {
        let since = |id: &Id, process: &ProcessId| {
            let before = previous.and_then(|previous| previous.runs.get(id));
            before.filter(|(before, _)| before == process).map_or(now, |(_, since)| *since)
        };
        let runs = shown.iter().map(|(id, process)| (id.clone(), (process.clone(), since(id, process))));
        Self {
            begun_at: previous.map_or(now, |previous| previous.begun_at),
            read_at: now,
            runs: runs.collect(),
        }
    }

    /// Whether it was read for long enough to tell what takes time.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.lasts(self.begun_at)
    }

    /// What an executor runs.
    #[must_use]
    pub fn of(&self, executor: &Id) -> Option<RunningProcess> {
        let (process, since) = self.runs.get(executor)?;
        Some(RunningProcess { id: process.clone(), lasts: self.lasts(*since) })
    }

    /// Those that run something else than in `before`, or for whom that has come to last.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> BTreeSet<Id> {
        let all = self.runs.keys().chain(before.runs.keys());
        all.filter(|id| self.of(id) != before.of(id)).cloned().collect()
    }

    fn lasts(&self, since: Instant) -> bool {
        self.read_at.saturating_duration_since(since) >= LASTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: &str) -> Id {
        Id::parse(&digit.repeat(64)).unwrap()
    }

    fn shown(runs: &[(&str, &str)]) -> BTreeMap<Id, ProcessId> {
        runs.iter().map(|(executor, process)| (id(executor), ProcessId::new(*process))).collect()
    }

    /// One that takes a second must not cause a write for each process.
    #[test]
    fn a_process_lasts_that_was_seen_twice_some_time_apart() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let lasts =
            |running: &Running, executor: &str| running.of(&id(executor)).map(|process| process.lasts);
        let first = Running::after(None, &shown(&[("a", "p"), ("b", "q")]), at(0));
        assert!(
            !first.is_known() && lasts(&first, "a") == Some(false),
            "an operator that begins knows of none"
        );
        let soon = Running::after(Some(&first), &shown(&[("a", "p"), ("b", "q")]), at(4));
        assert_eq!((lasts(&soon, "a"), soon.changed_since(&first).len()), (Some(false), 0));
        let second = Running::after(Some(&soon), &shown(&[("a", "p"), ("b", "r"), ("c", "s")]), at(9));
        assert!(second.is_known());
        assert_eq!((lasts(&second, "a"), lasts(&second, "b")), (Some(true), Some(false)));
        assert_eq!(second.changed_since(&soon), BTreeSet::from(["a", "b", "c"].map(id)));
        let third = Running::after(Some(&second), &shown(&[("a", "p"), ("c", "s")]), at(19));
        assert_eq!(
            (lasts(&third, "a"), lasts(&third, "b"), lasts(&third, "c")),
            (Some(true), None, Some(true))
        );
        assert_eq!(third.changed_since(&second), BTreeSet::from(["b", "c"].map(id)));
    }
}
