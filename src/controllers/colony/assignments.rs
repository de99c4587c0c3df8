//! Serves a colony as one of the operator's executors: is assigned the processes that carry objects of this cluster, and
//! wakes those objects, whose passes close them; what was born in the colony is handed to `inbound`.

use std::{sync::Arc, time::Duration};

use kube::{
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};

use super::{inbound::Inbound, processes::MirroredKinds};
use crate::{
    api::{
        colony::Colony,
        names::{RECONCILER_EXECUTOR_TYPE, parse_process_label},
    },
    colony::{Error, Process, ProcessQuery, ProcessState},
    controllers::engine::{context::Services, retry::Retries},
    memory::connections::OperatorIdentity,
};

/// How long one question for work waits. The server may miss a wake-up and answer only then, and takes an executor that
/// does not ask for ten minutes for gone.
const LONG_POLL: Duration = Duration::from_secs(8);

/// How often it is asked whether to go on being silent.
const SILENT: Duration = Duration::from_secs(1);

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

impl Assignments {
    /// Serves until the `Colony` is gone.
    pub async fn serve(self) {
        for objects in self.mirrored_kinds.all() {
            // An empty cache knows no object, which would make every process look foreign.
            objects.filled().reached().await;
        }
        let retries = Retries::default();
        // What runs is looked through once in each term: a previous leader may have left some of it.
        let mut resumed = None;
        tracing::info!(colony = self.colony, executor = self.operator.name, "serving");
        while self.colonies.get(&ObjectRef::new(&self.colony)).is_some() {
            self.services.leadership.acquired().await;
            let term = self.services.leadership.term_started_at();
            let is_resumed = resumed.is_some() && resumed == term;
            if is_resumed && self.is_silent() {
                tokio::time::sleep(SILENT).await;
                continue;
            }
            let round = if is_resumed {
                self.take_one().await
            } else {
                self.services.neighbours.forget(&self.colony);
                self.resume().await.map(|()| resumed = term)
            };
            match round {
                Ok(()) => retries.reset(&self.colony),
                Err(error) => {
                    // A process may have been assigned all the same, and only the list of running processes would
                    // show it.
                    resumed = resumed.filter(|_| !error.may_have_happened());
                    tracing::warn!(colony = self.colony, executor = self.operator.name, %error, "cannot be assigned work");
                    tokio::time::sleep(retries.after_failure(&self.colony)).await;
                }
            }
        }
        let _ = self.services.connections.remove(&self.colony);
        self.services.blueprints.forget(&self.colony);
    }

    /// What was assigned to this identity before a crash and carries no object of ours would run for ever.
    async fn resume(&self) -> Result<(), Error> {
        let running = match self.operator.session.running(self.operator.executor_type).await {
            Err(error) if error.is_too_large() => self.oldest_running().await?,
            read => read?,
        };
        for process in running {
            self.receive(process).await?;
        }
        Ok(())
    }

    /// The process that was assigned to this identity first, where all of them are too much for a list. One that is too large
    /// by itself is answered, so that another is the first; the error is that of the list.
    async fn oldest_running(&self) -> Result<Vec<Process>, Error> {
        let query = ProcessQuery::new(ProcessState::Running).executor_type(self.operator.executor_type);
        let read = self.operator.session.processes(&query.map_err(Error::Field)?.limit(1)).await;
        if let Err(error) = &read {
            self.refuse_too_large(error).await?;
        }
        read
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
