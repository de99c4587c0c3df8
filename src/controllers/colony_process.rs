//! `ColonyProcesses`: what the five stages are for them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{colony::processes::Carrier, engine::work::Work};
use crate::{
    act::outcome::Outcome,
    api::{
        colony_process::{ColonyProcess, ColonyProcessStatus},
        mirror::MirrorStatus,
        work::WorkState,
    },
    desired,
    diff::{self, Plan, Problem, problem, resolved},
    kinds::Error,
    runtime::metrics::Kind,
    snapshot::{ColonyProcessSnapshot, ColonyReference},
    status,
    watch::{freshness::CacheBehind, work::WorkReader},
};

impl Carrier for ColonyProcess {}

impl Work for ColonyProcess {
    type Snapshot = ColonyProcessSnapshot;
    const METERED: Kind = Kind::ColonyProcess;

    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.spec.colony.as_deref()
    }

    fn is_finished(&self) -> bool {
        self.status.as_ref().and_then(|status| status.state).is_some_and(WorkState::is_final)
    }

    async fn snapshot(&self, (): &(), reader: &WorkReader) -> Result<ColonyProcessSnapshot, CacheBehind> {
        reader.colony_process(self).await
    }

    fn circumstances(snapshot: &ColonyProcessSnapshot) -> (&ColonyReference, Timestamp, Option<Timestamp>) {
        (&snapshot.colony, snapshot.now, snapshot.submit_not_before)
    }

    fn decide(snapshot: &ColonyProcessSnapshot) -> Result<Plan, Problem> {
        if snapshot.object.metadata.deletion_timestamp.is_some() {
            return Ok(diff::colony_process::plan_deletion(snapshot));
        }
        // One that is finished needs none.
        let colony = if snapshot.object.is_finished() { None } else { Some(resolved(&snapshot.colony)?) };
        let desired = |attempt| match colony {
            Some(colony) => desired::colony_process::build(snapshot, colony, attempt),
            None => Err(Error::Incomplete("colony")),
        };
        diff::colony_process::plan(snapshot, desired).map_err(|error| problem(&error))
    }

    fn left_behind(snapshot: &ColonyProcessSnapshot) -> Option<String> {
        diff::colony_process::terms(snapshot).left_behind("process")
    }

    fn compute(
        snapshot: &ColonyProcessSnapshot,
        outcome: Result<&Outcome, &Problem>,
    ) -> Option<ColonyProcessStatus> {
        Some(status::colony_process::compute(snapshot, outcome))
    }

    fn conditions(status: &ColonyProcessStatus) -> &[Condition] {
        &status.conditions
    }

    fn recorded(status: &ColonyProcessStatus) -> Option<&MirrorStatus> {
        status.mirror.as_ref()
    }
}
