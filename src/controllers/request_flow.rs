//! The controller of `RequestFlows`: says whether a flow can be followed, and wakes the requests that follow it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Resource as _, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::{ObjectRef, Store},
    },
};

use super::{
    engine::{
        context::{Hints, Machinery},
        retry::Retries,
    },
    to_its_end,
};
use crate::{
    api::{names::FLOW_ANNOTATION, request_flow::RequestFlow, request_state::RequestState},
    runtime::{
        metrics::{Kind, ReconcileResult},
        shutdown::Shutdown,
    },
    status,
    watch::{stores::Watched, triggers},
};

/// How often a flow is looked at for which nothing is expected to happen.
const RESYNC: Duration = Duration::from_mins(8);

/// Requests that may follow a flow, and how they are woken.
pub(super) struct Followers {
    /// Requests.
    pub requests: Store<DeserializeGuard<RequestState>>,
    /// Wakes them.
    pub hints: Hints<DeserializeGuard<RequestState>>,
}

struct Context {
    machinery: Arc<Machinery>,
    retries: Retries,
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    machinery: Arc<Machinery>,
    flows: Watched<DeserializeGuard<RequestFlow>>,
    followers: Followers,
    shutdown: Shutdown,
) {
    let elections = machinery.leadership.changes().map(drop);
    let context = Arc::new(Context { machinery, retries: Retries::default() });
    let changes = flows.changes.inspect_ok(move |flow| followers.wake(flow));
    let (stop, caches) = (shutdown.clone(), vec![flows.filled]);
    let controller = Controller::for_stream(changes, flows.store)
        .with_config(Config::default().concurrency(context.machinery.configuration.concurrency))
        .reconcile_all_on(elections)
        .graceful_shutdown_on(async move { stop.requested().await })
        .run(reconcile, |_, _, _| Action::requeue(RESYNC), context)
        .for_each(|_| futures::future::ready(()));
    to_its_end(controller, caches, shutdown).await;
}

impl Followers {
    fn wake(&self, flow: &DeserializeGuard<RequestFlow>) {
        let (namespace, name) = (flow.meta().namespace.clone(), flow.meta().name.clone());
        let follows = |request: &RequestState| {
            request.namespace() == namespace && request.annotations().get(FLOW_ANNOTATION) == name.as_ref()
        };
        for request in triggers::references(&self.requests, &(), follows) {
            self.hints.wake(&request);
        }
    }
}

/// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
async fn reconcile(
    guarded: Arc<DeserializeGuard<RequestFlow>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let machinery = &context.machinery;
    let Ok(flow) = &guarded.0 else {
        tracing::error!(flow = %ObjectRef::from_obj(guarded.as_ref()), "cannot be read: correct it with kubectl edit");
        return Ok(Action::requeue(RESYNC));
    };
    if !machinery.leadership.is_leader() {
        return Ok(Action::await_change());
    }
    let started = machinery.clock.instant();
    let counted = machinery.metrics.reconcile_started(Kind::RequestFlow);
    let status = status::request_flow::compute(flow, machinery.clock.now());
    let before = flow.status.as_ref().map_or(&[][..], |before| &before.conditions);
    let notes = status::event::transitions(before, &status.conditions);
    let written = machinery.publisher.status(&(), flow, status, None).await;
    let uid = flow.uid().unwrap_or_default();
    let (action, result) = match written {
        Ok(written) => {
            context.retries.reset(&uid);
            if written {
                machinery.publisher.events(&flow.object_ref(&()), notes).await;
            }
            let result = if written { ReconcileResult::Changed } else { ReconcileResult::Unchanged };
            (Action::requeue(RESYNC), result)
        }
        Err(failure) => {
            tracing::debug!(kind = ?failure.kind, "{}", failure.message);
            (Action::requeue(context.retries.after_failure(&uid)), ReconcileResult::Failed)
        }
    };
    counted.finish(result, machinery.clock.instant().saturating_duration_since(started));
    Ok(action)
}
