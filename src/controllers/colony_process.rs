//! `ColonyProcesses`: what the five stages are for them.

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
        colony_process::{ColonyProcess, ColonyProcessStatus},
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored},
        work::WorkState,
    },
    desired::{self, DesiredProcess},
    diff::{self, Plan, Problem, problem, resolved},
    kinds::SpecError,
    runtime::metrics::Kind,
    snapshot::ColonyProcessSnapshot,
    status,
    watch::{freshness::CacheBehind, stores::Filled, work::WorkReader},
};

impl MirroredKind for ColonyProcess {
    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.spec.colony.as_deref()
    }

    fn is_finished(&self) -> bool {
        self.status.as_ref().and_then(|status| status.state).is_some_and(WorkState::is_final)
    }
}

/// The stages of processes of users.
pub struct ProcessStages {
    /// Reads the world.
    pub reader: WorkReader,
}

impl Stages for ProcessStages {
    type Object = ColonyProcess;
    type Snapshot = ColonyProcessSnapshot;
    /// An error counts only where the process is to be submitted.
    type Desired = Result<Option<DesiredProcess>, SpecError>;
    type Findings = ();

    const KIND: Kind = Kind::ColonyProcess;
    const FINALIZER: Option<&'static str> = Some(ColonyProcess::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.filled.clone()
    }

    async fn snapshot(&self, object: &ColonyProcess) -> Result<ColonyProcessSnapshot, CacheBehind> {
        self.reader.colony_process(object).await
    }

    fn now(snapshot: &ColonyProcessSnapshot) -> Timestamp {
        snapshot.header.now
    }

    fn colony(snapshot: &ColonyProcessSnapshot) -> Option<&str> {
        snapshot.header.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, snapshot: &ColonyProcessSnapshot) -> Result<Self::Desired, Problem> {
        desired(snapshot)
    }

    fn plan(&self, snapshot: &ColonyProcessSnapshot, desired: &Self::Desired) -> Result<(Plan, ()), Problem> {
        plan(snapshot, desired).map(|plan| (plan, ()))
    }

    fn remaining_in_colony(snapshot: &ColonyProcessSnapshot) -> Option<String> {
        diff::colony_process::terms(snapshot).remaining_in_colony("process")
    }

    fn status(
        &self,
        snapshot: &ColonyProcessSnapshot,
        pass: Passed<'_, Self>,
    ) -> Option<ColonyProcessStatus> {
        Some(status::colony_process::compute(snapshot, pass.map(|carried| &carried.outcome)))
    }

    fn mirrored(object: &ColonyProcess) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &ColonyProcessStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(
        &self,
        snapshot: &ColonyProcessSnapshot,
        status: Option<&ColonyProcessStatus>,
        pass: Passed<'_, Self>,
    ) -> Look {
        let mirror = status.and_then(Self::recorded);
        pass.map_or(Look::Backoff, |carried| {
            next(snapshot.header.now, snapshot.header.submit_not_before, mirror, &carried.outcome)
        })
    }
}

/// Stage 2.
///
/// # Errors
///
/// When there is no colony to submit to.
pub fn desired(
    snapshot: &ColonyProcessSnapshot,
) -> Result<Result<Option<DesiredProcess>, SpecError>, Problem> {
    // A deleted or finished object needs none.
    if snapshot.object.metadata.deletion_timestamp.is_some() || snapshot.object.is_finished() {
        return Ok(Ok(None));
    }
    Ok(desired::colony_process::desired(snapshot, resolved(&snapshot.header.colony)?))
}

/// Stage 3.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &ColonyProcessSnapshot,
    desired: &Result<Option<DesiredProcess>, SpecError>,
) -> Result<Plan, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(diff::colony_process::plan_deletion(snapshot));
    }
    diff::colony_process::plan(snapshot, desired).map_err(|error| problem(&error))
}

/// Stages 2 and 3, for a rehearsal.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &ColonyProcessSnapshot) -> Result<Plan, Problem> {
    plan(snapshot, &desired(snapshot)?)
}
