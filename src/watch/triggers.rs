//! Which change wakes which `ExecutorDeployment`. Looks at caches only.

use std::hash::Hash;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Resource, ResourceExt as _,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::reflector::{ObjectRef, Store},
};

use super::stores::GuardedExecutorDeployment;
use crate::api::{
    colony::Colony,
    executor_deployment::ExecutorDeployment,
    names::{DEFAULT_COLONY_ANNOTATION, EXECUTOR_DEPLOYMENT_LABEL},
};

/// The `ExecutorDeployments` in a cache that can be read.
#[must_use]
pub fn readable(store: &Store<GuardedExecutorDeployment>) -> Vec<ExecutorDeployment> {
    store.state().iter().filter_map(|guarded| guarded.0.as_ref().ok().cloned()).collect()
}

/// A pod wakes the object whose label it carries.
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
    readable(store)
        .iter()
        .filter(|object| match &object.spec.colony {
            Some(wanted) => *wanted == name,
            None => may_be_default || object.status.as_ref().is_none_or(|status| status.executor.is_none()),
        })
        .map(reference)
        .collect()
}

/// As [`of_colony`], for a kind that says of each object which colony it names, or that a colony makes no difference to
/// it.
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
    let name = namespace.name_any();
    readable(store)
        .iter()
        .filter(|object| object.namespace().as_ref() == Some(&name))
        .map(reference)
        .collect()
}

/// An object wakes those whose executor type differs from its own only by digits: they carry a warning about it.
#[must_use]
pub fn of_sibling(
    object: &ExecutorDeployment,
    store: &Store<GuardedExecutorDeployment>,
) -> Vec<ObjectRef<GuardedExecutorDeployment>> {
    let uid = object.uid();
    readable(store)
        .iter()
        .filter(|other| {
            other.uid() != uid && are_similar(&other.spec.executor_type, &object.spec.executor_type)
        })
        .map(reference)
        .collect()
}

/// Whether two executor types differ, but only by digits at their end.
#[must_use]
pub fn are_similar(one: &str, other: &str) -> bool {
    let stem = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    one != other && stem(one) == stem(other)
}

/// The reference by which an object is reconciled.
#[must_use]
pub fn reference(object: &ExecutorDeployment) -> ObjectRef<GuardedExecutorDeployment> {
    ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
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
}
