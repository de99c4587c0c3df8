//! Which change wakes which `ExecutorDeployment`. Looks at caches only.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Resource, ResourceExt as _,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::reflector::{ObjectRef, Store},
};
use parking_lot::Mutex;

use super::{
    index::{Index, IndexKey, type_stem},
    stores::GuardedExecutorDeployment,
};
use crate::api::{
    colony::Colony,
    executor_deployment::ExecutorDeployment,
    mirror::Mirrored as _,
    names::{DEFAULT_COLONY_ANNOTATION, EXECUTOR_DEPLOYMENT_LABEL},
};

/// A pod wakes the object in its label.
#[must_use]
pub fn of_pod(pod: &Pod) -> Option<ObjectRef<GuardedExecutorDeployment>> {
    let name = pod.labels().get(EXECUTOR_DEPLOYMENT_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}

/// A `Colony` wakes the objects that name it; the default one, and one that may just have stopped being it, also those
/// that name none.
#[must_use]
pub fn of_colony(
    colony: &Colony,
    store: &Store<GuardedExecutorDeployment>,
) -> Vec<ObjectRef<GuardedExecutorDeployment>> {
    let name = colony.name_any();
    let may_be_default = colony.annotations().contains_key(DEFAULT_COLONY_ANNOTATION);
    let used = |object: &ExecutorDeployment| object.used_colony().map(|used| used.name.clone());
    references(store, &(), |object: &ExecutorDeployment| match used(object).or(object.spec.colony.clone()) {
        Some(wanted) => wanted == name,
        None => may_be_default || object.status.as_ref().is_none_or(|status| status.executor.is_none()),
    })
}

/// As [`of_colony`], for a kind that reports for each object the colony that it names, or that colonies do not matter
/// to it.
#[must_use]
pub fn of_colony_to<K>(
    colony: &Colony,
    store: &Store<DeserializeGuard<K>>,
    kind: &K::DynamicType,
    named: impl Fn(&K) -> Option<Option<String>>,
) -> Vec<ObjectRef<DeserializeGuard<K>>>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    let name = colony.name_any();
    let may_be_default = colony.annotations().contains_key(DEFAULT_COLONY_ANNOTATION);
    references(store, kind, |object| match named(object) {
        None => false,
        Some(Some(wanted)) => wanted == name,
        Some(None) => may_be_default,
    })
}

/// As [`of_namespace`], for the objects of a kind to which a colony still makes a difference.
#[must_use]
pub fn of_namespace_to<K>(
    namespace: &PartialObjectMeta<Namespace>,
    store: &Store<DeserializeGuard<K>>,
    kind: &K::DynamicType,
    concerned: impl Fn(&K) -> bool,
) -> Vec<ObjectRef<DeserializeGuard<K>>>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    let name = namespace.name_any();
    references(store, kind, |object| object.namespace().as_ref() == Some(&name) && concerned(object))
}

/// References to the objects of a cache that can be read and are concerned.
#[must_use]
pub fn references<K>(
    store: &Store<DeserializeGuard<K>>,
    kind: &K::DynamicType,
    concerned: impl Fn(&K) -> bool,
) -> Vec<ObjectRef<DeserializeGuard<K>>>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    let reference = |object: &K| {
        let namespace = object.namespace();
        let reference = ObjectRef::new_with(&object.name_any(), kind.clone());
        namespace.map_or(reference.clone(), |namespace| reference.within(&namespace))
    };
    let objects = store.state();
    let readable = objects.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    readable.filter(|object| concerned(object)).map(reference).collect()
}

/// A namespace wakes its objects: its labels decide which colonies they may use.
#[must_use]
pub fn of_namespace(
    namespace: &PartialObjectMeta<Namespace>,
    store: &Store<GuardedExecutorDeployment>,
) -> Vec<ObjectRef<GuardedExecutorDeployment>> {
    of_namespace_to(namespace, store, &(), |_: &ExecutorDeployment| true)
}

/// The objects, but for the one with UID `uid`, whose executor type differs from `executor_type` only by digits at its end.
#[must_use]
pub fn similar(
    executor_type: &str,
    uid: Option<&str>,
    index: &Index<GuardedExecutorDeployment>,
) -> Vec<Arc<GuardedExecutorDeployment>> {
    let is_similar = |other: &ExecutorDeployment| are_similar(&other.spec.executor_type, executor_type);
    let stem = IndexKey::TypeStem(type_stem(executor_type).to_owned());
    let mut found = index.get_without(&stem, &IndexKey::ExecutorType(executor_type.to_owned()));
    found.retain(|other| other.meta().uid.as_deref() != uid && other.0.as_ref().is_ok_and(is_similar));
    found
}

/// The objects of other namespaces that have an executor type, in these scopes.
#[must_use]
pub fn of_type(
    executor_type: &str,
    namespace: Option<&str>,
    scopes: &[Index<GuardedExecutorDeployment>],
) -> Vec<Arc<GuardedExecutorDeployment>> {
    let all = IndexKey::ExecutorType(executor_type.to_owned());
    let own = IndexKey::ExecutorTypeIn(executor_type.to_owned(), namespace.unwrap_or_default().to_owned());
    scopes.iter().flat_map(|index| index.get_without(&all, &own)).collect()
}

/// Executor type and colony of an object.
type Served = (String, Option<String>);

/// Tells which objects carry a warning about another one.
pub struct Siblings {
    index: Index<GuardedExecutorDeployment>,
    scopes: Vec<Index<GuardedExecutorDeployment>>,
    /// By UID.
    seen: Mutex<HashMap<String, Served>>,
}

impl Siblings {
    /// Siblings among the objects of an index, and among those of all `scopes`.
    #[must_use]
    pub fn new(
        index: Index<GuardedExecutorDeployment>,
        scopes: Vec<Index<GuardedExecutorDeployment>>,
    ) -> Self {
        Self { index, scopes, seen: Mutex::default() }
    }

    /// An object that is new, gone, or has another executor type or colony wakes those whose type differs from its own only
    /// by digits, and those of other namespaces that have the same, before or after.
    pub fn of(&self, object: &ExecutorDeployment) -> Vec<ObjectRef<GuardedExecutorDeployment>> {
        let uid = object.uid().unwrap_or_default();
        let exists = self.index.contains(&IndexKey::Uid(uid.clone()));
        let now = (object.spec.executor_type.clone(), object.spec.colony.clone());
        let mut seen = self.seen.lock();
        let before = match exists {
            true if seen.get(&uid) == Some(&now) => return Vec::new(),
            true => seen.insert(uid.clone(), now.clone()),
            false => seen.remove(&uid),
        };
        drop(seen);
        let types: HashSet<String> =
            [Some(now), before].into_iter().flatten().map(|(name, _)| name).collect();
        let namespace = object.metadata.namespace.as_deref();
        let woken = types.iter().flat_map(|name| {
            // In other namespaces, a type is one's alone.
            let same = of_type(name, namespace, &self.scopes);
            similar(name, Some(&uid), &self.index).into_iter().chain(same)
        });
        woken.map(|other| ObjectRef::from_obj(other.as_ref())).collect()
    }
}

/// Whether two executor types differ, but only by digits at their end.
#[must_use]
pub fn are_similar(one: &str, other: &str) -> bool {
    one != other && type_stem(one) == type_stem(other)
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;

    use super::*;

    #[test]
    fn only_digits_at_the_end_make_types_similar() {
        assert!(are_similar("encoder", "encoder2"));
        assert!(are_similar("encoder1", "encoder22"));
        for (one, other) in
            [("encoder", "encoder"), ("encoder-a", "encoder-b"), ("encoder", "encoder-2"), ("a1b", "a2b")]
        {
            assert!(!are_similar(one, other), "{one} {other}");
        }
    }

    fn serving(name: &str, executor_type: &str) -> GuardedExecutorDeployment {
        let metadata = serde_json::json!({ "name": name, "namespace": "blue", "uid": name });
        let spec = serde_json::json!({ "executorType": executor_type, "image": "i" });
        let object = serde_json::json!({ "metadata": metadata, "spec": spec });
        DeserializeGuard(Ok(serde_json::from_value(object).unwrap()))
    }

    /// Status changes often, and no condition depends on it.
    #[test]
    fn only_a_change_of_type_wakes_siblings() {
        let mut writer = kube::runtime::reflector::store::Writer::new(());
        let index = Index::new(writer.as_reader(), (), crate::watch::index::executor_deployment);
        let siblings = Siblings::new(index.clone(), vec![index.clone()]);
        let mut woken = |event: Event<GuardedExecutorDeployment>| {
            writer.apply_watcher_event(&event);
            index.apply(&event);
            let (Event::Apply(object) | Event::Delete(object)) = event else { panic!("{event:?}") };
            let mut names: Vec<String> =
                siblings.of(&object.0.unwrap()).into_iter().map(|object| object.name).collect();
            names.sort();
            names
        };
        assert_eq!(woken(Event::Apply(serving("a", "encoder"))), [""; 0]);
        assert_eq!(woken(Event::Apply(serving("b", "encoder2"))), ["a"]);
        assert_eq!(woken(Event::Apply(serving("b", "encoder2"))), [""; 0], "it is told already");
        assert_eq!(woken(Event::Apply(serving("c", "decoder"))), [""; 0]);
        assert_eq!(woken(Event::Apply(serving("b", "decoder3"))), ["a", "c"], "one loses its warning");
        assert_eq!(woken(Event::Delete(serving("b", "decoder3"))), ["c"]);
        // Of one type, only those of other namespaces.
        assert_eq!(woken(Event::Apply(serving("d", "decoder"))), [""; 0]);
        let elsewhere = || {
            let mut object = serving("e", "decoder");
            object.0.as_mut().unwrap().metadata.namespace = Some("red".to_owned());
            object
        };
        assert_eq!(woken(Event::Apply(elsewhere())), ["c", "d"]);
        assert_eq!(woken(Event::Delete(elsewhere())), ["c", "d"], "the type is free");
    }
}
