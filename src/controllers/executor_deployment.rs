//! `ExecutorDeployments`: what the five stages are for them, and what wakes them.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use jiff::Timestamp;
use kube::{Resource, core::DeserializeGuard, runtime::reflector::ObjectRef};

use super::engine::{
    context::{Requeuer, Services},
    pass::{Engine, LOOK_UP, RESYNC},
    stages::{Look, Passed, Stages},
    wiring::{self, Wiring},
};
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        kind::HasFinalizer as _,
        mirror::{MirrorState, MirrorStatus, Mirrored},
        names::CONTENT_HASH_ANNOTATION,
        policy::AdoptionPolicy,
    },
    desired::{self, DesiredExecutorDeployment},
    diff::{self, Plan, Problem, resolved},
    memory::writes::Writes,
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::{ExecutorDeploymentSnapshot, Policy},
    status,
    watch::{
        colonies::Colonies,
        executor_deployment::{Reader, Stores},
        freshness::CacheBehind,
        relevance,
        stores::{self, Changes, Filled, GuardedExecutorDeployment, Scope, Watched},
        triggers,
    },
};

/// The stages of fleets.
pub struct FleetStages {
    /// Reads the world.
    pub reader: Reader,
}

impl Stages for FleetStages {
    type Object = ExecutorDeployment;
    type Snapshot = ExecutorDeploymentSnapshot;
    /// None while the object is being deleted.
    type Desired = Option<DesiredExecutorDeployment>;
    type Findings = ();

    const KIND: Kind = Kind::ExecutorDeployment;
    const FINALIZER: Option<&'static str> = Some(ExecutorDeployment::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.stores.filled.clone()
    }

    async fn snapshot(&self, object: &ExecutorDeployment) -> Result<ExecutorDeploymentSnapshot, CacheBehind> {
        Box::pin(self.reader.snapshot(object)).await
    }

    fn now(snapshot: &ExecutorDeploymentSnapshot) -> Timestamp {
        snapshot.now
    }

    fn colony(snapshot: &ExecutorDeploymentSnapshot) -> Option<&str> {
        snapshot.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, snapshot: &ExecutorDeploymentSnapshot) -> Result<Self::Desired, Problem> {
        desired(snapshot)
    }

    async fn look_up(&self, snapshot: &mut ExecutorDeploymentSnapshot, desired: &Self::Desired) -> bool {
        let here = desired.as_ref().and_then(|desired| desired.here.as_ref());
        let Some(here) = here else { return false };
        let annotations = here.identity.metadata.annotations.as_ref();
        let hash = annotations.and_then(|annotations| annotations.get(CONTENT_HASH_ANNOTATION));
        self.reader.verify_identity(snapshot, hash).await
    }

    fn plan(
        &self,
        snapshot: &ExecutorDeploymentSnapshot,
        desired: &Self::Desired,
    ) -> Result<(Plan, ()), Problem> {
        plan(snapshot, desired.as_ref()).map(|plan| (plan, ()))
    }

    fn status(
        &self,
        snapshot: &ExecutorDeploymentSnapshot,
        pass: Passed<'_, Self>,
    ) -> Option<ExecutorDeploymentStatus> {
        Some(status::executor_deployment::compute(snapshot, pass.map(|carried| &carried.outcome)))
    }

    fn remaining_in_colony(snapshot: &ExecutorDeploymentSnapshot) -> Option<String> {
        diff::remaining_in_colony(snapshot)
    }

    fn also_written() -> &'static [&'static str] {
        &["Deployment", "DaemonSet", "Job"]
    }

    fn mirrored(object: &ExecutorDeployment) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &ExecutorDeploymentStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(
        &self,
        snapshot: &ExecutorDeploymentSnapshot,
        status: Option<&ExecutorDeploymentStatus>,
        pass: Passed<'_, Self>,
    ) -> Look {
        let Ok(carried) = pass else { return Look::Backoff };
        let quiet = snapshot.submit_not_before.map(|moment| moment.duration_since(snapshot.now));
        if let Some(quiet) = quiet.and_then(|quiet| Duration::try_from(quiet).ok()) {
            return Look::About(quiet);
        }
        let spec = &snapshot.object.spec;
        let is_untold = match status.and_then(|status| status.mirror.as_ref()) {
            // No watch shows a workload of another owner.
            _ if spec.management_policies.only_observe() => true,
            // What is bound is followed by lists and websockets, unless it could not be read even once.
            Some(mirror) if mirror.state.is_live() => snapshot.processes.unknown().is_some(),
            Some(mirror) => mirror.state == MirrorState::Intended,
            None => true,
        };
        // Nor of an object that is not the operator's yet.
        let adopts =
            spec.adoption_policy == AdoptionPolicy::Adopt && !carried.outcome.plan.awaiting.is_empty();
        let in_flight = snapshot.in_flight;
        let in_flight = [in_flight.blueprint, in_flight.executor, in_flight.recorded_executor];
        let awaits = in_flight.into_iter().flatten().any(|until| snapshot.now < until)
            || snapshot.blueprint.unknown().is_some();
        let awaits = awaits && !carried.outcome.plan.awaiting.is_empty();
        let is_leaving = snapshot.object.metadata.deletion_timestamp.is_some();
        Look::About(if is_untold || adopts || awaits || is_leaving { LOOK_UP } else { RESYNC })
    }
}

/// Stage 2; none for an object that is being deleted.
///
/// # Errors
///
/// When the colony cannot be used, or the spec cannot be carried out.
pub fn desired(snapshot: &ExecutorDeploymentSnapshot) -> Result<Option<DesiredExecutorDeployment>, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let colony = resolved(&snapshot.colony)?;
    let desired = desired::executor_deployment::build(snapshot, colony);
    desired.map(Some).map_err(|error| Problem {
        reason: crate::api::condition::Reason::InvalidSpec,
        message: error.to_string(),
    })
}

/// Stage 3.
///
/// # Errors
///
/// When a name is taken.
pub fn plan(
    snapshot: &ExecutorDeploymentSnapshot,
    desired: Option<&DesiredExecutorDeployment>,
) -> Result<Plan, Problem> {
    let Some(desired) = desired else { return Ok(diff::plan_deletion(snapshot)) };
    diff::plan(snapshot, desired).map_err(|error| Problem {
        reason: crate::api::condition::Reason::ForeignObject,
        message: error.to_string(),
    })
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &ExecutorDeploymentSnapshot) -> Result<Plan, Problem> {
    plan(snapshot, desired(snapshot)?.as_ref())
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    services: Arc<Services>,
    scope: Scope,
    mut objects: Watched<GuardedExecutorDeployment>,
    woken: UnboundedReceiver<ObjectRef<GuardedExecutorDeployment>>,
    requeuer: Requeuer<GuardedExecutorDeployment>,
    shutdown: Shutdown,
) {
    let (client, writes) = (&services.kubernetes.watches, &services.writes);
    let deployments = stores::deployments(client, &scope, writes);
    let daemon_sets = stores::daemon_sets(client, &scope, writes);
    let jobs = stores::jobs(client, &scope, writes);
    let pods = stores::pods(client, &scope);
    let colonies = stores::colonies(client, &services.configuration.cluster_selector);
    let namespaces = stores::namespaces(client);
    let stores = Stores {
        filled: vec![
            objects.filled.clone(),
            deployments.filled.clone(),
            daemon_sets.filled.clone(),
            jobs.filled.clone(),
            pods.filled.clone(),
            colonies.filled,
            namespaces.filled,
        ],
        executor_deployments: objects.index.clone(),
        deployments: deployments.store.clone(),
        daemon_sets: daemon_sets.store.clone(),
        jobs: jobs.store.clone(),
        pods: pods.index.clone(),
    };
    let found_in = Colonies {
        colonies: colonies.store,
        namespaces: namespaces.store,
        connections: services.connections.clone(),
        operator_namespace: services.kubernetes.namespace.clone(),
    };
    let siblings = triggers::Siblings::new(objects.index.clone());
    let changes = objects.changes.inspect_ok(move |object| {
        if let DeserializeGuard(Ok(object)) = object {
            for sibling in siblings.of(object) {
                requeuer.wake(&sibling);
            }
        }
    });
    objects.changes = changes.boxed();
    let fleets = objects.index.clone();
    let (by_colony, by_namespace) = (objects.store.clone(), objects.store.clone());
    let wiring = Wiring::<FleetStages>::new(objects, woken, services.configuration.concurrency)
        .on_children(relevant(deployments, "Deployment", writes, relevance::of_deployment), ())
        .on_children(relevant(daemon_sets, "DaemonSet", writes, relevance::of_daemon_set), ())
        .on_children(relevant(jobs, "Job", writes, relevance::of_job), ())
        .on(relevant(pods, "Pod", writes, move |pod| relevance::of_pod(pod, &fleets)), triggers::of_pod)
        .on(colonies.changes, move |colony| triggers::of_colony(colony, &by_colony))
        .on(namespaces.changes, move |namespace| triggers::of_namespace(namespace, &by_namespace));
    let stages = FleetStages { reader: reader(&services, stores, found_in) };
    wiring::run(Engine::new(services, stages), wiring, shutdown).await;
}

/// The changes of a kind that are worth a pass.
fn relevant<K>(
    watched: Watched<K>,
    kind: &'static str,
    writes: &Writes,
    digest: impl Fn(&K) -> Option<u64> + Send + 'static,
) -> Changes<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    relevance::relevant(watched.changes, watched.store, kind, writes.clone(), digest)
}

/// Reads the world for fleets.
#[must_use]
pub fn reader(services: &Services, stores: Stores, colonies: Colonies) -> Reader {
    let configuration = &services.configuration;
    Reader {
        stores,
        client: services.kubernetes.calls.clone(),
        colonies,
        processes: services.process_reader(),
        identities: services.identities.clone(),
        blueprints: services.blueprints.clone(),
        writes: services.writes.clone(),
        clock: services.clock.clone(),
        policy: Policy {
            host_paths: configuration.host_paths.clone(),
            service_accounts: configuration.service_accounts.clone(),
            executor_resources: configuration.executor_resources.clone(),
        },
        cluster: services.cluster.clone(),
    }
}
