//! Counts the objects that something has woken and that no pass has begun with yet. The queue itself is the runtime's,
//! which does not show it.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use kube::{
    Resource,
    runtime::reflector::{ObjectRef, Store},
};
use parking_lot::Mutex;

use crate::runtime::metrics::{Kind, Metrics};

/// Objects that wait for a pass, of one kind or of several that are counted together.
pub(in crate::controllers) type Waiting<K> = Arc<Mutex<HashSet<ObjectRef<K>>>>;

/// Objects that wait for a pass.
pub(in crate::controllers) struct Queue<K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static> {
    waiting: Waiting<K>,
    objects: Store<K>,
    dynamic: K::DynamicType,
    kind: Kind,
    metrics: Metrics,
}

impl<K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static> Clone for Queue<K> {
    fn clone(&self) -> Self {
        let Self { waiting, objects, dynamic, kind, metrics } = self;
        Self {
            waiting: waiting.clone(),
            objects: objects.clone(),
            dynamic: dynamic.clone(),
            kind: *kind,
            metrics: metrics.clone(),
        }
    }
}

impl<K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static> Queue<K> {
    /// A queue for `objects`, whose length is shown in `metrics` as that of `kind`, together with that of others in `waiting`.
    pub fn among(
        waiting: Waiting<K>,
        objects: Store<K>,
        dynamic: K::DynamicType,
        kind: Kind,
        metrics: Metrics,
    ) -> Self {
        Self { waiting, objects, dynamic, kind, metrics }
    }

    /// An object was woken. One that is gone waits for nothing any more.
    pub fn woken(&self, object: &ObjectRef<K>) {
        let exists = self.objects.get(object).is_some();
        let mut waiting = self.waiting.lock();
        if exists {
            waiting.insert(object.clone());
        } else {
            waiting.remove(object);
        }
        self.metrics.set_queue_depth(self.kind, waiting.len());
    }

    /// The object itself has changed, or is gone.
    pub fn changed(&self, object: &K) {
        self.woken(&ObjectRef::from_obj_with(object, self.dynamic.clone()));
    }

    /// A pass begins.
    pub fn begun(&self, object: &K) {
        let mut waiting = self.waiting.lock();
        waiting.remove(&ObjectRef::from_obj_with(object, self.dynamic.clone()));
        self.metrics.set_queue_depth(self.kind, waiting.len());
    }

    /// No object of the kind waits for anything any more.
    pub fn ended(&self) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|object| object.dyntype != self.dynamic);
        self.metrics.set_queue_depth(self.kind, waiting.len());
    }
}
