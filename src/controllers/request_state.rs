//! `RequestStates`: what the five stages are for them.

use kube::ResourceExt as _;

use super::{
    colony::processes::MirroredKind,
    engine::stages::{Passed, Planned, Stages, Status},
};
use crate::{
    api::{
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored},
        names::COLONY_ANNOTATION,
        request_state::RequestState,
    },
    desired::{
        request::{DesiredJob, Followed, desired},
        request_flow::CompiledFlow,
    },
    diff::{
        Problem,
        request::plan::{plan_desired, terms},
    },
    runtime::metrics::Kind,
    snapshot::FlowSource,
    status::{
        self,
        event::Note,
        look::{Look, next_of_work},
    },
    watch::{freshness::CacheBehind, stores::Filled, work::WorkReader},
};

impl MirroredKind for RequestState {
    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.metadata.annotations.as_ref()?.get(COLONY_ANNOTATION).map(String::as_str)
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }
}

/// The stages of requests, of which the operator is director, worker, or both.
pub struct RequestStages {
    /// Reads the world.
    pub reader: WorkReader,
}

impl Stages for RequestStages {
    type Object = RequestState;
    type Snapshot = Followed;
    type Desired = Option<DesiredJob>;
    type Findings = ();

    const KIND: Kind = Kind::RequestState;
    const FINALIZER: Option<&'static str> = Some(RequestState::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.filled.clone()
    }

    async fn snapshot(&self, object: &RequestState) -> Result<Followed, CacheBehind> {
        self.reader.request(object).await.map(Followed::of)
    }

    fn expressions_of(&self, request: &Followed) -> Option<(String, i64)> {
        let FlowSource::Named(flow) = &request.snapshot.flow else { return None };
        Some((flow.uid()?, flow.metadata.generation?))
    }

    fn compiler(&self, request: &Followed) -> Box<dyn FnOnce() + Send> {
        let FlowSource::Named(flow) = &request.snapshot.flow else { return Box::new(|| ()) };
        let spec = flow.spec.clone();
        Box::new(move || drop(CompiledFlow::compile(&spec)))
    }

    fn desired(&self, request: &Followed) -> Result<Self::Desired, Problem> {
        desired(request)
    }

    fn plan(&self, request: &Followed, desired: &Self::Desired) -> Planned<Self> {
        plan_desired(request, desired.as_ref()).map(|plan| (plan, ()))
    }

    fn remaining_in_colony(request: &Followed) -> Option<String> {
        terms(&request.snapshot).remaining_in_colony("process")
    }

    fn status(&self, request: &Followed, pass: Passed<'_, Self>) -> Option<Status<Self>> {
        status::request_operator::compute(request, pass.map(|carried| &carried.outcome))
    }

    fn paused(&self, _: &RequestState, request: &Followed) -> Option<Status<Self>> {
        status::request_operator::compute_paused(request)
    }

    fn dropped(&self, request: &Followed, pass: Passed<'_, Self>, status: &Status<Self>) -> Vec<Note> {
        status::request_operator::dropped_history(request, pass.map(|carried| &carried.outcome), status)
    }

    fn mirrored(object: &RequestState) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &Status<Self>) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(&self, request: &Followed, status: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look {
        let mirror = status.and_then(Self::recorded);
        next_of_work(&request.snapshot.header, mirror, pass.map(|carried| &carried.outcome))
    }
}
