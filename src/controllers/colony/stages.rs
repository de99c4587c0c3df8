//! `Colonies`: what the five stages are for them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kube::ResourceExt as _;

use crate::{
    api::colony::{Colony, ColonyStatus},
    colony::{Client, Server},
    controllers::engine::{
        context::Services,
        stages::{Passed, Planned, Stages},
    },
    diff::{Problem, plan_colony},
    memory::connections::Connection,
    runtime::metrics::Kind,
    status::{self, look::Look},
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
}

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
            clock: &self.services.clock,
            metrics: Some(&self.services.metrics),
        };
        let reading = read(object, &reader, &mut known).await;
        self.clients.lock().await.insert(name, known);
        reading
    }
}

impl<S: ServeColony> Stages for ColonyStages<S> {
    type Object = Colony;
    type Snapshot = ColonyReading;
    type Desired = ();
    type Findings = ();

    const KIND: Kind = Kind::Colony;

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

    async fn after_act(&self, reading: &ColonyReading, _: Passed<'_, Self>) {
        self.serving.serve(&reading.snapshot.object.name_any(), reading).await;
    }

    fn status(&self, reading: &ColonyReading, pass: Passed<'_, Self>) -> Option<ColonyStatus> {
        let failure = pass.ok().and_then(|carried| carried.outcome.failure());
        Some(status::colony::compute(&reading.snapshot, failure))
    }

    fn next(&self, reading: &ColonyReading, _: Option<&ColonyStatus>, _: Passed<'_, Self>) -> Look {
        if !reading.snapshot.is_connected() {
            return Look::Backoff;
        }
        Look::About(Duration::from_secs(self.services.configuration.colony_poll_seconds.into()))
    }
}
