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
    index::{self, Index, IndexKey},
    stores::GuardedExecutorDeployment,
};
use crate::{
    api::{
        colony::Colony,
        executor_deployment::ExecutorDeployment,
        mirror::Mirrored as _,
        names::{DEFAULT_COLONY_ANNOTATION, EXECUTOR_DEPLOYMENT_LABEL},
    },
    snapshot::SIMILAR_TYPES_NAMED,
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

/// How many similar types are looked for: as many as are named, and one more.
const SIMILAR: usize = SIMILAR_TYPES_NAMED + 1;

/// The first objects of the first executor types that differ from that of an object only by digits at their end.
#[must_use]
pub fn similar(
    object: &ExecutorDeployment,
    index: &Index<GuardedExecutorDeployment>,
) -> Vec<Arc<GuardedExecutorDeployment>> {
    index.first_of_other_groups(&index::stem(object), &object.spec.executor_type, SIMILAR)
}

/// The objects of other namespaces that have an executor type, in these scopes.
#[must_use]
pub fn of_type(
    executor_type: &str,
    namespace: Option<&str>,
    scopes: &[Index<GuardedExecutorDeployment>],
) -> Vec<Arc<GuardedExecutorDeployment>> {
    let key = IndexKey::ExecutorType(executor_type.to_owned());
    scopes.iter().flat_map(|index| index.of_other_groups(&key, namespace.unwrap_or_default())).collect()
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
    /// by digits, if they name it, and those of other namespaces that have the same, before or after.
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
        let all: HashSet<Served> = [Some(now), before].into_iter().flatten().collect();
        let namespace = object.metadata.namespace.as_deref();
        let woken = all.iter().flat_map(|(name, colony)| {
            let stem = index::stem_of(name, colony.clone());
            // An object passes over its own type when it names the first ones.
            let is_named = self.index.is_among_first(&stem, name, object, SIMILAR + 1);
            let similar = is_named.then(|| self.index.of_other_groups(&stem, name));
            // In other namespaces, a type is one's alone.
            similar.into_iter().flatten().chain(of_type(name, namespace, &self.scopes))
        });
        woken.map(|other| ObjectRef::from_obj(other.as_ref())).collect()
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;

    use super::*;

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
        let index = Index::new(writer.as_reader(), (), index::executor_deployment);
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
        // Where there are many, a few are named: the others wake none.
        for digit in 1..=5 {
            let (name, executor_type) = (format!("w{digit}"), format!("worker{digit}"));
            let others: Vec<String> = (1..digit).map(|digit| format!("w{digit}")).collect();
            assert_eq!(woken(Event::Apply(serving(&name, &executor_type))), others);
        }
        assert_eq!(woken(Event::Apply(serving("w6", "worker6"))), [""; 0]);
        assert_eq!(
            woken(Event::Apply(serving("x", "worker1"))),
            [""; 0],
            "another of the same type is named"
        );
        assert_eq!(woken(Event::Delete(serving("w6", "worker6"))), [""; 0]);
        assert_eq!(woken(Event::Delete(serving("w1", "worker1"))), ["w2", "w3", "w4", "w5"]);
    }
}
