//! The controllers of instances: one for each user-defined kind, started when the kind is served, restarted when its
//! handler changes, and stopped when it is removed; without a restart.

mod count;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::{
    FutureExt as _, StreamExt as _,
    channel::mpsc::UnboundedReceiver,
    future::{BoxFuture, join_all, join3, ready},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::reflector::{ObjectRef, Store},
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::{
    context::{Requeuer, Services},
    queue::Waiting,
    shared_watches::SharedWatches,
    work,
};
use crate::{
    api::{
        colony::Colony,
        instance::{Instance, InstanceKind},
        mirror::Mirrored as _,
        resource_definition::{DefinitionScope, HandlerMode, ObjectKind, ResourceDefinition},
    },
    controllers::{
        colony::{
            blueprints,
            processes::{Kind, MirroredKind as _, MirroredKinds, Objects, ProcessHolders},
        },
        composition::{self, KindsWithReadiness},
        instance::InstanceStages,
    },
    kinds::composition::builtin_kinds_with_readiness,
    runtime::shutdown::Shutdown,
    watch::{
        children::{ChildWatches, Owner},
        colonies::Colonies,
        composition::CompositionReader,
        flows::Requests,
        resource_definition::WatchedInstances,
        stores::{self, Changes, Filled, Scope},
        triggers,
    },
};

/// The controllers of instances.
#[derive(Clone)]
pub(in crate::controllers) struct Instances {
    services: Arc<Services>,
    mirrored_kinds: MirroredKinds,
    colonies: Colonies,
    filled: Vec<Filled>,
    reader: CompositionReader,
    requests: Requests,
    holder_lookup: Arc<ProcessHolders>,
    waiting: Waiting<DeserializeGuard<Instance>>,
    /// By name of the definition; none from the shutdown on.
    running: Arc<tokio::sync::Mutex<Option<HashMap<String, Running>>>>,
    /// What is known of the running ones without waiting for them.
    known: Arc<Mutex<HashMap<String, Vec<Member>>>>,
}

/// The controllers of one kind, one for each scope.
struct Running {
    kind: InstanceKind,
    stop: Shutdown,
    task: JoinHandle<()>,
    carried: Vec<Arc<dyn Kind>>,
}

/// The instances of one kind in one scope.
#[derive(Clone)]
struct Member {
    kind: InstanceKind,
    store: Store<DeserializeGuard<Instance>>,
    filled: Filled,
    requeuer: Requeuer<DeserializeGuard<Instance>>,
}

/// Changes that concern instances of all kinds.
pub(in crate::controllers) struct SharedChanges {
    /// Of `Colonies`.
    pub colonies: Changes<Colony>,
    /// Of namespaces.
    pub namespaces: Changes<PartialObjectMeta<Namespace>>,
    /// Of objects that instances are made of.
    pub children: UnboundedReceiver<Owner>,
}

impl Instances {
    /// No controller yet, and the changes that have to be handed to [`Instances::watch`].
    pub fn new(
        services: Arc<Services>,
        mirrored_kinds: MirroredKinds,
        requests: Requests,
    ) -> (Self, SharedChanges) {
        let holder_lookup = Arc::new(ProcessHolders::new(&mirrored_kinds, &services));
        let around = SharedWatches::watched(&services, requests, holder_lookup.clone());
        let (changed, children) = futures::channel::mpsc::unbounded();
        let changing =
            SharedChanges { colonies: around.colony_changes, namespaces: around.namespace_changes, children };
        let children = ChildWatches::new(
            (services.kubernetes.watches.clone(), services.kubernetes.calls.clone()),
            Scope::all(&services.configuration.watch_namespaces),
            services.writes.clone(),
            services.served.clone(),
            services.clock.clone(),
            changed,
        );
        let reader =
            CompositionReader { children, writes: services.writes.clone(), clock: services.clock.clone() };
        let instances = Self {
            colonies: around.colonies,
            filled: around.filled,
            reader,
            services,
            mirrored_kinds,
            requests: around.requests,
            holder_lookup,
            waiting: Waiting::default(),
            running: Arc::new(tokio::sync::Mutex::new(Some(HashMap::new()))),
            known: Arc::default(),
        };
        (instances, changing)
    }

    /// The instances of a definition; none while not all of them are known.
    pub fn watched(&self, definition: &str) -> Option<WatchedInstances> {
        let known = self.known.lock();
        let members = known.get(definition)?;
        if members.iter().any(|member| !member.filled.is_reached()) {
            return None;
        }
        let live: Vec<_> = members.iter().flat_map(|member| member.store.state()).collect();
        Some(WatchedInstances { counts: count::counts(&live), live })
    }

    /// Which colonies there are.
    pub fn colonies(&self) -> (Colonies, Vec<Filled>) {
        (self.colonies.clone(), self.filled.clone())
    }

    /// Wakes instances when their colony or namespace changes, and stops all controllers at the shutdown.
    pub async fn watch(self, changing: SharedChanges, shutdown: Shutdown) {
        // An interrupted watch resumes by itself.
        let colonies = changing.colonies.filter_map(|changed| ready(changed.ok())).for_each(|colony| {
            self.wake(|member| {
                triggers::of_colony_to(&colony, &member.store, &member.kind, |object: &Instance| {
                    let used = || object.used_colony().map(|used| used.name.as_str());
                    let wanted = || used().or_else(|| object.colony(&member.kind)).map(str::to_owned);
                    (!object.is_finished()).then(wanted)
                })
            });
            ready(())
        });
        let namespaces =
            changing.namespaces.filter_map(|changed| ready(changed.ok())).for_each(|namespace| {
                self.wake(|member| {
                    triggers::of_namespace_to(&namespace, &member.store, &member.kind, |object: &Instance| {
                        !object.is_finished()
                    })
                });
                ready(())
            });
        let children = changing.children.for_each(|owner| {
            self.wake_owner(&owner);
            ready(())
        });
        tokio::select! {
            () = shutdown.requested() => {}
            // A watch repeats itself and never ends.
            _ = join3(colonies, namespaces, children) => {}
        }
        // A pass over a definition that is still under way starts none any more: nothing would end it.
        let running = self.running.lock().await.take().unwrap_or_default();
        join_all(running.into_values().map(|running| running.stop(&self.mirrored_kinds))).await;
    }

    fn wake(&self, concerned: impl Fn(&Member) -> Vec<ObjectRef<DeserializeGuard<Instance>>>) {
        let known = self.known.lock().clone();
        for member in known.values().flatten() {
            for object in concerned(member) {
                member.requeuer.wake(&object);
            }
        }
    }

    /// Wakes the instance some object of which has changed.
    fn wake_owner(&self, owner: &Owner) {
        let group = owner.reference.api_version.split_once('/').map_or("", |(group, _)| group);
        self.wake(|member| {
            let resource = &member.kind.terms().resource;
            let is_of_kind = resource.kind == owner.reference.kind && resource.group == group;
            let reference = || ObjectRef::new_with(&owner.reference.name, member.kind.clone());
            is_of_kind.then(|| reference().within(&owner.namespace)).into_iter().collect()
        });
    }

    /// The kinds whose objects report readiness by a condition `Ready`, or by how they ended: those that are defined,
    /// and the operator's own.
    fn kinds_with_readiness(&self) -> KindsWithReadiness {
        let known = self.known.clone();
        Arc::new(move || {
            let known = known.lock();
            let defined = known.values().flatten().map(|member| {
                let resource = &member.kind.terms().resource;
                ObjectKind::new(resource.api_version.clone(), resource.kind.clone())
            });
            defined.chain(builtin_kinds_with_readiness()).collect::<BTreeSet<_>>()
        })
    }

    /// Runs the controller of a kind's instances; `definitions` wakes its definition when they change. An earlier
    /// controller ends first: two at once could submit twice.
    pub async fn serve(
        &self,
        definition: &str,
        kind: InstanceKind,
        definitions: &Requeuer<DeserializeGuard<ResourceDefinition>>,
    ) {
        let mut running = self.running.lock().await;
        let Some(running) = running.as_mut() else { return };
        self.stop_watching(running, Some(&kind)).await;
        let is_same = |running: &Running| running.kind.terms() == kind.terms() && !running.task.is_finished();
        if running.get(definition).is_some_and(is_same) {
            return;
        }
        if let Some(earlier) = running.remove(definition) {
            earlier.stop(&self.mirrored_kinds).await;
        }
        tracing::info!(kind = kind.name(), "looking after instances");
        let started = self.start(definition, kind, definitions.clone());
        running.insert(definition.to_owned(), started);
    }

    /// Ends the controllers of a kind, if there are any.
    pub async fn stop(&self, definition: &str) {
        let mut running = self.running.lock().await;
        let Some(running) = running.as_mut() else { return };
        self.known.lock().remove(definition);
        if let Some(earlier) = running.remove(definition) {
            tracing::info!(kind = earlier.kind.name(), "looking after instances no more");
            earlier.stop(&self.mirrored_kinds).await;
        }
        self.stop_watching(running, None).await;
    }

    /// Ends the watches of kinds of which nothing is made any more: neither by a definition, `more` included, nor is anything
    /// of them left.
    async fn stop_watching(&self, running: &HashMap<String, Running>, more: Option<&InstanceKind>) {
        let mut surplus = self.reader.children.kinds().await;
        let served = running.values().map(|running| &running.kind).chain(more);
        for made in served.flat_map(|kind| kind.handler().makes()) {
            surplus.remove(&made);
        }
        // Seldom: every pass over a definition comes by here.
        if surplus.is_empty() {
            return;
        }
        let known = self.known.lock().clone();
        for guarded in known.values().flatten().flat_map(|member| member.store.state()) {
            let status = guarded.0.as_ref().ok().and_then(|instance| instance.status.as_ref());
            for left in status.into_iter().flat_map(|status| &status.composed_of) {
                surplus.remove(left);
            }
        }
        self.reader.children.stop(&surplus).await;
    }

    /// Has every instance of a definition looked at.
    pub fn wake_all(&self, definition: &str) {
        let known = self.known.lock().clone();
        for member in known.get(definition).into_iter().flatten() {
            for object in triggers::references(&member.store, &member.kind, |_: &Instance| true) {
                member.requeuer.wake(&object);
            }
        }
    }

    fn start(
        &self,
        definition: &str,
        kind: InstanceKind,
        definitions: Requeuer<DeserializeGuard<ResourceDefinition>>,
    ) -> Running {
        let services = &self.services;
        let scopes = match kind.terms().scope {
            DefinitionScope::Namespaced => Scope::all(&services.configuration.watch_namespaces),
            DefinitionScope::Cluster => vec![Scope::Cluster],
        };
        let stop = Shutdown::default();
        let mut controllers: Vec<BoxFuture<'static, ()>> = Vec::new();
        let (mut carried, mut members) = (Vec::new(), Vec::new());
        let changed = tokio::sync::watch::Sender::new(());
        for scope in scopes {
            let client = &services.kubernetes.watches;
            let mut watched = stores::instances(client, &scope, &kind, &services.writes);
            let notify = changed.clone();
            watched.changes = watched.changes.inspect(move |_| notify.send_replace(())).boxed();
            let (waker, woken) = futures::channel::mpsc::unbounded();
            let requeuer = Requeuer::new(vec![waker]);
            let (index, filled) = (watched.index.clone(), watched.filled.clone());
            members.push(Member {
                kind: kind.clone(),
                store: watched.store.clone(),
                filled: filled.clone(),
                requeuer: requeuer.clone(),
            });
            let objects = work::Objects { kind: kind.clone(), watched, woken, waiting: self.waiting.clone() };
            let services = services.clone();
            if kind.handler().mode == HandlerMode::Compose {
                let (reader, kinds_with_readiness) = (self.reader.clone(), self.kinds_with_readiness());
                controllers.push(
                    composition::run(services, objects, reader, kinds_with_readiness, stop.clone()).boxed(),
                );
                continue;
            }
            let carrying: Arc<dyn Kind> = Arc::new(Objects { kind: kind.clone(), index, filled, requeuer });
            self.mirrored_kinds.add(carrying.clone());
            carried.push(carrying);
            let stages = |kind, reader| InstanceStages { kind, reader };
            controllers
                .push(work::run(services, objects, self.shared_watches(), stages, stop.clone()).boxed());
        }
        if kind.handler().mode == HandlerMode::Blueprint {
            let of_scope = |member: &Member| blueprints::Members {
                store: member.store.clone(),
                filled: member.filled.clone(),
                requeuer: member.requeuer.clone(),
            };
            let followed = blueprints::FollowedBlueprints {
                kind: kind.clone(),
                members: members.iter().map(of_scope).collect(),
                colonies: self.colonies.clone(),
                services: services.clone(),
            };
            controllers.push(followed.follow(stop.clone()).boxed());
        }
        self.known.lock().insert(definition.to_owned(), members);
        let counting = count::count(changed, ObjectRef::new(definition), definitions);
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = join_all(controllers) => {}
                () = counting => {}
            }
        });
        Running { kind, stop, task, carried }
    }

    /// What passes look at besides instances. Their watches are shared by all kinds, hence [`Instances::watch`] wakes.
    fn shared_watches(&self) -> SharedWatches {
        SharedWatches {
            colonies: self.colonies.clone(),
            filled: self.filled.clone(),
            requests: self.requests.clone(),
            holder_lookup: self.holder_lookup.clone(),
            colony_changes: futures::stream::pending().boxed(),
            namespace_changes: futures::stream::pending().boxed(),
        }
    }
}

impl Running {
    /// Ends the controllers, and waits for the passes under way.
    async fn stop(mut self, mirrored_kinds: &MirroredKinds) {
        for objects in &self.carried {
            mirrored_kinds.remove(objects);
        }
        self.stop.request();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(kind = self.kind.name(), %error, "a controller ended by itself");
        }
    }
}

impl Drop for Running {
    /// What is not waited for must not outlive what it writes for.
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
