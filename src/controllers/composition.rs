//! Instances that are made of other objects: what the five stages are for them, and what wakes them.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::engine::{
    context::Services,
    pass::{Engine, LOOK_UP, RESYNC},
    stages::{Look, Passed, Stages},
    wiring::{self, Wiring},
    work::Objects,
};
use crate::{
    api::{
        condition::Reason,
        instance::{Instance, InstanceKind, InstanceStatus},
        kind::HasFinalizer as _,
        resource_definition::ObjectKind,
    },
    diff::{
        Plan, Problem,
        composition::{Report, has_ended, plan_end, plan_instance},
    },
    kinds::{
        composition::{self, Composition, CompositionErrors, Desired},
        definition::composition_of,
    },
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::CompositionSnapshot,
    status::{self, composition::Pass},
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

/// What an instance should be made of.
pub struct Wanted {
    /// The instance, as templates see it.
    pub instance: composition::Instance,
    /// Its parts; none while it is deleted, or has ended.
    pub parts: Option<Desired>,
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
    type Desired = Wanted;
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

    fn now(snapshot: &CompositionSnapshot) -> Timestamp {
        snapshot.now
    }

    fn desired(&self, snapshot: &CompositionSnapshot) -> Result<Wanted, Problem> {
        desired(snapshot, self.composition.as_ref())
    }

    /// Objects that matter to an instance although they may belong to others, and that no watch shows.
    async fn look_up(&self, snapshot: &mut CompositionSnapshot, desired: &Wanted) -> bool {
        let references_foreign_objects =
            self.composition.as_ref().is_ok_and(Composition::references_foreign_objects);
        let parts = desired.parts.as_ref().filter(|_| references_foreign_objects);
        let unseen = parts.map(|parts| parts.unseen(&snapshot.children)).unwrap_or_default();
        if unseen.is_empty() {
            return false;
        }
        self.reader.look_up(snapshot, unseen).await;
        true
    }

    fn plan(&self, snapshot: &CompositionSnapshot, desired: &Wanted) -> Result<(Plan, Report), Problem> {
        Ok(plan(snapshot, self.composition.as_ref().ok(), desired))
    }

    fn status(&self, snapshot: &CompositionSnapshot, pass: Passed<'_, Self>) -> Option<InstanceStatus> {
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

    fn next(
        &self,
        snapshot: &CompositionSnapshot,
        _: Option<&InstanceStatus>,
        pass: Passed<'_, Self>,
    ) -> Look {
        if snapshot.kind.terms().is_released {
            return Look::Never;
        }
        let Ok(carried) = pass else { return Look::Backoff };
        // Objects of the instance wake it; an object of another owner, and a kind that is not served yet, do not.
        let is_untold = !carried.findings.foreign.is_empty()
            || self.composition.as_ref().is_ok_and(Composition::references_foreign_objects)
            || !snapshot.unserved.is_empty()
            || snapshot.children.values().any(|found| found.unknown().is_some());
        Look::About(if is_untold { LOOK_UP } else { RESYNC })
    }
}

/// Stage 2.
///
/// # Errors
///
/// When the instance cannot be read, or its parts cannot be rendered.
pub fn desired(
    snapshot: &CompositionSnapshot,
    composition: Result<&Composition, &CompositionErrors>,
) -> Result<Wanted, Problem> {
    let instance = composition::Instance::read(&snapshot.object, &snapshot.kind)
        .map_err(|error| Problem { reason: Reason::InvalidSpec, message: error.to_string() })?;
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(Wanted { instance, parts: None });
    }
    let composition =
        composition.map_err(|errors| Problem { reason: errors.reason(), message: errors.to_string() })?;
    if has_ended(snapshot) {
        return Ok(Wanted { instance, parts: None });
    }
    let parts = composition
        .desired(&instance, &snapshot.children, &snapshot.kinds_with_readiness)
        .map_err(|error| Problem { reason: error.reason(), message: error.to_string() })?;
    Ok(Wanted { instance, parts: Some(parts) })
}

/// Stage 3: the plan, and what is left as it is.
#[must_use]
pub fn plan(
    snapshot: &CompositionSnapshot,
    composition: Option<&Composition>,
    desired: &Wanted,
) -> (Plan, Report) {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return (plan_end(snapshot, composition, &desired.instance), Report::default());
    }
    match (composition, &desired.parts) {
        (Some(composition), Some(parts)) => plan_instance(snapshot, composition, &desired.instance, parts),
        _ => (Plan::default(), Report::default()),
    }
}

/// What a plan is for, and what follows from it.
pub struct Decision {
    /// What the instance should be made of; none while it is deleted, or has ended.
    pub desired: Option<Desired>,
    /// What is left as it is.
    pub report: Report,
    /// What to do.
    pub plan: Plan,
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(
    snapshot: &CompositionSnapshot,
    composition: Result<&Composition, &CompositionErrors>,
) -> Result<Decision, Problem> {
    let desired = desired(snapshot, composition)?;
    let (plan, report) = plan(snapshot, composition.ok(), &desired);
    Ok(Decision { desired: desired.parts, report, plan })
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
