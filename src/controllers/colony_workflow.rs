//! `ColonyWorkflows`: what the five stages are for them.

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
        colony_workflow::{ColonyWorkflow, ColonyWorkflowStatus},
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored},
        work::WorkState,
    },
    desired::{self, DesiredWorkflow},
    diff::{self, Plan, Problem, problem, resolved},
    kinds::SpecError,
    runtime::metrics::Kind,
    snapshot::ColonyWorkflowSnapshot,
    status,
    watch::{freshness::CacheBehind, stores::Filled, work::WorkReader},
};

impl MirroredKind for ColonyWorkflow {
    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.spec.colony.as_deref()
    }

    fn is_finished(&self) -> bool {
        self.status.as_ref().and_then(|status| status.state).is_some_and(WorkState::is_final)
    }
}

/// The stages of workflows of users.
pub struct WorkflowStages {
    /// Reads the world.
    pub reader: WorkReader,
}

impl Stages for WorkflowStages {
    type Object = ColonyWorkflow;
    type Snapshot = ColonyWorkflowSnapshot;
    /// An error counts only where the workflow is to be submitted.
    type Desired = Result<Option<DesiredWorkflow>, SpecError>;
    type Findings = ();

    const KIND: Kind = Kind::ColonyWorkflow;
    const FINALIZER: Option<&'static str> = Some(ColonyWorkflow::FINALIZER);

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.filled.clone()
    }

    async fn snapshot(&self, object: &ColonyWorkflow) -> Result<ColonyWorkflowSnapshot, CacheBehind> {
        self.reader.colony_workflow(object).await
    }

    fn now(snapshot: &ColonyWorkflowSnapshot) -> Timestamp {
        snapshot.header.now
    }

    fn colony(snapshot: &ColonyWorkflowSnapshot) -> Option<&str> {
        snapshot.header.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, snapshot: &ColonyWorkflowSnapshot) -> Result<Self::Desired, Problem> {
        desired(snapshot)
    }

    fn plan(
        &self,
        snapshot: &ColonyWorkflowSnapshot,
        desired: &Self::Desired,
    ) -> Result<(Plan, ()), Problem> {
        plan(snapshot, desired).map(|plan| (plan, ()))
    }

    fn remaining_in_colony(snapshot: &ColonyWorkflowSnapshot) -> Option<String> {
        diff::colony_workflow::terms(snapshot).remaining_in_colony("workflow")
    }

    fn status(
        &self,
        snapshot: &ColonyWorkflowSnapshot,
        pass: Passed<'_, Self>,
    ) -> Option<ColonyWorkflowStatus> {
        Some(status::colony_workflow::compute(snapshot, pass.map(|carried| &carried.outcome)))
    }

    fn mirrored(object: &ColonyWorkflow) -> Option<&dyn Mirrored> {
        Some(object)
    }

    fn recorded(status: &ColonyWorkflowStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }

    fn next(
        &self,
        snapshot: &ColonyWorkflowSnapshot,
        status: Option<&ColonyWorkflowStatus>,
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
    snapshot: &ColonyWorkflowSnapshot,
) -> Result<Result<Option<DesiredWorkflow>, SpecError>, Problem> {
    // A deleted or finished object needs none.
    if snapshot.object.metadata.deletion_timestamp.is_some() || snapshot.object.is_finished() {
        return Ok(Ok(None));
    }
    Ok(desired::colony_workflow::desired(snapshot, resolved(&snapshot.header.colony)?))
}

/// Stage 3.
///
/// # Errors
///
/// When something is to be submitted and cannot be.
pub fn plan(
    snapshot: &ColonyWorkflowSnapshot,
    desired: &Result<Option<DesiredWorkflow>, SpecError>,
) -> Result<Plan, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(diff::colony_workflow::plan_deletion(snapshot));
    }
    diff::colony_workflow::plan(snapshot, desired).map_err(|error| problem(&error))
}

/// Stages 2 and 3, for a rehearsal.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &ColonyWorkflowSnapshot) -> Result<Plan, Problem> {
    plan(snapshot, &desired(snapshot)?)
}
