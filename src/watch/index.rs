//! Finds the objects of a cache by what a pass asks for, at a cost that does not grow with the cache.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher::Event,
    },
};
use parking_lot::RwLock;

use super::cache::GuardedExecutorDeployment;
use crate::api::{
    mirror::Mirrored,
    names::{EXECUTOR_DEPLOYMENT_LABEL, ORIGIN_LABEL, PROCESS_ANNOTATION},
};

/// What objects are found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IndexKey {
    Uid(String),
    /// The process or workflow that status binds them to.
    Process(String),
    /// The process of which they were born in a colony.
    BornOf(String),
    /// The `Colony` in whose colony they originate.
    OriginatedIn(String),
    /// The blueprint that says the same.
    Blueprint(String),
    /// The executor type.
    ExecutorType(String),
    /// The executor type and the namespace.
    ExecutorTypeIn(String, String),
    /// The executor type without the digits at its end.
    TypeStem(String),
    /// Namespace and name of the `ExecutorDeployment` of a pod.
    Fleet(String, String),
}

/// The keys of an object.
pub type Keys<K> = fn(&K) -> Vec<IndexKey>;

/// Finds objects of a cache by their keys.
pub struct Index<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    store: Store<K>,
    dynamic: K::DynamicType,
    keys: Keys<K>,
    entries: Arc<RwLock<Entries<K>>>,
    /// What a list has shown so far that is not complete yet.
    listed: Arc<RwLock<Entries<K>>>,
}

impl<K> Clone for Index<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            dynamic: self.dynamic.clone(),
            keys: self.keys,
            entries: self.entries.clone(),
            listed: self.listed.clone(),
        }
    }
}

struct Entries<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    objects: HashMap<IndexKey, HashSet<ObjectRef<K>>>,
    keys: HashMap<ObjectRef<K>, Vec<IndexKey>>,
}

impl<K> Default for Entries<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    fn default() -> Self {
        Self { objects: HashMap::new(), keys: HashMap::new() }
    }
}

impl<K> Entries<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    fn put(&mut self, object: ObjectRef<K>, keys: Vec<IndexKey>) {
        if self.keys.get(&object) == Some(&keys) {
            return;
        }
        self.remove(&object);
        for key in &keys {
            self.objects.entry(key.clone()).or_default().insert(object.clone());
        }
        if !keys.is_empty() {
            self.keys.insert(object, keys);
        }
    }

    fn remove(&mut self, object: &ObjectRef<K>) {
        for key in self.keys.remove(object).into_iter().flatten() {
            if let Some(objects) = self.objects.get_mut(&key) {
                objects.remove(object);
                if objects.is_empty() {
                    self.objects.remove(&key);
                }
            }
        }
    }
}

impl<K> Index<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    /// An index of what is in `store`, which is kept up to date by [`Index::apply`].
    #[must_use]
    pub fn new(store: Store<K>, dynamic: K::DynamicType, keys: Keys<K>) -> Self {
        let (entries, listed) = (Arc::default(), Arc::default());
        Self { store, dynamic, keys, entries, listed }
    }

    /// The cache.
    #[must_use]
    pub const fn store(&self) -> &Store<K> {
        &self.store
    }

    /// The objects with a key.
    #[must_use]
    pub fn get(&self, key: &IndexKey) -> Vec<Arc<K>> {
        let entries = self.entries.read();
        self.present(key, entries.objects.get(key).into_iter().flatten())
    }

    /// Whether there is an object with a key.
    #[must_use]
    pub fn contains(&self, key: &IndexKey) -> bool {
        self.entries.read().objects.contains_key(key)
    }

    /// The objects with a key that have not got another one. It costs next to nothing where all have it.
    #[must_use]
    pub fn get_without(&self, key: &IndexKey, other: &IndexKey) -> Vec<Arc<K>> {
        let entries = self.entries.read();
        let of = |key| entries.objects.get(key);
        let others = of(other).map_or(0, HashSet::len);
        let Some(all) = of(key).filter(|all| all.len() > others) else { return Vec::new() };
        let found = all.iter().filter(|object| of(other).is_none_or(|others| !others.contains(*object)));
        self.present(key, found)
    }

    fn present<'a>(&self, key: &IndexKey, found: impl Iterator<Item = &'a ObjectRef<K>>) -> Vec<Arc<K>>
    where
        K: 'a,
    {
        let found = found.filter_map(|object| self.store.get(object));
        // The store is a moment ahead of the index.
        found.filter(|object| (self.keys)(object).contains(key)).collect()
    }

    /// Notes what the cache was just told.
    pub fn apply(&self, event: &Event<K>) {
        let reference = |object: &K| ObjectRef::from_obj_with(object, self.dynamic.clone());
        let write = |entries: &RwLock<Entries<K>>, object: &K| {
            let keys = (self.keys)(object);
            entries.write().put(reference(object), keys);
        };
        match event {
            Event::Apply(object) => write(&self.entries, object),
            Event::Delete(object) => {
                self.entries.write().remove(&reference(object));
            }
            Event::Init => *self.listed.write() = Entries::default(),
            Event::InitApply(object) => write(&self.listed, object),
            Event::InitDone => {
                let listed = std::mem::take(&mut *self.listed.write());
                *self.entries.write() = listed;
            }
        }
    }
}

/// No keys: of a kind that is only looked at as a whole or by name.
#[must_use]
pub const fn none<K>(_: &K) -> Vec<IndexKey> {
    Vec::new()
}

/// The keys of what is carried by a process.
#[must_use]
pub fn carried<K: Resource + Mirrored>(object: &DeserializeGuard<K>) -> Vec<IndexKey> {
    let process = object.0.as_ref().ok().and_then(Mirrored::mirror);
    let process = process.and_then(|mirror| mirror.process_id.clone()).map(IndexKey::Process);
    uid(object).into_iter().chain(process).collect()
}

/// The keys of an `ExecutorDeployment`.
#[must_use]
pub fn executor_deployment(guarded: &GuardedExecutorDeployment) -> Vec<IndexKey> {
    let mut keys = carried(guarded);
    let Ok(object) = &guarded.0 else { return keys };
    keys.extend(object.blueprint_name().map(IndexKey::Blueprint));
    keys.extend(object.annotations().get(PROCESS_ANNOTATION).cloned().map(IndexKey::BornOf));
    if object.labels().contains_key(ORIGIN_LABEL) {
        keys.extend(object.spec.colony.clone().map(IndexKey::OriginatedIn));
    }
    let executor_type = object.spec.executor_type.clone();
    keys.push(IndexKey::ExecutorTypeIn(executor_type.clone(), object.namespace().unwrap_or_default()));
    keys.push(IndexKey::ExecutorType(executor_type));
    keys.push(IndexKey::TypeStem(type_stem(&object.spec.executor_type).to_owned()));
    keys
}

#[must_use]
pub fn pod(pod: &Pod) -> Vec<IndexKey> {
    let fleet = pod.labels().get(EXECUTOR_DEPLOYMENT_LABEL).cloned();
    let fleet = fleet.map(|fleet| IndexKey::Fleet(pod.namespace().unwrap_or_default(), fleet));
    fleet.into_iter().collect()
}

fn uid<K: Resource>(object: &K) -> Option<IndexKey> {
    object.meta().uid.clone().map(IndexKey::Uid)
}

/// An executor type without the digits at its end.
#[must_use]
pub fn type_stem(executor_type: &str) -> &str {
    executor_type.trim_end_matches(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store::Writer;
    use serde_json::json;

    use super::*;

    fn of_fleet(name: &str, fleet: &str) -> Pod {
        let labels = json!({ EXECUTOR_DEPLOYMENT_LABEL: fleet });
        let metadata = json!({ "name": name, "namespace": "blue", "labels": labels });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    struct Cache {
        writer: Writer<Pod>,
        index: Index<Pod>,
    }

    impl Cache {
        fn new() -> Self {
            let writer = Writer::new(());
            let index = Index::new(writer.as_reader(), (), pod);
            Self { writer, index }
        }

        fn told(&mut self, event: &Event<Pod>) {
            self.writer.apply_watcher_event(event);
            self.index.apply(event);
        }

        fn of(&self, fleet: &str) -> Vec<String> {
            let key = IndexKey::Fleet("blue".to_owned(), fleet.to_owned());
            let mut names: Vec<String> = self.index.get(&key).iter().map(|pod| pod.name_any()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn an_index_finds_what_the_cache_holds() {
        let mut cache = Cache::new();
        cache.told(&Event::Init);
        cache.told(&Event::InitApply(of_fleet("a-1", "a")));
        cache.told(&Event::InitApply(of_fleet("b-1", "b")));
        assert!(cache.of("a").is_empty(), "the list is not complete");
        let fleet = |name: &str| IndexKey::Fleet("blue".to_owned(), name.to_owned());
        assert!(!cache.index.contains(&fleet("a")));
        cache.told(&Event::InitDone);
        cache.told(&Event::Apply(of_fleet("a-2", "a")));
        assert_eq!(cache.of("a"), ["a-1", "a-2"]);

        cache.told(&Event::Apply(of_fleet("a-1", "b")));
        assert_eq!(
            (cache.of("a"), cache.of("b")),
            (vec!["a-2".to_owned()], vec!["a-1".into(), "b-1".into()])
        );
        cache.told(&Event::Delete(of_fleet("a-2", "a")));
        assert!(cache.of("a").is_empty());
        assert_eq!([fleet("a"), fleet("b")].map(|key| cache.index.contains(&key)), [false, true]);
    }

    /// A watch that was cut off says what has gone meanwhile by not listing it.
    #[test]
    fn what_a_new_list_lacks_is_found_no_more() {
        let mut cache = Cache::new();
        for listed in [&["a-1", "a-2"][..], &["a-2"]] {
            cache.told(&Event::Init);
            for name in listed {
                cache.told(&Event::InitApply(of_fleet(name, "a")));
            }
            cache.told(&Event::InitDone);
        }
        assert_eq!(cache.of("a"), ["a-2"]);
        let entries = cache.index.entries.read();
        assert_eq!((entries.keys.len(), entries.objects.len()), (1, 1), "nothing is kept of what is gone");
    }
}
