//! What the controllers of all kinds have in common whose objects are carried by processes: their caches, and what wakes
//! them.

use std::sync::Arc;

use futures::channel::mpsc::UnboundedReceiver;
use kube::{core::DeserializeGuard, runtime::reflector::ObjectRef};

use super::{
    context::Services,
    pass::Engine,
    queue::Waiting,
    shared_watches::SharedWatches,
    stages::{DynamicType, Stages},
    wiring::{self, Wiring},
};
use crate::{
    act::kinds::WritableKind,
    api::mirror::Mirrored as _,
    controllers::colony::processes::MirroredKind,
    runtime::shutdown::Shutdown,
    watch::{stores::Watched, triggers, work::WorkReader},
};

/// The objects of a kind in a scope, and what wakes them.
pub struct Objects<K: WritableKind> {
    /// Their kind.
    pub kind: K::DynamicType,
    /// The cache, and what changes in it.
    pub watched: Watched<DeserializeGuard<K>>,
    /// Objects that something outside has woken.
    pub woken: UnboundedReceiver<ObjectRef<DeserializeGuard<K>>>,
    /// Counts those that wait.
    pub waiting: Waiting<DeserializeGuard<K>>,
}

/// Runs the controller of a kind for one scope until the shutdown.
pub async fn run<S>(
    services: Arc<Services>,
    objects: Objects<S::Object>,
    shared_watches: SharedWatches,
    stages: impl FnOnce(DynamicType<S>, WorkReader) -> S,
    shutdown: Shutdown,
) where
    S: Stages<Object: MirroredKind>,
{
    let Objects { kind, watched, woken, waiting } = objects;
    let mut filled = vec![watched.filled.clone(), shared_watches.requests.filled.clone()];
    filled.extend(shared_watches.filled);
    let reader = WorkReader {
        client: services.kubernetes.calls.clone(),
        colonies: shared_watches.colonies,
        processes: services.process_reader(),
        blueprints: services.blueprints.clone(),
        lines: services.lines.clone(),
        writes: services.writes.clone(),
        clock: services.clock.clone(),
        cluster: services.cluster.clone(),
        filled,
        holder_lookup: shared_watches.holder_lookup,
        requests: shared_watches.requests,
    };
    let (by_colony, by_namespace) = (watched.store.clone(), watched.store.clone());
    let (of_colony, of_namespace) = (kind.clone(), kind.clone());
    let mut wiring = Wiring::<S>::new(watched, woken, services.configuration.concurrency)
        .on(shared_watches.colony_changes, move |colony| {
            triggers::of_colony_to(colony, &by_colony, &of_colony, |object: &S::Object| {
                let used = || object.used_colony().map(|used| used.name.as_str());
                let wanted = || used().or_else(|| object.colony(&of_colony)).map(str::to_owned);
                (!object.is_finished()).then(wanted)
            })
        })
        .on(shared_watches.namespace_changes, move |namespace| {
            triggers::of_namespace_to(namespace, &by_namespace, &of_namespace, |object: &S::Object| {
                !object.is_finished()
            })
        });
    wiring.waiting = waiting;
    wiring::run(Engine::new(services, stages(kind, reader)), wiring, shutdown).await;
}
