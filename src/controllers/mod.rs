//! Table of contents of the flow: one file for each kind, which calls the five stages in their order.

mod assignments;
mod colony;
mod colony_process;
mod colony_workflow;
mod context;
mod executor_deployment;
mod inbound;
mod processes;
mod queue;
mod retry;
mod work;

pub use context::{Context, Machinery};
pub use executor_deployment::decide;

use std::sync::Arc;

use futures::{FutureExt as _, channel::mpsc::UnboundedReceiver};
use kube::{core::DeserializeGuard, runtime::reflector::ObjectRef};
use processes::{Carrier, Kind, Objects};

use crate::{
    runtime::shutdown::Shutdown,
    watch::stores::{self, Filled, Scope, Watched},
};

/// Runs all controllers until the shutdown.
pub async fn run(machinery: Machinery, shutdown: Shutdown) {
    let machinery = Arc::new(machinery);
    let mut scopes = Vec::new();
    let (mut wakers, mut caches) = (Vec::new(), Vec::new());
    let (mut processes, mut workflows) = (Vec::new(), Vec::new());
    let (client, writes) = (&machinery.kubernetes.watches, &machinery.writes);
    for scope in Scope::all(&machinery.configuration.watch_namespaces) {
        processes.push((scope.clone(), stores::colony_processes(client, &scope, writes)));
        workflows.push((scope.clone(), stores::colony_workflows(client, &scope, writes)));
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
    for (scope, objects) in processes {
        let woken = carry(&objects, &mut carriers);
        running.spawn(work::run(machinery.clone(), scope, objects, woken, shutdown.clone()));
    }
    for (scope, objects) in workflows {
        let woken = carry(&objects, &mut carriers);
        running.spawn(work::run(machinery.clone(), scope, objects, woken, shutdown.clone()));
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

/// Adds objects to those that processes carry; where their controller hears of what happens to their processes.
fn carry<K: Carrier>(
    objects: &Watched<DeserializeGuard<K>>,
    carriers: &mut Vec<Arc<dyn Kind>>,
) -> UnboundedReceiver<ObjectRef<DeserializeGuard<K>>> {
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let (store, filled) = (objects.store.clone(), objects.filled.clone());
    carriers.push(Arc::new(Objects { store, filled, hints: context::Hints::new(vec![waker]) }));
    woken
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
