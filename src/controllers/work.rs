//! The controller of every kind whose objects are carried by processes and make nothing in the cluster: one pass through
//! the five stages, the same for all of them. What a kind decides and says is its own.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    ResourceExt as _,
    core::{DeserializeGuard, object::HasStatus},
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::ObjectRef,
    },
};

use super::{
    context::{Hints, Machinery},
    paused::rested,
    processes::Carrier,
    queue::{Queue, Waiting},
    retry::{Retries, jitter},
    surroundings::Surroundings,
    to_its_end,
};
use crate::{
    act::{
        Target,
        kinds::Held,
        outcome::{FailureKind, Outcome, StepFailure},
    },
    api::{
        condition::Reason,
        mirror::{MirrorState, MirrorStatus},
        policy::is_paused,
    },
    desired::Error,
    diff::{KubernetesStep, Plan},
    memory::writes::{Key, PATIENCE},
    runtime::{
        metrics::{Kind, ReconcileResult},
        shutdown::Shutdown,
    },
    status::{self, Problem, event::Note, paused::Conditioned},
    watch::{
        executor_deployment::CacheBehind,
        relevance,
        snapshot::{ColonyReference, ResolvedColony},
        stores::Watched,
        triggers,
        work::WorkReader,
    },
};

/// How soon a pass follows one that wrote something.
const NEXT_STEP: Duration = Duration::from_millis(20);
/// How long a pass waits for the cache unless the watch wakes it before.
const CACHE_WAIT: Duration = Duration::from_secs(1);
/// How often something is looked for of which nobody would tell.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How often an object is looked at for which nothing is expected to happen.
const RESYNC: Duration = Duration::from_mins(8);

/// What a kind decides and says.
pub(super) trait Work:
    Carrier + Held + HasStatus<Status: Conditioned + Default + PartialEq + Clone + Send + Sync>
{
    /// What one pass knows of an object.
    type Snapshot: Send + Sync;
    /// Its name in metrics.
    const METERED: Kind;

    /// The Colony that the object, or its kind, names.
    fn colony<'a>(&'a self, kind: &'a Self::DynamicType) -> Option<&'a str>;
    /// Whether nothing becomes of it any more, but that its time may be over.
    fn is_finished(&self) -> bool;
    /// Stage 1.
    fn snapshot(
        &self,
        kind: &Self::DynamicType,
        reader: &WorkReader,
    ) -> impl Future<Output = Result<Self::Snapshot, CacheBehind>> + Send;
    /// The colony, the moment and, while nothing may be submitted, until when.
    fn circumstances(snapshot: &Self::Snapshot) -> (&ColonyReference, Timestamp, Option<Timestamp>);
    /// Stages 2 and 3.
    ///
    /// # Errors
    ///
    /// When there can be no plan.
    fn decide(snapshot: &Self::Snapshot) -> Result<Plan, Problem>;
    /// What is left of an object that is let go, for a person.
    fn left_behind(snapshot: &Self::Snapshot) -> Option<String>;
    /// Stage 5; none while nothing may be said.
    fn compute(snapshot: &Self::Snapshot, outcome: Result<&Outcome, &Problem>) -> Option<Self::Status>;
    /// Stage 5 for an object that is paused; none while nothing may be said.
    fn compute_paused(&self, snapshot: &Self::Snapshot) -> Option<Self::Status> {
        let (_, now, _) = Self::circumstances(snapshot);
        Some(status::paused::compute(self.status(), self.meta(), now))
    }
    /// What a status leaves out that was said before; told elsewhere before it is written.
    fn left_out(
        _snapshot: &Self::Snapshot,
        _outcome: Result<&Outcome, &Problem>,
        _status: &Self::Status,
    ) -> Vec<Note> {
        Vec::new()
    }
    /// The conditions in a status.
    fn conditions(status: &Self::Status) -> &[Condition];
    /// The process in a status.
    fn recorded(status: &Self::Status) -> Option<&MirrorStatus>;
    /// What can be said instead of a status that the API server refused, if anything: `before` is what stands there.
    fn salvaged(_before: Option<&Self::Status>, _refused: Self::Status, _why: &str) -> Option<Self::Status> {
        None
    }
}

/// The colony of an object.
///
/// # Errors
///
/// When there is none that it may use.
pub(super) fn resolved(colony: &ColonyReference) -> Result<&ResolvedColony, Problem> {
    match colony {
        ColonyReference::Resolved(colony) => Ok(colony),
        ColonyReference::NotFound { name } => {
            let message = status::executor_deployment::not_found(name.as_deref());
            Err(Problem { reason: Reason::ColonyNotFound, message })
        }
        ColonyReference::NotAllowed { name } => {
            let message = status::executor_deployment::not_allowed(name);
            Err(Problem { reason: Reason::NamespaceNotAllowed, message })
        }
    }
}

/// Why a spec cannot be carried out.
pub(super) fn problem(error: &Error) -> Problem {
    Problem { reason: error.reason(), message: error.to_string() }
}

/// What the controller works with.
struct Context<K: Work> {
    machinery: Arc<Machinery>,
    kind: K::DynamicType,
    reader: WorkReader,
    retries: Retries,
    queue: Queue<DeserializeGuard<K>>,
    hints: Hints<DeserializeGuard<K>>,
}

/// The objects of a kind in a scope, and what wakes them.
pub(super) struct Objects<K: Work> {
    /// Their kind.
    pub kind: K::DynamicType,
    /// The cache, and what changes in it.
    pub watched: Watched<DeserializeGuard<K>>,
    /// Objects that something outside has woken.
    pub woken: UnboundedReceiver<ObjectRef<DeserializeGuard<K>>>,
    /// Counts those that wait.
    pub waiting: Waiting<DeserializeGuard<K>>,
    /// Wakes them.
    pub hints: Hints<DeserializeGuard<K>>,
}

/// Runs the controller of a kind for one scope until the shutdown.
pub(super) async fn run<K: Work>(
    machinery: Arc<Machinery>,
    objects: Objects<K>,
    surroundings: Surroundings,
    shutdown: Shutdown,
) {
    let Objects { kind, watched: objects, woken, waiting, hints } = objects;
    tracing::debug!(kind = %K::name_of(&kind), "looking after");
    let filled = [vec![objects.filled], surroundings.filled, vec![surroundings.requests.filled.clone()]];
    let reader = WorkReader {
        client: machinery.kubernetes.calls.clone(),
        colonies: surroundings.colonies,
        processes: machinery.process_reader(),
        blueprints: machinery.blueprints.clone(),
        lines: machinery.lines.clone(),
        writes: machinery.writes.clone(),
        clock: machinery.clock.clone(),
        cluster: machinery.cluster.clone(),
        filled: filled.concat(),
        living: surroundings.living,
        requests: surroundings.requests,
    };
    let metrics = machinery.metrics.clone();
    let queue = Queue::among(waiting, objects.store.clone(), kind.clone(), K::METERED, metrics);
    let context = Arc::new(Context {
        reader,
        kind: kind.clone(),
        retries: Retries::default(),
        queue: queue.clone(),
        hints,
        machinery,
    });
    let changes = {
        let (queue, waiting) = (queue.clone(), context.machinery.object_changes.clone());
        objects.changes.inspect_ok(move |object| {
            queue.changed(object);
            waiting.send_replace(());
        })
    };
    let (name, writes) = (K::name_of(&context.kind).into_owned(), context.machinery.writes.clone());
    let changes = relevance::of_others(changes.boxed(), name, writes);
    let woken = {
        let queue = queue.clone();
        woken.inspect(move |object| queue.woken(object))
    };
    let (by_colony, by_namespace) = (objects.store.clone(), objects.store.clone());
    let (of_colony, of_namespace) = (kind.clone(), kind.clone());
    let elections = context.machinery.leadership.changes().map(drop);
    let (stop, caches) = (shutdown.clone(), context.reader.filled.clone());
    let controller = Controller::for_stream_with(changes, objects.store, kind)
        .with_config(Config::default().concurrency(context.machinery.configuration.concurrency))
        .watches_stream(surroundings.colony_changes, move |colony| {
            triggers::of_colony_to(&colony, &by_colony, &of_colony, |object: &K| {
                (!object.is_finished()).then(|| object.colony(&of_colony).map(str::to_owned))
            })
        })
        .watches_stream(surroundings.namespace_changes, move |namespace| {
            triggers::of_namespace_to(&namespace, &by_namespace, &of_namespace, |object: &K| {
                !object.is_finished()
            })
        })
        .reconcile_on(woken)
        .reconcile_all_on(elections)
        .graceful_shutdown_on(async move { stop.requested().await })
        .run(reconcile, |_, _, _| Action::requeue(RESYNC), context)
        .for_each(|_| futures::future::ready(()));
    to_its_end(controller, caches, shutdown).await;
    queue.ended();
}

/// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
async fn reconcile<K: Work>(
    guarded: Arc<DeserializeGuard<K>>,
    context: Arc<Context<K>>,
) -> Result<Action, Infallible> {
    let object = match &guarded.0 {
        Ok(object) => object,
        Err(error) => {
            let namespace = error.metadata.namespace.as_deref().unwrap_or_default();
            let name = error.metadata.name.as_deref().unwrap_or_default();
            tracing::error!(kind = %K::name_of(&context.kind), object = format!("{namespace}/{name}"), %error, "cannot be read: correct it with kubectl edit");
            return Ok(Action::requeue(RESYNC));
        }
    };
    let machinery = &context.machinery;
    context.queue.begun(&guarded);
    // What a cache that is still being filled does not show may well exist.
    for filled in &context.reader.filled {
        filled.reached().await;
    }
    if !machinery.leadership.is_leader() {
        return Ok(Action::await_change());
    }
    let started = machinery.clock.instant();
    let counted = machinery.metrics.reconcile_started(K::METERED);
    let span = tracing::info_span!(
        "reconcile",
        kind = %K::name_of(&context.kind),
        object = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()),
        generation = object.meta().generation
    );
    let (action, result) = tracing::Instrument::instrument(Box::pin(pass(object, &context)), span).await;
    counted.finish(result, machinery.clock.instant().saturating_duration_since(started));
    Ok(action)
}

/// The five stages.
async fn pass<K: Work>(object: &K, context: &Context<K>) -> (Action, ReconcileResult) {
    let machinery = &context.machinery;
    machinery.attend(object);
    let Ok(snapshot) = Box::pin(object.snapshot(&context.kind, &context.reader)).await else {
        machinery.metrics.count_stale_skip(K::METERED);
        let wait = if wakes_when_caught_up(object, context) { PATIENCE } else { CACHE_WAIT };
        return (Action::requeue(wait), ReconcileResult::Waiting);
    };
    if is_paused(object.meta()) {
        let published = match object.compute_paused(&snapshot) {
            Some(status) => publish(object, status, None, context).await,
            None => Ok(false),
        };
        return rested(published, &object.uid().unwrap_or_default(), &context.retries);
    }
    let outcome = match K::decide(&snapshot) {
        Ok(plan) => {
            let (colony, ..) = K::circumstances(&snapshot);
            let colony = colony.resolved().map(|colony| colony.name.clone());
            let connection = colony.as_deref().and_then(|colony| machinery.connections.get(colony));
            Ok(machinery
                .actor
                .execute(plan, &Target { object, kind: &context.kind, connection, colony })
                .await)
        }
        Err(problem) => Err(problem),
    };
    let uid = object.uid().unwrap_or_default();
    if outcome.as_ref().is_ok_and(is_released) {
        if let Some(message) = K::left_behind(&snapshot) {
            let note = Note { warning: true, reason: Reason::Abandoned.as_str().to_owned(), message };
            machinery.publisher.events(&object.object_ref(&context.kind), vec![note]).await;
        }
        context.retries.reset(&uid);
        machinery.let_go(&uid);
        return (Action::await_change(), ReconcileResult::Changed);
    }
    let status = K::compute(&snapshot, outcome.as_ref());
    if let Some(status) = &status {
        let notes = K::left_out(&snapshot, outcome.as_ref(), status);
        machinery.publisher.each_event(&object.object_ref(&context.kind), notes).await;
    }
    let published = match status.clone() {
        Some(status) => publish(object, status, outcome.as_ref().ok(), context).await,
        None => Ok(false),
    };
    let (action, result) = next::<K>(&snapshot, status.as_ref(), &outcome, &published, &uid, context);
    // What follows needs what was written: it begins when the cache shows that, and not before.
    if result == ReconcileResult::Changed && wakes_when_caught_up(object, context) {
        return (Action::requeue(PATIENCE), result);
    }
    (action, result)
}

/// Has the next pass over an object begin as soon as the cache shows what this process wrote of it; whether it does not
/// yet.
fn wakes_when_caught_up<K: Work>(object: &K, context: &Context<K>) -> bool {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let key = Key::new(K::name_of(&context.kind), &namespace, &name);
    let reference = ObjectRef::new_with(&name, context.kind.clone());
    let reference = if namespace.is_empty() { reference } else { reference.within(&namespace) };
    let (hints, machinery) = (context.hints.clone(), &context.machinery);
    let keys = std::slice::from_ref(&key);
    machinery.writes.when_caught_up(&key, keys, machinery.clock.instant(), move || hints.wake(&reference))
}

/// Whether the object was let go, or deleted: there is nothing left to write a status to.
pub(super) fn is_released(outcome: &Outcome) -> bool {
    outcome
        .done_kubernetes()
        .any(|step| matches!(step, KubernetesStep::RemoveFinalizer | KubernetesStep::DeleteObject { .. }))
}

async fn publish<K: Work>(
    object: &K,
    status: K::Status,
    outcome: Option<&Outcome>,
    context: &Context<K>,
) -> Result<bool, StepFailure> {
    let (machinery, kind) = (&context.machinery, &context.kind);
    let before = object.status();
    let version = outcome.and_then(|outcome| outcome.resource_version.clone());
    let written = machinery.publisher.status(kind, object, status.clone(), version.clone()).await;
    let (status, written) = match written {
        // What others put into it must not keep the rest from being said.
        Err(failure) if failure.kind == FailureKind::Refused => {
            let said = K::salvaged(before, status, &failure.message).ok_or(failure)?;
            let written = machinery.publisher.status(kind, object, said.clone(), version).await?;
            (said, written)
        }
        written => (status, written?),
    };
    let notes = status::event::transitions(before.map_or(&[], K::conditions), K::conditions(&status));
    let mirror = K::recorded(&status).cloned();
    if let Some(bound) = mirror.as_ref().filter(|mirror| mirror.process_id.is_some()) {
        machinery.submissions.settled(&bound.label);
    }
    if !written {
        return Ok(false);
    }
    // From here on the intent is on record, and this process knows that it has sent nothing yet.
    let intended = mirror.filter(|mirror| mirror.state == MirrorState::Intended);
    let intended = intended.filter(|mirror| before.and_then(K::recorded) != Some(mirror));
    if let (Some(mirror), Some(term)) = (intended, machinery.leadership.term_started_at()) {
        machinery.submissions.intended(&mirror.label, term);
    }
    machinery.publisher.events(&object.object_ref(kind), notes).await;
    Ok(true)
}

/// When to look again, and how the pass ended.
fn next<K: Work>(
    snapshot: &K::Snapshot,
    status: Option<&K::Status>,
    outcome: &Result<Outcome, Problem>,
    published: &Result<bool, StepFailure>,
    uid: &str,
    context: &Context<K>,
) -> (Action, ReconcileResult) {
    let failure = match (published, outcome) {
        (Err(failure), _) => Some(failure),
        (Ok(_), Ok(outcome)) => outcome.kubernetes_failure().or(outcome.colony_failure()),
        (Ok(_), Err(_)) => None,
    };
    if let Some(failure) = failure {
        tracing::debug!(kind = ?failure.kind, "{}", failure.message);
        let delay = match failure.kind {
            FailureKind::Conflict => context.retries.after_conflict(uid),
            _ => context.retries.after_failure(uid),
        };
        return (Action::requeue(delay), ReconcileResult::Failed);
    }
    let Ok(outcome) = outcome else {
        return (Action::requeue(context.retries.after_failure(uid)), ReconcileResult::Waiting);
    };
    context.retries.reset(uid);
    if outcome.wrote() || *published.as_ref().unwrap_or(&false) {
        return (Action::requeue(NEXT_STEP), ReconcileResult::Changed);
    }
    let (_, now, submit_not_before) = K::circumstances(snapshot);
    let until = |moment: Timestamp| Duration::try_from(moment.duration_since(now)).ok();
    let is_followed = status.and_then(K::recorded).is_some_and(|mirror| mirror.state.is_live());
    let usual = if outcome.plan.awaiting.is_empty() || is_followed { RESYNC } else { LOOK_UP };
    let due = [outcome.plan.due, submit_not_before].into_iter().flatten().filter_map(until).min();
    let result =
        if outcome.plan.awaiting.is_empty() { ReconcileResult::Unchanged } else { ReconcileResult::Waiting };
    match due {
        Some(due) if due < usual => (Action::requeue(due + NEXT_STEP), result),
        _ => (Action::requeue(jitter(usual)), result),
    }
}
