//! `ColonyCrons`: what the five stages are for them, and what wakes them. What becomes of a run is for the controller of its
//! own kind.

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use jiff::Timestamp;
use kube::{
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
use serde::de::DeserializeOwned;

use super::engine::{
    context::{Requeuer, Services},
    pass::{Engine, LOOK_UP, RESYNC},
    stages::{Look, Passed, Stages},
    wiring::{self, Wiring},
};
use crate::{
    api::{
        colony_cron::{ColonyCron, ColonyCronStatus},
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        condition::Reason,
    },
    desired::schedule::Schedule,
    diff::{
        Plan, Problem,
        colony_cron::{CronObstacle, CronPlan},
    },
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::ColonyCronSnapshot,
    status::{self, event::Note},
    watch::{
        colony_cron::{CronReader, ScheduledKind, cron_of},
        freshness::CacheBehind,
        stores::{Filled, Watched},
    },
};

/// The stages of crons.
pub struct CronStages {
    /// Reads the world.
    pub reader: CronReader,
}

impl Stages for CronStages {
    type Object = ColonyCron;
    type Snapshot = ColonyCronSnapshot;
    /// A schedule that cannot be followed does not keep old runs from being deleted.
    type Desired = Result<Schedule, Problem>;
    type Findings = CronPlan;

    const KIND: Kind = Kind::ColonyCron;

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        self.reader.filled.clone()
    }

    async fn snapshot(&self, object: &ColonyCron) -> Result<ColonyCronSnapshot, CacheBehind> {
        self.reader.snapshot(object)
    }

    fn now(snapshot: &ColonyCronSnapshot) -> Timestamp {
        snapshot.now
    }

    fn desired(&self, snapshot: &ColonyCronSnapshot) -> Result<Self::Desired, Problem> {
        Ok(desired(snapshot))
    }

    fn plan(
        &self,
        snapshot: &ColonyCronSnapshot,
        desired: &Self::Desired,
    ) -> Result<(Plan, CronPlan), Problem> {
        let mut findings = plan(snapshot, desired);
        Ok((std::mem::take(&mut findings.plan), findings))
    }

    fn status(&self, snapshot: &ColonyCronSnapshot, pass: Passed<'_, Self>) -> Option<ColonyCronStatus> {
        // One that is being deleted has nothing to say any more.
        let carried = pass.ok().filter(|_| snapshot.object.metadata.deletion_timestamp.is_none())?;
        Some(status::colony_cron::compute(snapshot, &carried.findings, &carried.outcome))
    }

    fn notes(&self, snapshot: &ColonyCronSnapshot, pass: Passed<'_, Self>) -> Vec<Note> {
        pass.map_or_else(
            |_| Vec::new(),
            |carried| status::colony_cron::notes(snapshot, &carried.findings, &carried.outcome),
        )
    }

    fn next(
        &self,
        snapshot: &ColonyCronSnapshot,
        _: Option<&ColonyCronStatus>,
        pass: Passed<'_, Self>,
    ) -> Look {
        let Ok(carried) = pass else { return Look::Backoff };
        let plan = &carried.findings;
        let until = plan.next.and_then(|next| Duration::try_from(next.duration_since(snapshot.now)).ok());
        let usual =
            if matches!(plan.obstacle, Some(CronObstacle::Stranger { .. })) { LOOK_UP } else { RESYNC };
        match until {
            Some(until) if until < usual => Look::After(until),
            _ => Look::About(usual),
        }
    }
}

/// Stage 2.
///
/// # Errors
///
/// When the schedule cannot be followed.
pub fn desired(snapshot: &ColonyCronSnapshot) -> Result<Schedule, Problem> {
    let spec = &snapshot.object.spec;
    Schedule::parse(&spec.schedule, spec.time_zone.as_deref())
        .map_err(|error| Problem { reason: Reason::InvalidSchedule, message: error.to_string() })
}

/// Stage 3.
#[must_use]
pub fn plan(snapshot: &ColonyCronSnapshot, desired: &Result<Schedule, Problem>) -> CronPlan {
    let planned = crate::diff::colony_cron::plan(snapshot, desired.as_ref().ok());
    let mut plan = planned.unwrap_or_else(|error| CronPlan {
        problem: Some(Problem { reason: Reason::InvalidSpec, message: error.to_string() }),
        ..CronPlan::default()
    });
    if let Err(problem) = desired {
        plan.problem.get_or_insert_with(|| problem.clone());
    }
    plan
}

/// Processes and workflows, as the controller of crons sees them: through the caches of their own controllers.
pub(super) struct Runs {
    processes: Store<DeserializeGuard<ColonyProcess>>,
    workflows: Store<DeserializeGuard<ColonyWorkflow>>,
    filled: Vec<Filled>,
    woken: UnboundedReceiver<ObjectRef<DeserializeGuard<ColonyCron>>>,
}

impl Runs {
    /// From here on, each change of a process or workflow also wakes the cron that it belongs to.
    pub fn of(
        processes: &mut Watched<DeserializeGuard<ColonyProcess>>,
        workflows: &mut Watched<DeserializeGuard<ColonyWorkflow>>,
    ) -> Self {
        let (waker, woken) = futures::channel::mpsc::unbounded();
        let requeuer = Requeuer::new(vec![waker]);
        wake(processes, &requeuer);
        wake(workflows, &requeuer);
        Self {
            processes: processes.store.clone(),
            workflows: workflows.store.clone(),
            filled: vec![processes.filled.clone(), workflows.filled.clone()],
            woken,
        }
    }
}

fn wake<K>(runs: &mut Watched<DeserializeGuard<K>>, requeuer: &Requeuer<DeserializeGuard<ColonyCron>>)
where
    K: ScheduledKind + DeserializeOwned + Debug + Send + Sync,
{
    let requeuer = requeuer.clone();
    let changes = std::mem::replace(&mut runs.changes, futures::stream::empty().boxed());
    let waking = changes.inspect_ok(move |run| {
        if let Some(cron) = cron_of(run) {
            requeuer.wake(&cron);
        }
    });
    runs.changes = waking.boxed();
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    services: Arc<Services>,
    crons: Watched<DeserializeGuard<ColonyCron>>,
    runs: Runs,
    shutdown: Shutdown,
) {
    let reader = CronReader {
        processes: runs.processes,
        workflows: runs.workflows,
        filled: [runs.filled, vec![crons.filled.clone()]].concat(),
        writes: services.writes.clone(),
        clock: services.clock.clone(),
    };
    let wiring = Wiring::new(crons, runs.woken, services.configuration.concurrency);
    wiring::run(Engine::new(services, CronStages { reader }), wiring, shutdown).await;
}
