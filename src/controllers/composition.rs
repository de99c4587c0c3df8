//! Instances that are made of other objects: what the five stages are for them, and what wakes them.

use std::{collections::BTreeSet, sync::Arc};

use super::engine::{
    context::Services,
    pass::Engine,
    stages::{Passed, Planned, Stages, Status},
    wiring::{self, Wiring},
    work::Objects,
};
use crate::{
    api::{
        instance::{Instance, InstanceKind},
        kind::HasFinalizer as _,
        resource_definition::ObjectKind,
    },
    desired::composition::{DesiredParts, desired},
    diff::{
        Problem,
        composition::{Report, plan_desired},
    },
    kinds::{
        composition::{Composition, CompositionErrors},
        definition::composition_of,
    },
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::CompositionSnapshot,
    status::{self, composition::Pass, look::Look},
    watch::{composition::CompositionReader, freshness::CacheBehind, stores::Filled},
};

/// The kinds whose objects report readiness by a condition `Ready`; others are defined and go at any time.
pub type KindsWithReadiness = Arc<dyn Fn() -> BTreeSet<ObjectKind> + Send + Sync>;

/// The stages of instances that are made of other objects.
pub struct CompositionStages {
    /// Their kind.
    pub kind: InstanceKind,
    /// The definition as it was when the controller began; another restarts it.
    composition: Result<Composition, CompositionErrors>,
    made: BTreeSet<ObjectKind>,
    kinds_with_readiness: KindsWithReadiness,
    reader: CompositionReader,
    filled: Filled,
}

impl CompositionStages {
    /// Stages for a kind whose objects `reader` reads.
    #[must_use]
    pub fn new(
        kind: InstanceKind,
        filled: Filled,
        reader: CompositionReader,
        kinds_with_readiness: KindsWithReadiness,
    ) -> Self {
        let composition = composition_of(&kind);
        let made = composition.iter().flat_map(|composition| composition.kinds().cloned()).collect();
        Self { kind, composition, made, kinds_with_readiness, reader, filled }
    }
}

impl Stages for CompositionStages {
    type Object = Instance;
    type Snapshot = CompositionSnapshot;
    type Desired = DesiredParts;
    type Findings = Report;

    const KIND: Kind = Kind::Instance;
    const FINALIZER: Option<&'static str> = Some(Instance::FINALIZER);

    fn kind(&self) -> &InstanceKind {
        &self.kind
    }

    fn caches(&self) -> Vec<Filled> {
        vec![self.filled.clone()]
    }

    async fn snapshot(&self, object: &Instance) -> Result<CompositionSnapshot, CacheBehind> {
        self.reader.snapshot(&self.kind, object, self.made.clone(), (self.kinds_with_readiness)()).await
    }

    fn desired(&self, snapshot: &Self::Snapshot) -> Result<DesiredParts, Problem> {
        desired(snapshot, self.composition.as_ref())
    }

    /// Objects that matter to an instance although they may belong to others, and that no watch shows.
    async fn look_up(&self, snapshot: &mut Self::Snapshot, desired: &DesiredParts) -> bool {
        let unseen = desired.unseen(self.composition.as_ref().ok(), &snapshot.children);
        if unseen.is_empty() {
            return false;
        }
        self.reader.look_up(snapshot, unseen).await;
        true
    }

    fn plan(&self, snapshot: &Self::Snapshot, desired: &DesiredParts) -> Planned<Self> {
        Ok(plan_desired(snapshot, self.composition.as_ref().ok(), desired))
    }

    fn status(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Option<Status<Self>> {
        // What is released says what it said last.
        if snapshot.kind.terms().is_released {
            return None;
        }
        let pass = pass.map(|carried| Pass {
            desired: carried.desired.parts.as_ref(),
            report: &carried.findings,
            outcome: &carried.outcome,
        });
        Some(status::composition::compute(snapshot, &self.made, pass))
    }

    fn accepted(before: Option<&Status<Self>>, refused: Status<Self>, why: &str) -> Option<Status<Self>> {
        status::instance::without_fields(before, refused, why)
    }

    fn next(&self, snapshot: &Self::Snapshot, _: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look {
        let pass = pass.map(|carried| &carried.findings);
        status::composition::next(snapshot, self.composition.as_ref().ok(), pass)
    }
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    services: Arc<Services>,
    objects: Objects<Instance>,
    reader: CompositionReader,
    kinds_with_readiness: KindsWithReadiness,
    shutdown: Shutdown,
) {
    let Objects { kind, watched, woken, waiting } = objects;
    let stages = CompositionStages::new(kind, watched.filled.clone(), reader, kinds_with_readiness);
    let mut wiring = Wiring::new(watched, woken, services.configuration.concurrency);
    wiring.waiting = waiting;
    wiring::run(Engine::new(services, stages), wiring, shutdown).await;
}
