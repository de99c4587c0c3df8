//! Which intents this process recorded and which submits it tried, so that it knows when nothing of that label can still
//! be on its way to a server.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::pruned::Pruned;
use crate::colony::Timeouts;

/// What is added to the latest arrival of a request: timers are not exact.
const MARGIN: Duration = Duration::from_secs(1);

/// How long a submit whose answer never came may still arrive. What takes longer all the same, such as a server that waits for
/// its database, is found by its label later.
pub(super) fn quiet_period() -> Duration {
    Timeouts::DEFAULT.latest_arrival().saturating_add(MARGIN)
}

/// How many labels are remembered before the first look for those that no longer matter.
const PRUNED_FROM: usize = 1024;
/// For how long a label is remembered: what is forgotten counts as another's, and is waited for.
const KEPT: Duration = Duration::from_hours(1);

/// An intent that this process has recorded.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// What the process will be submitted under.
    pub label: &'a str,
    /// UID of the object.
    pub uid: &'a str,
    /// Which attempt of the object it is: later ones have higher numbers.
    pub number: i64,
    /// Whether status said of an earlier attempt before.
    pub had_record: bool,
}

/// Intents and submits of this process, by label.
#[derive(Clone, Default)]
pub struct Submissions {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    by_label: HashMap<String, Submission>,
    prune_at: usize,
    /// By UID of the object.
    ceilings: Pruned<String, Ceiling>,
    /// Labels of intents that this process has tried to record, with an answer or without.
    tried: Pruned<String, Instant>,
}

#[derive(Clone, Copy)]
enum Submission {
    /// The intent is this process's own, recorded then, and it has sent nothing yet. No other can have written since `alone_since`.
    Intended { alone_since: Instant, at: Instant, before: SentBefore },
    /// Something was sent then, and whether it arrived is not known.
    Sent { at: Instant },
    /// The intent is another's, and was first seen then: until that moment, and a little longer, the other may have sent something,
    /// whatever this process believes of its leadership.
    Seen { at: Instant },
}

/// What may have been sent of an attempt before its intent was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SentBefore {
    /// Nothing: the attempt came to be while this process looked on.
    Nothing,
    /// What is there by now, if anything: a status that was restored is older than what was done.
    Arrived,
    /// Something that may still arrive: what status said was lost, and perhaps a moment ago.
    Perhaps,
}

/// Above which number no attempt of an object was sent, in a term of this process.
#[derive(Clone, Copy)]
struct Ceiling {
    alone_since: Instant,
    number: i64,
    at: Instant,
}

impl Submission {
    const fn at(self) -> Instant {
        match self {
            Self::Intended { at, .. } | Self::Sent { at } | Self::Seen { at } => at,
        }
    }
}

impl Submissions {
    /// Notes that an object has nothing of an operator yet: no attempt of it was ever sent. No other can have written since `alone_since`.
    pub fn untouched(&self, uid: &str, alone_since: Instant, now: Instant) {
        let mut state = self.lock();
        if state.ceiling(uid, alone_since).is_none() {
            state.set_ceiling(uid, Ceiling { alone_since, number: 0, at: now });
        }
    }

    /// Notes that this process is about to record an intent.
    pub fn intends(&self, label: &str, now: Instant) {
        let is_kept = |other: &Instant| now.saturating_duration_since(*other) <= KEPT;
        self.lock().tried.insert(label.to_owned(), now, is_kept);
    }

    /// Whether this process has nothing to do with the intent of a label, as far as it remembers.
    #[must_use]
    pub fn is_of_another(&self, label: &str) -> bool {
        let state = self.lock();
        let is_known = state
            .by_label
            .get(label)
            .is_some_and(|submission| !matches!(submission, Submission::Seen { .. }));
        !is_known && state.tried.get(&label.to_owned()).is_none()
    }

    /// Notes that this process recorded the intent of the attempt `number` at `now`, and whether status said of an earlier one before.
    /// No other can have written since `alone_since`.
    pub fn intended(&self, intent: &Intent<'_>, alone_since: Instant, now: Instant) {
        let &Intent { label, uid, number, had_record } = intent;
        let mut state = self.lock();
        let ceiling = state.ceiling(uid, alone_since);
        let before = match ceiling {
            Some(ceiling) if number > ceiling => SentBefore::Nothing,
            _ if had_record => SentBefore::Arrived,
            _ => SentBefore::Perhaps,
        };
        state.put(label, Submission::Intended { alone_since, at: now, before });
        let number = ceiling.map_or(number, |ceiling| ceiling.max(number));
        state.set_ceiling(uid, Ceiling { alone_since, number, at: now });
    }

    /// Forgets what was known of the attempts of an object: it was written to by others, or is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().ceilings.remove(&uid.to_owned());
    }

    /// Notes that a submit is about to be sent.
    pub fn sent(&self, label: &str, at: Instant) {
        self.lock().put(label, Submission::Sent { at });
    }

    /// Forgets a label whose process is on record by its id. Not before: until then, what was sent may still be looked for.
    pub fn settled(&self, label: &str) {
        self.lock().by_label.remove(label);
    }

    /// The moment before which nothing of this label may be submitted, where no other process can have sent anything since
    /// `alone_since`. None when this process recorded the intent since then and has sent nothing: then nothing is on its way, unless a
    /// status was lost.
    #[must_use]
    pub fn not_before(&self, label: &str, alone_since: Instant, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let from = match state.by_label.get(label).copied() {
            Some(Submission::Intended { alone_since: recorded, before, .. })
                if recorded == alone_since && before != SentBefore::Perhaps =>
            {
                return None;
            }
            // What status said was lost, at a moment that is not known.
            Some(Submission::Intended { alone_since: recorded, at, .. }) if recorded == alone_since => at,
            // Another process may have sent something up to the moment at which this one took over.
            Some(Submission::Intended { .. }) => alone_since,
            Some(Submission::Sent { at } | Submission::Seen { at }) => at.max(alone_since),
            None => {
                state.put(label, Submission::Seen { at: now });
                now.max(alone_since)
            }
        };
        from.checked_add(quiet_period())
    }

    /// Whether it is certain that nothing of this label was ever sent.
    #[must_use]
    pub fn was_never_sent(&self, label: &str, alone_since: Instant) -> bool {
        let state = self.lock();
        matches!(
            state.by_label.get(label),
            Some(Submission::Intended { alone_since: recorded, before: SentBefore::Nothing, .. }) if *recorded == alone_since
        )
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn ceiling(&self, uid: &str, alone_since: Instant) -> Option<i64> {
        let ceiling = self.ceilings.get(&uid.to_owned())?;
        (ceiling.alone_since == alone_since).then_some(ceiling.number)
    }

    fn set_ceiling(&mut self, uid: &str, ceiling: Ceiling) {
        let is_kept = |other: &Ceiling| ceiling.at.saturating_duration_since(other.at) <= KEPT;
        self.ceilings.insert(uid.to_owned(), ceiling, is_kept);
    }

    fn put(&mut self, label: &str, submission: Submission) {
        self.by_label.insert(label.to_owned(), submission);
        if self.by_label.len() >= self.prune_at.max(PRUNED_FROM) {
            let now = submission.at();
            self.by_label.retain(|_, other| now.saturating_duration_since(other.at()) <= KEPT);
            self.prune_at = self.by_label.len().saturating_mul(2);
        }
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

    fn intent(label: &str, number: i64, had_record: bool) -> Intent<'_> {
        Intent { label, uid: "u", number, had_record }
    }

    #[test]
    fn an_intent_is_of_another_unless_this_process_tried_to_record_it() {
        let (submissions, at) = (Submissions::default(), clock());
        assert!(submissions.is_of_another("k1"));
        let _ = submissions.not_before("k1", at(1), at(2));
        assert!(submissions.is_of_another("k1"), "it was only seen");
        submissions.intends("k2", at(2));
        assert!(!submissions.is_of_another("k2"), "the answer may have been lost");
        submissions.sent("k3", at(2));
        assert!(!submissions.is_of_another("k3"));
    }

    /// A status that was removed, or restored, is older than what was done.
    #[test]
    fn only_an_attempt_that_came_to_be_in_this_term_counts_as_never_sent() {
        let (submissions, at) = (Submissions::default(), clock());
        submissions.intended(&intent("k1", 1, false), at(100), at(101));
        assert!(!submissions.was_never_sent("k1", at(100)), "of an object that had something of an operator");
        assert_eq!(submissions.not_before("k1", at(100), at(102)), Some(at(116)), "perhaps a moment ago");
        submissions.intended(&intent("k2", 2, true), at(100), at(103));
        assert!(submissions.was_never_sent("k2", at(100)), "it follows one of this term");

        let submissions = Submissions::default();
        submissions.untouched("u", at(100), at(101));
        submissions.intended(&intent("l1", 1, false), at(100), at(102));
        assert!(submissions.was_never_sent("l1", at(100)));
        submissions.settled("l1");
        submissions.intended(&intent("l1", 1, false), at(100), at(103));
        assert!(!submissions.was_never_sent("l1", at(100)), "the status was lost");
        submissions.intended(&intent("l5", 5, true), at(100), at(104));
        submissions.intended(&intent("l4", 4, true), at(100), at(105));
        assert!(!submissions.was_never_sent("l4", at(100)), "an older status was restored");
        assert_eq!(submissions.not_before("l4", at(100), at(106)), None, "nothing is on its way");
        submissions.intended(&intent("l6", 6, true), at(200), at(201));
        assert!(!submissions.was_never_sent("l6", at(200)), "another led in between");
        submissions.forget("u");
        submissions.intended(&intent("l7", 7, true), at(200), at(202));
        assert!(!submissions.was_never_sent("l7", at(200)), "others have written to it");
    }

    /// Waiting on the first try would cost every object the quiet period; not waiting on a later one, a duplicate.
    #[test]
    fn only_the_first_try_goes_at_once() {
        let (submissions, at) = (Submissions::default(), clock());
        submissions.untouched("u", at(100), at(100));
        submissions.intended(&intent("l", 1, false), at(100), at(101));
        assert_eq!(submissions.not_before("l", at(100), at(102)), None, "our own, untried");
        assert_eq!(
            submissions.not_before("l", at(200), at(201)),
            Some(at(215)),
            "our own, but another was there since"
        );
        submissions.sent("l", at(130));
        assert_eq!(submissions.not_before("l", at(100), at(131)), Some(at(145)), "sent");
        assert_eq!(submissions.not_before("l", at(200), at(201)), Some(at(215)), "by another leader since");
        submissions.settled("l");
        assert!(!submissions.was_never_sent("l", at(100)));
    }

    /// Two operators on one object both believe that they lead: the other may have sent something just now.
    #[test]
    fn the_intent_of_another_is_waited_for_from_its_first_sight() {
        let (submissions, at) = (Submissions::default(), clock());
        assert_eq!(submissions.not_before("l", at(100), at(100)), Some(at(115)), "of an earlier process");
        assert_eq!(submissions.not_before("m", at(100), at(500)), Some(at(515)), "recorded long after");
        assert_eq!(submissions.not_before("m", at(100), at(510)), Some(at(515)), "first seen before");
        assert_eq!(submissions.not_before("m", at(600), at(600)), Some(at(615)), "another was there since");
        assert!(!submissions.was_never_sent("m", at(100)));
    }

    #[test]
    fn old_labels_are_forgotten() {
        let (submissions, at) = (Submissions::default(), clock());
        for number in 0..100_000_u64 {
            let (label, uid) = (number.to_string(), format!("u{number}"));
            submissions.untouched(&uid, at(0), at(number * 10));
            let intent = Intent { label: &label, uid: &uid, number: 1, had_record: false };
            submissions.intended(&intent, at(0), at(number * 10));
        }
        assert!(submissions.lock().by_label.len() <= 2 * PRUNED_FROM);
        assert!(submissions.was_never_sent("99999", at(0)));
        assert_eq!(submissions.not_before("1", at(0), at(1_000_000)), Some(at(1_000_015)), "as another's");
    }
}
