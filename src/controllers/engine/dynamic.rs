//! The controllers of instances: one for each kind that users make up, started when the kind is served, begun anew when
//! its handler changes, and stopped when it goes; without a restart.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
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
    context::{Hints, Machinery},
    queue::Waiting,
    retry::jitter,
    surroundings::Surroundings,
    work,
};
use crate::{
    api::{
        colony::Colony,
        condition::ConditionType,
        instance::{Instance, InstanceKind},
        resource_definition::{DefinitionScope, HandlerMode, InstanceCounts, ObjectKind, ResourceDefinition},
    },
    controllers::{
        colony::{
            blueprints,
            processes::{Carrier as _, Carriers, Holders, Kind, Objects},
        },
        composition::{self, Telling},
        instance::InstanceStages,
    },
    kinds::composition::own_telling_kinds,
    runtime::shutdown::Shutdown,
    snapshot::LiveInstance,
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

/// How long changes of instances gather before they are counted: a definition's status is not written for each of them.
const GATHER: Duration = Duration::from_secs(5);

/// The controllers of instances.
#[derive(Clone)]
pub(in crate::controllers) struct Instances {
    machinery: Arc<Machinery>,
    carriers: Carriers,
    colonies: Colonies,
    filled: Vec<Filled>,
    reader: CompositionReader,
    requests: Requests,
    living: Arc<Holders>,
    waiting: Waiting<DeserializeGuard<Instance>>,
    /// By name of the definition.
    running: Arc<tokio::sync::Mutex<HashMap<String, Running>>>,
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
    hints: Hints<DeserializeGuard<Instance>>,
}

/// Changes that concern instances of all kinds.
pub(in crate::controllers) struct Changing {
    /// Of `Colonies`.
    pub colonies: Changes<Colony>,
    /// Of namespaces.
    pub namespaces: Changes<PartialObjectMeta<Namespace>>,
    /// Of objects that instances are made of.
    pub children: UnboundedReceiver<Owner>,
}

impl Instances {
    /// No controller yet, and the changes that have to be handed to [`Instances::watch`].
    pub fn new(machinery: Arc<Machinery>, carriers: Carriers, requests: Requests) -> (Self, Changing) {
        let living = Arc::new(Holders::new(&carriers, &machinery));
        let around = Surroundings::watched(&machinery, requests, living.clone());
        let (changed, children) = futures::channel::mpsc::unbounded();
        let changing =
            Changing { colonies: around.colony_changes, namespaces: around.namespace_changes, children };
        let children = ChildWatches::new(
            (machinery.kubernetes.watches.clone(), machinery.kubernetes.calls.clone()),
            Scope::all(&machinery.configuration.watch_namespaces),
            machinery.writes.clone(),
            machinery.served.clone(),
            machinery.clock.clone(),
            changed,
        );
        let reader =
            CompositionReader { children, writes: machinery.writes.clone(), clock: machinery.clock.clone() };
        let instances = Self {
            colonies: around.colonies,
            filled: around.filled,
            reader,
            machinery,
            carriers,
            requests: around.requests,
            living,
            waiting: Waiting::default(),
            running: Arc::default(),
            known: Arc::default(),
        };
        (instances, changing)
    }

    /// Which colonies there are.
    pub fn colonies(&self) -> (Colonies, Vec<Filled>) {
        (self.colonies.clone(), self.filled.clone())
    }

    /// Wakes instances when their colony or namespace changes, and stops all controllers at the shutdown.
    pub async fn watch(self, changing: Changing, shutdown: Shutdown) {
        // A watch that is interrupted goes on by itself.
        let colonies = changing.colonies.filter_map(|changed| ready(changed.ok())).for_each(|colony| {
            self.wake(|member| {
                triggers::of_colony_to(&colony, &member.store, &member.kind, |object: &Instance| {
                    (!object.is_finished()).then(|| object.colony(&member.kind).map(str::to_owned))
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
        let running = std::mem::take(&mut *self.running.lock().await);
        join_all(running.into_values().map(|running| running.stop(&self.carriers))).await;
    }

    fn wake(&self, concerned: impl Fn(&Member) -> Vec<ObjectRef<DeserializeGuard<Instance>>>) {
        let known = self.known.lock().clone();
        for member in known.values().flatten() {
            for object in concerned(member) {
                member.hints.wake(&object);
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

    /// The kinds whose objects say by a condition `Ready`, or by how they ended, when they are: those that are defined, and
    /// the operator's own.
    fn telling(&self) -> Telling {
        let known = self.known.clone();
        Arc::new(move || {
            let known = known.lock();
            let defined = known.values().flatten().map(|member| {
                let resource = &member.kind.terms().resource;
                ObjectKind::new(resource.api_version.clone(), resource.kind.clone())
            });
            defined.chain(own_telling_kinds()).collect::<BTreeSet<_>>()
        })
    }

    /// Has the instances of a kind looked after; `definitions` wakes its definition when they change. An earlier controller
    /// ends first: two at once could submit twice.
    pub async fn serve(
        &self,
        definition: &str,
        kind: InstanceKind,
        definitions: &Hints<DeserializeGuard<ResourceDefinition>>,
    ) {
        let mut running = self.running.lock().await;
        self.stop_watching(&running, Some(&kind)).await;
        let is_same = |running: &Running| running.kind.terms() == kind.terms() && !running.task.is_finished();
        if running.get(definition).is_some_and(is_same) {
            return;
        }
        if let Some(earlier) = running.remove(definition) {
            earlier.stop(&self.carriers).await;
        }
        tracing::info!(kind = kind.name(), "looking after instances");
        let started = self.start(definition, kind, definitions.clone());
        running.insert(definition.to_owned(), started);
    }

    /// Ends the controllers of a kind, if there are any.
    pub async fn stop(&self, definition: &str) {
        let mut running = self.running.lock().await;
        self.known.lock().remove(definition);
        if let Some(earlier) = running.remove(definition) {
            tracing::info!(kind = earlier.kind.name(), "looking after instances no more");
            earlier.stop(&self.carriers).await;
        }
        self.stop_watching(&running, None).await;
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
                member.hints.wake(&object);
            }
        }
    }

    /// The instances of a definition; none while not all of them are known.
    pub fn watched(&self, definition: &str) -> Option<WatchedInstances> {
        let known = self.known.lock();
        let members = known.get(definition)?;
        if members.iter().any(|member| member.filled.reached().now_or_never().is_none()) {
            return None;
        }
        let mut counts = InstanceCounts::default();
        let live: Vec<LiveInstance> = members.iter().flat_map(|member| member.store.state()).collect();
        for guarded in &live {
            counts.total += 1;
            let Ok(instance) = &guarded.0 else {
                counts.degraded += 1;
                continue;
            };
            let holds = |kind: ConditionType| {
                let mut conditions = instance.status.iter().flat_map(|status| &status.conditions);
                conditions.any(|condition| condition.type_ == kind.as_str() && condition.status == "True")
            };
            counts.ready += i32::from(holds(ConditionType::Ready));
            counts.degraded += i32::from(holds(ConditionType::Degraded));
        }
        Some(WatchedInstances { counts, live })
    }

    fn start(
        &self,
        definition: &str,
        kind: InstanceKind,
        definitions: Hints<DeserializeGuard<ResourceDefinition>>,
    ) -> Running {
        let machinery = &self.machinery;
        let scopes = match kind.terms().scope {
            DefinitionScope::Namespaced => Scope::all(&machinery.configuration.watch_namespaces),
            DefinitionScope::Cluster => vec![Scope::Cluster],
        };
        let stop = Shutdown::default();
        let mut controllers: Vec<BoxFuture<'static, ()>> = Vec::new();
        let (mut carried, mut members) = (Vec::new(), Vec::new());
        let changed = tokio::sync::watch::Sender::new(());
        for scope in scopes {
            let client = &machinery.kubernetes.watches;
            let mut watched = stores::instances(client, &scope, &kind, &machinery.writes);
            let notify = changed.clone();
            watched.changes = watched.changes.inspect(move |_| notify.send_replace(())).boxed();
            let (waker, woken) = futures::channel::mpsc::unbounded();
            let hints = Hints::new(vec![waker]);
            let (index, filled) = (watched.index.clone(), watched.filled.clone());
            members.push(Member {
                kind: kind.clone(),
                store: watched.store.clone(),
                filled: filled.clone(),
                hints: hints.clone(),
            });
            let objects = work::Objects { kind: kind.clone(), watched, woken, waiting: self.waiting.clone() };
            let machinery = machinery.clone();
            if kind.handler().mode == HandlerMode::Compose {
                let (reader, telling) = (self.reader.clone(), self.telling());
                controllers.push(composition::run(machinery, objects, reader, telling, stop.clone()).boxed());
                continue;
            }
            let carrying: Arc<dyn Kind> = Arc::new(Objects { kind: kind.clone(), index, filled, hints });
            self.carriers.add(carrying.clone());
            carried.push(carrying);
            let stages = |kind, reader| InstanceStages { kind, reader };
            controllers
                .push(work::run(machinery, objects, self.surroundings(), stages, stop.clone()).boxed());
        }
        if kind.handler().mode == HandlerMode::Blueprint {
            let of_scope = |member: &Member| blueprints::Members {
                store: member.store.clone(),
                filled: member.filled.clone(),
                hints: member.hints.clone(),
            };
            let followed = blueprints::Followed {
                kind: kind.clone(),
                members: members.iter().map(of_scope).collect(),
                colonies: self.colonies.clone(),
                machinery: machinery.clone(),
            };
            controllers.push(followed.follow(stop.clone()).boxed());
        }
        self.known.lock().insert(definition.to_owned(), members);
        let counting = count(changed, ObjectRef::new(definition), definitions);
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = join_all(controllers) => {}
                () = counting => {}
            }
        });
        Running { kind, stop, task, carried }
    }

    /// What passes look at besides instances. Their watches are shared by all kinds, hence [`Instances::watch`] wakes.
    fn surroundings(&self) -> Surroundings {
        Surroundings {
            colonies: self.colonies.clone(),
            filled: self.filled.clone(),
            requests: self.requests.clone(),
            living: self.living.clone(),
            colony_changes: futures::stream::pending().boxed(),
            namespace_changes: futures::stream::pending().boxed(),
        }
    }
}

impl Running {
    /// Ends the controllers, and waits for the passes under way.
    async fn stop(self, carriers: &Carriers) {
        for objects in &self.carried {
            carriers.remove(objects);
        }
        self.stop.request();
        if let Err(error) = self.task.await {
            tracing::error!(kind = self.kind.name(), %error, "a controller ended by itself");
        }
    }
}

/// Has a definition looked at some time after its instances have changed, for as long as they do.
async fn count(
    changed: tokio::sync::watch::Sender<()>,
    definition: ObjectRef<DeserializeGuard<ResourceDefinition>>,
    definitions: Hints<DeserializeGuard<ResourceDefinition>>,
) {
    let mut heard = changed.subscribe();
    while heard.changed().await.is_ok() {
        tokio::time::sleep(jitter(GATHER)).await;
        heard.mark_unchanged();
        definitions.wake(&definition);
    }
}
