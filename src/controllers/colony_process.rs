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
    desired,
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
    type Desired = ();
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
        snapshot.now
    }

    fn colony(snapshot: &ColonyProcessSnapshot) -> Option<&str> {
        snapshot.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, _: &ColonyProcessSnapshot) -> Result<(), Problem> {
        Ok(())
    }

    fn plan(&self, snapshot: &ColonyProcessSnapshot, (): &()) -> Result<(Plan, ()), Problem> {
        decide(snapshot).map(|plan| (plan, ()))
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
            next(snapshot.now, snapshot.submit_not_before, mirror, &carried.outcome)
        })
    }
}

/// Stages 2 and 3.
fn decide(snapshot: &ColonyProcessSnapshot) -> Result<Plan, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(diff::colony_process::plan_deletion(snapshot));
    }
    // One that is finished needs none.
    let colony = if snapshot.object.is_finished() { None } else { Some(resolved(&snapshot.colony)?) };
    let desired = |attempt| match colony {
        Some(colony) => desired::colony_process::build(snapshot, colony, attempt),
        None => Err(SpecError::Incomplete("colony")),
    };
    diff::colony_process::plan(snapshot, desired).map_err(|error| problem(&error))
}
