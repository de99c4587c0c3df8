//! Finds the objects of a cache by what a pass asks for, at a cost that does not grow with the cache.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    ops::Bound,
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
    executor_deployment::ExecutorDeployment,
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
    /// The executor type; grouped by namespace.
    ExecutorType(String),
    /// The executor type without the digits at its end, and the `Colony` that is named; grouped by executor type.
    TypeStem(String, Option<String>),
    /// Namespace and name of the `ExecutorDeployment` of a pod.
    Fleet(String, String),
}

/// A key of an object, and the group in which the object is among those that have it: one where none is of interest.
pub type Entry = (IndexKey, String);

/// The keys of an object.
pub type Keys<K> = fn(&K) -> Vec<Entry>;

/// Where an object is: its namespace, if it has one, and its name.
type Place = (Option<String>, String);

/// Finds objects of a cache by their keys.
pub struct Index<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    store: Store<K>,
    dynamic: K::DynamicType,
    keys: Keys<K>,
    entries: Arc<RwLock<Entries>>,
    /// What a list has shown so far that is not complete yet.
    listed: Arc<RwLock<Entries>>,
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

#[derive(Default)]
struct Entries {
    objects: HashMap<IndexKey, BTreeMap<String, BTreeSet<Place>>>,
    entries: HashMap<Place, Vec<Entry>>,
}

impl Entries {
    fn put(&mut self, place: Place, entries: Vec<Entry>) {
        if self.entries.get(&place) == Some(&entries) {
            return;
        }
        self.remove(&place);
        for (key, group) in &entries {
            let groups = self.objects.entry(key.clone()).or_default();
            groups.entry(group.clone()).or_default().insert(place.clone());
        }
        if !entries.is_empty() {
            self.entries.insert(place, entries);
        }
    }

    fn remove(&mut self, place: &Place) {
        for (key, group) in self.entries.remove(place).into_iter().flatten() {
            let Some(groups) = self.objects.get_mut(&key) else { continue };
            if let Some(places) = groups.get_mut(&group) {
                places.remove(place);
                if places.is_empty() {
                    groups.remove(&group);
                }
            }
            if groups.is_empty() {
                self.objects.remove(&key);
            }
        }
    }

    /// The groups of a key, in order.
    fn groups(&self, key: &IndexKey) -> impl Iterator<Item = (&String, &BTreeSet<Place>)> {
        self.objects.get(key).into_iter().flatten()
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
        self.present(key, entries.groups(key).flat_map(|(_, places)| places))
    }

    /// Whether there is an object with a key.
    #[must_use]
    pub fn contains(&self, key: &IndexKey) -> bool {
        self.entries.read().objects.contains_key(key)
    }

    /// The objects with a key that are in other groups than this one.
    #[must_use]
    pub fn of_other_groups(&self, key: &IndexKey, group: &str) -> Vec<Arc<K>> {
        let entries = self.entries.read();
        let others = entries.groups(key).filter(|(other, _)| *other != group);
        self.present(key, others.flat_map(|(_, places)| places))
    }

    /// The first object of each other group than this one, of as many groups as `most` at most, in the order of the groups.
    #[must_use]
    pub fn first_of_other_groups(&self, key: &IndexKey, group: &str, most: usize) -> Vec<Arc<K>> {
        let entries = self.entries.read();
        let others = entries.groups(key).filter(|(other, _)| *other != group);
        self.present(key, others.filter_map(|(_, places)| places.first()).take(most))
    }

    /// Whether an object that has come or gone is, or would be, the first of its group, and the group among the first `most`.
    #[must_use]
    pub fn is_among_first<R: Resource>(&self, key: &IndexKey, group: &str, object: &R, most: usize) -> bool {
        let entries = self.entries.read();
        let Some(groups) = entries.objects.get(key) else { return true };
        let place = place(object);
        let before = (Bound::Unbounded, Bound::Excluded(group));
        groups.range::<str, _>(before).nth(most.saturating_sub(1)).is_none()
            && groups.get(group).and_then(BTreeSet::first).is_none_or(|first| place <= *first)
    }

    fn present<'a>(&self, key: &IndexKey, found: impl Iterator<Item = &'a Place>) -> Vec<Arc<K>> {
        let found = found.filter_map(|(namespace, name)| {
            let reference = ObjectRef::new_with(name, self.dynamic.clone());
            let namespace = namespace.as_deref();
            self.store.get(&namespace.map_or(reference.clone(), |namespace| reference.within(namespace)))
        });
        // The store is a moment ahead of the index.
        found.filter(|object| (self.keys)(object).iter().any(|(other, _)| other == key)).collect()
    }

    /// Notes what the cache was just told.
    pub fn apply(&self, event: &Event<K>) {
        let write = |entries: &RwLock<Entries>, object: &K| {
            let keys = (self.keys)(object);
            entries.write().put(place(object), keys);
        };
        match event {
            Event::Apply(object) => write(&self.entries, object),
            Event::Delete(object) => {
                self.entries.write().remove(&place(object));
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

fn place<K: Resource>(object: &K) -> Place {
    (object.meta().namespace.clone(), object.name_any())
}

/// An entry of a key whose groups are of no interest.
const fn ungrouped(key: IndexKey) -> Entry {
    (key, String::new())
}

/// No keys: of a kind that is only looked at as a whole or by name.
#[must_use]
pub const fn none<K>(_: &K) -> Vec<Entry> {
    Vec::new()
}

/// The keys of what is carried by a process.
#[must_use]
pub fn carried<K: Resource + Mirrored>(object: &DeserializeGuard<K>) -> Vec<Entry> {
    let process = object.0.as_ref().ok().and_then(Mirrored::mirror);
    let process = process.and_then(|mirror| mirror.process_id.clone()).map(IndexKey::Process);
    uid(object).into_iter().chain(process).map(ungrouped).collect()
}

/// The keys of an `ExecutorDeployment`.
#[must_use]
pub fn executor_deployment(guarded: &GuardedExecutorDeployment) -> Vec<Entry> {
    let mut keys = carried(guarded);
    let Ok(object) = &guarded.0 else { return keys };
    let blueprint = object.blueprint_name().map(IndexKey::Blueprint);
    let born = object.annotations().get(PROCESS_ANNOTATION).cloned().map(IndexKey::BornOf);
    keys.extend(blueprint.into_iter().chain(born).map(ungrouped));
    if object.labels().contains_key(ORIGIN_LABEL) {
        keys.extend(object.spec.colony.clone().map(IndexKey::OriginatedIn).map(ungrouped));
    }
    let executor_type = &object.spec.executor_type;
    keys.push((IndexKey::ExecutorType(executor_type.clone()), object.namespace().unwrap_or_default()));
    keys.push((stem(object), executor_type.clone()));
    keys
}

/// The key of those whose executor type is that of a fleet but for digits at its end, in the same colony.
#[must_use]
pub fn stem(object: &ExecutorDeployment) -> IndexKey {
    stem_of(&object.spec.executor_type, object.spec.colony.clone())
}

/// As [`stem`], by executor type and `Colony`.
#[must_use]
pub fn stem_of(executor_type: &str, colony: Option<String>) -> IndexKey {
    IndexKey::TypeStem(type_stem(executor_type).to_owned(), colony)
}

#[must_use]
pub fn pod(pod: &Pod) -> Vec<Entry> {
    let fleet = pod.labels().get(EXECUTOR_DEPLOYMENT_LABEL).cloned();
    let fleet = fleet.map(|fleet| IndexKey::Fleet(pod.namespace().unwrap_or_default(), fleet));
    fleet.into_iter().map(ungrouped).collect()
}

fn uid<K: Resource>(object: &K) -> Option<IndexKey> {
    object.meta().uid.clone().map(IndexKey::Uid)
}

/// An executor type without the digits at its end.
fn type_stem(executor_type: &str) -> &str {
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
        assert_eq!((entries.entries.len(), entries.objects.len()), (1, 1), "nothing is kept of what is gone");
    }

    fn grouped(pod: &Pod) -> Vec<Entry> {
        vec![(IndexKey::Uid(String::new()), pod.labels()[EXECUTOR_DEPLOYMENT_LABEL].clone())]
    }

    /// What is asked of the groups costs as much as is answered, however many objects there are.
    #[test]
    fn groups_are_told_apart() {
        let mut writer = Writer::new(());
        let index = Index::new(writer.as_reader(), (), grouped);
        let mut told = |event: Event<Pod>| {
            writer.apply_watcher_event(&event);
            index.apply(&event);
        };
        for (name, group) in [("3", "b"), ("2", "b"), ("1", "a"), ("4", "c"), ("5", "d")] {
            told(Event::Apply(of_fleet(name, group)));
        }
        let key = IndexKey::Uid(String::new());
        let names = |found: Vec<Arc<Pod>>| found.iter().map(|pod| pod.name_any()).collect::<Vec<_>>();
        assert_eq!(names(index.of_other_groups(&key, "b")), ["1", "4", "5"]);
        assert_eq!(names(index.first_of_other_groups(&key, "a", 2)), ["2", "4"]);
        let is_first =
            |name: &str, group: &str, most| index.is_among_first(&key, group, &of_fleet(name, group), most);
        assert_eq!(
            [is_first("2", "b", 2), is_first("2", "b", 1), is_first("3", "b", 2)],
            [true, false, false]
        );
        assert_eq!(
            [is_first("1", "b", 2), is_first("9", "e", 5), is_first("9", "e", 4)],
            [true, true, false]
        );
        told(Event::Apply(of_fleet("2", "c")));
        assert_eq!(names(index.first_of_other_groups(&key, "a", 9)), ["3", "2", "5"]);
        told(Event::Delete(of_fleet("5", "d")));
        assert_eq!(names(index.get(&key)), ["1", "3", "2", "4"]);
    }
}
