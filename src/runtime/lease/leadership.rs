//! The handle that gates every write.
//!
//! Whether this process leads is computed from the deadline of its last renewal each time it is asked. A process that
//! was stopped, or whose election loop hangs, therefore stops leading by itself: it needs no notification.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::runtime::clock::{Clock, Moment};

/// One uninterrupted time as leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// When it began, by the monotonic clock.
    pub started: Instant,
    /// When it began, for people.
    pub started_at: Timestamp,
    /// Since when no other replica can have written: an earlier term of this process, where none has held the lease in between.
    pub alone_since: Moment,
    /// From here on it is over unless renewed; `None` without an election.
    pub deadline: Option<Moment>,
}

impl Term {
    /// By both clocks: the monotonic one stands still while the machine is suspended, and others take the lease meanwhile.
    pub(super) fn is_running(&self, now: Moment) -> bool {
        self.deadline.is_none_or(|deadline| now.monotonic < deadline.monotonic && now.wall < deadline.wall)
    }
}

/// Whether this process may write; cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Leadership {
    clock: Clock,
    term: watch::Receiver<Option<Term>>,
}

impl Leadership {
    /// Leadership for good, for a single replica without an election.
    #[must_use]
    pub fn always(clock: &Clock) -> Self {
        let now = clock.moment();
        let term = Term { started: now.monotonic, started_at: now.wall, alone_since: now, deadline: None };
        // A receiver keeps its last value when the sender is gone.
        Self { clock: clock.clone(), term: watch::channel(Some(term)).1 }
    }

    /// Leadership from now on that nothing renews and that is over after `lasts`; for simulations of a replica that loses it.
    #[must_use]
    pub fn limited(clock: &Clock, lasts: Duration) -> Self {
        let now = clock.moment();
        let deadline = Moment {
            wall: now.wall.checked_add(lasts).unwrap_or(Timestamp::MAX),
            monotonic: now.monotonic + lasts,
        };
        let term =
            Term { started: now.monotonic, started_at: now.wall, alone_since: now, deadline: Some(deadline) };
        Self { clock: clock.clone(), term: watch::channel(Some(term)).1 }
    }

    /// A handle on the terms that the other end announces.
    pub(super) fn elected(clock: Clock, term: watch::Receiver<Option<Term>>) -> Self {
        Self { clock, term }
    }

    fn running_term(&self) -> Option<Term> {
        let term = *self.term.borrow();
        term.filter(|term| term.is_running(self.clock.moment()))
    }

    /// Whether this process may write now. Ask before every single write.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.running_term().is_some()
    }

    /// How long this process may still write without another renewal; `None` when it does not lead. Without an
    /// election [`Duration::MAX`]. A call that writes should not be given more time than this.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let term = self.running_term()?;
        Some(match term.deadline {
            Some(deadline) => {
                let now = self.clock.moment();
                let by_calendar = Duration::try_from(deadline.wall.duration_since(now.wall));
                let left = deadline.monotonic.saturating_duration_since(now.monotonic);
                left.min(by_calendar.unwrap_or_default())
            }
            None => Duration::MAX,
        })
    }

    /// When the present term began, by the monotonic clock; `None` when this process does not lead. A new value means
    /// that another replica may have written in between.
    #[must_use]
    pub fn term_started(&self) -> Option<Instant> {
        self.running_term().map(|term| term.started)
    }

    /// When the present term began, in calendar time; `None` when this process does not lead.
    #[must_use]
    pub fn term_started_at(&self) -> Option<Timestamp> {
        self.running_term().map(|term| term.started_at)
    }

    /// Since when no other replica can have written; `None` when this process does not lead. A lease that was lost and regained,
    /// and that none other held in between, changes nothing.
    #[must_use]
    pub fn alone_since(&self) -> Option<Moment> {
        self.running_term().map(|term| term.alone_since)
    }

    /// Waits until [`Leadership::is_leader`] or the term is another than at the time of the call, and returns the
    /// value of [`Leadership::is_leader`] then. Never returns without an election.
    pub async fn changed(&self) -> bool {
        let before = self.term_started();
        self.wait_until(|handle| handle.term_started() != before).await;
        self.is_leader()
    }

    /// Yields each time a term begins or ends, and at once if one is running. Unlike repeated calls of
    /// [`Leadership::changed`] it misses no new term between two questions.
    pub fn changes(&self) -> impl Stream<Item = bool> + Send + 'static {
        stream::unfold((self.clone(), None), |(handle, seen)| async move {
            handle.wait_until(|handle| handle.term_started() != seen).await;
            let started = handle.term_started();
            Some((started.is_some(), (handle, started)))
        })
    }

    /// Waits until this process leads; at once if it does.
    pub async fn acquired(&self) {
        self.wait_until(Self::is_leader).await;
    }

    /// Waits until this process does not lead; at once if it does not. Never returns without an election.
    pub async fn lost(&self) {
        self.wait_until(|handle| !handle.is_leader()).await;
    }

    async fn wait_until(&self, reached: impl Fn(&Self) -> bool) {
        let mut handle = self.clone();
        loop {
            handle.term.mark_unchanged();
            if reached(&handle) {
                return;
            }
            let remaining = handle.remaining().filter(|remaining| *remaining != Duration::MAX);
            let run_out = async {
                match remaining {
                    Some(remaining) => tokio::time::sleep(remaining).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                change = handle.term.changed() => if change.is_err() {
                    // No other term can be announced; the present one may still run out.
                    if let Some(remaining) = handle.remaining().filter(|left| *left != Duration::MAX) {
                        tokio::time::sleep(remaining).await;
                    } else if !reached(&handle) {
                        pending::<()>().await;
                    }
                },
                () = run_out => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::StreamExt as _;

    use super::*;

    fn elected(clock: &Clock) -> (watch::Sender<Option<Term>>, Leadership) {
        let (sender, receiver) = watch::channel(None);
        (sender, Leadership::elected(clock.clone(), receiver))
    }

    fn term(clock: &Clock, seconds: u64) -> Term {
        lasting(clock, Duration::from_secs(seconds))
    }

    fn lasting(clock: &Clock, lasts: Duration) -> Term {
        let now = clock.moment();
        let deadline = Some(Moment { wall: now.wall + lasts, monotonic: now.monotonic + lasts });
        Term { started: now.monotonic, started_at: now.wall, alone_since: now, deadline }
    }

    /// The loop that renews may hang or the process be stopped: time alone must end the term.
    #[test]
    fn the_deadline_ends_a_term_without_anybody_saying_so() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let (sender, leadership) = elected(&clock);
        assert!(!leadership.is_leader() && leadership.term_started().is_none());
        sender.send_replace(Some(term(&clock, 10)));
        clock.advance(Duration::from_millis(9_999));
        assert!(leadership.is_leader());
        assert_eq!(leadership.remaining(), Some(Duration::from_millis(1)));
        assert_eq!(leadership.term_started_at(), Some(Timestamp::UNIX_EPOCH));
        clock.advance(Duration::from_millis(1));
        assert!(!leadership.is_leader());
        assert_eq!((leadership.remaining(), leadership.term_started()), (None, None));
    }

    /// The monotonic clock stands still in a machine that is suspended, and another replica takes the lease.
    #[test]
    fn a_machine_that_was_suspended_does_not_lead_any_more() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let (sender, leadership) = elected(&clock);
        sender.send_replace(Some(term(&clock, 10)));
        clock.step(jiff::SignedDuration::from_secs(-60));
        assert!(leadership.is_leader(), "a calendar that was ahead");
        clock.step(jiff::SignedDuration::from_mins(10));
        assert!(!leadership.is_leader());
        assert_eq!(leadership.remaining(), None);
    }

    #[test]
    fn without_an_election_leadership_never_ends() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let leadership = Leadership::always(&clock);
        clock.advance(Duration::from_secs(1 << 32));
        assert!(leadership.is_leader());
        assert_eq!(leadership.remaining(), Some(Duration::MAX));
    }

    #[test]
    fn a_term_that_nothing_renews_ends() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let leadership = Leadership::limited(&clock, Duration::from_secs(10));
        clock.advance(Duration::from_secs(9));
        assert!(leadership.is_leader());
        assert_eq!(leadership.term_started_at(), Some(Timestamp::UNIX_EPOCH));
        clock.advance(Duration::from_secs(1));
        assert!(!leadership.is_leader());
    }

    /// A renewal is no change; taking the lease, losing it and taking it again are.
    #[tokio::test]
    async fn waiting_ends_at_changes_only() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let (sender, leadership) = elected(&clock);
        let waiting = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.acquired().await }
        });
        let first = term(&clock, 10);
        sender.send_replace(Some(first));
        waiting.await.unwrap();

        let change = leadership.changed();
        tokio::pin!(change);
        let later = Duration::from_secs(5);
        let deadline = first
            .deadline
            .map(|deadline| Moment { wall: deadline.wall + later, monotonic: deadline.monotonic + later });
        let renewed = Some(Term { deadline, ..first });
        sender.send_replace(renewed);
        tokio::select! {
            biased;
            _ = &mut change => panic!("a renewal is no change"),
            () = tokio::task::yield_now() => {}
        }
        clock.advance(Duration::from_secs(3));
        sender.send_replace(Some(term(&clock, 10)));
        assert!(change.await, "a new term is a change though this process leads again");
        sender.send_replace(None);
        leadership.lost().await;
    }

    /// Objects are reconciled again when a term begins; a term that is missed would leave them as they are.
    #[tokio::test]
    async fn a_term_that_begins_between_two_questions_is_not_missed() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let (sender, leadership) = elected(&clock);
        sender.send_replace(Some(term(&clock, 10)));
        let mut changes = pin!(leadership.changes());
        assert_eq!(changes.next().await, Some(true), "the term that runs already");
        sender.send_replace(None);
        clock.advance(Duration::from_secs(1));
        sender.send_replace(Some(term(&clock, 10)));
        assert_eq!(
            changes.next().await,
            Some(true),
            "another term, though it was not asked about in between"
        );
        sender.send_replace(None);
        assert_eq!(changes.next().await, Some(false));
    }

    /// A follower that only waits must still hear of a deadline that passes in silence.
    #[tokio::test]
    async fn a_loss_by_time_wakes_whoever_waits() {
        let clock = Clock::system();
        let (sender, leadership) = elected(&clock);
        sender.send_replace(Some(lasting(&clock, Duration::from_millis(30))));
        tokio::time::timeout(Duration::from_secs(5), leadership.lost()).await.unwrap();
        drop(sender);
        tokio::time::timeout(Duration::from_secs(5), leadership.lost()).await.unwrap();
    }
}
