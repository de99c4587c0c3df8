//! Table of contents of the flow: one file for each kind, which calls the five stages in their order.

mod assignments;
mod colony;
mod colony_cron;
mod colony_process;
mod colony_workflow;
mod context;
mod executor_deployment;
mod inbound;
mod processes;
mod queue;
mod request_flow;
mod request_state;
mod retry;
mod work;

pub use context::{Context, Machinery};
pub use executor_deployment::decide;

use std::sync::Arc;

use futures::{FutureExt as _, channel::mpsc::UnboundedReceiver};
use kube::{core::DeserializeGuard, runtime::reflector::ObjectRef};
use processes::{Carrier, Kind, Objects};

use crate::{
    memory::sightings::AllSightings,
    runtime::shutdown::Shutdown,
    watch::{
        request::Requests,
        stores::{self, Filled, Scope, Watched},
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
            scope.clone(),
            stores::colony_processes(client, &scope, writes),
            stores::colony_workflows(client, &scope, writes),
            stores::requests(client, &scope, writes),
            stores::request_flows(client, &scope),
            stores::colony_crons(client, &scope, writes),
        ));
        let objects = stores::executor_deployments(client, &scope, writes);
        let (waker, woken) = futures::channel::mpsc::unbounded();
        wakers.push(waker);
        caches.push((objects.store.clone(), objects.filled.clone()));
        scopes.push((scope, objects, woken));
    }
    let hints = context::Hints::new(wakers);
    let mut carriers: Vec<Arc<dyn Kind>> = Vec::new();
    for (store, filled) in &caches {
        carriers.push(Arc::new(Objects {
            store: store.clone(),
            filled: filled.clone(),
            hints: hints.clone(),
        }));
    }
    let mut running = tokio::task::JoinSet::new();
    for (scope, mut processes, mut workflows, requests, flows, crons) in works {
        let known = Requests {
            flows: flows.store.clone(),
            filled: flows.filled.clone(),
            roles: machinery.configuration.request_roles.clone(),
            sightings: AllSightings::default(),
        };
        let runs = colony_cron::Runs::of(&mut processes, &mut workflows);
        running.spawn(colony_cron::run(machinery.clone(), crons, runs, shutdown.clone()));
        let (woken, _) = carry(&processes, &mut carriers);
        let (machine, stop) = (machinery.clone(), shutdown.clone());
        running.spawn(work::run(machine, scope.clone(), processes, woken, known.clone(), stop));
        let (woken, _) = carry(&workflows, &mut carriers);
        let (machine, stop) = (machinery.clone(), shutdown.clone());
        running.spawn(work::run(machine, scope.clone(), workflows, woken, known.clone(), stop));
        let (woken, hints) = carry(&requests, &mut carriers);
        let followers = request_flow::Followers { requests: requests.store.clone(), hints };
        let (machine, stop) = (machinery.clone(), shutdown.clone());
        running.spawn(work::run(machine, scope, requests, woken, known, stop));
        running.spawn(request_flow::run(machinery.clone(), flows, followers, shutdown.clone()));
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
    running.spawn(colony::run(machinery, caches, hints, carriers.into(), shutdown));
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended by itself");
        }
    }
}

/// Adds objects to those that processes carry; where their controller hears of what happens to their processes, and how
/// others wake them.
fn carry<K: Carrier>(
    objects: &Watched<DeserializeGuard<K>>,
    carriers: &mut Vec<Arc<dyn Kind>>,
) -> (UnboundedReceiver<ObjectRef<DeserializeGuard<K>>>, context::Hints<DeserializeGuard<K>>) {
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let (store, filled) = (objects.store.clone(), objects.filled.clone());
    let hints = context::Hints::new(vec![waker]);
    carriers.push(Arc::new(Objects { store, filled, hints: hints.clone() }));
    (woken, hints)
}

/// Runs a controller to its end. One that is told to stop before its caches are filled never ends by itself: it waits
/// for them, and nothing fills them any more. It has not written anything by then.
async fn to_its_end(controller: impl Future<Output = ()>, caches: Vec<Filled>, shutdown: Shutdown) {
    let stuck = async {
        shutdown.requested().await;
        if caches.iter().all(|filled| filled.reached().now_or_never().is_some()) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = controller => {}
        () = stuck => {}
    }
}
