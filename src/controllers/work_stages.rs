//! What the five stages are for every kind whose spec is work.

use jiff::Timestamp;
use kube::core::object::HasStatus;

use super::{
    colony::processes::MirroredKind,
    engine::{
        stages::{Look, Passed, Stages, Status},
        work::next,
    },
};
use crate::{
    act::kinds::StatusKind,
    api::{
        kind::{HasConditions, HasFinalizer, HasKind},
        mirror::{MirrorStatus, Mirrored},
        work::WorkObject,
    },
    desired::work::desired as attempt,
    diff::{Plan, Problem, problem, resolved, work_plan},
    kinds::SpecError,
    runtime::metrics::Kind,
    snapshot::WorkSnapshot,
    status::work_status::{WorkStatus, compute},
    watch::{
        freshness::CacheBehind,
        stores::Filled,
        work::{ReadWork, WorkReader},
    },
};

/// What stage 2 makes of an object. An error counts only where something is to be submitted.
pub type Attempt<W> = Result<Option<<W as crate::desired::work::DesiredWork>::Submission>, SpecError>;

/// The stages of a kind of work.
pub trait WorkStages: Send + Sync + 'static {
    /// What one pass knows of an object.
    type Snapshot: ReadWork<Object: WorkKind> + work_plan::WorkPlan + WorkStatus;

    /// Reads the world.
    fn reader(&self) -> &WorkReader;
}

/// A kind of work that has a controller.
pub trait WorkKind:
    WorkObject + HasKind + HasFinalizer + StatusKind + HasStatus<Status: HasConditions + PartialEq>
{
}

impl<K> WorkKind for K where
    K: WorkObject + HasKind + HasFinalizer + StatusKind + HasStatus<Status: HasConditions + PartialEq>
{
}

impl<K: WorkKind> MirroredKind for K {
    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.policies().colony
    }

    fn is_finished(&self) -> bool {
        self.is_over()
    }
}

impl<S: WorkStages> Stages for S {
    type Object = <S::Snapshot as WorkSnapshot>::Object;
    type Snapshot = S::Snapshot;
    type Desired = Attempt<S::Snapshot>;
    type Findings = ();

    const KIND: Kind = Self::Object::KIND;
    const FINALIZER: Option<&'static str> = Some(Self::Object::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader().filled.clone()
    }

    async fn snapshot(&self, object: &Self::Object) -> Result<S::Snapshot, CacheBehind> {
        self.reader().work(object).await
    }

    fn now(snapshot: &S::Snapshot) -> Timestamp {
        snapshot.header().now
    }

    fn colony(snapshot: &S::Snapshot) -> Option<&str> {
        snapshot.header().colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, snapshot: &S::Snapshot) -> Result<Self::Desired, Problem> {
        desired(snapshot)
    }

    fn plan(&self, snapshot: &S::Snapshot, desired: &Self::Desired) -> Result<(Plan, ()), Problem> {
        plan(snapshot, desired).map(|plan| (plan, ()))
    }

    fn remaining_in_colony(snapshot: &S::Snapshot) -> Option<String> {
        work_plan::terms(snapshot).remaining_in_colony(Self::Object::WORK)
    }

    fn status(&self, snapshot: &S::Snapshot, pass: Passed<'_, Self>) -> Option<Status<Self>> {
        Some(compute(snapshot, pass.map(|carried| &carried.outcome)))
    }

    fn mirrored(object: &Self::Object) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &Status<Self>) -> Option<&MirrorStatus> {
        Self::Object::record(status).mirror
    }

    fn next(&self, snapshot: &S::Snapshot, status: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look {
        let (header, mirror) = (snapshot.header(), status.and_then(Self::recorded));
        pass.map_or(Look::Backoff, |carried| next(header, mirror, &carried.outcome))
    }
}

/// Stage 2.
fn desired<W: work_plan::WorkPlan>(snapshot: &W) -> Result<Attempt<W>, Problem> {
    let object = snapshot.object();
    // A deleted or finished object needs none.
    if object.is_terminating() || object.is_over() {
        return Ok(Ok(None));
    }
    Ok(attempt(snapshot, resolved(&snapshot.header().colony)?))
}

/// Stage 3.
fn plan<W: work_plan::WorkPlan>(snapshot: &W, desired: &Attempt<W>) -> Result<Plan, Problem> {
    if snapshot.object().is_terminating() {
        return Ok(work_plan::plan_deletion(snapshot));
    }
    work_plan::plan(snapshot, desired).map_err(|error| problem(&error))
}

/// Stages 2 and 3, for a rehearsal.
///
/// # Errors
///
/// When there is no colony to submit to, or something is to be submitted and cannot be.
pub fn decide<W: work_plan::WorkPlan>(snapshot: &W) -> Result<Plan, Problem> {
    plan(snapshot, &desired(snapshot)?)
}
