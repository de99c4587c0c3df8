//! `ResourceDefinitions`: what the five stages are for them, what wakes them, and the controllers of their instances.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, stream::unfold};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Resource as _, ResourceExt as _, core::DeserializeGuard, runtime::reflector::ObjectRef};

use super::{
    engine::{
        context::{Requeuer, Services},
        dynamic::Instances,
        pass::Engine,
        stages::{Passed, Planned, Stages, Status},
        wiring::{self, Wiring},
    },
    migration::Migrations,
};
use crate::{
    api::{instance::InstanceKind, kind::HasFinalizer as _, resource_definition::ResourceDefinition},
    desired::resource_definition::{DesiredDefinition, build_definition},
    diff::{
        Problem,
        definition::{DefinitionPlan, Serving, plan_definition, serving},
    },
    kinds::definition::build,
    memory::{connections::Connection, rights::Rights},
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::DefinitionSnapshot,
    status::{self, look::Look},
    watch::{
        freshness::CacheBehind,
        resource_definition::{DefinitionReader, WatchedInstances},
        stores,
        stores::Filled,
    },
};

/// How many definitions are reconciled at the same time.
const CONCURRENCY: u16 = 8;

/// The controllers of the instances of kinds.
pub trait InstanceControllers: Send + Sync + 'static {
    /// The instances of a definition, as the watch of them shows them; none while not all of them are known.
    fn watched(&self, definition: &str) -> Option<WatchedInstances>;
    /// Runs the controller of a kind.
    fn serve(&self, definition: &str, kind: InstanceKind) -> impl Future<Output = ()> + Send;
    /// Ends the controller of a kind, if there is one.
    fn stop(&self, definition: &str) -> impl Future<Output = ()> + Send;
    /// Has every instance of a definition looked at.
    fn wake_all(&self, definition: &str);
    /// Notes that the operator may watch CRDs.
    fn watch_definitions(&self);
}

/// The stages of definitions.
pub struct DefinitionStages<I> {
    services: Arc<Services>,
    reader: DefinitionReader,
    instances: I,
    migrations: Migrations,
}

impl<I: InstanceControllers> DefinitionStages<I> {
    /// Stages of which no pass has been made.
    #[must_use]
    pub fn new(services: Arc<Services>, reader: DefinitionReader, instances: I) -> Self {
        Self { services, reader, instances, migrations: Migrations::default() }
    }

    /// Takes note of what a pass has found.
    fn note(&self, snapshot: &DefinitionSnapshot, found: Option<&DefinitionPlan>) {
        if snapshot.missing_rights.known().is_some_and(Vec::is_empty) {
            self.instances.watch_definitions();
        }
        if let Some(found) = found {
            let now = self.services.clock.instant();
            self.migrations.note(&snapshot.object.name_any(), &found.migration, now);
        }
    }

    /// Has the controller of the instances run as the snapshot, or the CRD that was written, says.
    async fn serve(&self, snapshot: &DefinitionSnapshot, updated: Option<&CustomResourceDefinition>) {
        let name = snapshot.object.name_any();
        match serving(snapshot, updated) {
            Ok(Serving::AsBefore) => {}
            Ok(Serving::Runs { kind, handler_state }) => {
                self.instances.serve(&name, kind).await;
                let blueprints = &self.services.blueprints;
                if handler_state.is_some_and(|state| blueprints.record_handler_state(&name, &state)) {
                    self.instances.wake_all(&name);
                }
            }
            // Put right by the next write of the CRD.
            Err(error) => tracing::warn!("{error}"),
            Ok(Serving::Stopped) => {
                self.instances.stop(&name).await;
                self.services.blueprints.forget_handler_state(&name);
            }
        }
    }
}

impl<I: InstanceControllers> Stages for DefinitionStages<I> {
    type Object = ResourceDefinition;
    type Snapshot = DefinitionSnapshot;
    type Desired = DesiredDefinition;
    type Findings = DefinitionPlan;

    const KIND: Kind = Kind::ResourceDefinition;
    const FINALIZER: Option<&'static str> = Some(ResourceDefinition::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.filled.clone()
    }

    async fn snapshot(&self, object: &ResourceDefinition) -> Result<DefinitionSnapshot, CacheBehind> {
        let name = object.name_any();
        let mut snapshot = self.reader.snapshot(object, self.instances.watched(&name)).await?;
        snapshot.may_retry_stored = self.migrations.may_retry(&name, self.services.clock.instant());
        Ok(snapshot)
    }

    fn connection(&self, snapshot: &DefinitionSnapshot, services: &Services) -> Option<Arc<Connection>> {
        services.connections.get(&snapshot.in_colony.as_ref()?.used.name)
    }

    fn expressions_of(&self, snapshot: &DefinitionSnapshot) -> Option<(String, i64)> {
        Some((snapshot.object.uid()?, snapshot.object.metadata.generation?))
    }

    fn compiler(&self, snapshot: &DefinitionSnapshot) -> Box<dyn FnOnce() + Send> {
        let definition = snapshot.object.clone();
        Box::new(move || drop(build(&definition)))
    }

    fn desired(&self, snapshot: &DefinitionSnapshot) -> Result<DesiredDefinition, Problem> {
        Ok(build_definition(snapshot))
    }

    fn plan(&self, snapshot: &Self::Snapshot, desired: &Self::Desired) -> Planned<Self> {
        let mut findings = plan_definition(snapshot, desired);
        Ok((std::mem::take(&mut findings.plan), findings))
    }

    /// Has the instances looked after before status says by what they are carried out.
    async fn after_act(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) {
        self.note(snapshot, pass.ok().map(|carried| &carried.findings));
        self.serve(snapshot, pass.ok().and_then(|carried| carried.outcome.updated_crd())).await;
    }

    async fn released(&self, object: &ResourceDefinition) {
        self.instances.stop(&object.name_any()).await;
    }

    fn status(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Option<Status<Self>> {
        let pass = pass.map(|carried| (&carried.findings, &carried.outcome));
        Some(status::definition::compute(snapshot, pass))
    }

    fn next(&self, snapshot: &Self::Snapshot, status: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look {
        status::definition::next(snapshot, status, pass.map(|carried| (&carried.findings, &carried.outcome)))
    }
}

/// The controllers of instances, and what their definitions are woken by.
struct ServedInstances {
    instances: Instances,
    requeuer: Requeuer<DeserializeGuard<ResourceDefinition>>,
    /// Whether CRDs are watched: not before the operator may.
    watches: tokio::sync::watch::Sender<bool>,
}

impl InstanceControllers for ServedInstances {
    fn watched(&self, definition: &str) -> Option<WatchedInstances> {
        self.instances.watched(definition)
    }

    async fn serve(&self, definition: &str, kind: InstanceKind) {
        self.instances.serve(definition, kind, &self.requeuer).await;
    }

    async fn stop(&self, definition: &str) {
        self.instances.stop(definition).await;
    }

    fn wake_all(&self, definition: &str) {
        self.instances.wake_all(definition);
    }

    fn watch_definitions(&self) {
        self.watches.send_if_modified(|may| !std::mem::replace(may, true));
    }
}

/// Which generation of each definition was seen.
#[derive(Default)]
struct Generations(HashMap<String, i64>);

impl Generations {
    /// Whether a definition is new, changed or gone since it was seen.
    fn note(&mut self, name: &str, generation: Option<i64>) -> bool {
        match generation {
            Some(generation) => self.0.insert(name.to_owned(), generation) != Some(generation),
            None => self.0.remove(name).is_some(),
        }
    }
}

/// An item for each change that the receiver is told of.
fn notified<T: Send + Sync + 'static>(
    changes: tokio::sync::watch::Receiver<T>,
) -> impl Stream<Item = ()> + Send + 'static {
    unfold(changes, |mut changes| async move { changes.changed().await.ok().map(|()| ((), changes)) })
}

/// Runs the controller until the shutdown.
pub(super) async fn run(services: Arc<Services>, instances: Instances, shutdown: Shutdown) {
    let client = &services.kubernetes.watches;
    let mut definitions =
        stores::resource_definitions(client, &services.configuration.cluster_selector, &services.writes);
    let (colonies, filled) = instances.colonies();
    let reader = DefinitionReader {
        client: services.kubernetes.calls.clone(),
        definitions: definitions.store.clone(),
        colonies,
        processes: services.process_reader(),
        rights: Rights::default(),
        writes: services.writes.clone(),
        clock: services.clock.clone(),
        cluster: services.cluster.clone(),
        namespace: services.kubernetes.namespace.clone(),
        watched: services.configuration.watch_namespaces.clone(),
        policies: services.configuration.kind_policies.clone(),
        endpoint: services.endpoint.clone(),
        filled: [vec![definitions.filled.clone()], filled].concat(),
    };
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let requeuer = Requeuer::new(vec![waker]);
    let (gone, vanished) = futures::channel::mpsc::unbounded();
    let store = definitions.store.clone();
    let specs = tokio::sync::watch::Sender::new(());
    let other_specs = notified(specs.subscribe());
    definitions.changes = {
        let store = store.clone();
        let mut generations = Generations::default();
        let changes = definitions.changes.inspect_ok(move |definition| {
            let reference = ObjectRef::from_obj(definition);
            let is_gone = store.get(&reference).is_none();
            if generations.note(&reference.name, definition.meta().generation.filter(|_| !is_gone)) {
                specs.send_replace(());
            }
            if is_gone {
                // The receiver is gone when the controller ends.
                let _ = gone.unbounded_send(reference.name);
            }
        });
        changes.boxed()
    };
    let watches = tokio::sync::watch::Sender::new(false);
    let crds = watch_crds(services.clone(), watches.subscribe(), requeuer.clone());
    // One that is deleted since another client removed the finalizer has no pass any more.
    let leaving = {
        let instances = instances.clone();
        vanished.for_each(move |name| {
            let (instances, store) = (instances.clone(), store.clone());
            async move {
                // Another may have taken its place, which has passes of its own.
                if store.get(&ObjectRef::new(&name)).is_none() {
                    instances.stop(&name).await;
                }
            }
        })
    };
    let stages =
        DefinitionStages::new(services.clone(), reader, ServedInstances { instances, requeuer, watches });
    let wiring = Wiring::new(definitions, woken, CONCURRENCY)
        // A colony's executors are there before they can have served anything.
        .on_all(notified(services.executor_changes.subscribe()))
        .on_all(notified(services.endpoint.changes()))
        // What a kind is made of, and whether it adopts, depends on the definitions of its parts.
        .on_all(other_specs);
    tokio::select! {
        () = wiring::run(Engine::new(services, stages), wiring, shutdown) => {}
        () = futures::future::join(crds, leaving).map(drop) => {}
    }
}

/// Wakes the definition of each CRD of ours that changes, once the operator may watch them.
async fn watch_crds(
    services: Arc<Services>,
    mut may: tokio::sync::watch::Receiver<bool>,
    requeuer: Requeuer<DeserializeGuard<ResourceDefinition>>,
) {
    if may.wait_for(|may| *may).await.is_ok() {
        let crds = stores::custom_resource_definitions(&services.kubernetes.watches);
        let waking = crds.changes.for_each(|changed| {
            if let Ok(crd) = changed {
                requeuer.wake(&ObjectRef::new(&crd.name_any()));
            }
            std::future::ready(())
        });
        waking.await;
    }
    std::future::pending::<()>().await;
}
