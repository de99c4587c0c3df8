//! `ResourceDefinitions`: what the five stages are for them, what wakes them, and the controllers of their instances.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream::unfold};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{ResourceExt as _, core::DeserializeGuard, runtime::reflector::ObjectRef};

use super::{
    engine::{
        context::{Requeuer, Services},
        dynamic::Instances,
        pass::{Engine, LOOK_UP, RESYNC},
        stages::{Look, Passed, Stages},
        wiring::{self, Wiring},
    },
    migration::{Migrations, next_part_in},
};
use crate::{
    api::{
        condition::Reason,
        kind::HasFinalizer as _,
        policy::DeletionPolicy,
        resource_definition::{ResourceDefinition, ResourceDefinitionStatus},
    },
    desired::resource_definition::{DesiredDefinition, build_definition},
    diff::{
        Plan, Problem,
        definition::{
            DefinitionPlan, InColony, handler_state, is_established, is_foreign, lacks_rights,
            plan_definition,
        },
    },
    kinds::definition::kind_of,
    memory::{connections::Connection, rights::Rights},
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::{DefinitionSnapshot, Observed},
    status,
    watch::{freshness::CacheBehind, resource_definition::DefinitionReader, stores, stores::Filled},
};

/// How often to check whether the API server serves a kind, if the watch of CRDs misses it.
const ESTABLISHING: Duration = Duration::from_millis(250);
/// How many definitions are reconciled at the same time.
const CONCURRENCY: u16 = 8;

/// The stages of definitions.
struct DefinitionStages {
    services: Arc<Services>,
    reader: DefinitionReader,
    instances: Instances,
    requeuer: Requeuer<DeserializeGuard<ResourceDefinition>>,
    migrations: Migrations,
    /// Whether CRDs are watched: not before the operator may.
    watches: tokio::sync::watch::Sender<bool>,
}

impl Stages for DefinitionStages {
    type Object = ResourceDefinition;
    type Snapshot = DefinitionSnapshot;
    type Desired = DesiredDefinition;
    type Findings = DefinitionPlan;

    const KIND: Kind = Kind::ResourceDefinition;
    const FINALIZER: Option<&'static str> = Some(ResourceDefinition::FINALIZER);
    /// What is paused would have its instances looked after no more once the operator starts anew.
    const CAN_BE_PAUSED: bool = false;

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

    fn now(snapshot: &DefinitionSnapshot) -> Timestamp {
        snapshot.now
    }

    fn connection(&self, snapshot: &DefinitionSnapshot, services: &Services) -> Option<Arc<Connection>> {
        services.connections.get(&snapshot.in_colony.as_ref()?.used.name)
    }

    fn desired(&self, snapshot: &DefinitionSnapshot) -> Result<DesiredDefinition, Problem> {
        Ok(build_definition(snapshot))
    }

    fn plan(
        &self,
        snapshot: &DefinitionSnapshot,
        desired: &DesiredDefinition,
    ) -> Result<(Plan, DefinitionPlan), Problem> {
        let mut findings = plan_definition(snapshot, desired);
        Ok((std::mem::take(&mut findings.plan), findings))
    }

    /// Has the instances looked after before status says by what they are carried out.
    async fn after_act(&self, snapshot: &DefinitionSnapshot, pass: Passed<'_, Self>) {
        let name = snapshot.object.name_any();
        if snapshot.missing_rights.known().is_some_and(Vec::is_empty) {
            self.watches.send_if_modified(|may| !std::mem::replace(may, true));
        }
        if let Ok(carried) = pass {
            let now = self.services.clock.instant();
            self.migrations.note(&name, &carried.findings.migration, now);
        }
        self.serve(snapshot, pass.ok().and_then(|carried| carried.outcome.updated_crd())).await;
    }

    async fn released(&self, object: &ResourceDefinition) {
        self.instances.stop(&object.name_any()).await;
    }

    fn status(
        &self,
        snapshot: &DefinitionSnapshot,
        pass: Passed<'_, Self>,
    ) -> Option<ResourceDefinitionStatus> {
        let pass = pass.map(|carried| (&carried.findings, &carried.outcome));
        Some(status::definition::compute(snapshot, pass))
    }

    fn next(
        &self,
        snapshot: &DefinitionSnapshot,
        status: Option<&ResourceDefinitionStatus>,
        pass: Passed<'_, Self>,
    ) -> Look {
        let usual = usually(snapshot, pass);
        let migrating = match (pass, status) {
            (Ok(carried), Some(status)) => next_part_in(snapshot, &carried.findings.migration, status),
            _ => None,
        };
        match (usual, migrating) {
            (Look::About(usual), Some(migrating)) if migrating < usual => Look::After(migrating),
            (usual, _) => usual,
        }
    }
}

/// When to look again at a definition, if nothing of it is to be stored in another version.
fn usually(snapshot: &DefinitionSnapshot, pass: Passed<'_, DefinitionStages>) -> Look {
    let Ok(carried) = pass else { return Look::About(LOOK_UP) };
    let (plan, awaiting) = (&carried.findings, &carried.outcome.plan.awaiting);
    let is_untold = plan.problem.is_some()
        || !snapshot.missing_rights.known().is_some_and(Vec::is_empty)
        // The instances of others, and definitions in a colony, change without a word.
        || matches!(plan.in_colony, InColony::Unknown(_) | InColony::Foreign(_));
    let is_leaving = snapshot.object.metadata.deletion_timestamp.is_some();
    match &plan.held {
        _ if is_untold => Look::About(LOOK_UP),
        // Changes of instances wake the definition; there are no events for the data read here.
        Some(held) if held.reason == Reason::ReadFailed => Look::About(ESTABLISHING),
        Some(_) => Look::About(LOOK_UP),
        None if awaiting.is_empty() => Look::About(RESYNC),
        None => Look::About(if is_leaving { LOOK_UP } else { ESTABLISHING }),
    }
}

impl DefinitionStages {
    /// Runs the controller of the instances with the handler in the CRD, while the API server serves the kind.
    async fn serve(&self, snapshot: &DefinitionSnapshot, updated: Option<&CustomResourceDefinition>) {
        let name = snapshot.object.name_any();
        let served = match &snapshot.crd {
            _ if updated.is_some() => updated.filter(|crd| is_served(snapshot, crd)),
            // What cannot be read may well be served.
            Observed::Unknown(_) if !lacks_rights(snapshot) => return,
            Observed::Unknown(_) => None,
            Observed::Known(crd) => crd.as_ref().filter(|crd| is_served(snapshot, crd)),
        };
        let is_leaving = snapshot.object.metadata.deletion_timestamp.is_some();
        let is_released = is_leaving && snapshot.object.spec.deletion_policy == DeletionPolicy::Orphan;
        match served.map(|crd| kind_of(crd, is_released)) {
            Some(Ok(kind)) => {
                let handler_state = handler_state(snapshot, kind.handler());
                if let Some(in_colony) = &snapshot.in_colony {
                    self.services.blueprints.record_home(&name, &in_colony.used.name);
                }
                self.instances.serve(&name, kind, &self.requeuer).await;
                if handler_state.is_some_and(|handler_state| {
                    self.services.blueprints.record_handler_state(&name, &handler_state)
                }) {
                    self.instances.wake_all(&name);
                }
            }
            // Put right by the next write of the CRD.
            Some(Err(error)) => tracing::warn!("{error}"),
            None => {
                self.instances.stop(&name).await;
                self.services.blueprints.forget_handler_state(&name);
            }
        }
    }
}

fn is_served(snapshot: &DefinitionSnapshot, crd: &CustomResourceDefinition) -> bool {
    is_established(crd) && !is_foreign(snapshot, crd)
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
        rights: Rights::default(),
        writes: services.writes.clone(),
        clock: services.clock.clone(),
        cluster: services.cluster.clone(),
        namespace: services.kubernetes.namespace.clone(),
        watched: services.configuration.watch_namespaces.clone(),
        endpoint: services.endpoint.clone(),
        filled: [vec![definitions.filled.clone()], filled].concat(),
    };
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let requeuer = Requeuer::new(vec![waker]);
    let (gone, vanished) = futures::channel::mpsc::unbounded();
    let store = definitions.store.clone();
    definitions.changes = {
        let store = store.clone();
        let changes = definitions.changes.inspect_ok(move |definition| {
            let reference = ObjectRef::from_obj(definition);
            if store.get(&reference).is_none() {
                // The receiver is gone when the controller ends.
                let _ = gone.unbounded_send(reference.name);
            }
        });
        changes.boxed()
    };
    let executors = unfold(services.executor_changes.subscribe(), |mut executors| async move {
        executors.changed().await.ok().map(|()| ((), executors))
    });
    let endpoint = unfold(services.endpoint.changes(), |mut changes| async move {
        changes.changed().await.ok().map(|()| ((), changes))
    });
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
    let stages = DefinitionStages {
        services: services.clone(),
        reader,
        instances,
        requeuer,
        migrations: Migrations::default(),
        watches,
    };
    let wiring = Wiring::new(definitions, woken, CONCURRENCY)
        // A colony's executors are there before they can have served anything.
        .on_all(executors)
        .on_all(endpoint);
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
