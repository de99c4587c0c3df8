//! Table of contents of the flow: one file for each kind, which calls the five stages in their order.

mod colony;
mod colony_cron;
mod colony_process;
mod colony_workflow;
mod composition;
pub mod engine;
mod executor_deployment;
mod instance;
mod migration;
mod request_flow;
mod request_state;
mod resource_definition;
mod work_stages;

use colony::processes::{self, MirroredKind, MirroredKinds, Objects};
pub use colony::{Clients, ColonyStages, ServeColony};
pub use colony_cron::CronStages;
pub use colony_process::ProcessStages;
pub use colony_workflow::WorkflowStages;
pub use composition::CompositionStages;
pub use engine::context::Services;
use engine::{context, dynamic as instances, queue, shared_watches, work};
pub use executor_deployment::FleetStages;
pub use instance::InstanceStages;
pub use request_state::RequestStages;
pub use resource_definition::{DefinitionStages, InstanceControllers};

use std::sync::Arc;

use kube::core::DeserializeGuard;

use crate::{
    act::kinds::WritableKind,
    memory::position_log::PositionLogs,
    runtime::shutdown::Shutdown,
    watch::{
        flows::Requests,
        stores::{self, Scope, Watched},
    },
};

/// Runs all controllers until the shutdown.
pub async fn run(services: Services, shutdown: Shutdown) {
    let services = Arc::new(services);
    let mut scopes = Vec::new();
    let (mut wakers, mut caches) = (Vec::new(), Vec::new());
    let mut works = Vec::new();
    let (client, writes) = (&services.kubernetes.watches, &services.writes);
    for scope in Scope::all(&services.configuration.watch_namespaces) {
        works.push((
            stores::colony_processes(client, &scope, writes),
            stores::colony_workflows(client, &scope, writes),
            stores::requests(client, &scope, writes),
            stores::request_flows(client, &scope),
            stores::colony_crons(client, &scope, writes),
        ));
        let objects = stores::executor_deployments(client, &scope, writes);
        let (waker, woken) = futures::channel::mpsc::unbounded();
        wakers.push(waker);
        caches.push((objects.index.clone(), objects.filled.clone()));
        scopes.push((scope, objects, woken));
    }
    let requeuer = context::Requeuer::new(wakers);
    let mirrored_kinds = MirroredKinds::default();
    for (index, filled) in &caches {
        mirrored_kinds.add(Arc::new(Objects {
            kind: (),
            index: index.clone(),
            filled: filled.clone(),
            requeuer: requeuer.clone(),
        }));
    }
    let holder_lookup = Arc::new(processes::ProcessHolders::new(&mirrored_kinds, &services));
    let mut running = tokio::task::JoinSet::new();
    let mut shared = None;
    for (mut processes, mut workflows, requests, flows, crons) in works {
        let known = Requests {
            flows: flows.store.clone(),
            filled: flows.filled.clone(),
            roles: services.configuration.request_roles.clone(),
            position_log: PositionLogs::default(),
        };
        shared.get_or_insert_with(|| known.clone());
        let runs = colony_cron::Runs::of(&mut processes, &mut workflows);
        running.spawn(colony_cron::run(services.clone(), crons, runs, shutdown.clone()));
        let (processes, _) = carry(processes, &mirrored_kinds);
        let around = shared_watches::SharedWatches::watched(&services, known.clone(), holder_lookup.clone());
        let stages = |(), reader| ProcessStages { reader };
        running.spawn(work::run(services.clone(), processes, around, stages, shutdown.clone()));
        let (workflows, _) = carry(workflows, &mirrored_kinds);
        let around = shared_watches::SharedWatches::watched(&services, known.clone(), holder_lookup.clone());
        let stages = |(), reader| WorkflowStages { reader };
        running.spawn(work::run(services.clone(), workflows, around, stages, shutdown.clone()));
        let followed = requests.store.clone();
        let (requests, requeuer) = carry(requests, &mirrored_kinds);
        let followers = request_flow::FlowUsers { requests: followed, requeuer };
        let around = shared_watches::SharedWatches::watched(&services, known, holder_lookup.clone());
        let stages = |(), reader| RequestStages { reader };
        running.spawn(work::run(services.clone(), requests, around, stages, shutdown.clone()));
        running.spawn(request_flow::run(services.clone(), flows, followers, shutdown.clone()));
    }
    if let Some(known) = shared {
        let (instances, changing) =
            instances::Instances::new(services.clone(), mirrored_kinds.clone(), known);
        running.spawn(instances.clone().watch(changing, shutdown.clone()));
        running.spawn(resource_definition::run(services.clone(), instances, shutdown.clone()));
    }
    for (scope, objects, woken) in scopes {
        let run = executor_deployment::run(
            services.clone(),
            scope,
            objects,
            woken,
            requeuer.clone(),
            caches.iter().map(|(index, _)| index.clone()).collect(),
            shutdown.clone(),
        );
        running.spawn(run);
    }
    running.spawn(colony::run(services, caches, requeuer, mirrored_kinds, shutdown));
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended by itself");
        }
    }
}

/// Adds objects to those that processes carry: with what their controller hears of their processes, and how others wake
/// them.
fn carry<K: MirroredKind<DynamicType = ()> + WritableKind>(
    watched: Watched<DeserializeGuard<K>>,
    mirrored_kinds: &MirroredKinds,
) -> (work::Objects<K>, context::Requeuer<DeserializeGuard<K>>) {
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let (index, filled) = (watched.index.clone(), watched.filled.clone());
    let requeuer = context::Requeuer::new(vec![waker]);
    mirrored_kinds.add(Arc::new(Objects { kind: (), index, filled, requeuer: requeuer.clone() }));
    (work::Objects { kind: (), watched, woken, waiting: queue::Waiting::default() }, requeuer)
}
