//! An operator: the real engine of each kind, on the caches of its own, as `controllers` put them together.

use std::{fmt::Debug, hash::Hash, sync::Arc};

use colonyos_fake::ApiServer;
use colonyos_operator::api::resource_definition::ObjectKind;
use colonyos_operator::{
    api::colony::Colony,
    controllers::{
        Services,
        engine::pass::{Ended, Engine},
        engine::stages::Stages,
    },
    memory::position_log::PositionLogs,
    snapshot::Observed,
    watch::{
        colonies::Colonies,
        flows::Requests,
        holders::{Holder, HolderLookup},
        index::Index,
        stores::{self, Filled, Scope, Watched},
        work::WorkReader,
    },
};
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Resource,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::reflector::Store,
};

use crate::memory::Cache;

/// The controller of one kind.
pub trait Controller {
    /// The objects that its cache shows.
    fn names(&self) -> Vec<String>;
    /// A pass over an object as the cache shows it; none if it shows none of that name.
    fn pass<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Option<Ended>>;
    /// Shows what has changed; names and UIDs of the objects.
    fn catch_up(&mut self) -> Vec<(String, String)>;
}

/// Something that lags behind the cluster until it catches up.
trait Lagging {
    fn catch_up(&mut self);
}

impl<K> Lagging for Cache<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash + Send + Sync> + Clone + Debug + Send + Sync + 'static,
{
    fn catch_up(&mut self) {
        Cache::catch_up(self);
    }
}

/// Fills the caches of a controller, and keeps them.
pub struct Caches<'a> {
    pub services: &'a Arc<Services>,
    server: &'a ApiServer,
    filled: Vec<Filled>,
    lagging: Vec<Box<dyn Lagging>>,
}

impl<'a> Caches<'a> {
    pub fn new(server: &'a ApiServer, services: &'a Arc<Services>) -> Self {
        Self { services, server, filled: Vec::new(), lagging: Vec::new() }
    }

    /// A cache besides that of the objects.
    pub async fn store<K>(&mut self, watched: Watched<K>) -> (Store<K>, Index<K>)
    where
        K: Resource<DynamicType: Clone + Eq + Hash + Send + Sync> + Clone + Debug + Send + Sync + 'static,
    {
        let cache = Cache::fill(self.server, watched).await;
        let (store, index) = (cache.store.clone(), cache.index.clone());
        self.filled.push(cache.filled.clone());
        self.lagging.push(Box::new(cache));
        (store, index)
    }

    /// The colonies and who may use them.
    pub async fn colonies(&mut self) -> Colonies {
        let services = self.services;
        let client = &services.kubernetes.watches;
        let (colonies, _): (Store<Colony>, _) = self.store(stores::colonies(client, &[].into())).await;
        let (namespaces, _): (Store<PartialObjectMeta<Namespace>>, _) =
            self.store(stores::namespaces(client)).await;
        Colonies {
            colonies,
            namespaces,
            connections: services.connections.clone(),
            operator_namespace: services.kubernetes.namespace.clone(),
        }
    }

    /// The reader of kinds whose objects processes carry, as `controllers::engine::work` puts it together.
    pub async fn work_reader(&mut self, objects: &Filled) -> WorkReader {
        let services = self.services;
        let colonies = self.colonies().await;
        let flows = stores::request_flows(&services.kubernetes.watches, &Scope::Cluster);
        let flows_filled = flows.filled.clone();
        let (flows, _) = self.store(flows).await;
        let mut filled = self.filled.clone();
        filled.push(objects.clone());
        WorkReader {
            client: services.kubernetes.calls.clone(),
            colonies,
            processes: services.process_reader(),
            blueprints: services.blueprints.clone(),
            lines: services.lines.clone(),
            writes: services.writes.clone(),
            clock: services.clock.clone(),
            cluster: services.cluster.clone(),
            filled,
            holder_lookup: Arc::new(NoOneElse),
            requests: Requests {
                flows,
                filled: flows_filled,
                roles: services.configuration.request_roles.clone(),
                position_log: PositionLogs::default(),
            },
        }
    }

    pub fn filled(&self) -> Vec<Filled> {
        self.filled.clone()
    }

    /// The controller of a kind.
    pub fn controller<S>(self, objects: Cache<DeserializeGuard<S::Object>>, stages: S) -> Box<dyn Controller>
    where
        S: Stages,
    {
        let engine = Engine::new(self.services.clone(), stages);
        Box::new(Driven { engine, objects, lagging: self.lagging })
    }

    /// The cache of the objects of a kind.
    pub async fn objects<K>(&self, watched: Watched<DeserializeGuard<K>>) -> Cache<DeserializeGuard<K>>
    where
        K: Resource<DynamicType: Clone + Eq + Hash> + Clone + Debug + 'static,
    {
        Cache::fill(self.server, watched).await
    }
}

struct Driven<S: Stages> {
    engine: Engine<S>,
    objects: Cache<DeserializeGuard<S::Object>>,
    lagging: Vec<Box<dyn Lagging>>,
}

impl<S: Stages> Driven<S> {
    fn object(&self, name: &str) -> Option<S::Object> {
        let state = self.objects.store.state();
        let found = state.iter().find(|guarded| guarded.meta().name.as_deref() == Some(name))?;
        Some(found.0.as_ref().expect("an object that can be read").clone())
    }
}

impl<S: Stages> Controller for Driven<S> {
    fn names(&self) -> Vec<String> {
        let state = self.objects.store.state();
        let mut names: Vec<String> = state.iter().filter_map(|guarded| guarded.meta().name.clone()).collect();
        names.sort();
        names
    }

    fn pass<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Option<Ended>> {
        Box::pin(async move {
            let object = self.object(name)?;
            Some(self.engine.pass(&object).await)
        })
    }

    fn catch_up(&mut self) -> Vec<(String, String)> {
        for cache in &mut self.lagging {
            cache.catch_up();
        }
        let touched = self.objects.catch_up();
        let named = |guarded: &DeserializeGuard<S::Object>| {
            let metadata = guarded.meta();
            Some((metadata.name.clone()?, metadata.uid.clone()?))
        };
        touched.iter().filter_map(named).collect()
    }
}

/// There are no objects but those of the sequence, and none of them adopts.
struct NoOneElse;

impl HolderLookup for NoOneElse {
    fn with_uid(&self, _: &str) -> Observed<Option<String>> {
        Observed::Known(None)
    }

    fn bound_to(&self, _: &str, _: &str) -> Vec<Holder> {
        Vec::new()
    }

    fn wake(&self, _: &str) {}

    fn knows(&self, _: &ObjectKind) -> bool {
        true
    }
}
