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

/// Intents and submits of this process, by label.
#[derive(Clone, Default)]
pub struct Submissions {
    by_label: Arc<Mutex<HashMap<String, Submission>>>,
}

#[derive(Clone, Copy)]
enum Submission {
    /// The intent is this process's own, recorded since it is alone, which it is since then, and nothing was sent yet.
    Intended { alone_since: Instant },
    /// Something was sent then, and whether it arrived is not known.
    Sent { at: Instant },
}

impl Submissions {
    /// Notes that this process recorded an intent. No other can have written since `alone_since`.
    pub fn intended(&self, label: &str, alone_since: Instant) {
        self.put(label, Submission::Intended { alone_since });
    }

    /// Notes that a submit is about to be sent.
    pub fn sent(&self, label: &str, at: Instant) {
        self.put(label, Submission::Sent { at });
    }

    /// Forgets a label whose process is on record by its id. Not before: until then, what was sent may still be looked for.
    pub fn settled(&self, label: &str) {
        self.lock().remove(label);
    }

    /// The moment before which nothing of this label may be submitted, where no other process can have sent anything since
    /// `alone_since`. None when this process recorded the intent since then and has sent nothing: then none was sent.
    #[must_use]
    pub fn not_before(&self, label: &str, alone_since: Instant) -> Option<Instant> {
        let from = match self.lock().get(label) {
            Some(Submission::Intended { alone_since: recorded }) if *recorded == alone_since => return None,
            Some(Submission::Sent { at }) => (*at).max(alone_since),
            // Another process may have sent something up to the moment at which this one took over.
            Some(Submission::Intended { .. }) | None => alone_since,
        };
        from.checked_add(quiet_period())
    }

    /// Whether it is certain that nothing of this label was ever sent.
    #[must_use]
    pub fn was_never_sent(&self, label: &str, alone_since: Instant) -> bool {
        matches!(self.lock().get(label), Some(Submission::Intended { alone_since: recorded }) if *recorded == alone_since)
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

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |second| start + Duration::from_secs(second)
    }

    /// Waiting on the first try would cost every object the quiet period; not waiting on a later one, a duplicate.
    #[test]
    fn only_the_first_try_goes_at_once() {
        let (submissions, at) = (Submissions::default(), clock());
        assert_eq!(
            submissions.not_before("l", at(100)),
            Some(at(115)),
            "an intent that another process recorded"
        );
        submissions.intended("l", at(100));
        assert_eq!(submissions.not_before("l", at(100)), None, "our own, untried");
        assert_eq!(
            submissions.not_before("l", at(200)),
            Some(at(215)),
            "our own, but another was there since"
        );
        submissions.sent("l", at(130));
        assert_eq!(submissions.not_before("l", at(100)), Some(at(145)), "sent");
        assert_eq!(submissions.not_before("l", at(200)), Some(at(215)), "by another leader since");
        submissions.settled("l");
        assert!(!submissions.was_never_sent("l", at(100)));
    }
}
