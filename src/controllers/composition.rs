//! The controller of instances that are made of other objects: one for each such kind and scope.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Resource as _, ResourceExt as _,
    core::{DeserializeGuard, object::HasStatus as _},
    runtime::{
        Controller,
        controller::{Action, Config},
    },
};

use super::{
    context::Machinery,
    paused::rested,
    queue::Queue,
    retry::{Retries, jitter},
    to_its_end, work,
};
use crate::{
    act::{
        Target,
        outcome::{FailureKind, Outcome},
    },
    api::{
        condition::Reason,
        instance::{Instance, InstanceKind},
        policy::is_paused,
        resource_definition::ObjectKind,
    },
    desired::{
        composition::{self, Composition, Desired, Errors},
        definition::composition_of,
    },
    diff::{
        Plan,
        composition::{Report, has_ended, plan_end, plan_instance},
    },
    runtime::{
        metrics::{Kind, ReconcileResult},
        shutdown::Shutdown,
    },
    status::{self, Problem, composition::Pass},
    watch::{composition::CompositionReader, snapshot::CompositionSnapshot, stores::Filled},
};

/// How soon a pass follows one that wrote something.
const NEXT_STEP: Duration = Duration::from_millis(20);
/// How long a pass waits for the cache unless the watch wakes it before.
const CACHE_WAIT: Duration = Duration::from_secs(1);
/// How often something is looked for of which nobody would tell.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How often an object is looked at for which nothing is expected to happen.
const RESYNC: Duration = Duration::from_mins(8);

/// The kinds whose objects say by a condition `Ready` when they are; others are defined and go at any time.
pub(super) type Telling = Arc<dyn Fn() -> BTreeSet<ObjectKind> + Send + Sync>;

/// What the controller works with.
struct Context {
    machinery: Arc<Machinery>,
    kind: InstanceKind,
    /// The definition as it was when the controller began; another begins anew.
    composition: Result<Composition, Errors>,
    made: BTreeSet<ObjectKind>,
    telling: Telling,
    reader: CompositionReader,
    filled: Filled,
    retries: Retries,
    queue: Queue<DeserializeGuard<Instance>>,
}

/// What a plan is for, and what follows from it.
pub struct Decision {
    /// What the instance should be made of; none while it is deleted, or has ended.
    pub desired: Option<Desired>,
    /// What is left as it is.
    pub report: Report,
    /// What to do.
    pub plan: Plan,
}

/// Runs the controller for one scope until the shutdown.
pub(super) async fn run(
    machinery: Arc<Machinery>,
    objects: work::Objects<Instance>,
    reader: CompositionReader,
    telling: Telling,
    shutdown: Shutdown,
) {
    let work::Objects { kind, watched: objects, woken, waiting, .. } = objects;
    let composition = composition_of(&kind);
    let made = composition.iter().flat_map(|composition| composition.kinds().cloned()).collect();
    let metrics = machinery.metrics.clone();
    let queue = Queue::among(waiting, objects.store.clone(), kind.clone(), Kind::Instance, metrics);
    let elections = machinery.leadership.changes().map(drop);
    let concurrency = machinery.configuration.concurrency;
    let context = Arc::new(Context {
        machinery,
        kind: kind.clone(),
        composition,
        made,
        telling,
        reader,
        filled: objects.filled.clone(),
        retries: Retries::default(),
        queue: queue.clone(),
    });
    let changes = {
        let (queue, waiting) = (queue.clone(), context.machinery.object_changes.clone());
        objects.changes.inspect_ok(move |object| {
            queue.changed(object);
            waiting.send_replace(());
        })
    };
    let woken = {
        let queue = queue.clone();
        woken.inspect(move |object| queue.woken(object))
    };
    let (stop, caches) = (shutdown.clone(), vec![context.filled.clone()]);
    let controller = Controller::for_stream_with(changes, objects.store, kind)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(woken)
        .reconcile_all_on(elections)
        .graceful_shutdown_on(async move { stop.requested().await })
        .run(reconcile, |_, _, _| Action::requeue(RESYNC), context)
        .for_each(|_| futures::future::ready(()));
    to_its_end(controller, caches, shutdown).await;
    queue.ended();
}

/// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
async fn reconcile(
    guarded: Arc<DeserializeGuard<Instance>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let object = match &guarded.0 {
        Ok(object) => object,
        Err(error) => {
            let namespace = error.metadata.namespace.as_deref().unwrap_or_default();
            let name = error.metadata.name.as_deref().unwrap_or_default();
            tracing::error!(kind = context.kind.name(), object = format!("{namespace}/{name}"), %error, "cannot be read: correct it with kubectl edit");
            return Ok(Action::requeue(RESYNC));
        }
    };
    let machinery = &context.machinery;
    context.queue.begun(&guarded);
    context.filled.reached().await;
    if !machinery.leadership.is_leader() {
        return Ok(Action::await_change());
    }
    let started = machinery.clock.instant();
    let counted = machinery.metrics.reconcile_started(Kind::Instance);
    let span = tracing::info_span!(
        "reconcile",
        kind = context.kind.name(),
        object = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()),
        generation = object.metadata.generation
    );
    let (action, result) = tracing::Instrument::instrument(Box::pin(pass(object, &context)), span).await;
    counted.finish(result, machinery.clock.instant().saturating_duration_since(started));
    Ok(action)
}

/// The five stages.
async fn pass(object: &Instance, context: &Context) -> (Action, ReconcileResult) {
    let machinery = &context.machinery;
    let (made, telling) = (context.made.clone(), (context.telling)());
    let Ok(mut snapshot) = context.reader.snapshot(&context.kind, object, made, telling).await else {
        machinery.metrics.count_stale_skip(Kind::Instance);
        return (Action::requeue(CACHE_WAIT), ReconcileResult::Waiting);
    };
    if is_paused(&object.metadata) {
        return rest(object, &snapshot, context).await;
    }
    let names = unseen(&snapshot, context.composition.as_ref().ok());
    context.reader.look_up(&mut snapshot, names).await;
    let outcome = match decide(&snapshot, context.composition.as_ref()) {
        Ok(Decision { desired, report, plan }) => {
            let target = Target { object, kind: &context.kind, connection: None, colony: None };
            Ok((desired, report, machinery.actor.execute(plan, &target).await))
        }
        Err(problem) => Err(problem),
    };
    let uid = object.uid().unwrap_or_default();
    if outcome.as_ref().is_ok_and(|(.., outcome)| work::is_released(outcome)) {
        context.retries.reset(&uid);
        return (Action::await_change(), ReconcileResult::Changed);
    }
    if snapshot.kind.terms().is_released {
        // What is let go says what it said last.
        return (Action::await_change(), ReconcileResult::Unchanged);
    }
    let said = outcome.as_ref().map(|(desired, report, outcome)| Pass {
        desired: desired.as_ref(),
        report,
        outcome,
    });
    let status = status::composition::compute(&snapshot, &context.made, said);
    let before = object.status().map_or(&[][..], |before| &before.conditions);
    let notes = status::event::transitions(before, &status.conditions);
    let version = outcome.as_ref().ok().and_then(|(.., outcome)| outcome.resource_version.clone());
    let published = machinery.publisher.status(&context.kind, object, status, version).await;
    if matches!(published, Ok(true)) {
        machinery.publisher.events(&object.object_ref(&context.kind), notes).await;
    }
    let failure = match (&published, &outcome) {
        (Err(failure), _) => Some(failure.clone()),
        (Ok(_), Ok((.., outcome))) => outcome.kubernetes_failure().cloned(),
        (Ok(_), Err(_)) => None,
    };
    if let Some(failure) = failure {
        tracing::debug!(kind = ?failure.kind, "{}", failure.message);
        let delay = match failure.kind {
            FailureKind::Conflict => context.retries.after_conflict(&uid),
            _ => context.retries.after_failure(&uid),
        };
        return (Action::requeue(delay), ReconcileResult::Failed);
    }
    let is_written = published.unwrap_or(false);
    next(&snapshot, outcome.as_ref().map(|(_, report, outcome)| (report, outcome)), is_written, &uid, context)
}

/// What is left of a pass over an instance that is paused: to say so.
async fn rest(
    object: &Instance,
    snapshot: &CompositionSnapshot,
    context: &Context,
) -> (Action, ReconcileResult) {
    let publisher = &context.machinery.publisher;
    let status = status::paused::compute(object.status(), &object.metadata, snapshot.now);
    let before = object.status().map_or(&[][..], |before| &before.conditions);
    let notes = status::event::transitions(before, &status.conditions);
    let written = publisher.status(&context.kind, object, status, None).await;
    if matches!(written, Ok(true)) {
        publisher.events(&object.object_ref(&context.kind), notes).await;
    }
    rested(written, &object.uid().unwrap_or_default(), &context.retries)
}

/// Objects that matter to an instance although they may be anybody's, and that no watch shows.
fn unseen(snapshot: &CompositionSnapshot, composition: Option<&Composition>) -> Vec<(ObjectKind, String)> {
    let is_needed = snapshot.object.metadata.deletion_timestamp.is_none() && !has_ended(snapshot);
    let Some(composition) = composition.filter(|one| is_needed && one.is_about_others()) else {
        return Vec::new();
    };
    // What stands in the way of this stands in the way of the pass, which says so.
    let desired = composition::Instance::read(&snapshot.object, &snapshot.kind)
        .ok()
        .and_then(|instance| composition.desired(&instance, &snapshot.children, &snapshot.telling).ok());
    desired.map(|desired| desired.unseen(&snapshot.children)).unwrap_or_default()
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(
    snapshot: &CompositionSnapshot,
    composition: Result<&Composition, &Errors>,
) -> Result<Decision, Problem> {
    let instance = composition::Instance::read(&snapshot.object, &snapshot.kind)
        .map_err(|error| Problem { reason: Reason::InvalidSpec, message: error.to_string() })?;
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        let plan = plan_end(snapshot, composition.ok(), &instance);
        return Ok(Decision { desired: None, report: Report::default(), plan });
    }
    let composition =
        composition.map_err(|errors| Problem { reason: errors.reason(), message: errors.to_string() })?;
    if has_ended(snapshot) {
        return Ok(Decision { desired: None, report: Report::default(), plan: Plan::default() });
    }
    let desired = composition
        .desired(&instance, &snapshot.children, &snapshot.telling)
        .map_err(|error| Problem { reason: error.reason(), message: error.to_string() })?;
    let (plan, report) = plan_instance(snapshot, composition, &instance, &desired);
    Ok(Decision { desired: Some(desired), report, plan })
}

/// When to look again, and how the pass ended.
fn next(
    snapshot: &CompositionSnapshot,
    outcome: Result<(&Report, &Outcome), &Problem>,
    is_written: bool,
    uid: &str,
    context: &Context,
) -> (Action, ReconcileResult) {
    let Ok((report, outcome)) = outcome else {
        return (Action::requeue(context.retries.after_failure(uid)), ReconcileResult::Waiting);
    };
    context.retries.reset(uid);
    if outcome.wrote() || is_written {
        return (Action::requeue(NEXT_STEP), ReconcileResult::Changed);
    }
    // Objects of the instance wake it; a stranger's, and a kind that is yet to be served, do not.
    let is_untold = !report.foreign.is_empty()
        || context.composition.as_ref().is_ok_and(Composition::is_about_others)
        || !snapshot.unserved.is_empty()
        || snapshot.children.values().any(|found| found.unknown().is_some());
    let usual = if is_untold { LOOK_UP } else { RESYNC };
    let is_waiting = !outcome.plan.awaiting.is_empty();
    let result = if is_waiting { ReconcileResult::Waiting } else { ReconcileResult::Unchanged };
    (Action::requeue(jitter(usual)), result)
}
