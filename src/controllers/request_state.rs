//! `RequestStates`: what the five stages are for them.

use jiff::Timestamp;

use super::{
    colony::processes::MirroredKind,
    engine::{
        stages::{Look, Passed, Stages},
        work::next,
    },
};
use crate::{
    api::{
        condition::Reason,
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored},
        names::COLONY_ANNOTATION,
        request_state::{RequestState, RequestStateStatus, State},
    },
    desired::{
        DesiredProcess,
        request::{self, Obstacle},
        request_flow::CompiledFlow,
    },
    diff::{
        self, Plan, Problem,
        request::plan::{plan_cancelled, plan_deletion, terms},
        resolved,
    },
    kinds::SpecError,
    runtime::metrics::Kind,
    snapshot::RequestSnapshot,
    status::{self, event::Note},
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
    type Snapshot = RequestSnapshot;
    type Desired = Option<DesiredRequest>;
    type Findings = ();

    const KIND: Kind = Kind::RequestState;
    const FINALIZER: Option<&'static str> = Some(RequestState::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.filled.clone()
    }

    async fn snapshot(&self, object: &RequestState) -> Result<RequestSnapshot, CacheBehind> {
        self.reader.request(object).await
    }

    fn now(snapshot: &RequestSnapshot) -> Timestamp {
        snapshot.header.now
    }

    fn colony(snapshot: &RequestSnapshot) -> Option<&str> {
        snapshot.header.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, snapshot: &RequestSnapshot) -> Result<Self::Desired, Problem> {
        desired(snapshot)
    }

    fn plan(&self, snapshot: &RequestSnapshot, desired: &Self::Desired) -> Result<(Plan, ()), Problem> {
        plan(snapshot, desired.as_ref()).map(|plan| (plan, ()))
    }

    fn remaining_in_colony(snapshot: &RequestSnapshot) -> Option<String> {
        terms(snapshot).remaining_in_colony("process")
    }

    fn status(&self, snapshot: &RequestSnapshot, pass: Passed<'_, Self>) -> Option<RequestStateStatus> {
        status::request_operator::compute(snapshot, pass.map(|carried| &carried.outcome))
    }

    fn paused(&self, _: &RequestState, snapshot: &RequestSnapshot) -> Option<RequestStateStatus> {
        status::request_operator::compute_paused(snapshot)
    }

    fn dropped_history(
        &self,
        snapshot: &RequestSnapshot,
        pass: Passed<'_, Self>,
        status: &RequestStateStatus,
    ) -> Vec<Note> {
        status::request_operator::dropped_history(snapshot, pass.map(|carried| &carried.outcome), status)
    }

    fn mirrored(object: &RequestState) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &RequestStateStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(
        &self,
        snapshot: &RequestSnapshot,
        status: Option<&RequestStateStatus>,
        pass: Passed<'_, Self>,
    ) -> Look {
        let mirror = status.and_then(Self::recorded);
        pass.map_or(Look::Backoff, |carried| next(&snapshot.header, mirror, &carried.outcome))
    }
}

/// What should be of a request that continues.
pub struct DesiredRequest {
    flow: CompiledFlow,
    /// The process of its job, if one may be submitted now. An error counts only where it is to be.
    process: Result<Option<DesiredProcess>, Problem>,
}

/// Stage 2. None for a request that is cancelled or deleted.
///
/// # Errors
///
/// When its flow is not there, or cannot be followed.
pub fn desired(snapshot: &RequestSnapshot) -> Result<Option<DesiredRequest>, Problem> {
    let object = &snapshot.object;
    if object.metadata.deletion_timestamp.is_some() || object.spec.state == State::Cancelled {
        return Ok(None);
    }
    let flow = request::flow(snapshot).map_err(|obstacle| problem(&obstacle))?;
    let made = request::submittable(object).map(|generation| {
        let colony = resolved(&snapshot.header.colony)?;
        request::process(snapshot, &flow, colony, generation).map_err(|obstacle| problem(&obstacle))
    });
    let process = made.transpose();
    Ok(Some(DesiredRequest { flow, process }))
}

/// Stage 3.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(snapshot: &RequestSnapshot, desired: Option<&DesiredRequest>) -> Result<Plan, Problem> {
    match desired {
        _ if snapshot.object.metadata.deletion_timestamp.is_some() => Ok(plan_deletion(snapshot)),
        None => Ok(plan_cancelled(snapshot)),
        Some(desired) => diff::request::plan::plan(snapshot, &desired.flow, &desired.process),
    }
}

/// Stages 2 and 3, for a rehearsal.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &RequestSnapshot) -> Result<Plan, Problem> {
    plan(snapshot, desired(snapshot)?.as_ref())
}

fn problem(obstacle: &Obstacle) -> Problem {
    let reason = match obstacle {
        Obstacle::NoFlow(_) | Obstacle::BadFlow { .. } => Reason::FlowUnusable,
        Obstacle::Expression(_) => Reason::InvalidExpression,
        Obstacle::Field { error: SpecError::Missing { .. }, .. } => Reason::SourceNotFound,
        Obstacle::UnknownJob { .. } | Obstacle::Field { .. } => Reason::InvalidSpec,
    };
    Problem { reason, message: obstacle.to_string() }
}
