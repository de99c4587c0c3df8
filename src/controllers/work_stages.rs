//! What the five stages are for every kind whose spec is work.

use kube::core::object::HasStatus;

use super::{
    colony::processes::MirroredKind,
    engine::stages::{Passed, Planned, Stages, Status},
};
use crate::{
    act::kinds::StatusKind,
    api::{
        kind::{HasConditions, HasFinalizer, HasKind},
        mirror::{MirrorStatus, Mirrored},
        work::WorkObject,
    },
    desired::work::{Attempt, desired},
    diff::{Problem, work_plan},
    runtime::metrics::Kind,
    snapshot::{Snapshot, WorkSnapshot},
    status::{
        look::{Look, next_of_work},
        work_status::{WorkStatus, compute},
    },
    watch::{
        freshness::CacheBehind,
        stores::Filled,
        work::{ReadWork, WorkReader},
    },
};

/// The stages of a kind of work.
pub trait WorkStages: Send + Sync + 'static {
    /// What one pass knows of an object.
    type Snapshot: ReadWork<Object: WorkKind> + work_plan::WorkPlan + WorkStatus + Snapshot;

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

    fn desired(&self, snapshot: &S::Snapshot) -> Result<Self::Desired, Problem> {
        desired(snapshot)
    }

    fn plan(&self, snapshot: &S::Snapshot, desired: &Self::Desired) -> Planned<Self> {
        work_plan::plan_desired(snapshot, desired).map(|plan| (plan, ()))
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
        let stalled = status.and_then(|status| snapshot.stalled_since(status)).map(|time| time.0);
        let look = next_of_work(header, mirror, pass.map(|carried| &carried.outcome));
        look.or_when_stalled(stalled, header.now)
    }
}
