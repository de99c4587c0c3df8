//! What was last read of the processes that objects are bound to, so that a pass asks only for what may have changed.
//!
//! A process is fresh for as long as it has been quiet, within bounds, unless it is invalidated: a list, a push or a
//! refused call that does not fit what is known. Doubt only makes the next pass ask; it decides nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::colony::{Id, Process, ProcessId, ProcessState};

/// How long a process is believed at most, however quiet it is.
const LONGEST: Duration = Duration::from_mins(30);
/// How long it may take until the cache shows the status that binds an object to a process that was just submitted.
const UNBOUND: Duration = Duration::from_secs(30);

/// Processes as they were last read.
#[derive(Clone)]
pub struct Processes {
    known: Arc<Mutex<HashMap<ProcessId, CachedProcess>>>,
    /// Tells that some process was read.
    reads: Arc<watch::Sender<()>>,
    /// Labels of which a pass is about to learn what was read.
    expected: Arc<Mutex<HashSet<String>>>,
    shortest: Duration,
}

/// A pass that submits, and then looks by itself what was read meanwhile of what has the label.
pub struct Expectation {
    label: String,
    expected: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Expectation {
    fn drop(&mut self) {
        self.expected.lock().remove(&self.label);
    }
}

struct CachedProcess {
    seen: Seen,
    doubted_at: Option<Instant>,
}

/// A process as it was last read.
#[derive(Clone, Debug)]
pub struct Seen {
    /// As which member it was asked for.
    pub member: Id,
    pub process: Arc<Process>,
    /// When the question was asked to which this is the answer.
    pub asked_at: Instant,
    /// Since when it has been seen as it is.
    pub since: Instant,
}

impl Seen {
    fn new(member: &Id, process: &Process, asked_at: Instant) -> Self {
        Self { member: member.clone(), process: Arc::new(process.clone()), asked_at, since: asked_at }
    }
}

impl Processes {
    /// An empty memory, in which a process is believed for `shortest` at least.
    #[must_use]
    pub fn new(shortest: Duration) -> Self {
        let (known, expected) = (Arc::default(), Arc::default());
        Self { known, reads: Arc::new(watch::channel(()).0), expected, shortest }
    }

    /// The process, if `member` has read it and there is no reason to ask again.
    #[must_use]
    pub fn fresh(&self, member: &Id, id: &ProcessId, now: Instant) -> Option<Process> {
        let known = self.lock();
        let known = known.get(id).filter(|known| known.seen.member == *member)?;
        let quiet_for = known.seen.asked_at.saturating_duration_since(known.seen.since);
        let believed_for = quiet_for.min(LONGEST).max(self.shortest);
        // The server writes the reasons of a failure after its state.
        let process = &known.seen.process;
        let is_whole = process.state != ProcessState::Failed || !process.errors.is_empty();
        let is_believed = is_whole
            && known.doubted_at.is_none()
            && now.saturating_duration_since(known.seen.asked_at) < believed_for;
        is_believed.then(|| known.seen.process.as_ref().clone())
    }

    /// What was last read, believed or not.
    #[must_use]
    pub fn last_seen(&self, member: &Id, id: &ProcessId) -> Option<Seen> {
        let known = self.lock();
        known.get(id).filter(|known| known.seen.member == *member).map(|known| known.seen.clone())
    }

    /// Notes the answer to a question that was asked at `asked_at`. An answer that was overtaken by a later one is
    /// dropped, and a doubt that came up since the question stays.
    pub fn read(&self, member: &Id, process: &Process, asked_at: Instant) {
        let mut seen = Seen::new(member, process, asked_at);
        let mut known = self.lock();
        let Some(known) = known.get_mut(&process.id) else {
            known.insert(process.id.clone(), CachedProcess { seen, doubted_at: None });
            self.reads.send_replace(());
            return;
        };
        if known.seen.asked_at > asked_at {
            return;
        }
        let before = &known.seen.process;
        let is_moved =
            (before.state, &before.assigned_executor) != (process.state, &process.assigned_executor);
        if !is_moved && before.output == process.output && before.reported() == process.reported() {
            seen.since = known.seen.since;
        }
        known.seen = seen;
        known.doubted_at = known.doubted_at.filter(|doubted_at| *doubted_at > asked_at);
        self.reads.send_replace(());
    }

    /// Notes the answer to a submit. It is the first there is to know of the process, and may come after later news.
    pub fn submitted(&self, member: &Id, process: &Process, asked_at: Instant) {
        let seen = Seen::new(member, process, asked_at);
        self.lock().entry(process.id.clone()).or_insert(CachedProcess { seen, doubted_at: None });
    }

    /// Notes that a pass is about to submit something with this label. What is read of it until the expectation is dropped need not
    /// wake the object: the pass looks at it after that.
    #[must_use]
    pub fn expect(&self, label: &str) -> Expectation {
        self.expected.lock().insert(label.to_owned());
        Expectation { label: label.to_owned(), expected: self.expected.clone() }
    }

    /// Whether a pass learns by itself what was just read of a process with this label.
    #[must_use]
    pub fn is_expected(&self, label: &str) -> bool {
        self.expected.lock().contains(label)
    }

    /// Has the next pass ask for a process.
    pub fn invalidate(&self, id: &ProcessId, now: Instant) {
        if let Some(known) = self.lock().get_mut(id) {
            known.doubted_at = Some(now);
        }
    }

    /// Has the next pass ask for every process of a workflow.
    pub fn invalidate_workflow(&self, graph: &str, now: Instant) {
        let mut known = self.lock();
        for known in known.values_mut().filter(|known| known.seen.process.graph_id == graph) {
            known.doubted_at = Some(now);
        }
    }

    /// Forgets a process that is over or gone.
    pub fn forget(&self, id: &ProcessId) {
        self.lock().remove(id);
    }

    /// Forgets what a member has read but for these, and for what is too new to be in status.
    pub fn retain(&self, member: &Id, ids: &HashSet<ProcessId>, now: Instant) {
        let is_new = |known: &CachedProcess| now.saturating_duration_since(known.seen.asked_at) < UNBOUND;
        self.lock().retain(|id, known| known.seen.member != *member || ids.contains(id) || is_new(known));
    }

    /// Waits until an expected process is seen to have left the queue, but not longer than `limit`; its last state.
    pub async fn leaves_queue(
        &self,
        member: &Id,
        id: &ProcessId,
        expected: Expectation,
        limit: Duration,
    ) -> Option<ProcessState> {
        let mut reads = self.reads.subscribe();
        let left = async {
            loop {
                reads.mark_unchanged();
                let state = self.last_seen(member, id).map(|seen| seen.process.state);
                if state.is_some_and(|state| state != ProcessState::Waiting) || reads.changed().await.is_err()
                {
                    return state;
                }
            }
        };
        // What is read from here on wakes the object; what was read before shows here.
        let _ = tokio::time::timeout(limit, left).await;
        drop(expected);
        self.last_seen(member, id).map(|seen| seen.process.state)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, CachedProcess>> {
        self.known.lock()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn process(state: u8) -> Process {
        serde_json::from_value(json!({
            "processid": "p1", "state": state, "assignedexecutorid": "",
            "submissiontime": "2026-11-21T09:58:00Z", "starttime": "0001-01-01T00:00:00Z",
            "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": "l", "maxwaittime": -1, "maxexectime": -1, "maxretries": -1,
                      "conditions": { "colonyname": "c", "executortype": "t" } },
        }))
        .unwrap()
    }

    fn member(digit: &str) -> Id {
        Id::parse(&digit.repeat(64)).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Asking for everything on every pass is what this is there to avoid; believing for ever would miss the truth.
    #[test]
    fn a_process_is_believed_for_as_long_as_it_was_quiet_within_bounds() {
        let (processes, start, id) = (Processes::new(5 * SECOND), start(), process(1).id);
        let is_believed =
            |at: Instant| processes.fresh(&member("a"), &id, at).is_some_and(|found| found.id == id);
        assert!(!is_believed(start), "never read");
        processes.read(&member("a"), &process(1), start);
        assert!(is_believed(start + 4 * SECOND) && !is_believed(start + 5 * SECOND));
        assert_eq!(processes.fresh(&member("b"), &id, start), None, "asked under another key");

        processes.read(&member("a"), &process(1), start + 60 * SECOND);
        assert!(is_believed(start + 119 * SECOND) && !is_believed(start + 120 * SECOND));
        processes.read(&member("a"), &process(1), start + 10_000 * SECOND);
        let (last, bound) = (start + 10_000 * SECOND, LONGEST);
        assert!(is_believed(start + 11_799 * SECOND) && !is_believed(last + bound));

        processes.read(&member("a"), &process(0), last + bound);
        assert!(!is_believed(last + bound + 5 * SECOND), "it has just moved");
    }

    /// An answer on its way when the doubt came up may be the very thing that was doubted.
    #[test]
    fn only_an_answer_to_a_later_question_ends_a_doubt() {
        let (processes, start, id) = (Processes::new(5 * SECOND), start(), process(1).id);
        let state = |at| processes.fresh(&member("a"), &id, at).map(|process| process.state.number());
        processes.read(&member("a"), &process(1), start);
        processes.invalidate(&id, start + SECOND);
        assert_eq!(state(start + SECOND), None);
        processes.read(&member("a"), &process(1), start);
        assert_eq!(state(start + SECOND), None, "asked before the doubt");
        processes.read(&member("a"), &process(4), start + 2 * SECOND);
        assert_eq!(state(start + 2 * SECOND), Some(4));
        processes.read(&member("a"), &process(1), start + SECOND);
        assert_eq!(state(start + 2 * SECOND), Some(4), "overtaken");
    }

    /// The process may be assigned before its submit has been answered.
    #[test]
    fn the_answer_to_a_submit_undoes_no_later_news() {
        let (processes, start, id) = (Processes::new(5 * SECOND), start(), process(1).id);
        processes.read(&member("a"), &process(1), start + SECOND);
        processes.submitted(&member("a"), &process(0), start);
        let seen = processes.last_seen(&member("a"), &id).unwrap();
        assert_eq!(seen.process.state.number(), 1);
        let later = start + UNBOUND + SECOND;
        processes.retain(&member("b"), &HashSet::new(), later);
        assert!(processes.last_seen(&member("a"), &id).is_some(), "another member's");
        processes.retain(&member("a"), &HashSet::new(), start + 2 * SECOND);
        assert!(processes.last_seen(&member("a"), &id).is_some(), "status may not show it yet");
        processes.retain(&member("a"), &HashSet::new(), later);
        assert!(processes.last_seen(&member("a"), &id).is_none());
    }

    /// A process that the operator carries out itself is assigned while its submit is still being put on record.
    #[tokio::test]
    async fn who_has_submitted_sees_the_assignment_but_does_not_wait_for_long() {
        let (processes, start, id) = (Processes::new(5 * SECOND), start(), process(0).id);
        processes.submitted(&member("a"), &process(0), start);
        let (by, waiting) = (member("a"), processes.clone());
        let expected = processes.expect("l");
        let waited = async { waiting.leaves_queue(&by, &id, expected, SECOND).await };
        let assigned = async {
            processes.read(&member("a"), &process(1), start + SECOND);
            assert!(processes.is_expected("l") && !processes.is_expected("m"));
        };
        let (state, ()) = tokio::join!(waited, assigned);
        assert_eq!(state, Some(ProcessState::Running));
        assert!(!processes.is_expected("l"), "what is read later wakes the object");
        processes.forget(&id);
        processes.submitted(&member("a"), &process(0), start);
        let limit = Duration::from_millis(1);
        let expected = processes.expect("l");
        let state = processes.leaves_queue(&member("a"), &id, expected, limit).await;
        assert_eq!(state, Some(ProcessState::Waiting));
        assert!(!processes.is_expected("l"));
    }
}
