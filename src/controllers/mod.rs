//! Table of contents of the flow: one file for each kind, which calls the five stages in their order.

mod assignments;
mod colony;
mod context;
mod executor_deployment;
mod inbound;
mod processes;
mod queue;
mod retry;

pub use context::{Context, Machinery};
pub use executor_deployment::decide;

use std::sync::Arc;

use futures::FutureExt as _;

use crate::{
    runtime::shutdown::Shutdown,
    watch::stores::{self, Filled, Scope},
};

/// Runs all controllers until the shutdown.
pub async fn run(machinery: Machinery, shutdown: Shutdown) {
    let machinery = Arc::new(machinery);
    let mut scopes = Vec::new();
    let (mut wakers, mut caches) = (Vec::new(), Vec::new());
    for scope in Scope::all(&machinery.configuration.watch_namespaces) {
        let objects = stores::executor_deployments(&machinery.kubernetes.watches, &scope, &machinery.writes);
        let (waker, woken) = futures::channel::mpsc::unbounded();
        wakers.push(waker);
        caches.push((objects.store.clone(), objects.filled.clone()));
        scopes.push((scope, objects, woken));
    }
    let hints = context::Hints::new(wakers);
    let mut running = tokio::task::JoinSet::new();
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
    running.spawn(colony::run(machinery, caches, hints, shutdown));
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended by itself");
        }
    }
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
