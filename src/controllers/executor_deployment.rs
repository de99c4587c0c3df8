//! `ExecutorDeployments`: what the five stages are for them, and what wakes them.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use kube::{Resource, core::DeserializeGuard, runtime::reflector::ObjectRef};

use super::engine::{
    context::{Requeuer, Services},
    pass::Engine,
    stages::{Acted, Passed, Planned, Stages, Status},
    wiring::{self, Wiring},
};
use crate::{
    api::{
        executor_deployment::ExecutorDeployment,
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored},
    },
    desired::{
        DesiredExecutorDeployment,
        executor_deployment::{desired, with_earlier_run},
    },
    diff::{Problem, executor_deployment::plan_desired, remaining_in_colony},
    memory::writes::Writes,
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::{ExecutorDeploymentSnapshot, Policy},
    status::{self, event::Note, look::Look},
    watch::{
        colonies::Colonies,
        executor_deployment::{Reader, Stores},
        freshness::CacheBehind,
        index::Index,
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
        Box::pin(self.reader.snapshot(object)).await.map(with_earlier_run)
    }

    fn desired(&self, snapshot: &Self::Snapshot) -> Result<Self::Desired, Problem> {
        desired(snapshot)
    }

    async fn look_up(&self, snapshot: &mut Self::Snapshot, desired: &Self::Desired) -> bool {
        let Some(here) = desired.as_ref().and_then(|desired| desired.here.as_ref()) else { return false };
        self.reader.verify_identity(snapshot, here.identity.content_hash()).await
    }

    fn plan(&self, snapshot: &Self::Snapshot, desired: &Self::Desired) -> Planned<Self> {
        plan_desired(snapshot, desired.as_ref()).map(|plan| (plan, ()))
    }

    fn status(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Option<Status<Self>> {
        Some(status::executor_deployment::compute(snapshot, pass.map(|carried| &carried.outcome)))
    }

    fn is_passing(&self, snapshot: &Self::Snapshot, pass: &Acted<Self>, status: &Status<Self>) -> bool {
        status::executor_deployment::is_passing(snapshot, &pass.outcome, status)
    }

    fn is_final(&self, snapshot: &Self::Snapshot, pass: &Acted<Self>, status: &Status<Self>) -> bool {
        status::executor_deployment::is_final(snapshot, &pass.outcome, status)
    }

    fn is_news(status: &Status<Self>, note: &Note) -> bool {
        status::executor_deployment::is_news(status, note)
    }

    fn notes(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Vec<Note> {
        status::executor_deployment::notes(snapshot, pass.map(|carried| &carried.outcome))
    }

    fn remaining_in_colony(snapshot: &Self::Snapshot) -> Option<String> {
        remaining_in_colony(snapshot)
    }

    fn also_written() -> &'static [&'static str] {
        &["Deployment", "DaemonSet", "Job"]
    }

    fn mirrored(object: &ExecutorDeployment) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &Status<Self>) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(&self, snapshot: &Self::Snapshot, status: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look {
        status::executor_deployment::next(snapshot, status, pass.map(|carried| &carried.outcome))
    }
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    services: Arc<Services>,
    scope: Scope,
    mut objects: Watched<GuardedExecutorDeployment>,
    woken: UnboundedReceiver<ObjectRef<GuardedExecutorDeployment>>,
    requeuer: Requeuer<GuardedExecutorDeployment>,
    scopes: Vec<Index<GuardedExecutorDeployment>>,
    shutdown: Shutdown,
) {
    let (client, writes) = (&services.kubernetes.watches, &services.writes);
    let deployments = stores::deployments(client, &scope, writes);
    let daemon_sets = stores::daemon_sets(client, &scope, writes);
    let jobs = stores::jobs(client, &scope, writes);
    let pods = stores::pods(client, &scope, writes);
    // Without the webhook for pods, there are no rights on them either.
    let has_budgets = services.configuration.pod_identities.webhook_configuration.is_some();
    let budgets = has_budgets.then(|| stores::budgets(client, &scope, writes));
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
        fleets: scopes.clone(),
        deployments: deployments.store.clone(),
        daemon_sets: daemon_sets.store.clone(),
        jobs: jobs.store.clone(),
        budgets: budgets.as_ref().map(|budgets| budgets.store.clone()),
        pods: pods.index.clone(),
    };
    let mut stores = stores;
    stores.filled.extend(budgets.as_ref().map(|budgets| budgets.filled.clone()));
    let found_in = Colonies {
        colonies: colonies.store,
        namespaces: namespaces.store,
        connections: services.connections.clone(),
        operator_namespace: services.kubernetes.namespace.clone(),
    };
    let siblings = triggers::Siblings::new(objects.index.clone(), scopes);
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
    let wiring = match budgets {
        Some(budgets) => {
            wiring.on_children(relevant(budgets, "PodDisruptionBudget", writes, relevance::of_budget), ())
        }
        None => wiring,
    };
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
        absences: services.absences.clone(),
        webhook: services.identity_webhook.clone(),
        blueprints: services.blueprints.clone(),
        writes: services.writes.clone(),
        clock: services.clock.clone(),
        policy: Policy {
            host_paths: configuration.host_paths.clone(),
            service_accounts: configuration.service_accounts.clone(),
            executor_resources: configuration.executor_resources.clone(),
            gate_image: configuration.gate.image.clone(),
        },
        cluster: services.cluster.clone(),
    }
}
