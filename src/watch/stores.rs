//! Caches of the objects that matter, each filled by one watch that also triggers reconciles.

use std::{borrow::Cow, collections::BTreeMap, fmt::Debug, hash::Hash};

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{Namespace, Pod},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, Store},
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;

pub use super::cache::{Changes, Filled, GuardedExecutorDeployment};
use super::{
    index::{self, Index, Keys},
    relevance::{of_metadata, relevant},
};
use crate::{
    api::{
        colony::Colony,
        colony_cron::ColonyCron,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        instance::{Instance, InstanceKind},
        kind::HasKind,
        names::{APP_MANAGED_BY_LABEL, OPERATOR},
        request_flow::RequestFlow,
        request_state::RequestState,
        resource_definition::{DefinitionScope, ResourceDefinition},
    },
    memory::writes::Writes,
    runtime::kubernetes::WATCH_SECONDS,
};

/// Which namespaces a set of stores covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespace(String),
}

impl Scope {
    /// The scopes for a list of namespaces; an empty list means all.
    #[must_use]
    pub fn all(namespaces: &[String]) -> Vec<Self> {
        if namespaces.is_empty() {
            vec![Self::Cluster]
        } else {
            namespaces.iter().cloned().map(Self::Namespace).collect()
        }
    }

    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// A cache and the changes to it.
pub struct Watched<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    /// The cache.
    pub store: Store<K>,
    /// When the cache is filled.
    pub filled: Filled,
    /// What has changed; has to be polled for the cache to be filled.
    pub changes: Changes<K>,
    /// Finds objects of the cache by their keys.
    pub index: Index<K>,
}

/// Watches the objects of a kind that are in namespaces. Some may turn out not to be readable.
#[must_use]
pub fn objects<K>(client: &Client, scope: &Scope, writes: &Writes) -> Watched<DeserializeGuard<K>>
where
    K: HasKind
        + Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    objects_by(index::none, client, scope, writes)
}

/// As [`objects`], found by `keys` too.
fn objects_by<K>(
    keys: Keys<DeserializeGuard<K>>,
    client: &Client,
    scope: &Scope,
    writes: &Writes,
) -> Watched<DeserializeGuard<K>>
where
    K: HasKind
        + Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let config = watcher::Config::default();
    if K::KIND.info().keeps_managed_fields {
        watched_whole(keys, scope.api(client), config, K::KIND.name(), Some(writes.clone()))
    } else {
        watched_by(keys, scope.api(client), config, K::KIND.name(), Some(writes.clone()))
    }
}

#[must_use]
pub fn executor_deployments(
    client: &Client,
    scope: &Scope,
    writes: &Writes,
) -> Watched<GuardedExecutorDeployment> {
    objects_by(index::executor_deployment, client, scope, writes)
}

#[must_use]
pub fn colony_processes(
    client: &Client,
    scope: &Scope,
    writes: &Writes,
) -> Watched<DeserializeGuard<ColonyProcess>> {
    objects_by(index::carried, client, scope, writes)
}

#[must_use]
pub fn colony_crons(
    client: &Client,
    scope: &Scope,
    writes: &Writes,
) -> Watched<DeserializeGuard<ColonyCron>> {
    objects(client, scope, writes)
}

#[must_use]
pub fn requests(client: &Client, scope: &Scope, writes: &Writes) -> Watched<DeserializeGuard<RequestState>> {
    objects_by(index::carried, client, scope, writes)
}

#[must_use]
pub fn request_flows(client: &Client, scope: &Scope) -> Watched<DeserializeGuard<RequestFlow>> {
    objects(client, scope, &Writes::default())
}

/// Watches the `ResourceDefinitions` that have the labels of the configuration.
#[must_use]
pub fn resource_definitions(
    client: &Client,
    selector: &BTreeMap<String, String>,
    writes: &Writes,
) -> Watched<DeserializeGuard<ResourceDefinition>> {
    let api = Api::all(client.clone());
    watched(api, labelled(selector), ResourceDefinition::KIND.name(), Some(writes.clone()))
}

/// Watches the metadata of the CRDs that the operator made.
#[must_use]
pub fn custom_resource_definitions(client: &Client) -> Watched<PartialObjectMeta<CustomResourceDefinition>> {
    watched(Api::all(client.clone()), ours(), "CustomResourceDefinition", None)
}

/// Watches instances of a user-defined kind.
#[must_use]
pub fn instances(
    client: &Client,
    scope: &Scope,
    kind: &InstanceKind,
    writes: &Writes,
) -> Watched<DeserializeGuard<Instance>> {
    let api: Api<DeserializeGuard<Instance>> = match scope {
        Scope::Namespace(namespace) if kind.terms().scope == DefinitionScope::Namespaced => {
            Api::namespaced_with(client.clone(), namespace, kind)
        }
        _ => Api::all_with(client.clone(), kind),
    };
    let changes = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS))
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear());
    cached(changes, kind.clone(), kind.name().into(), Some(writes.clone()), index::carried)
}

#[must_use]
pub fn colony_workflows(
    client: &Client,
    scope: &Scope,
    writes: &Writes,
) -> Watched<DeserializeGuard<ColonyWorkflow>> {
    objects_by(index::carried, client, scope, writes)
}

/// Watches Deployments that the operator made.
#[must_use]
pub fn deployments(client: &Client, scope: &Scope, writes: &Writes) -> Watched<Deployment> {
    watched(scope.api(client), ours(), "Deployment", Some(writes.clone()))
}

/// Watches `DaemonSets` that the operator made.
#[must_use]
pub fn daemon_sets(client: &Client, scope: &Scope, writes: &Writes) -> Watched<DaemonSet> {
    watched(scope.api(client), ours(), "DaemonSet", Some(writes.clone()))
}

/// Watches Jobs that the operator made.
#[must_use]
pub fn jobs(client: &Client, scope: &Scope, writes: &Writes) -> Watched<Job> {
    watched(scope.api(client), ours(), "Job", Some(writes.clone()))
}

/// Watches pods of what the operator made.
#[must_use]
pub fn pods(client: &Client, scope: &Scope) -> Watched<Pod> {
    watched_by(index::pod, scope.api(client), ours(), "Pod", None)
}

/// Watches the `Colonies` that have the labels of the configuration. Their status, which counts what goes on in a colony,
/// is no change: each would wake every object of the colony, and the `Colony` itself to count again. `K` is a [`Colony`], or one
/// behind a `DeserializeGuard`, so that one that cannot be read does not stop the others.
#[must_use]
pub fn colonies<K>(client: &Client, selector: &BTreeMap<String, String>) -> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let all = watched::<K>(Api::all(client.clone()), labelled(selector), Colony::KIND.name(), None);
    let changes =
        relevant(all.changes, all.store.clone(), Colony::KIND.name(), Writes::default(), of_metadata);
    Watched { changes, ..all }
}

/// Objects with all of these labels.
fn labelled(selector: &BTreeMap<String, String>) -> watcher::Config {
    let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    watcher::Config::default().labels(&labels.join(","))
}

/// Watches the metadata of namespaces: their labels decide which colony they may use.
#[must_use]
pub fn namespaces(client: &Client) -> Watched<PartialObjectMeta<Namespace>> {
    watched(Api::all(client.clone()), watcher::Config::default(), "Namespace", None)
}

/// Children have the operator's label; others' objects are neither cached nor looked at.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{APP_MANAGED_BY_LABEL}={OPERATOR}"))
}

fn watched<K>(api: Api<K>, config: watcher::Config, kind: &'static str, writes: Option<Writes>) -> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    watched_by(index::none, api, config, kind, writes)
}

/// With the notes of who wrote what.
fn watched_whole<K>(
    keys: Keys<K>,
    api: Api<K>,
    config: watcher::Config,
    kind: &'static str,
    writes: Option<Writes>,
) -> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let events = watcher(api, config.timeout(WATCH_SECONDS)).default_backoff();
    cached(events, (), kind.into(), writes, keys)
}

/// Without the notes of who wrote what, which would be half of every cache.
fn watched_by<K>(
    keys: Keys<K>,
    api: Api<K>,
    config: watcher::Config,
    kind: &'static str,
    writes: Option<Writes>,
) -> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let changes = watcher(api, config.timeout(WATCH_SECONDS))
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear());
    cached(changes, (), kind.into(), writes, keys)
}

fn cached<K>(
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
    dynamic: K::DynamicType,
    kind: Cow<'static, str>,
    writes: Option<Writes>,
    keys: Keys<K>,
) -> Watched<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash + Send + Sync> + Clone + Debug + Send + Sync + 'static,
{
    let reflection = reflector::store::Writer::new(dynamic.clone());
    let store = reflection.as_reader();
    let index = Index::new(store.clone(), dynamic, keys);
    let indexed = index.clone();
    let watched = kind.clone();
    let (notify, filled) = Filled::pair();
    let changes = events
        .reflect(reflection)
        // Only what the cache holds by now counts as seen.
        .inspect_ok(move |event| {
            indexed.apply(event);
            if let (Some(writes), Some(version)) = (&writes, version(event)) {
                writes.saw(watched.clone(), Some(&version));
            }
            if matches!(event, watcher::Event::InitDone) {
                notify.send_replace(true);
            }
        })
        .inspect_err(move |error| tracing::warn!(%kind, %error, "watch interrupted"))
        .touched_objects()
        .boxed();
    Watched { store, filled, changes, index }
}

fn version<K: Resource>(event: &watcher::Event<K>) -> Option<String> {
    match event {
        watcher::Event::Apply(object)
        | watcher::Event::Delete(object)
        | watcher::Event::InitApply(object) => object.resource_version(),
        watcher::Event::Init | watcher::Event::InitDone => None,
    }
}
