//! Whether another installation serves a colony under the very identity of this one: a cluster that was restored or cloned
//! elsewhere with its Secrets. It has other objects, hence nothing is ended there for the lack of an object.
//!
//! So does a second operator on the same objects, by the intents that it records.
//!
//! The server notes when an executor last asked for work. This process stops asking for a while, and sees whether that goes on.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use parking_lot::Mutex;

/// How long this process is silent: longer than one question for work takes, of whatever installation.
pub const SILENCE: Duration = Duration::from_secs(12);
/// When a test of which nothing came is given up, so that work is taken again.
const LONGEST: Duration = Duration::from_mins(1);
/// For how long the outcome holds.
const HOLDS: Duration = Duration::from_mins(10);

/// What is known of a colony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// None is there.
    None,
    /// Another asks for work as this operator.
    Heard,
    /// It is being found out.
    Unknown,
}

/// What is known.
#[derive(Clone, Default)]
pub struct Neighbours {
    /// By name of the `Colony`.
    tests: Arc<Mutex<HashMap<String, Test>>>,
    /// When an intent of another operator was last seen, and its label.
    intent: Arc<Mutex<Option<(Instant, String)>>>,
}

#[derive(Clone, Copy)]
enum Test {
    /// It was asked for then.
    Asked { at: Instant, was_heard: bool },
    /// Nothing is asked for any more since then.
    Silent { at: Instant, asked: Instant, heard: Option<(Instant, Option<Timestamp>)>, was_heard: bool },
    /// It came to its end then.
    Over { at: Instant, is_heard: bool },
}

impl Neighbours {
    /// What is known; if nothing is, it is found out from here on.
    #[must_use]
    pub fn of(&self, colony: &str, now: Instant) -> Neighbour {
        let mut tests = self.tests.lock();
        let test = tests.entry(colony.to_owned()).or_insert(Test::Asked { at: now, was_heard: false });
        let (at, limit, was_heard) = match *test {
            Test::Over { at, is_heard } => (at, HOLDS, is_heard),
            Test::Asked { at, was_heard } | Test::Silent { asked: at, was_heard, .. } => {
                (at, LONGEST, was_heard)
            }
        };
        let is_known = matches!(test, Test::Over { .. }) && now.saturating_duration_since(at) < limit;
        if now.saturating_duration_since(at) >= limit {
            *test = Test::Asked { at: now, was_heard };
        }
        // One that was heard counts as there until it is known that it is not.
        match (was_heard, is_known) {
            (true, _) => Neighbour::Heard,
            (false, true) => Neighbour::None,
            (false, false) => Neighbour::Unknown,
        }
    }

    /// Whether this process is to be silent. No question for work is under way when this is asked.
    #[must_use]
    pub fn wants_silence(&self, colony: &str, now: Instant) -> bool {
        let mut tests = self.tests.lock();
        let Some(test) = tests.get_mut(colony) else { return false };
        match *test {
            Test::Asked { at, was_heard } if now.saturating_duration_since(at) < LONGEST => {
                *test = Test::Silent { at: now, asked: at, heard: None, was_heard };
                true
            }
            Test::Silent { asked, .. } => now.saturating_duration_since(asked) < LONGEST,
            Test::Asked { .. } | Test::Over { .. } => false,
        }
    }

    /// Notes when the executor last asked for work, as the server said in an answer to a question that was asked at `asked_at`.
    pub fn heard(&self, colony: &str, last: Option<Timestamp>, asked_at: Instant) {
        let mut tests = self.tests.lock();
        let Some(test) = tests.get_mut(colony) else { return };
        let Test::Silent { at, asked, heard, was_heard } = *test else { return };
        if asked_at <= at {
            return;
        }
        match heard {
            None => *test = Test::Silent { at, asked, heard: Some((asked_at, last)), was_heard },
            Some((_, before)) if before != last => *test = Test::Over { at: asked_at, is_heard: true },
            Some((first, _)) if asked_at.saturating_duration_since(first) >= SILENCE => {
                *test = Test::Over { at: asked_at, is_heard: false };
            }
            Some(_) => {}
        }
    }

    /// Notes an intent that another operator recorded while this one leads; whether none was known of late.
    #[must_use]
    pub fn saw_intent(&self, label: &str, now: Instant) -> bool {
        let is_news = self.other_intent(now).is_none();
        *self.intent.lock() = Some((now, label.to_owned()));
        is_news
    }

    /// The label of an intent of another operator, if one was seen of late.
    #[must_use]
    pub fn other_intent(&self, now: Instant) -> Option<String> {
        let seen = self.intent.lock();
        let (at, label) = seen.as_ref()?;
        (now.saturating_duration_since(*at) < HOLDS).then(|| label.clone())
    }

    /// Forgets everything: another process may have served meanwhile.
    pub fn forget(&self, colony: &str) {
        self.tests.lock().remove(colony);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn who_asks_for_work_while_this_process_is_silent_is_another() {
        let (neighbours, start) = (Neighbours::default(), start());
        let at = |second| start + Duration::from_secs(second);
        assert!(!neighbours.wants_silence("dev", at(0)), "nothing was asked");
        assert_eq!(neighbours.of("dev", at(0)), Neighbour::Unknown);
        neighbours.heard("dev", Some(second(100)), at(1));
        assert!(neighbours.wants_silence("dev", at(5)));
        neighbours.heard("dev", Some(second(105)), at(4));
        neighbours.heard("dev", Some(second(105)), at(7));
        neighbours.heard("dev", Some(second(105)), at(12));
        assert!(neighbours.wants_silence("dev", at(12)), "not long enough");
        neighbours.heard("dev", Some(second(105)), at(19));
        assert_eq!(neighbours.of("dev", at(20)), Neighbour::None);
        assert!(!neighbours.wants_silence("dev", at(20)));
        assert_eq!(neighbours.of("dev", at(20) + HOLDS), Neighbour::Unknown, "once more");

        assert!(neighbours.wants_silence("dev", at(621)));
        neighbours.heard("dev", Some(second(700)), at(622));
        neighbours.heard("dev", Some(second(703)), at(625));
        assert_eq!(neighbours.of("dev", at(630)), Neighbour::Heard);
        assert_eq!(neighbours.of("dev", at(625) + HOLDS), Neighbour::Heard, "until it is known to be gone");
        assert!(neighbours.wants_silence("dev", at(1226)));
        neighbours.heard("dev", Some(second(1300)), at(1227));
        neighbours.heard("dev", Some(second(1300)), at(1227) + SILENCE);
        assert_eq!(neighbours.of("dev", at(1240)), Neighbour::None);
    }

    #[test]
    fn another_operator_is_news_once_and_is_forgotten_when_it_stops() {
        let (neighbours, start) = (Neighbours::default(), start());
        assert_eq!(neighbours.other_intent(start), None);
        assert!(neighbours.saw_intent("l1", start));
        assert!(!neighbours.saw_intent("l2", start + SILENCE));
        assert_eq!(neighbours.other_intent(start + HOLDS).as_deref(), Some("l2"));
        assert_eq!(neighbours.other_intent(start + SILENCE + HOLDS), None);
    }

    #[test]
    fn a_test_that_comes_to_nothing_does_not_keep_work_from_being_taken() {
        let (neighbours, start) = (Neighbours::default(), start());
        assert_eq!(neighbours.of("dev", start), Neighbour::Unknown);
        assert!(neighbours.wants_silence("dev", start));
        assert!(!neighbours.wants_silence("dev", start + LONGEST));
        assert_eq!(neighbours.of("dev", start + LONGEST), Neighbour::Unknown);
        assert!(neighbours.wants_silence("dev", start + LONGEST), "it begins anew");
    }
}
