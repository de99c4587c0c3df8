//! `ColonyCrons`: what the five stages are for them, and what wakes them. What becomes of a run is for the controller of its
//! own kind.

use std::{fmt::Debug, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use kube::{
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
use serde::de::DeserializeOwned;

use super::engine::{
    context::{Requeuer, Services},
    pass::Engine,
    stages::{Passed, Planned, Stages, Status},
    wiring::{self, Wiring},
};
use crate::{
    api::{colony_cron::ColonyCron, colony_process::ColonyProcess, colony_workflow::ColonyWorkflow},
    desired::{colony_cron::schedule, schedule::Schedule},
    diff::{
        Problem,
        colony_cron::{CronPlan, plan_desired},
    },
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::ColonyCronSnapshot,
    status::{self, event::Note, look::Look},
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

    fn desired(&self, snapshot: &Self::Snapshot) -> Result<Self::Desired, Problem> {
        Ok(schedule(snapshot))
    }

    fn plan(&self, snapshot: &Self::Snapshot, desired: &Self::Desired) -> Planned<Self> {
        let mut findings = plan_desired(snapshot, desired);
        Ok((std::mem::take(&mut findings.plan), findings))
    }

    fn status(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Option<Status<Self>> {
        // One that is being deleted has nothing to say any more.
        let carried = pass.ok().filter(|_| snapshot.object.metadata.deletion_timestamp.is_none())?;
        Some(status::colony_cron::compute(snapshot, &carried.findings, &carried.outcome))
    }

    fn notes(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Vec<Note> {
        pass.map_or_else(
            |_| Vec::new(),
            |carried| status::colony_cron::notes(snapshot, &carried.findings, &carried.outcome),
        )
    }

    fn next(&self, snapshot: &Self::Snapshot, _: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look {
        pass.map_or(Look::Backoff, |carried| status::colony_cron::next(snapshot, &carried.findings))
    }
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
