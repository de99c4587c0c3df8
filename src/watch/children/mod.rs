//! The objects that instances of defined kinds are made of: a watch for each kind that some definition makes, begun when it is
//! first asked for. They are kept by the instance that controls them, for that is how they are asked for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, channel::mpsc::UnboundedSender};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client, ResourceExt as _,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    discovery::{Scope as KindScope, pinned_kind},
    error::DiscoveryError,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::stores::Scope;
use crate::{
    api::{
        names::{APP_MANAGED_BY_LABEL, OPERATOR, RESOURCE_LABEL},
        resource_definition::ObjectKind,
    },
    memory::{
        kinds::ServedKinds,
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, CallError, WATCH_SECONDS, call},
    },
    snapshot::Observed,
};

/// How long a pass waits for a watch that has just begun.
const FILLING: Duration = Duration::from_secs(2);
/// How soon a kind that was not served is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// An instance some object of which has changed.
#[derive(Clone, Debug)]
pub struct Owner {
    pub namespace: String,
    pub reference: OwnerReference,
}

/// What was found of a kind.
#[derive(Clone, Debug)]
pub enum Found {
    /// The cluster serves it.
    Served(Observed<Vec<Value>>),
    /// The cluster does not.
    Unserved,
}

/// The watches of all kinds.
#[derive(Clone)]
pub struct ChildWatches {
    watches: Client,
    calls: Client,
    scopes: Vec<Scope>,
    writes: Writes,
    served: ServedKinds,
    clock: Clock,
    changed: UnboundedSender<Owner>,
    kinds: Arc<tokio::sync::Mutex<HashMap<ObjectKind, Entry>>>,
}

#[derive(Clone)]
enum Entry {
    Watched(Vec<Watch>),
    Unserved(Instant),
}

/// The watch of a kind in a scope.
#[derive(Clone)]
struct Watch {
    scope: Scope,
    cache: Cache,
    filled: tokio::sync::watch::Receiver<bool>,
    /// Ends with the last copy of this.
    _task: Arc<Task>,
}

/// A task that ends with its last user.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Cache = Arc<Mutex<Objects>>;

/// The objects of one kind in one scope.
#[derive(Default)]
struct Objects {
    is_filled: bool,
    trouble: Option<String>,
    /// By UID of the instance, then by namespace and name.
    by_owner: HashMap<String, BTreeMap<Place, Arc<Value>>>,
    owners: HashMap<Place, OwnerReference>,
    /// What a list that is under way has shown so far.
    listed: Vec<DynamicObject>,
}

/// Namespace and name.
type Place = (String, String);

impl ChildWatches {
    /// No watch yet. `changed` receives instances whose objects change.
    #[must_use]
    pub fn new(
        (watches, calls): (Client, Client),
        scopes: Vec<Scope>,
        writes: Writes,
        served: ServedKinds,
        clock: Clock,
        changed: UnboundedSender<Owner>,
    ) -> Self {
        Self { watches, calls, scopes, writes, served, clock, changed, kinds: Arc::default() }
    }

    /// The objects of a kind that the instance with this UID controls.
    pub async fn of(&self, kind: &ObjectKind, namespace: &str, uid: &str) -> Found {
        let watches = match self.entry(kind).await {
            Ok(Entry::Watched(watches)) => watches,
            Ok(Entry::Unserved(_)) => return Found::Unserved,
            Err(why) => return Found::Served(Observed::Unknown(why)),
        };
        let covers = |scope: &Scope| {
            matches!(scope, Scope::Cluster) || *scope == Scope::Namespace(namespace.to_owned())
        };
        let Some(mut watch) = watches.into_iter().find(|watch| covers(&watch.scope)) else {
            return Found::Served(Observed::Unknown(format!("namespace {namespace} is not watched")));
        };
        // Its end, an error, comes with the process alone; and what is not filled in time is not known.
        let _ = tokio::time::timeout(FILLING, watch.filled.wait_for(|filled| *filled)).await;
        let objects = watch.cache.lock();
        if !objects.is_filled {
            let why = objects.trouble.clone().unwrap_or_else(|| "they are being read".to_owned());
            return Found::Served(Observed::Unknown(why));
        }
        let own = objects.by_owner.get(uid).into_iter().flat_map(BTreeMap::values);
        Found::Served(Observed::Known(own.map(|object| Value::clone(object)).collect()))
    }

    /// An object by its name, whatever its owner.
    pub async fn by_name(&self, kind: &ObjectKind, namespace: &str, name: &str) -> Observed<Option<Value>> {
        let Some(resource) = self.served.resource(kind) else { return Observed::Known(None) };
        let api = Api::<DynamicObject>::namespaced_with(self.calls.clone(), namespace, &resource);
        match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
            Ok(found) => Observed::Known(found.map(|object| whole(object, &resource))),
            Err(error) => Observed::Unknown(error.explain(&format!("get {} {name}", kind.kind))),
        }
    }

    /// For what is read beside the watches.
    pub(super) const fn client(&self) -> &Client {
        &self.calls
    }

    /// The kinds that are watched, or were looked for.
    pub async fn kinds(&self) -> BTreeSet<ObjectKind> {
        self.kinds.lock().await.keys().cloned().collect()
    }

    /// Ends the watches of these kinds. Requesting one of them again restarts it, with no data until its initial list
    /// is complete.
    pub async fn stop(&self, kinds: &BTreeSet<ObjectKind>) {
        let mut watched = self.kinds.lock().await;
        for kind in kinds {
            if let Some(Entry::Watched(_)) = watched.remove(kind) {
                tracing::info!(%kind, "no instance is made of it any more: watched no longer");
            }
        }
    }

    /// The watch of a kind, begun if there is none.
    async fn entry(&self, kind: &ObjectKind) -> Result<Entry, String> {
        let mut kinds = self.kinds.lock().await;
        let now = self.clock.instant();
        match kinds.get(kind) {
            Some(entry @ Entry::Watched(_)) => return Ok(entry.clone()),
            Some(entry @ Entry::Unserved(at)) if now.saturating_duration_since(*at) < LOOK_AGAIN => {
                return Ok(entry.clone());
            }
            _ => {}
        }
        let entry = if let Some(resource) = find(&self.calls, kind).await? {
            self.served.found(kind.clone(), resource.clone());
            let each = self.scopes.iter().map(|scope| self.start(kind, &resource, scope));
            Entry::Watched(each.collect())
        } else {
            self.served.missed(kind);
            Entry::Unserved(now)
        };
        kinds.insert(kind.clone(), entry.clone());
        Ok(entry)
    }

    fn start(&self, kind: &ObjectKind, resource: &ApiResource, scope: &Scope) -> Watch {
        let api = match scope {
            Scope::Cluster => Api::<DynamicObject>::all_with(self.watches.clone(), resource),
            Scope::Namespace(namespace) => {
                Api::<DynamicObject>::namespaced_with(self.watches.clone(), namespace, resource)
            }
        };
        let parts = format!("{APP_MANAGED_BY_LABEL}={OPERATOR},{RESOURCE_LABEL}");
        let config = watcher::Config::default().labels(&parts).timeout(WATCH_SECONDS);
        let cache = Cache::default();
        let (notify, told) = tokio::sync::watch::channel(false);
        let (filled, writes, changed) = (cache.clone(), self.writes.clone(), self.changed.clone());
        let (kind, resource) = (kind.to_string(), resource.clone());
        let task = tokio::spawn(async move {
            let mut events = watcher(api, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let touched = {
                    let mut objects = filled.lock();
                    let touched = match event {
                        Ok(event) => objects.apply(event, &resource, &kind, &writes),
                        Err(error) => {
                            tracing::warn!(%kind, %error, "watch interrupted");
                            objects.trouble = Some(format!("failed to watch them: {error}"));
                            Vec::new()
                        }
                    };
                    notify.send_if_modified(|is_filled| {
                        objects.is_filled && !std::mem::replace(is_filled, true)
                    });
                    touched
                };
                for owner in touched {
                    // The receiver is gone once the operator stops.
                    let _ = changed.unbounded_send(owner);
                }
            }
        });
        Watch { scope: scope.clone(), cache, filled: told, _task: Arc::new(Task(task)) }
    }
}

/// Where the objects of a kind are; none if the cluster does not serve it.
///
/// # Errors
///
/// Why it is unknown or unusable.
pub async fn find(client: &Client, kind: &ObjectKind) -> Result<Option<ApiResource>, String> {
    let named = GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind);
    match call(CALL_TIME_LIMIT, pinned_kind(client, &named)).await {
        Ok((_, capabilities)) if capabilities.scope == KindScope::Cluster => Err(format!(
            "{kind} is a kind of the cluster as a whole: an instance is made of objects of its namespace"
        )),
        Ok((resource, _)) => Ok(Some(resource)),
        Err(error) if is_unserved(&error) => Ok(None),
        Err(error) => Err(error.explain(&format!("look for kind {kind}"))),
    }
}

/// The key under which the last write to objects of a kind of an instance is remembered.
#[must_use]
pub fn last_write(kind: &ObjectKind, namespace: &str, uid: &str) -> Key {
    Key::new(kind.to_string(), namespace, uid)
}

/// Whether an answer says that the cluster does not serve a kind.
pub(super) fn is_unserved(error: &CallError) -> bool {
    let is_missing = |source: &kube::Error| {
        matches!(
            source,
            kube::Error::Discovery(
                DiscoveryError::MissingKind(_)
                    | DiscoveryError::MissingApiGroup(_)
                    | DiscoveryError::MissingResource(_),
            )
        )
    };
    error.is_not_found() || matches!(error, CallError::Failed { source } if is_missing(source))
}

/// An object as JSON with its kind, which objects in lists lack.
fn whole(mut object: DynamicObject, resource: &ApiResource) -> Value {
    object.metadata.managed_fields = None;
    let mut whole = serde_json::to_value(&object).unwrap_or_default();
    if let Value::Object(fields) = &mut whole {
        fields.insert("apiVersion".to_owned(), Value::String(resource.api_version.clone()));
        fields.insert("kind".to_owned(), Value::String(resource.kind.clone()));
    }
    whole
}

impl Objects {
    /// Takes an event in; the instances that it concerns.
    fn apply(
        &mut self,
        event: watcher::Event<DynamicObject>,
        resource: &ApiResource,
        kind: &str,
        writes: &Writes,
    ) -> Vec<Owner> {
        match event {
            watcher::Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                self.listed.push(object);
                Vec::new()
            }
            watcher::Event::InitDone => {
                let mut touched: Vec<Owner> = self
                    .owners
                    .drain()
                    .map(|((namespace, _), reference)| Owner { namespace, reference })
                    .collect();
                self.by_owner.clear();
                for object in std::mem::take(&mut self.listed) {
                    let version = object.resource_version();
                    touched.extend(self.put(object, resource));
                    writes.saw(kind.to_owned(), version.as_deref());
                }
                self.is_filled = true;
                self.trouble = None;
                touched
            }
            watcher::Event::Apply(object) => {
                let version = object.resource_version();
                let touched = self.put(object, resource);
                writes.saw(kind.to_owned(), version.as_deref());
                self.trouble = None;
                touched
            }
            watcher::Event::Delete(object) => {
                let version = object.resource_version();
                let touched = self.take(&place(&object)).into_iter().collect();
                writes.saw(kind.to_owned(), version.as_deref());
                touched
            }
        }
    }

    fn put(&mut self, object: DynamicObject, resource: &ApiResource) -> Vec<Owner> {
        let place = place(&object);
        let controller =
            object.owner_references().iter().find(|reference| reference.controller == Some(true));
        let controller = controller.cloned();
        let before = self.take(&place);
        let Some(reference) = controller else { return before.into_iter().collect() };
        let owner = Owner { namespace: place.0.clone(), reference: reference.clone() };
        let moved = before.filter(|before| before.reference.uid != reference.uid);
        self.owners.insert(place.clone(), reference.clone());
        let own = self.by_owner.entry(reference.uid).or_default();
        own.insert(place, Arc::new(whole(object, resource)));
        moved.into_iter().chain([owner]).collect()
    }

    fn take(&mut self, place: &Place) -> Option<Owner> {
        let reference = self.owners.remove(place)?;
        if let Some(own) = self.by_owner.get_mut(&reference.uid) {
            own.remove(place);
            if own.is_empty() {
                self.by_owner.remove(&reference.uid);
            }
        }
        Some(Owner { namespace: place.0.clone(), reference })
    }
}

fn place(object: &DynamicObject) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
