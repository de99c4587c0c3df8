//! What an executor has in hand, and whether it may be given more. Pure.

use std::collections::VecDeque;

use crate::colony::ProcessId;

/// Most processes that are known to be worked on: one that is opened then takes the place of the oldest.
const OPEN_MAX: usize = 1024;

/// What an executor has in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Processes that it was given and has not ended, the oldest first.
    open: VecDeque<ProcessId>,
    /// Calls for work that the server has not answered: any of them may win a process.
    asking: usize,
    /// Those who wait until it is drained.
    drains: usize,
    /// The number of the last hold, while that lasts: what was drained stays so until it has gone.
    hold: Option<u64>,
    holds: u64,
}

impl State {
    /// With what was in hand before.
    pub fn with_open(open: impl IntoIterator<Item = ProcessId>) -> Self {
        let mut state = Self::default();
        open.into_iter().for_each(|process| state.open(process));
        state
    }

    pub fn open_processes(&self) -> impl Iterator<Item = &ProcessId> {
        self.open.iter()
    }

    /// Whether it may be given no more.
    pub fn is_closed(&self) -> bool {
        self.drains > 0 || self.hold.is_some()
    }

    /// Whether it was drained, and is about to be stopped.
    pub fn is_held(&self) -> bool {
        self.drains == 0 && self.hold.is_some()
    }

    /// Whether it has nothing in hand, and nothing can come.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.asking == 0
    }

    /// Begins to ask for work, if that may be.
    pub fn ask(&mut self) -> bool {
        let may = !self.is_closed();
        self.asking += usize::from(may);
        may
    }

    /// The server has answered, with a process or with none.
    pub fn answered(&mut self, process: Option<ProcessId>) {
        self.asking = self.asking.saturating_sub(1);
        if let Some(process) = process {
            self.open(process);
        }
    }

    fn open(&mut self, process: ProcessId) {
        self.open.retain(|open| *open != process);
        self.open.push_back(process);
        if self.open.len() > OPEN_MAX {
            self.open.pop_front();
        }
    }

    /// A process has ended, or is another's.
    pub fn close(&mut self, process: &ProcessId) {
        self.open.retain(|open| open != process);
    }

    /// One more waits until it is drained.
    pub fn drain(&mut self) {
        self.drains += 1;
    }

    /// One of them has left. The number of the hold that begins.
    pub fn end_drain(&mut self) -> u64 {
        self.drains = self.drains.saturating_sub(1);
        self.holds += 1;
        self.hold = Some(self.holds);
        self.holds
    }

    /// A hold is over, if no later one has begun.
    pub fn release(&mut self, hold: u64) {
        if self.hold == Some(hold) {
            self.hold = None;
        }
    }

    /// The executor has been started: whatever was held was held for the one before.
    pub fn started(&mut self) {
        self.hold = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(number: usize) -> ProcessId {
        ProcessId::new(format!("{number}"))
    }

    #[test]
    fn what_is_asked_for_before_a_drain_may_win_and_is_waited_for() {
        let mut state = State::default();
        assert!(state.ask());
        state.drain();
        assert!(!state.ask() && !state.is_empty());
        state.answered(Some(process(1)));
        assert!(!state.is_empty());
        state.close(&process(1));
        assert!(state.is_empty() && state.is_closed());
    }

    #[test]
    fn what_was_drained_stays_so_until_the_last_hold_is_over_or_the_executor_starts() {
        let mut state = State::default();
        state.drain();
        let first = state.end_drain();
        state.drain();
        state.release(first);
        assert!(!state.ask(), "the second drain lasts");
        let second = state.end_drain();
        state.release(first);
        assert!(!state.ask(), "the second hold lasts");
        state.release(second);
        assert!(state.ask());
        state.drain();
        state.started();
        assert!(!state.ask(), "a start ends no drain");
        state.end_drain();
        state.started();
        assert!(state.ask());
    }

    proptest! {
        /// However it goes on, nothing is begun while it is closed, and the list is bounded.
        #[test]
        fn nothing_begins_behind_a_closed_gate(steps in prop::collection::vec((0..7_u8, 0..4_usize), 0..200)) {
            let mut state = State::default();
            for (step, number) in steps {
                match step {
                    0 => prop_assert_eq!(state.clone().is_closed(), !state.ask()),
                    1 => state.answered(Some(process(number))),
                    2 => state.answered(None),
                    3 => state.close(&process(number)),
                    4 => state.drain(),
                    5 => drop(state.end_drain()),
                    _ => state.started(),
                }
                prop_assert!(state.open.len() <= 4);
            }
        }
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let state = State::with_open((0..=OPEN_MAX).map(process));
        assert_eq!(state.open.len(), OPEN_MAX);
        assert_eq!(state.open.front(), Some(&process(1)));
    }
}
