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
    desired,
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
    type Desired = ();
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
        snapshot.now
    }

    fn colony(snapshot: &ColonyWorkflowSnapshot) -> Option<&str> {
        snapshot.colony.resolved().map(|colony| colony.name.as_str())
    }

    fn desired(&self, _: &ColonyWorkflowSnapshot) -> Result<(), Problem> {
        Ok(())
    }

    fn plan(&self, snapshot: &ColonyWorkflowSnapshot, (): &()) -> Result<(Plan, ()), Problem> {
        decide(snapshot).map(|plan| (plan, ()))
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
            next(snapshot.now, snapshot.submit_not_before, mirror, &carried.outcome)
        })
    }
}

/// Stages 2 and 3.
fn decide(snapshot: &ColonyWorkflowSnapshot) -> Result<Plan, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(diff::colony_workflow::plan_deletion(snapshot));
    }
    // One that is finished needs none.
    let colony = if snapshot.object.is_finished() { None } else { Some(resolved(&snapshot.colony)?) };
    let desired = |attempt| match colony {
        Some(colony) => desired::colony_workflow::build(snapshot, colony, attempt),
        None => Err(SpecError::Incomplete("colony")),
    };
    diff::colony_workflow::plan(snapshot, desired).map_err(|error| problem(&error))
}
