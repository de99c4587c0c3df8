//! Instances of defined kinds that processes or blueprints carry: what the five stages are for them.

use super::{
    colony::processes::MirroredKind,
    engine::stages::{Passed, Planned, Stages, Status},
};
use crate::{
    api::{
        instance::{Instance, InstanceKind},
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored},
    },
    desired::{DesiredInstance, instance::desired},
    diff::{
        Problem,
        instance::{plan_desired, remaining_in_colony},
    },
    runtime::metrics::Kind,
    snapshot::InstanceSnapshot,
    status::{
        self,
        look::{Look, next_of_work},
    },
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

    fn desired(&self, snapshot: &InstanceSnapshot) -> Result<DesiredInstance, Problem> {
        desired(snapshot)
    }

    fn plan(&self, snapshot: &Self::Snapshot, desired: &Self::Desired) -> Planned<Self> {
        plan_desired(snapshot, desired).map(|plan| (plan, ()))
    }

    fn remaining_in_colony(snapshot: &Self::Snapshot) -> Option<String> {
        remaining_in_colony(snapshot)
    }

    fn status(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Option<Status<Self>> {
        // What is released says what it said last.
        let is_released = snapshot.kind.terms().is_released;
        (!is_released).then(|| status::instance::compute(snapshot, pass.map(|carried| &carried.outcome)))
    }

    fn accepted(before: Option<&Status<Self>>, refused: Status<Self>, why: &str) -> Option<Status<Self>> {
        status::instance::without_fields(before, refused, why)
    }

    fn mirrored(object: &Instance) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &Status<Self>) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(&self, snapshot: &Self::Snapshot, status: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look {
        let mirror = status.and_then(Self::recorded);
        next_of_work(&snapshot.header, mirror, pass.map(|carried| &carried.outcome))
    }
}
