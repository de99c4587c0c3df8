//! Serves a colony as one of the operator's executors: is assigned the processes that carry objects of this cluster, and
//! wakes those objects, whose passes close them; what was born in the colony is handed to `inbound`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};

use super::{
    inbound::Inbound,
    processes::{Listed, Lists, MirroredKinds},
};
use crate::{
    api::{
        colony::Colony,
        names::{RECONCILER_EXECUTOR_TYPE, parse_process_label},
    },
    colony::{Error, Process, ProcessId, ProcessQuery, ProcessState},
    controllers::engine::{context::Services, retry::Retries},
    memory::connections::OperatorIdentity,
};

/// How long one question for work waits. The server may miss a wake-up and answer only then, and takes an executor that
/// does not ask for ten minutes for gone.
const LONG_POLL: Duration = Duration::from_secs(8);

/// How often it is asked whether to go on being silent.
const SILENT: Duration = Duration::from_secs(1);

/// The most that the server lists.
const LIST_MAX: u8 = 100;
/// How soon what runs is looked through once more, where it did not fit into one list.
const AGAIN: Duration = Duration::from_secs(5);
/// The same, where it was the same time and again: what carries an object runs for as long as that takes.
const LONGEST_AGAIN: Duration = Duration::from_mins(5);

/// How long the cache may take to show an object whose process was assigned.
const CACHE_PATIENCE: Duration = Duration::from_secs(5);

/// Serves one colony under one identity.
pub(in crate::controllers) struct Assignments {
    /// Name of the `Colony`.
    pub colony: String,
    /// The identity.
    pub operator: OperatorIdentity,
    /// The shared services.
    pub services: Arc<Services>,
    /// Whether the `Colony` still exists.
    pub colonies: Store<DeserializeGuard<Colony>>,
    /// Where the objects of processes are looked up, and how they are woken.
    pub mirrored_kinds: MirroredKinds,
    /// Answers what was born in the colony.
    pub inbound: Inbound,
}

/// What may have been assigned to an identity without that this process has seen it.
#[derive(Default)]
struct Backlog {
    /// The term in which what runs was looked through: a previous leader may have left some of it.
    resumed_in: Option<Timestamp>,
    /// When it is looked through once more; none where all of it was seen.
    again_at: Option<Instant>,
    pause: Duration,
    oldest: Vec<ProcessId>,
    lists: Lists,
}

impl Backlog {
    /// Whether new work may be asked for.
    fn is_resumed(&self, term: Option<Timestamp>, now: Instant) -> bool {
        self.resumed_in.is_some() && self.resumed_in == term && self.again_at.is_none_or(|at| now < at)
    }

    /// Notes what was listed, and whether there is more.
    fn listed(&mut self, oldest: &[Process], is_cut: bool, now: Instant) {
        let oldest: Vec<ProcessId> = oldest.iter().map(|process| process.id.clone()).collect();
        self.pause = if oldest == self.oldest { (self.pause * 2).clamp(AGAIN, LONGEST_AGAIN) } else { AGAIN };
        self.oldest = oldest;
        self.again_at = is_cut.then(|| now + self.pause);
    }
}

impl Assignments {
    /// Serves until the `Colony` is gone.
    pub async fn serve(self) {
        for objects in self.mirrored_kinds.all() {
            // An empty cache knows no object, which would make every process look foreign.
            objects.filled().reached().await;
        }
        let retries = Retries::default();
        let mut backlog = Backlog::default();
        tracing::info!(colony = self.colony, executor = self.operator.name, "serving");
        while self.colonies.get(&ObjectRef::new(&self.colony)).is_some() {
            self.services.leadership.acquired().await;
            let term = self.services.leadership.term_started_at();
            let is_resumed = backlog.is_resumed(term, self.services.clock.instant());
            if is_resumed && self.is_silent() {
                tokio::time::sleep(SILENT).await;
                continue;
            }
            let round =
                if is_resumed { self.take_one().await } else { self.resume(&mut backlog, term).await };
            match round {
                Ok(()) => retries.reset(&self.colony),
                Err(error) => {
                    // A process may have been assigned all the same, and only the list of running processes would
                    // show it.
                    if error.may_have_happened() {
                        backlog.resumed_in = None;
                    }
                    tracing::warn!(colony = self.colony, executor = self.operator.name, %error, "cannot be assigned work");
                    tokio::time::sleep(retries.after_failure(&self.colony)).await;
                }
            }
        }
        let _ = self.services.connections.remove(&self.colony);
        self.services.blueprints.forget(&self.colony);
    }

    /// What was assigned to this identity before a crash and carries no object of ours would run for ever.
    async fn resume(&self, backlog: &mut Backlog, term: Option<Timestamp>) -> Result<(), Error> {
        if backlog.resumed_in != term || term.is_none() {
            self.services.neighbours.forget(&self.colony);
        }
        let Listed { processes, is_cut } = self.running(&mut backlog.lists).await?;
        if is_cut && backlog.again_at.is_none() {
            tracing::warn!(
                colony = self.colony,
                executor = self.operator.name,
                answered = processes.len(),
                "what runs is too large for one list: the oldest are answered first, and the others when these are over"
            );
        }
        backlog.listed(&processes, is_cut, self.services.clock.instant());
        for process in processes {
            self.receive(process).await?;
        }
        backlog.resumed_in = term;
        Ok(())
    }

    /// What is assigned to this identity; the oldest, where all of it is too much for a list. One that is too large by itself
    /// is answered, so that another is the first; the error is that of the list.
    async fn running(&self, lists: &mut Lists) -> Result<Listed, Error> {
        let (session, executor_type) = (&self.operator.session, self.operator.executor_type);
        match session.running(executor_type).await {
            Err(error) if error.is_too_large() => {}
            read => return Ok(Listed { processes: read?, is_cut: false }),
        }
        let query = ProcessQuery::new(ProcessState::Running).executor_type(executor_type);
        let query = query.map_err(Error::Field)?;
        let Listed { mut processes, .. } =
            lists.fitting(session, ProcessState::Running, &query, LIST_MAX).await?;
        if processes.is_empty() {
            let read = session.processes(&query.limit(1)).await;
            if let Err(error) = &read {
                self.refuse_too_large(error).await?;
            }
            processes = read?;
        }
        processes.retain(|process| process.assigned_executor.as_ref() == Some(session.id()));
        Ok(Listed { processes, is_cut: true })
    }

    /// Answers the process with which a reply begins that is too large.
    async fn refuse_too_large(&self, error: &Error) -> Result<(), Error> {
        match error {
            Error::TooLarge { first: Some(id), .. } if self.services.leadership.is_leader() => {
                tracing::info!(process = %id, "refused: {error}");
                self.inbound.close_failed(id, &self.operator, error.to_string()).await
            }
            _ => Ok(()),
        }
    }

    /// Whether this executor asks for nothing, so that another installation is heard that asks as the same one.
    fn is_silent(&self) -> bool {
        let now = self.services.clock.instant();
        self.operator.executor_type == RECONCILER_EXECUTOR_TYPE
            && self.services.neighbours.wants_silence(&self.colony, now)
    }

    async fn take_one(&self) -> Result<(), Error> {
        match self.operator.session.assign(LONG_POLL).await {
            Ok(Some(process)) => self.receive(process).await,
            Ok(None) => Ok(()),
            Err(error) => {
                self.refuse_too_large(&error).await?;
                Err(error)
            }
        }
    }

    /// Wakes the object that a process carries, or has it answered if it carries none. One that carries an object
    /// that is gone, or one of another cluster, is refused: it would never be closed.
    async fn receive(&self, process: Process) -> Result<(), Error> {
        let label = &process.spec.label;
        let Some((cluster, uid, _)) = parse_process_label(label) else {
            if self.services.leadership.is_leader() {
                return self.inbound.accept(process, &self.operator).await;
            }
            return Ok(());
        };
        let is_ours = cluster == self.services.cluster;
        let is_known = is_ours && self.await_object(uid).await;
        if is_known {
            if let Some(connection) = self.services.connections.get(&self.colony) {
                let now = self.services.clock.instant();
                self.services.processes.read(connection.member.id(), &process, now);
            }
            if !self.services.processes.is_expected(label) {
                self.mirrored_kinds.wake_uid(uid);
            }
            return Ok(());
        }
        if !self.services.leadership.is_leader() {
            return Ok(());
        }
        let why = if is_ours {
            format!("the object that label {label:?} names is no longer in this cluster")
        } else {
            format!(
                "label {label:?} is of another cluster: give each Colony object a spec.location of its own"
            )
        };
        tracing::info!(process = %process.id, label, "refused: {why}");
        self.inbound.close_failed(&process.id, &self.operator, why).await
    }

    /// Whether there is the object of a process. One that the cache does not show may be newer than the cache: refused, its
    /// process would be lost.
    async fn await_object(&self, uid: &str) -> bool {
        let mut changes = self.services.object_changes.subscribe();
        let shown = async {
            loop {
                changes.mark_unchanged();
                if self.mirrored_kinds.all().iter().any(|objects| objects.has_uid(uid)) {
                    return true;
                }
                // An error means that the process ends.
                if changes.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(CACHE_PATIENCE, shown).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(id: &str) -> Process {
        let whole = json!({
            "processid": id, "state": 1, "spec": {}, "submissiontime": "2026-03-01T12:00:00Z",
            "starttime": "2026-03-01T12:00:00Z", "endtime": "0001-01-01T00:00:00Z",
        });
        serde_json::from_value(whole).unwrap()
    }

    /// What does not fit into one list is looked for again, ever less often while that brings nothing new.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn what_was_not_listed_is_looked_for_again_and_ever_less() {
        let (now, term) = (Instant::now(), Some(Timestamp::UNIX_EPOCH));
        let mut backlog = Backlog::default();
        assert!(!backlog.is_resumed(term, now));
        backlog.resumed_in = term;
        let pauses: Vec<u64> = ["a", "a", "a", "b"]
            .map(|oldest| {
                backlog.listed(&[process(oldest)], true, now);
                assert!(backlog.is_resumed(term, now), "other work is taken meanwhile");
                let pause = backlog.again_at.unwrap() - now;
                assert!(!backlog.is_resumed(term, now + pause));
                pause.as_secs()
            })
            .into();
        assert_eq!(pauses, [5, 10, 20, 5]);
        backlog.listed(&[], false, now);
        assert!(backlog.is_resumed(term, now + LONGEST_AGAIN));
        assert!(!backlog.is_resumed(Some(Timestamp::MAX), now), "a new term");
    }
}
