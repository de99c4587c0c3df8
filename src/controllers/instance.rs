//! Instances of defined kinds: what the five stages are for them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{colony::processes::Carrier, engine::work::Work};
use crate::{
    act::outcome::Outcome,
    api::{
        instance::{Instance, InstanceKind, InstanceStatus},
        mirror::{MirrorStatus, Mirrored as _},
        resource_definition::HandlerMode,
    },
    desired,
    diff::{self, Plan, Problem, problem, resolved},
    kinds::Error,
    runtime::metrics::Kind,
    snapshot::{ColonyReference, InstanceSnapshot},
    status,
    watch::{freshness::CacheBehind, work::WorkReader},
};

impl Carrier for Instance {
    const SHOWS_LOG: bool = true;
}

impl Work for Instance {
    type Snapshot = InstanceSnapshot;
    const METERED: Kind = Kind::Instance;

    fn colony<'a>(&'a self, kind: &'a InstanceKind) -> Option<&'a str> {
        kind.handler().colony.as_deref()
    }

    fn is_finished(&self) -> bool {
        let is_over =
            |mirror: &MirrorStatus| !mirror.may_live() && Some(mirror.generation) == self.metadata.generation;
        self.metadata.deletion_timestamp.is_none() && self.mirror().is_some_and(is_over)
    }

    async fn snapshot(
        &self,
        kind: &InstanceKind,
        reader: &WorkReader,
    ) -> Result<InstanceSnapshot, CacheBehind> {
        reader.instance(kind, self).await
    }

    fn circumstances(snapshot: &InstanceSnapshot) -> (&ColonyReference, Timestamp, Option<Timestamp>) {
        (&snapshot.colony, snapshot.now, snapshot.submit_not_before)
    }

    fn decide(snapshot: &InstanceSnapshot) -> Result<Plan, Problem> {
        decide(snapshot)
    }

    fn left_behind(snapshot: &InstanceSnapshot) -> Option<String> {
        match snapshot.kind.handler().mode {
            HandlerMode::Blueprint => diff::instance::left_behind_of_blueprint(snapshot),
            HandlerMode::Process | HandlerMode::Compose => {
                diff::instance::terms(snapshot).left_behind("process")
            }
        }
    }

    fn compute(snapshot: &InstanceSnapshot, outcome: Result<&Outcome, &Problem>) -> Option<InstanceStatus> {
        // What is let go says what it said last.
        (!snapshot.kind.terms().is_released).then(|| status::instance::compute(snapshot, outcome))
    }

    fn conditions(status: &InstanceStatus) -> &[Condition] {
        &status.conditions
    }

    fn recorded(status: &InstanceStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn salvaged(
        before: Option<&InstanceStatus>,
        refused: InstanceStatus,
        why: &str,
    ) -> Option<InstanceStatus> {
        status::instance::without_fields(before, refused, why)
    }
}

/// Stages 2 and 3 of an instance that is kept as a blueprint.
fn decide_blueprint(snapshot: &InstanceSnapshot) -> Result<Plan, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() || snapshot.kind.terms().is_released {
        return Ok(diff::instance::plan_blueprint_deletion(snapshot));
    }
    let colony = resolved(&snapshot.colony)?;
    diff::instance::plan_blueprint(snapshot, colony).map_err(|error| problem(&error))
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &InstanceSnapshot) -> Result<Plan, Problem> {
    if snapshot.kind.handler().mode == HandlerMode::Blueprint {
        return decide_blueprint(snapshot);
    }
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        let desired = |generation| match resolved(&snapshot.colony) {
            Ok(colony) => desired::instance::build(snapshot, colony, generation),
            Err(problem) => Err(Error::Missing {
                field: "handler.colony".to_owned(),
                what: problem.reason.as_str().to_owned(),
                why: problem.message,
            }),
        };
        return Ok(diff::instance::plan_deletion(snapshot, desired));
    }
    // One that is over, or is let go, needs none.
    let needs_colony = !snapshot.object.is_finished() && !snapshot.kind.terms().is_released;
    let colony = if needs_colony { Some(resolved(&snapshot.colony)?) } else { None };
    let desired = |generation| match colony {
        Some(colony) => desired::instance::build(snapshot, colony, generation),
        None => Err(Error::Incomplete("colony")),
    };
    diff::instance::plan(snapshot, desired).map_err(|error| problem(&error))
}
