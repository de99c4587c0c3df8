//! Which intents this process recorded and which submits it tried, so that it knows when nothing of that label can still
//! be on its way to a server.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

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

/// Intents and submits of this process, by label.
#[derive(Clone, Default)]
pub struct Submissions {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    by_label: HashMap<String, Submission>,
    prune_at: usize,
}

#[derive(Clone, Copy)]
enum Submission {
    /// The intent is this process's own, recorded then, and nothing was sent yet. No other can have written since `alone_since`.
    Intended { alone_since: Instant, at: Instant },
    /// Something was sent then, and whether it arrived is not known.
    Sent { at: Instant },
    /// The intent is another's, and was first seen then: until that moment, and a little longer, the other may have sent something,
    /// whatever this process believes of its leadership.
    Seen { at: Instant },
}

impl Submission {
    const fn at(self) -> Instant {
        match self {
            Self::Intended { at, .. } | Self::Sent { at } | Self::Seen { at } => at,
        }
    }
}

impl Submissions {
    /// Notes that this process recorded an intent at `now`. No other can have written since `alone_since`.
    pub fn intended(&self, label: &str, alone_since: Instant, now: Instant) {
        self.lock().put(label, Submission::Intended { alone_since, at: now });
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
    /// `alone_since`. None when this process recorded the intent since then and has sent nothing: then none was sent.
    #[must_use]
    pub fn not_before(&self, label: &str, alone_since: Instant, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let from = match state.by_label.get(label).copied() {
            Some(Submission::Intended { alone_since: recorded, .. }) if recorded == alone_since => {
                return None;
            }
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
        matches!(state.by_label.get(label), Some(Submission::Intended { alone_since: recorded, .. }) if *recorded == alone_since)
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
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

    /// Waiting on the first try would cost every object the quiet period; not waiting on a later one, a duplicate.
    #[test]
    fn only_the_first_try_goes_at_once() {
        let (submissions, at) = (Submissions::default(), clock());
        submissions.intended("l", at(100), at(101));
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
            submissions.intended(&number.to_string(), at(0), at(number * 10));
        }
        assert!(submissions.lock().by_label.len() <= 2 * PRUNED_FROM);
        assert!(submissions.was_never_sent("99999", at(0)));
        assert_eq!(submissions.not_before("1", at(0), at(1_000_000)), Some(at(1_000_015)), "as another's");
    }
}
