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
    desired::{self, DesiredInstance},
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

    fn needs_colony(&self, kind: &InstanceKind) -> bool {
        !self.is_finished() || kind.handler().cleanup_function.is_some()
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
    type Desired = DesiredInstance;
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
        snapshot.header.now
    }

    fn colony(snapshot: &InstanceSnapshot) -> Option<&str> {
        snapshot.header.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, snapshot: &InstanceSnapshot) -> Result<DesiredInstance, Problem> {
        desired(snapshot)
    }

    fn plan(&self, snapshot: &InstanceSnapshot, desired: &DesiredInstance) -> Result<(Plan, ()), Problem> {
        plan(snapshot, desired).map(|plan| (plan, ()))
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
        pass.map_or(Look::Backoff, |carried| next(&snapshot.header, mirror, &carried.outcome))
    }
}

/// Stage 2.
///
/// # Errors
///
/// When there is no colony to carry the instance out, or its blueprint cannot be made.
pub fn desired(snapshot: &InstanceSnapshot) -> Result<DesiredInstance, Problem> {
    let is_deleted = snapshot.object.metadata.deletion_timestamp.is_some();
    let is_released = snapshot.kind.terms().is_released;
    let colony = || resolved(&snapshot.header.colony);
    if snapshot.kind.handler().mode == HandlerMode::Blueprint {
        let made = (!is_deleted && !is_released).then(|| {
            desired::instance::blueprint(snapshot, colony()?).map(Box::new).map_err(|error| problem(&error))
        });
        return Ok(DesiredInstance::Blueprint(made.transpose()?));
    }
    if is_deleted {
        let cleanup = match colony() {
            Ok(colony) => desired::instance::cleanup(snapshot, colony),
            Err(problem) => Err(SpecError::Missing {
                field: "handler.colony".to_owned(),
                what: problem.reason.as_str().to_owned(),
                why: problem.message,
            }),
        };
        return Ok(DesiredInstance::Cleanup(cleanup));
    }
    // One that has ended, or is released, needs none.
    if snapshot.object.is_finished() || is_released {
        return Ok(DesiredInstance::Process(Ok(None)));
    }
    Ok(DesiredInstance::Process(desired::instance::process(snapshot, colony()?)))
}

/// Stage 3.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(snapshot: &InstanceSnapshot, desired: &DesiredInstance) -> Result<Plan, Problem> {
    match desired {
        DesiredInstance::Process(process) => {
            diff::instance::plan(snapshot, process).map_err(|error| problem(&error))
        }
        DesiredInstance::Cleanup(cleanup) => Ok(diff::instance::plan_deletion(snapshot, cleanup)),
        DesiredInstance::Blueprint(Some(blueprint)) => {
            Ok(diff::instance::plan_blueprint(snapshot, blueprint))
        }
        DesiredInstance::Blueprint(None) => Ok(diff::instance::plan_blueprint_deletion(snapshot)),
    }
}

/// Stages 2 and 3, for a rehearsal.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &InstanceSnapshot) -> Result<Plan, Problem> {
    plan(snapshot, &desired(snapshot)?)
}
