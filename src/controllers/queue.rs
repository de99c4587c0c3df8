//! Counts the objects that something has woken and that no pass has begun with yet. The queue itself is the runtime's,
//! which does not show it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use kube::{
    Resource,
    runtime::reflector::{Lookup as _, ObjectRef, Store},
};

use crate::{
    runtime::metrics::{Kind, Metrics},
    watch::stores::GuardedExecutorDeployment,
};

/// What an object is called in the queue.
type Reference = ObjectRef<GuardedExecutorDeployment>;

/// Objects that wait for a pass.
#[derive(Clone)]
pub(super) struct Queue {
    waiting: Arc<Mutex<HashSet<Reference>>>,
    objects: Store<GuardedExecutorDeployment>,
    metrics: Metrics,
}

impl Queue {
    /// An empty queue for `objects`, whose length is shown in `metrics`.
    pub fn new(objects: Store<GuardedExecutorDeployment>, metrics: Metrics) -> Self {
        Self { waiting: Arc::default(), objects, metrics }
    }

    /// An object was woken. One that is gone waits for nothing any more.
    pub fn woken(&self, object: &Reference) {
        let exists = self.objects.get(object).is_some();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if exists {
            waiting.insert(object.clone());
        } else {
            waiting.remove(object);
        }
        self.metrics.set_queue_depth(Kind::ExecutorDeployment, waiting.len());
    }

    /// The object itself has changed, or is gone.
    pub fn changed(&self, object: &GuardedExecutorDeployment) {
        self.woken(&object.to_object_ref(()));
    }

    /// A child has changed, which wakes its owner.
    pub fn child_changed(&self, child: &impl Resource) {
        let namespace = child.meta().namespace.as_deref().unwrap_or_default();
        for owner in child.meta().owner_references.iter().flatten() {
            if let Some(owner) = ObjectRef::from_owner_ref(Some(namespace), owner, ()) {
                self.woken(&owner);
            }
        }
    }

    /// A pass begins.
    pub fn begun(&self, object: &GuardedExecutorDeployment) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&object.to_object_ref(()));
        self.metrics.set_queue_depth(Kind::ExecutorDeployment, waiting.len());
    }
}
