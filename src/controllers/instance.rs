//! Instances of defined kinds that processes or blueprints carry: what the five stages are for them.

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
        instance::{Instance, InstanceKind, InstanceStatus},
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored},
        resource_definition::HandlerMode,
    },
    desired,
    diff::{self, Plan, Problem, problem, resolved},
    kinds::SpecError,
    runtime::metrics::Kind,
    snapshot::InstanceSnapshot,
    status,
    watch::{freshness::CacheBehind, stores::Filled, work::WorkReader},
};

impl MirroredKind for Instance {
    const SHOWS_LOG: bool = true;

    fn colony<'a>(&'a self, kind: &'a InstanceKind) -> Option<&'a str> {
        kind.handler().colony.as_deref()
    }

    fn is_finished(&self) -> bool {
        let is_over =
            |mirror: &MirrorStatus| !mirror.may_live() && Some(mirror.generation) == self.metadata.generation;
        self.metadata.deletion_timestamp.is_none() && self.mirror().is_some_and(is_over)
    }
}

/// The stages of instances that processes or blueprints carry.
pub struct InstanceStages {
    /// Their kind.
    pub kind: InstanceKind,
    /// Reads the world.
    pub reader: WorkReader,
}

impl Stages for InstanceStages {
    type Object = Instance;
    type Snapshot = InstanceSnapshot;
    type Desired = ();
    type Findings = ();

    const KIND: Kind = Kind::Instance;
    const FINALIZER: Option<&'static str> = Some(Instance::FINALIZER);

    fn kind(&self) -> &InstanceKind {
        &self.kind
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.filled.clone()
    }

    async fn snapshot(&self, object: &Instance) -> Result<InstanceSnapshot, CacheBehind> {
        self.reader.instance(&self.kind, object).await
    }

    fn now(snapshot: &InstanceSnapshot) -> Timestamp {
        snapshot.now
    }

    fn colony(snapshot: &InstanceSnapshot) -> Option<&str> {
        snapshot.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, _: &InstanceSnapshot) -> Result<(), Problem> {
        Ok(())
    }

    fn plan(&self, snapshot: &InstanceSnapshot, (): &()) -> Result<(Plan, ()), Problem> {
        decide(snapshot).map(|plan| (plan, ()))
    }

    fn remaining_in_colony(snapshot: &InstanceSnapshot) -> Option<String> {
        match snapshot.kind.handler().mode {
            HandlerMode::Blueprint => diff::instance::left_behind_of_blueprint(snapshot),
            HandlerMode::Process | HandlerMode::Compose => {
                diff::instance::terms(snapshot).remaining_in_colony("process")
            }
        }
    }

    fn status(&self, snapshot: &InstanceSnapshot, pass: Passed<'_, Self>) -> Option<InstanceStatus> {
        // What is released says what it said last.
        let is_released = snapshot.kind.terms().is_released;
        (!is_released).then(|| status::instance::compute(snapshot, pass.map(|carried| &carried.outcome)))
    }

    fn accepted(
        before: Option<&InstanceStatus>,
        refused: InstanceStatus,
        why: &str,
    ) -> Option<InstanceStatus> {
        status::instance::without_fields(before, refused, why)
    }

    fn mirrored(object: &Instance) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &InstanceStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(
        &self,
        snapshot: &InstanceSnapshot,
        status: Option<&InstanceStatus>,
        pass: Passed<'_, Self>,
    ) -> Look {
        let mirror = status.and_then(Self::recorded);
        pass.map_or(Look::Backoff, |carried| {
            next(snapshot.now, snapshot.submit_not_before, mirror, &carried.outcome)
        })
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
            Err(problem) => Err(SpecError::Missing {
                field: "handler.colony".to_owned(),
                what: problem.reason.as_str().to_owned(),
                why: problem.message,
            }),
        };
        return Ok(diff::instance::plan_deletion(snapshot, desired));
    }
    // One that has ended, or is released, needs none.
    let needs_colony = !snapshot.object.is_finished() && !snapshot.kind.terms().is_released;
    let colony = if needs_colony { Some(resolved(&snapshot.colony)?) } else { None };
    let desired = |generation| match colony {
        Some(colony) => desired::instance::build(snapshot, colony, generation),
        None => Err(SpecError::Incomplete("colony")),
    };
    diff::instance::plan(snapshot, desired).map_err(|error| problem(&error))
}
