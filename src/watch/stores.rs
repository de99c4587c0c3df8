//! Caches of the objects that matter, each filled by one watch that also triggers reconciles.

use std::{borrow::Cow, collections::BTreeMap, fmt::Debug, hash::Hash};

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{Namespace, Pod},
        policy::v1::PodDisruptionBudget,
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
        executor_deployment::ExecutorDeployment,
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
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
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

/// Kinds known here whose objects caches hold.
pub trait CachedKind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

impl<K> CachedKind for K where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

/// Watches the objects of a kind of the operator that are in namespaces, found by `keys`. Some may turn out not to be readable.
fn objects<K>(
    keys: Keys<DeserializeGuard<K>>,
    client: &Client,
    scope: &Scope,
    writes: &Writes,
) -> Watched<DeserializeGuard<K>>
where
    K: HasKind + CachedKind + Resource<Scope = NamespaceResourceScope>,
{
    let events = events(scope.api(client), watcher::Config::default(), K::KIND.info().keeps_managed_fields);
    cached(events, (), K::kind(&()), Some(writes.clone()), keys)
}

macro_rules! objects {
    ($($name:ident: $kind:ty, $keys:path;)+) => {$(
        #[must_use]
        pub fn $name(client: &Client, scope: &Scope, writes: &Writes) -> Watched<DeserializeGuard<$kind>> {
            objects($keys, client, scope, writes)
        }
    )+};
}

objects! {
    executor_deployments: ExecutorDeployment, index::executor_deployment;
    colony_processes: ColonyProcess, index::carried;
    colony_workflows: ColonyWorkflow, index::carried;
    requests: RequestState, index::carried;
    colony_crons: ColonyCron, index::none;
}

#[must_use]
pub fn request_flows(client: &Client, scope: &Scope) -> Watched<DeserializeGuard<RequestFlow>> {
    objects(index::none, client, scope, &Writes::default())
}

/// Watches the `ResourceDefinitions` that have the labels of the configuration.
#[must_use]
pub fn resource_definitions(
    client: &Client,
    selector: &BTreeMap<String, String>,
    writes: &Writes,
) -> Watched<DeserializeGuard<ResourceDefinition>> {
    let api = Api::all(client.clone());
    watched(index::none, api, labelled(selector), Some(writes.clone()))
}

/// Watches the metadata of the CRDs that the operator made.
#[must_use]
pub fn custom_resource_definitions(client: &Client) -> Watched<PartialObjectMeta<CustomResourceDefinition>> {
    watched(index::none, Api::all(client.clone()), ours(), None)
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
    let events = events(api, watcher::Config::default(), Instance::KIND.info().keeps_managed_fields);
    cached(events, kind.clone(), kind.name().into(), Some(writes.clone()), index::carried)
}

macro_rules! workloads {
    ($($name:ident: $kind:ty;)+) => {$(
        /// Watches those that the operator made.
        #[must_use]
        pub fn $name(client: &Client, scope: &Scope, writes: &Writes) -> Watched<$kind> {
            watched(index::none, scope.api(client), ours(), Some(writes.clone()))
        }
    )+};
}

workloads! {
    deployments: Deployment;
    daemon_sets: DaemonSet;
    jobs: Job;
    budgets: PodDisruptionBudget;
}

/// Watches pods of what the operator made.
#[must_use]
pub fn pods(client: &Client, scope: &Scope, writes: &Writes) -> Watched<Pod> {
    watched(index::pod, scope.api(client), ours(), Some(writes.clone()))
}

/// Watches the `Colonies` that have the labels of the configuration. Their status, which counts what goes on in a colony,
/// is no change: each would wake every object of the colony, and the `Colony` itself to count again. `K` is a [`Colony`], or one
/// behind a `DeserializeGuard`, so that one that cannot be read does not stop the others.
#[must_use]
pub fn colonies<K: CachedKind>(client: &Client, selector: &BTreeMap<String, String>) -> Watched<K> {
    let all: Watched<K> = watched(index::none, Api::all(client.clone()), labelled(selector), None);
    let changes =
        relevant(all.changes, all.store.clone(), Colony::KIND.name(), Writes::default(), of_metadata);
    Watched { changes, ..all }
}

/// Objects with all of these labels.
fn labelled(selector: &BTreeMap<String, String>) -> watcher::Config {
    watcher::Config::default().labels(&label_selector(selector))
}

/// Labels as lists and watches ask for them.
#[must_use]
pub fn label_selector(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}

/// Watches the metadata of namespaces: their labels decide which colony they may use.
#[must_use]
pub fn namespaces(client: &Client) -> Watched<PartialObjectMeta<Namespace>> {
    watched(index::none, Api::all(client.clone()), watcher::Config::default(), None)
}

/// Children have the operator's label; others' objects are neither cached nor looked at.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{APP_MANAGED_BY_LABEL}={OPERATOR}"))
}

fn watched<K: CachedKind>(
    keys: Keys<K>,
    api: Api<K>,
    config: watcher::Config,
    writes: Option<Writes>,
) -> Watched<K> {
    cached(events(api, config, false), (), K::kind(&()), writes, keys)
}

/// What a watch reports. The record of who wrote which field would be half of every cache.
fn events<K>(
    api: Api<K>,
    config: watcher::Config,
    keeps_managed_fields: bool,
) -> impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, config.timeout(WATCH_SECONDS)).default_backoff().modify(move |object| {
        if !keeps_managed_fields {
            object.managed_fields_mut().clear();
        }
    })
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
    // What a list shows is in the cache once the list is whole.
    let mut listed: Vec<String> = Vec::new();
    let changes = events
        .reflect(reflection)
        // Only what the cache holds by now counts as seen.
        .inspect_ok(move |event| {
            indexed.apply(event);
            match event {
                watcher::Event::Init => listed.clear(),
                watcher::Event::InitApply(object) => listed.extend(object.resource_version()),
                watcher::Event::InitDone => {}
                watcher::Event::Apply(object) | watcher::Event::Delete(object) => {
                    listed.clear();
                    listed.extend(object.resource_version());
                }
            }
            if let Some(writes) = writes.as_ref().filter(|_| !is_of_a_list(event)) {
                for version in listed.drain(..) {
                    writes.saw(watched.clone(), Some(&version));
                }
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

/// Whether an event is a part of a list that is not whole yet.
const fn is_of_a_list<K>(event: &watcher::Event<K>) -> bool {
    matches!(event, watcher::Event::Init | watcher::Event::InitApply(_))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::memory::writes::Key;

    /// A pass in between would look at what the cache held before, and write over what it has just written.
    #[tokio::test]
    async fn what_a_new_list_shows_counts_as_seen_once_the_cache_holds_it() {
        let object = |name: &str, version: &str| -> ConfigMap {
            let metadata = json!({ "name": name, "namespace": "n", "resourceVersion": version });
            serde_json::from_value(json!({ "metadata": metadata })).unwrap()
        };
        let (writes, key) = (Writes::default(), Key::new("ConfigMap", "n", "a"));
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        let now = Instant::now();
        writes.wrote(key.clone(), Some("5"), now);
        let events = futures::stream::iter(
            [
                watcher::Event::Init,
                watcher::Event::InitApply(object("a", "5")),
                watcher::Event::InitApply(object("b", "2")),
                watcher::Event::InitDone,
            ]
            .map(Ok),
        );
        let mut watched = cached(events, (), "ConfigMap".into(), Some(writes.clone()), index::none);
        let later = now + Duration::from_millis(1);
        let touched = watched.changes.next().await.unwrap().unwrap();
        assert_eq!(touched.metadata.name.as_deref(), Some("a"));
        assert!(writes.is_cache_behind(&key, later), "the list is not whole");
        while watched.changes.next().await.is_some() {}
        assert!(!writes.is_cache_behind(&key, later));
        assert_eq!(watched.store.state().len(), 2);
    }
}
