//! The controller of `ColonyCrons`: creates runs when it is time for them. What becomes of a run is for the controller of
//! its own kind.

use std::{convert::Infallible, fmt::Debug, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use kube::{
    Resource as _, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::{ObjectRef, Store},
    },
};
use serde::de::DeserializeOwned;

use super::{
    engine::{
        context::{Hints, Machinery},
        paused::rested,
        queue::Queue,
        retry::{Retries, jitter},
    },
    to_its_end,
};
use crate::{
    act::{
        colony_cron::carry_out,
        outcome::{CronOutcome, FailureKind},
    },
    api::{
        colony_cron::ColonyCron, colony_process::ColonyProcess, colony_workflow::ColonyWorkflow,
        condition::Reason, policy::is_paused,
    },
    desired::schedule::Schedule,
    diff::{
        Problem,
        colony_cron::{CronObstacle, CronPlan, plan},
    },
    runtime::{
        metrics::{Kind, ReconcileResult},
        shutdown::Shutdown,
    },
    snapshot::ColonyCronSnapshot,
    status,
    watch::{
        colony_cron::{CronReader, Repeated, cron_of},
        stores::{Filled, Watched},
    },
};

/// How long a pass waits for the cache unless the watch wakes it before.
const CACHE_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked whether a name that somebody else has is free: nobody tells.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How often an object is looked at for which nothing is expected to happen; a clock that is put forward meanwhile is
/// noticed that late.
const RESYNC: Duration = Duration::from_mins(8);

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
        let hints = Hints::new(vec![waker]);
        wake(processes, &hints);
        wake(workflows, &hints);
        Self {
            processes: processes.store.clone(),
            workflows: workflows.store.clone(),
            filled: vec![processes.filled.clone(), workflows.filled.clone()],
            woken,
        }
    }
}

fn wake<K>(runs: &mut Watched<DeserializeGuard<K>>, hints: &Hints<DeserializeGuard<ColonyCron>>)
where
    K: Repeated + DeserializeOwned + Debug + Send + Sync,
{
    let hints = hints.clone();
    let changes = std::mem::replace(&mut runs.changes, futures::stream::empty().boxed());
    let waking = changes.inspect_ok(move |run| {
        if let Some(cron) = cron_of(run) {
            hints.wake(&cron);
        }
    });
    runs.changes = waking.boxed();
}

struct Context {
    machinery: Arc<Machinery>,
    reader: CronReader,
    retries: Retries,
    queue: Queue<DeserializeGuard<ColonyCron>>,
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    machinery: Arc<Machinery>,
    crons: Watched<DeserializeGuard<ColonyCron>>,
    runs: Runs,
    shutdown: Shutdown,
) {
    let elections = machinery.leadership.changes().map(drop);
    let queue = Queue::new(crons.store.clone(), Kind::ColonyCron, machinery.metrics.clone());
    let reader = CronReader {
        processes: runs.processes,
        workflows: runs.workflows,
        filled: [runs.filled, vec![crons.filled]].concat(),
        writes: machinery.writes.clone(),
        clock: machinery.clock.clone(),
    };
    let changes = {
        let queue = queue.clone();
        crons.changes.inspect_ok(move |cron| queue.changed(cron))
    };
    let woken = {
        let queue = queue.clone();
        runs.woken.inspect(move |cron| queue.woken(cron))
    };
    let context = Arc::new(Context { machinery, reader, retries: Retries::default(), queue });
    let (stop, caches) = (shutdown.clone(), context.reader.filled.clone());
    let controller = Controller::for_stream(changes, crons.store)
        .with_config(Config::default().concurrency(context.machinery.configuration.concurrency))
        .reconcile_on(woken)
        .reconcile_all_on(elections)
        .graceful_shutdown_on(async move { stop.requested().await })
        .run(reconcile, |_, _, _| Action::requeue(RESYNC), context)
        .for_each(|_| futures::future::ready(()));
    to_its_end(controller, caches, shutdown).await;
}

/// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
async fn reconcile(
    guarded: Arc<DeserializeGuard<ColonyCron>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let machinery = &context.machinery;
    let Ok(cron) = &guarded.0 else {
        tracing::error!(cron = %ObjectRef::from_obj(guarded.as_ref()), "cannot be read: correct it with kubectl edit");
        return Ok(Action::requeue(RESYNC));
    };
    context.queue.begun(&guarded);
    // What a cache that is still being filled does not show may well exist.
    for filled in &context.reader.filled {
        filled.reached().await;
    }
    if !machinery.leadership.is_leader() || cron.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let started = machinery.clock.instant();
    let counted = machinery.metrics.reconcile_started(Kind::ColonyCron);
    let span = tracing::info_span!(
        "reconcile",
        kind = "ColonyCron",
        object = format!("{}/{}", cron.namespace().unwrap_or_default(), cron.name_any()),
        generation = cron.metadata.generation
    );
    let (action, result) = tracing::Instrument::instrument(Box::pin(pass(cron, &context)), span).await;
    counted.finish(result, machinery.clock.instant().saturating_duration_since(started));
    Ok(action)
}

/// The five stages.
async fn pass(cron: &ColonyCron, context: &Context) -> (Action, ReconcileResult) {
    let machinery = &context.machinery;
    let Ok(snapshot) = context.reader.snapshot(cron) else {
        machinery.metrics.count_stale_skip(Kind::ColonyCron);
        return (Action::requeue(CACHE_WAIT), ReconcileResult::Waiting);
    };
    if is_paused(&cron.metadata) {
        let status = status::paused::compute(cron.status.as_ref(), &cron.metadata, snapshot.now);
        let published = machinery.publisher.status(&(), cron, status, None).await;
        return rested(published, &cron.uid().unwrap_or_default(), &context.retries);
    }
    let (plan, problem) = decide(&snapshot);
    let namespace = cron.namespace().unwrap_or_default();
    let outcome = carry_out(&plan, &namespace, &machinery.to_cluster, &machinery.leadership).await;
    let (status, notes) = status::colony_cron::compute(&snapshot, &plan, problem.as_ref(), &outcome);
    let uid = cron.uid().unwrap_or_default();
    let written = match machinery.publisher.status(&(), cron, status, None).await {
        Ok(written) => written,
        Err(failure) => return failed(failure.kind, &failure.message, &uid, context),
    };
    if written {
        machinery.publisher.events(&cron.object_ref(&()), notes).await;
    }
    if let Some(failure) = &outcome.failure {
        return failed(failure.kind, &failure.message, &uid, context);
    }
    context.retries.reset(&uid);
    next(&snapshot, &plan, &outcome, written)
}

/// Stages 2 and 3, which are pure. A schedule that cannot be followed does not keep old runs from being deleted.
fn decide(snapshot: &ColonyCronSnapshot) -> (CronPlan, Option<Problem>) {
    let spec = &snapshot.object.spec;
    let (schedule, problem) = match Schedule::parse(&spec.schedule, spec.time_zone.as_deref()) {
        Ok(schedule) => (Some(schedule), None),
        Err(error) => (None, Some(Problem { reason: Reason::InvalidSchedule, message: error.to_string() })),
    };
    match plan(snapshot, schedule.as_ref()) {
        Ok(plan) => (plan, problem),
        Err(error) => {
            (CronPlan::default(), Some(Problem { reason: Reason::InvalidSpec, message: error.to_string() }))
        }
    }
}

fn failed(kind: FailureKind, message: &str, uid: &str, context: &Context) -> (Action, ReconcileResult) {
    tracing::debug!(?kind, "{message}");
    let delay = match kind {
        FailureKind::Conflict => context.retries.after_conflict(uid),
        _ => context.retries.after_failure(uid),
    };
    (Action::requeue(delay), ReconcileResult::Failed)
}

/// When to look again, and how the pass ended.
fn next(
    snapshot: &ColonyCronSnapshot,
    plan: &CronPlan,
    outcome: &CronOutcome,
    written: bool,
) -> (Action, ReconcileResult) {
    let result = if written || !outcome.done.is_empty() {
        ReconcileResult::Changed
    } else if plan.obstacle.is_some() {
        ReconcileResult::Waiting
    } else {
        ReconcileResult::Unchanged
    };
    let until = plan.next.and_then(|next| Duration::try_from(next.duration_since(snapshot.now)).ok());
    let usual = if matches!(plan.obstacle, Some(CronObstacle::Stranger { .. })) { LOOK_UP } else { RESYNC };
    match until {
        Some(until) if until < usual => (Action::requeue(until), result),
        _ => (Action::requeue(jitter(usual)), result),
    }
}
