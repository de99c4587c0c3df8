//! `RequestStates`: what the five stages are for them. The operator is their director, their worker, or both.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{colony::processes::Carrier, engine::work::Work};
use crate::{
    act::outcome::Outcome,
    api::{
        condition::Reason,
        mirror::MirrorStatus,
        names::COLONY_ANNOTATION,
        request_state::{RequestState, RequestStateStatus, State},
    },
    desired::request::{self, Obstacle},
    diff::{Plan, Problem, request::plan, resolved},
    kinds::Error,
    runtime::metrics::Kind,
    snapshot::{ColonyReference, RequestSnapshot},
    status::{self, event::Note},
    watch::{freshness::CacheBehind, work::WorkReader},
};

impl Carrier for RequestState {}

impl Work for RequestState {
    type Snapshot = RequestSnapshot;
    const METERED: Kind = Kind::RequestState;

    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.metadata.annotations.as_ref()?.get(COLONY_ANNOTATION).map(String::as_str)
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    async fn snapshot(&self, (): &(), reader: &WorkReader) -> Result<RequestSnapshot, CacheBehind> {
        reader.request(self).await
    }

    fn circumstances(snapshot: &RequestSnapshot) -> (&ColonyReference, Timestamp, Option<Timestamp>) {
        (&snapshot.colony, snapshot.now, snapshot.submit_not_before)
    }

    fn decide(snapshot: &RequestSnapshot) -> Result<Plan, Problem> {
        if snapshot.object.metadata.deletion_timestamp.is_some() {
            return Ok(plan::plan_deletion(snapshot));
        }
        if snapshot.object.spec.state == State::Cancelled {
            return Ok(plan::plan_cancelled(snapshot));
        }
        let flow = request::flow(snapshot).map_err(|obstacle| problem(&obstacle))?;
        plan::plan(snapshot, &flow, |generation| {
            let colony = resolved(&snapshot.colony)?;
            request::process(snapshot, &flow, colony, generation).map_err(|obstacle| problem(&obstacle))
        })
    }

    fn left_behind(snapshot: &RequestSnapshot) -> Option<String> {
        plan::terms(snapshot).left_behind("process")
    }

    fn compute(
        snapshot: &RequestSnapshot,
        outcome: Result<&Outcome, &Problem>,
    ) -> Option<RequestStateStatus> {
        status::request_operator::compute(snapshot, outcome)
    }

    fn compute_paused(&self, snapshot: &RequestSnapshot) -> Option<RequestStateStatus> {
        status::request_operator::compute_paused(snapshot)
    }

    fn left_out(
        snapshot: &RequestSnapshot,
        outcome: Result<&Outcome, &Problem>,
        status: &RequestStateStatus,
    ) -> Vec<Note> {
        status::request_operator::left_out(snapshot, outcome, status)
    }

    fn conditions(status: &RequestStateStatus) -> &[Condition] {
        &status.conditions
    }

    fn recorded(status: &RequestStateStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }
}

fn problem(obstacle: &Obstacle) -> Problem {
    let reason = match obstacle {
        Obstacle::NoFlow(_) | Obstacle::BadFlow { .. } => Reason::FlowUnusable,
        Obstacle::Expression(_) => Reason::InvalidExpression,
        Obstacle::Field { error: Error::Missing { .. }, .. } => Reason::SourceNotFound,
        Obstacle::UnknownJob { .. } | Obstacle::Field { .. } => Reason::InvalidSpec,
    };
    Problem { reason, message: obstacle.to_string() }
}
