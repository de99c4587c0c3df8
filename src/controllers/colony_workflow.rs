//! `ColonyWorkflows`: what the five stages are for them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{colony::processes::Carrier, engine::work::Work};
use crate::{
    act::outcome::Outcome,
    api::{
        colony_workflow::{ColonyWorkflow, ColonyWorkflowStatus},
        mirror::MirrorStatus,
        work::WorkState,
    },
    desired,
    diff::{self, Plan, Problem, problem, resolved},
    kinds::Error,
    runtime::metrics::Kind,
    snapshot::{ColonyReference, ColonyWorkflowSnapshot},
    status,
    watch::{freshness::CacheBehind, work::WorkReader},
};

impl Carrier for ColonyWorkflow {}

impl Work for ColonyWorkflow {
    type Snapshot = ColonyWorkflowSnapshot;
    const METERED: Kind = Kind::ColonyWorkflow;

    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.spec.colony.as_deref()
    }

    fn is_finished(&self) -> bool {
        self.status.as_ref().and_then(|status| status.state).is_some_and(WorkState::is_final)
    }

    async fn snapshot(&self, (): &(), reader: &WorkReader) -> Result<ColonyWorkflowSnapshot, CacheBehind> {
        reader.colony_workflow(self).await
    }

    fn circumstances(snapshot: &ColonyWorkflowSnapshot) -> (&ColonyReference, Timestamp, Option<Timestamp>) {
        (&snapshot.colony, snapshot.now, snapshot.submit_not_before)
    }

    fn decide(snapshot: &ColonyWorkflowSnapshot) -> Result<Plan, Problem> {
        if snapshot.object.metadata.deletion_timestamp.is_some() {
            return Ok(diff::colony_workflow::plan_deletion(snapshot));
        }
        // One that is finished needs none.
        let colony = if snapshot.object.is_finished() { None } else { Some(resolved(&snapshot.colony)?) };
        let desired = |attempt| match colony {
            Some(colony) => desired::colony_workflow::build(snapshot, colony, attempt),
            None => Err(Error::Incomplete("colony")),
        };
        diff::colony_workflow::plan(snapshot, desired).map_err(|error| problem(&error))
    }

    fn left_behind(snapshot: &ColonyWorkflowSnapshot) -> Option<String> {
        diff::colony_workflow::terms(snapshot).left_behind("workflow")
    }

    fn compute(
        snapshot: &ColonyWorkflowSnapshot,
        outcome: Result<&Outcome, &Problem>,
    ) -> Option<ColonyWorkflowStatus> {
        Some(status::colony_workflow::compute(snapshot, outcome))
    }

    fn conditions(status: &ColonyWorkflowStatus) -> &[Condition] {
        &status.conditions
    }

    fn recorded(status: &ColonyWorkflowStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }
}
