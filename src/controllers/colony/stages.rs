//! `Colonies`: what the five stages are for them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kube::{Resource as _, ResourceExt as _};

use crate::{
    api::{
        colony::{Colony, ColonyStatus},
        condition::Reason,
        kind::HasFinalizer as _,
    },
    colony::{Client, Server},
    controllers::engine::{
        context::Services,
        stages::{Passed, Planned, Stages},
    },
    diff::{Problem, orphans, plan_colony},
    memory::connections::Connection,
    runtime::metrics::{Collected, Kind},
    snapshot::ColonySnapshot,
    status::{self, event::Note, look::Look},
    watch::{
        colony::{ColonyReader, ColonyReading, Sessions, read},
        freshness::CacheBehind,
        stores::Filled,
    },
};

/// What goes on in colonies beside the passes.
pub trait ServeColony: Send + Sync + 'static {
    /// Serves a colony as it was just read.
    fn serve(&self, name: &str, reading: &ColonyReading) -> impl Future<Output = ()> + Send;

    /// Adds to a reading what objects of this cluster have to do with the colony.
    fn complete(&self, reading: &mut ColonyReading) -> impl Future<Output = ()> + Send;

    /// Ends what goes on in a colony.
    fn end(&self, name: &str);
}

/// How often a `Colony` that is deleted is looked at: what holds it ends without a word to it.
const LEAVING: Duration = Duration::from_secs(2);
/// How soon a colony is looked at again in which something was found that no object wants.
const LEFTOVERS: Duration = Duration::from_secs(3);

/// Clients of the servers of colonies, by name of the `Colony`.
pub type Clients = HashMap<String, Option<(Server, Client)>>;

/// The stages of `Colonies`.
pub struct ColonyStages<S> {
    services: Arc<Services>,
    filled: Filled,
    clients: tokio::sync::Mutex<Clients>,
    serving: S,
}

impl<S: ServeColony> ColonyStages<S> {
    /// Stages on a cache. `clients` are used while the servers stay the same, so that their connections are kept.
    #[must_use]
    pub fn new(services: Arc<Services>, filled: Filled, clients: Clients, serving: S) -> Self {
        Self { services, filled, clients: tokio::sync::Mutex::new(clients), serving }
    }

    async fn read(&self, object: &Colony) -> ColonyReading {
        let name = object.name_any();
        let mut known = self.clients.lock().await.remove(&name).flatten();
        let reader = ColonyReader {
            kubernetes: &self.services.kubernetes.calls,
            namespace: &self.services.kubernetes.namespace,
            cluster: &self.services.cluster,
            clock: &self.services.clock,
            metrics: Some(&self.services.metrics),
        };
        let mut reading = read(object, &reader, &mut known).await;
        self.clients.lock().await.insert(name, known);
        self.serving.complete(&mut reading).await;
        reading
    }

    /// Publishes what was found for the first time, and counts it.
    async fn tell_of_leftovers(&self, snapshot: &ColonySnapshot) {
        let found = orphans::messages(&snapshot.leftovers);
        let count = |what, count| self.services.metrics.count_collected(what, count);
        count(Collected::OrphanedProcess, found.processes.len());
        count(Collected::OrphanedExecutor, found.executors.len());
        let note = |reason: Reason| {
            move |message| Note { warning: true, reason: reason.as_str().to_owned(), message }
        };
        let notes = found.processes.into_iter().map(note(Reason::OrphanedProcess));
        let notes = notes.chain(found.executors.into_iter().map(note(Reason::OrphanedExecutor)));
        self.services.publisher.each_event(&snapshot.object.object_ref(&()), notes.collect()).await;
    }
}

impl<S: ServeColony> Stages for ColonyStages<S> {
    type Object = Colony;
    type Snapshot = ColonyReading;
    type Desired = ();
    type Findings = ();

    const KIND: Kind = Kind::Colony;
    const FINALIZER: Option<&'static str> = Some(Colony::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        vec![self.filled.clone()]
    }

    async fn snapshot(&self, object: &Colony) -> Result<ColonyReading, CacheBehind> {
        Ok(self.read(object).await)
    }

    /// As owner and as member, before the colony can be used by others.
    fn connection(&self, reading: &ColonyReading, _: &Services) -> Option<Arc<Connection>> {
        let Sessions { owner, member, .. } = reading.sessions.clone()?;
        Some(Arc::new(Connection::new(member, owner, Vec::new(), None, None)))
    }

    fn desired(&self, _: &ColonyReading) -> Result<(), Problem> {
        Ok(())
    }

    fn plan(&self, reading: &ColonyReading, (): &()) -> Planned<Self> {
        Ok((plan_colony(&reading.snapshot), ()))
    }

    async fn after_act(&self, reading: &ColonyReading, pass: Passed<'_, Self>) {
        if pass.is_ok() {
            self.tell_of_leftovers(&reading.snapshot).await;
        }
        self.serving.serve(&reading.snapshot.object.name_any(), reading).await;
    }

    async fn released(&self, object: &Colony) {
        let name = object.name_any();
        let _ = self.services.connections.remove(&name);
        self.clients.lock().await.remove(&name);
        self.serving.end(&name);
    }

    fn status(&self, reading: &ColonyReading, pass: Passed<'_, Self>) -> Option<ColonyStatus> {
        let failure = pass.ok().and_then(|carried| carried.outcome.failure());
        Some(status::colony::compute(&reading.snapshot, failure))
    }

    fn next(&self, reading: &ColonyReading, _: Option<&ColonyStatus>, _: Passed<'_, Self>) -> Look {
        if !reading.snapshot.is_connected() {
            return Look::Backoff;
        }
        if reading.snapshot.is_leaving() {
            return Look::After(LEAVING);
        }
        if reading.snapshot.leftovers.is_open {
            return Look::After(LEFTOVERS);
        }
        Look::About(Duration::from_secs(self.services.configuration.colony_poll_seconds.into()))
    }
}
