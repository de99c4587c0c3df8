//! The last line that executors wrote about processes that run, and when it was last asked for. A cache: what is not in it
//! is asked for in its turn.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};

use crate::colony::ProcessId;

/// The last lines of the logs of processes.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<HashMap<ProcessId, Line>>>);

struct Line {
    /// Name of the `Colony` in which the process is.
    colony: String,
    /// Empty while nothing was written; none while nothing is known.
    text: Option<String>,
    asked_at: Instant,
}

impl Lines {
    /// The last line, as it was last read: empty if there was none. None before the first read.
    #[must_use]
    pub fn latest(&self, id: &ProcessId) -> Option<String> {
        self.lock().get(id)?.text.clone()
    }

    /// When it was last asked for.
    #[must_use]
    pub fn asked_at(&self, id: &ProcessId) -> Option<Instant> {
        self.lock().get(id).map(|line| line.asked_at)
    }

    /// Notes the answer; whether it is news.
    #[must_use]
    pub fn read(&self, colony: &str, id: &ProcessId, text: String, asked_at: Instant) -> bool {
        let mut lines = self.lock();
        let before = lines.get(id).and_then(|line| line.text.as_ref());
        let is_news = before.map_or(!text.is_empty(), |before| *before != text);
        lines.insert(id.clone(), Line { colony: colony.to_owned(), text: Some(text), asked_at });
        is_news
    }

    /// Notes that there was no answer: others have their turn.
    pub fn tried(&self, colony: &str, id: &ProcessId, asked_at: Instant) {
        let nothing = || Line { colony: colony.to_owned(), text: None, asked_at };
        self.lock().entry(id.clone()).or_insert_with(nothing).asked_at = asked_at;
    }

    /// Forgets the processes of a colony but for these.
    pub fn retain(&self, colony: &str, ids: &HashSet<ProcessId>) {
        self.lock().retain(|id, line| line.colony != colony || ids.contains(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, Line>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock::Clock;

    /// Only news wake an object.
    #[test]
    fn a_line_is_news_once_and_no_line_is_none() {
        let (lines, now) = (Lines::default(), Clock::system().instant());
        let id = ProcessId::new("p");
        assert_eq!((lines.latest(&id), lines.asked_at(&id)), (None, None));
        let read = |text: &str| lines.read("c", &id, text.to_owned(), now);
        assert_eq!([read(""), read("one"), read("one"), read("two")], [false, true, false, true]);
        assert_eq!((lines.latest(&id).as_deref(), lines.asked_at(&id)), (Some("two"), Some(now)));
    }

    #[test]
    fn a_question_without_an_answer_takes_nothing_back() {
        let (lines, now) = (Lines::default(), Clock::system().instant());
        let id = ProcessId::new("p");
        lines.tried("c", &id, now);
        assert_eq!((lines.latest(&id), lines.asked_at(&id)), (None, Some(now)));
        assert!(lines.read("c", &id, "one".to_owned(), now));
        lines.tried("c", &id, now);
        assert_eq!(lines.latest(&id).as_deref(), Some("one"));
    }

    #[test]
    fn what_is_over_is_forgotten_in_its_own_colony() {
        let (lines, now) = (Lines::default(), Clock::system().instant());
        for (colony, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
            assert!(lines.read(colony, &ProcessId::new(id), "x".to_owned(), now));
        }
        lines.retain("a", &HashSet::from([ProcessId::new("2")]));
        let known = ["1", "2", "3"].map(|id| lines.latest(&ProcessId::new(id)).is_some());
        assert_eq!(known, [false, true, true]);
    }
}
