//! `RequestFlows`: whether one can be followed, and which requests it wakes.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _, core::DeserializeGuard, runtime::reflector::Store};

use super::engine::{
    context::{Requeuer, Services},
    pass::Engine,
    stages::{Passed, Planned, Stages},
    wiring::{self, Wiring},
};
use crate::{
    api::{
        names::FLOW_ANNOTATION,
        request_flow::{RequestFlow, RequestFlowStatus},
        request_state::RequestState,
    },
    desired::request_flow::CompiledFlow,
    diff::{Plan, Problem},
    runtime::{clock::Clock, metrics::Kind, shutdown::Shutdown},
    status::{
        self,
        look::{Look, RESYNC},
    },
    watch::{
        freshness::CacheBehind,
        stores::{Filled, Watched},
        triggers,
    },
};

/// The stages of flows.
pub struct FlowStages {
    /// The time.
    pub clock: Clock,
    /// The cache.
    pub filled: Filled,
}

impl Stages for FlowStages {
    type Object = RequestFlow;
    /// A flow depends on nothing but itself.
    type Snapshot = (RequestFlow, Timestamp);
    type Desired = ();
    type Findings = ();

    const KIND: Kind = Kind::RequestFlow;

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        vec![self.filled.clone()]
    }

    async fn snapshot(&self, object: &RequestFlow) -> Result<Self::Snapshot, CacheBehind> {
        Ok((object.clone(), self.clock.now()))
    }

    fn expressions_of(&self, (flow, _): &Self::Snapshot) -> Option<(String, i64)> {
        Some((flow.uid()?, flow.metadata.generation?))
    }

    fn compiler(&self, (flow, _): &Self::Snapshot) -> Box<dyn FnOnce() + Send> {
        let spec = flow.spec.clone();
        Box::new(move || drop(CompiledFlow::compile(&spec)))
    }

    fn desired(&self, _: &Self::Snapshot) -> Result<(), Problem> {
        Ok(())
    }

    fn plan(&self, _: &Self::Snapshot, (): &()) -> Planned<Self> {
        Ok((Plan::default(), ()))
    }

    fn status(&self, (flow, now): &Self::Snapshot, _: Passed<'_, Self>) -> Option<RequestFlowStatus> {
        Some(status::request_flow::compute(flow, *now))
    }

    fn next(&self, _: &Self::Snapshot, _: Option<&RequestFlowStatus>, _: Passed<'_, Self>) -> Look {
        Look::About(RESYNC)
    }
}

/// Requests that may follow a flow, and how they are woken.
pub(super) struct FlowUsers {
    /// Requests.
    pub requests: Store<DeserializeGuard<RequestState>>,
    /// Wakes them.
    pub requeuer: Requeuer<DeserializeGuard<RequestState>>,
}

impl FlowUsers {
    fn wake(&self, flow: &DeserializeGuard<RequestFlow>) {
        let (namespace, name) = (flow.meta().namespace.clone(), flow.meta().name.clone());
        let follows = |request: &RequestState| {
            request.namespace() == namespace && request.annotations().get(FLOW_ANNOTATION) == name.as_ref()
        };
        for request in triggers::references(&self.requests, &(), follows) {
            self.requeuer.wake(&request);
        }
    }
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    services: Arc<Services>,
    mut flows: Watched<DeserializeGuard<RequestFlow>>,
    followers: FlowUsers,
    shutdown: Shutdown,
) {
    flows.changes = flows.changes.inspect_ok(move |flow| followers.wake(flow)).boxed();
    let stages = FlowStages { clock: services.clock.clone(), filled: flows.filled.clone() };
    let (_, nothing) = futures::channel::mpsc::unbounded();
    let wiring = Wiring::new(flows, nothing, services.configuration.concurrency);
    wiring::run(Engine::new(services, stages), wiring, shutdown).await;
}
