//! Which intents this process recorded and which submits it tried, so that it knows when nothing of that label can still
//! be on its way to a server.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::colony::Timeouts;

/// What is added to the latest arrival of a request: timers are not exact.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);

/// How long a submit whose answer never came may still arrive. What takes longer all the same, such as a server that waits for
/// its database, is found by its label later.
pub(super) fn quiet_period() -> SignedDuration {
    let latest = SignedDuration::try_from(Timeouts::DEFAULT.latest_arrival()).unwrap_or(SignedDuration::MAX);
    latest.saturating_add(MARGIN)
}

/// Intents and submits of this process, by label.
#[derive(Clone, Default)]
pub struct Submissions {
    by_label: Arc<Mutex<HashMap<String, Submission>>>,
}

#[derive(Clone, Copy)]
enum Submission {
    /// The intent is this process's own, recorded in the term that began then, and nothing was sent yet.
    Intended { term: Timestamp },
    /// Something was sent then, and whether it arrived is not known.
    Sent { at: Timestamp },
}

impl Submissions {
    /// Notes that this process recorded an intent, in the term of leadership that began at `term`.
    pub fn intended(&self, label: &str, term: Timestamp) {
        self.put(label, Submission::Intended { term });
    }

    /// Notes that a submit is about to be sent.
    pub fn sent(&self, label: &str, at: Timestamp) {
        self.put(label, Submission::Sent { at });
    }

    /// Forgets a label whose process is on record by its id. Not before: until then, what was sent may still be looked for.
    pub fn settled(&self, label: &str) {
        self.lock().remove(label);
    }

    /// The moment before which nothing of this label may be submitted, in the term that began at `term`. None when
    /// this process recorded the intent in this very term and has sent nothing: then none was sent.
    #[must_use]
    pub fn not_before(&self, label: &str, term: Timestamp) -> Option<Timestamp> {
        let from = match self.lock().get(label) {
            Some(Submission::Intended { term: recorded }) if *recorded == term => return None,
            Some(Submission::Sent { at }) => (*at).max(term),
            // Another process may have sent something up to the moment at which this one took over.
            Some(Submission::Intended { .. }) | None => term,
        };
        from.checked_add(quiet_period()).ok()
    }

    /// Whether it is certain that nothing of this label was ever sent.
    #[must_use]
    pub fn was_never_sent(&self, label: &str, term: Timestamp) -> bool {
        matches!(self.lock().get(label), Some(Submission::Intended { term: recorded }) if *recorded == term)
    }

    fn put(&self, label: &str, submission: Submission) {
        self.lock().insert(label.to_owned(), submission);
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Submission>> {
        self.by_label.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Waiting on the first try would cost every object the quiet period; not waiting on a later one, a duplicate.
    #[test]
    fn only_the_first_try_of_this_term_goes_at_once() {
        let submissions = Submissions::default();
        assert_eq!(
            submissions.not_before("l", at(100)),
            Some(at(115)),
            "an intent that another process recorded"
        );
        submissions.intended("l", at(100));
        assert_eq!(submissions.not_before("l", at(100)), None, "our own, untried");
        assert_eq!(submissions.not_before("l", at(200)), Some(at(215)), "our own, but of an earlier term");
        submissions.sent("l", at(130));
        assert_eq!(submissions.not_before("l", at(100)), Some(at(145)), "sent");
        assert_eq!(submissions.not_before("l", at(200)), Some(at(215)), "by another leader since");
        submissions.settled("l");
        assert!(!submissions.was_never_sent("l", at(100)));
    }
}
