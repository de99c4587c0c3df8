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

use colony::processes::{self, Carrier, Carriers, Objects};
pub use colony_cron::CronStages;
pub use colony_process::ProcessStages;
pub use colony_workflow::WorkflowStages;
pub use composition::{CompositionStages, Decision, decide as decide_composition};
pub use engine::context::Machinery;
use engine::{context, dynamic as instances, queue, surroundings, work};
pub use executor_deployment::{FleetStages, decide};
pub use instance::{InstanceStages, decide as decide_instance};
pub use request_state::RequestStages;

use std::sync::Arc;

use kube::core::DeserializeGuard;

use crate::{
    act::kinds::Written,
    memory::sightings::AllSightings,
    runtime::shutdown::Shutdown,
    watch::{
        flows::Requests,
        stores::{self, Scope, Watched},
    },
};

/// Runs all controllers until the shutdown.
pub async fn run(machinery: Machinery, shutdown: Shutdown) {
    let machinery = Arc::new(machinery);
    let mut scopes = Vec::new();
    let (mut wakers, mut caches) = (Vec::new(), Vec::new());
    let mut works = Vec::new();
    let (client, writes) = (&machinery.kubernetes.watches, &machinery.writes);
    for scope in Scope::all(&machinery.configuration.watch_namespaces) {
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
    let hints = context::Hints::new(wakers);
    let carriers = Carriers::default();
    for (index, filled) in &caches {
        carriers.add(Arc::new(Objects {
            kind: (),
            index: index.clone(),
            filled: filled.clone(),
            hints: hints.clone(),
        }));
    }
    let living = Arc::new(processes::Holders::new(&carriers, &machinery));
    let mut running = tokio::task::JoinSet::new();
    let mut shared = None;
    for (mut processes, mut workflows, requests, flows, crons) in works {
        let known = Requests {
            flows: flows.store.clone(),
            filled: flows.filled.clone(),
            roles: machinery.configuration.request_roles.clone(),
            sightings: AllSightings::default(),
        };
        shared.get_or_insert_with(|| known.clone());
        let runs = colony_cron::Runs::of(&mut processes, &mut workflows);
        running.spawn(colony_cron::run(machinery.clone(), crons, runs, shutdown.clone()));
        let (processes, _) = carry(processes, &carriers);
        let around = surroundings::Surroundings::watched(&machinery, known.clone(), living.clone());
        let stages = |(), reader| ProcessStages { reader };
        running.spawn(work::run(machinery.clone(), processes, around, stages, shutdown.clone()));
        let (workflows, _) = carry(workflows, &carriers);
        let around = surroundings::Surroundings::watched(&machinery, known.clone(), living.clone());
        let stages = |(), reader| WorkflowStages { reader };
        running.spawn(work::run(machinery.clone(), workflows, around, stages, shutdown.clone()));
        let followed = requests.store.clone();
        let (requests, hints) = carry(requests, &carriers);
        let followers = request_flow::Followers { requests: followed, hints };
        let around = surroundings::Surroundings::watched(&machinery, known, living.clone());
        let stages = |(), reader| RequestStages { reader };
        running.spawn(work::run(machinery.clone(), requests, around, stages, shutdown.clone()));
        running.spawn(request_flow::run(machinery.clone(), flows, followers, shutdown.clone()));
    }
    if let Some(known) = shared {
        let (instances, changing) = instances::Instances::new(machinery.clone(), carriers.clone(), known);
        running.spawn(instances.clone().watch(changing, shutdown.clone()));
        running.spawn(resource_definition::run(machinery.clone(), instances, shutdown.clone()));
    }
    for (scope, objects, woken) in scopes {
        let run = executor_deployment::run(
            machinery.clone(),
            scope,
            objects,
            woken,
            hints.clone(),
            shutdown.clone(),
        );
        running.spawn(run);
    }
    running.spawn(colony::run(machinery, caches, hints, carriers, shutdown));
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended by itself");
        }
    }
}

/// Adds objects to those that processes carry: with what their controller hears of their processes, and how others wake
/// them.
fn carry<K: Carrier<DynamicType = ()> + Written>(
    watched: Watched<DeserializeGuard<K>>,
    carriers: &Carriers,
) -> (work::Objects<K>, context::Hints<DeserializeGuard<K>>) {
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let (index, filled) = (watched.index.clone(), watched.filled.clone());
    let hints = context::Hints::new(vec![waker]);
    carriers.add(Arc::new(Objects { kind: (), index, filled, hints: hints.clone() }));
    (work::Objects { kind: (), watched, woken, waiting: queue::Waiting::default() }, hints)
}
