//! The controller of `ExecutorDeployments`: one pass through the five stages.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::ObjectRef,
    },
};

use super::{
    context::{Context, Hints, Machinery},
    paused::rested,
    queue::Queue,
    retry::{Retries, jitter},
    to_its_end,
};
use crate::{
    act::{
        Target,
        outcome::{FailureKind, Outcome, StepFailure},
    },
    api::{
        condition::Reason,
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        mirror::MirrorState,
        policy::{AdoptionPolicy, is_paused},
    },
    desired, diff,
    diff::{KubernetesStep, Plan},
    memory::writes::{Key, PATIENCE},
    runtime::{
        metrics::{Kind, ReconcileResult},
        shutdown::Shutdown,
    },
    status::{self, Problem, event::Note},
    watch::{
        colonies::Colonies,
        executor_deployment::{Reader, Stores},
        relevance,
        snapshot::{ColonyReference, ExecutorDeploymentSnapshot, Policy},
        stores::{self, Changes, GuardedExecutorDeployment, Scope, Watched},
        triggers,
    },
};

/// How soon a pass follows one that wrote something.
const NEXT_STEP: Duration = Duration::from_millis(20);
/// How long a pass waits for the cache unless the watch wakes it before.
const CACHE_WAIT: Duration = Duration::from_secs(1);
/// How often something is looked for in a colony that nobody would tell of.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How often an object is looked at for which nothing is expected to happen.
const RESYNC: Duration = Duration::from_mins(8);

/// Runs the controller for one scope until the shutdown.
pub async fn run(
    machinery: Arc<Machinery>,
    scope: Scope,
    objects: Watched<GuardedExecutorDeployment>,
    woken: UnboundedReceiver<ObjectRef<GuardedExecutorDeployment>>,
    hints: Hints<GuardedExecutorDeployment>,
    shutdown: Shutdown,
) {
    let client = &machinery.kubernetes.watches;
    let deployments = stores::deployments(client, &scope, &machinery.writes);
    let daemon_sets = stores::daemon_sets(client, &scope, &machinery.writes);
    let jobs = stores::jobs(client, &scope, &machinery.writes);
    let pods = stores::pods(client, &scope);
    let colonies = stores::colonies(client, &machinery.configuration.cluster_selector);
    let namespaces = stores::namespaces(client);
    let stores = Stores {
        filled: vec![
            objects.filled,
            deployments.filled,
            daemon_sets.filled,
            jobs.filled,
            pods.filled,
            colonies.filled,
            namespaces.filled,
        ],
        executor_deployments: objects.index.clone(),
        deployments: deployments.store,
        daemon_sets: daemon_sets.store,
        jobs: jobs.store,
        pods: pods.index,
    };
    let writes = machinery.writes.clone();
    let deployment_changes = relevance::relevant(
        deployments.changes,
        stores.deployments.clone(),
        "Deployment",
        writes.clone(),
        relevance::of_deployment,
    );
    let daemon_set_changes = relevance::relevant(
        daemon_sets.changes,
        stores.daemon_sets.clone(),
        "DaemonSet",
        writes.clone(),
        relevance::of_daemon_set,
    );
    let job_changes =
        relevance::relevant(jobs.changes, stores.jobs.clone(), "Job", writes.clone(), relevance::of_job);
    let fleets = objects.index.clone();
    let pod_changes = relevance::relevant(
        pods.changes,
        stores.pods.store().clone(),
        "Pod",
        writes.clone(),
        move |pod: &Pod| relevance::of_pod(pod, &fleets),
    );
    let found_in = Colonies {
        colonies: colonies.store,
        namespaces: namespaces.store,
        connections: machinery.connections.clone(),
    };
    let queue = Queue::new(objects.store.clone(), Kind::ExecutorDeployment, machinery.metrics.clone());
    let context = Arc::new(Context {
        reader: reader(&machinery, stores, found_in),
        retries: Retries::default(),
        queue: queue.clone(),
        hints: hints.clone(),
        machinery,
    });
    let changes = {
        let (siblings, queue) = (triggers::Siblings::new(objects.index.clone()), queue.clone());
        let waiting = context.machinery.object_changes.clone();
        objects.changes.inspect_ok(move |object| {
            queue.changed(object);
            waiting.send_replace(());
            if let DeserializeGuard(Ok(object)) = object {
                for sibling in siblings.of(object) {
                    hints.wake(&sibling);
                }
            }
        })
    };
    let changes = relevance::of_others(changes.boxed(), "ExecutorDeployment", writes);
    let woken = {
        let queue = queue.clone();
        woken.inspect(move |object| queue.woken(object))
    };
    let (by_colony, by_namespace) = (objects.store.clone(), objects.store.clone());
    let elections = context.machinery.leadership.changes().map(drop);
    let (stop, caches) = (shutdown.clone(), context.reader.stores.filled.clone());
    let controller = Controller::for_stream(changes, objects.store)
        .with_config(Config::default().concurrency(context.machinery.configuration.concurrency))
        .owns_stream(counted(deployment_changes, &queue))
        .owns_stream(counted(daemon_set_changes, &queue))
        .owns_stream(counted(job_changes, &queue))
        .watches_stream(pod_changes, move |pod| triggers::of_pod(&pod).inspect(|object| queue.woken(object)))
        .watches_stream(colonies.changes, move |colony| triggers::of_colony(&colony, &by_colony))
        .watches_stream(namespaces.changes, move |namespace| {
            triggers::of_namespace(&namespace, &by_namespace)
        })
        .reconcile_on(woken)
        .reconcile_all_on(elections)
        .graceful_shutdown_on(async move { stop.requested().await })
        .run(reconcile, |_, _, _| Action::requeue(RESYNC), context)
        .for_each(|_| futures::future::ready(()));
    to_its_end(controller, caches, shutdown).await;
}

/// Changes of children, each noted as a reason for a pass over its owner.
fn counted<K: Resource<DynamicType = ()> + 'static>(
    changes: Changes<K>,
    queue: &Queue<GuardedExecutorDeployment>,
) -> Changes<K> {
    let queue = queue.clone();
    changes.inspect_ok(move |child| queue.child_changed(child)).boxed()
}

fn reader(machinery: &Machinery, stores: Stores, colonies: Colonies) -> Reader {
    let configuration = &machinery.configuration;
    Reader {
        stores,
        client: machinery.kubernetes.calls.clone(),
        colonies,
        processes: machinery.process_reader(),
        identities: machinery.identities.clone(),
        blueprints: machinery.blueprints.clone(),
        writes: machinery.writes.clone(),
        clock: machinery.clock.clone(),
        policy: Policy {
            host_paths: configuration.host_paths.clone(),
            service_accounts: configuration.service_accounts.clone(),
            executor_resources: configuration.executor_resources.clone(),
        },
        cluster: machinery.cluster.clone(),
    }
}

/// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
async fn reconcile(
    guarded: Arc<GuardedExecutorDeployment>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let object = match &guarded.0 {
        Ok(object) => object,
        Err(error) => {
            let name = format!(
                "{}/{}",
                error.metadata.namespace.as_deref().unwrap_or_default(),
                error.metadata.name.as_deref().unwrap_or_default()
            );
            tracing::error!(object = name, %error, "cannot be read: correct it with kubectl edit");
            return Ok(Action::requeue(RESYNC));
        }
    };
    let machinery = &context.machinery;
    context.queue.begun(&guarded);
    // What a cache that is still being filled does not show may well exist.
    context.reader.stores.are_filled().await;
    if !machinery.leadership.is_leader() {
        return Ok(Action::await_change());
    }
    let started = machinery.clock.instant();
    let counted = machinery.metrics.reconcile_started(Kind::ExecutorDeployment);
    let span = tracing::info_span!(
        "reconcile",
        kind = "ExecutorDeployment",
        object = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()),
        generation = object.metadata.generation
    );
    let (action, result) = tracing::Instrument::instrument(Box::pin(pass(object, &context)), span).await;
    counted.finish(result, machinery.clock.instant().saturating_duration_since(started));
    Ok(action)
}

/// The five stages.
async fn pass(object: &ExecutorDeployment, context: &Context) -> (Action, ReconcileResult) {
    let machinery = &context.machinery;
    machinery.attend(object);
    let Ok(snapshot) = Box::pin(context.reader.snapshot(object)).await else {
        machinery.metrics.count_stale_skip(Kind::ExecutorDeployment);
        let wait = if wakes_when_caught_up(object, context) { PATIENCE } else { CACHE_WAIT };
        return (Action::requeue(wait), ReconcileResult::Waiting);
    };
    if is_paused(&object.metadata) {
        let status = status::paused::compute(object.status.as_ref(), &object.metadata, snapshot.now);
        let published = publish(object, status, None, machinery).await;
        return rested(published, &object.uid().unwrap_or_default(), &context.retries);
    }
    let outcome = match decide(&snapshot) {
        Ok(plan) => {
            let colony = snapshot.colony.resolved().map(|colony| colony.name.clone());
            let connection = colony.as_deref().and_then(|colony| machinery.connections.get(colony));
            Ok(machinery.actor.execute(plan, &Target { object, kind: &(), connection, colony }).await)
        }
        Err(problem) => Err(problem),
    };
    let uid = object.uid().unwrap_or_default();
    if outcome.as_ref().is_ok_and(is_released) {
        if let Some(message) = diff::left_behind(&snapshot) {
            let note = Note { warning: true, reason: Reason::Abandoned.as_str().to_owned(), message };
            machinery.publisher.events(&object.object_ref(&()), vec![note]).await;
        }
        context.retries.reset(&uid);
        machinery.let_go(&uid);
        return (Action::await_change(), ReconcileResult::Changed);
    }
    let status = status::executor_deployment::compute(&snapshot, outcome.as_ref());
    let published = publish(object, status.clone(), outcome.as_ref().ok(), machinery).await;
    let (action, result) = next(&snapshot, &status, &outcome, &published, &uid, context);
    // What follows needs what was written: it begins when the caches show that, and not before.
    if result == ReconcileResult::Changed {
        let wait = if wakes_when_caught_up(object, context) { PATIENCE } else { NEXT_STEP };
        return (Action::requeue(wait), result);
    }
    (action, result)
}

/// Has the next pass over an object begin as soon as the caches show what this process wrote of it; whether they do not
/// yet.
fn wakes_when_caught_up(object: &ExecutorDeployment, context: &Context) -> bool {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let keys = ["ExecutorDeployment", "Deployment", "DaemonSet", "Job"]
        .map(|kind| Key::new(kind, &namespace, &name));
    let (hints, reference) = (context.hints.clone(), ObjectRef::new(&name).within(&namespace));
    let machinery = &context.machinery;
    machinery
        .writes
        .when_caught_up(&keys[0], &keys, machinery.clock.instant(), move || hints.wake(&reference))
}

/// Stages 2 and 3, which are pure: the plan for what a snapshot shows.
///
/// # Errors
///
/// When there can be no plan: the colony cannot be used, the spec cannot be carried out, or a name is taken.
pub fn decide(snapshot: &ExecutorDeploymentSnapshot) -> Result<Plan, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(diff::plan_deletion(snapshot));
    }
    let colony = match &snapshot.colony {
        ColonyReference::Resolved(colony) => colony,
        ColonyReference::NotFound { name } => {
            let message = status::executor_deployment::not_found(name.as_deref());
            return Err(Problem { reason: Reason::ColonyNotFound, message });
        }
        ColonyReference::NotAllowed { name } => {
            let message = status::executor_deployment::not_allowed(name);
            return Err(Problem { reason: Reason::NamespaceNotAllowed, message });
        }
    };
    let desired = desired::executor_deployment::build(snapshot, colony)
        .map_err(|error| Problem { reason: Reason::InvalidSpec, message: error.to_string() })?;
    diff::plan(snapshot, &desired)
        .map_err(|error| Problem { reason: Reason::ForeignObject, message: error.to_string() })
}

/// Whether the object was let go: there is nothing left to write a status to.
fn is_released(outcome: &Outcome) -> bool {
    outcome.done_kubernetes().any(|step| matches!(step, KubernetesStep::RemoveFinalizer))
}

async fn publish(
    object: &ExecutorDeployment,
    status: ExecutorDeploymentStatus,
    outcome: Option<&Outcome>,
    machinery: &Machinery,
) -> Result<bool, StepFailure> {
    let before = object.status.as_ref();
    let notes =
        status::event::transitions(before.map_or(&[], |before| &before.conditions), &status.conditions);
    let mirror = status.mirror.clone();
    let bound =
        mirror.as_ref().filter(|mirror| mirror.process_id.is_some()).map(|mirror| mirror.label.clone());
    let version = outcome.and_then(|outcome| outcome.resource_version.clone());
    let written = machinery.publisher.status(&(), object, status, version).await?;
    if let Some(label) = bound {
        machinery.submissions.settled(&label);
    }
    if !written {
        return Ok(false);
    }
    // From here on the intent is on record, and this process knows that it has sent nothing yet.
    let recorded = mirror.filter(|mirror| mirror.state == MirrorState::Intended);
    let intended = recorded.filter(|mirror| before.and_then(|before| before.mirror.as_ref()) != Some(mirror));
    if let (Some(mirror), Some(term)) = (intended, machinery.leadership.term_started_at()) {
        machinery.submissions.intended(&mirror.label, term);
    }
    machinery.publisher.events(&object.object_ref(&()), notes).await;
    Ok(true)
}

/// When to look again, and how the pass ended.
fn next(
    snapshot: &ExecutorDeploymentSnapshot,
    status: &ExecutorDeploymentStatus,
    outcome: &Result<Outcome, Problem>,
    published: &Result<bool, StepFailure>,
    uid: &str,
    context: &Context,
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
    if outcome.wrote() {
        return (Action::requeue(NEXT_STEP), ReconcileResult::Changed);
    }
    let result = if *published.as_ref().unwrap_or(&false) {
        ReconcileResult::Changed
    } else if outcome.plan.awaiting.is_empty() {
        ReconcileResult::Unchanged
    } else {
        ReconcileResult::Waiting
    };
    let quiet = snapshot.submit_not_before.map(|moment| moment.duration_since(snapshot.now));
    let delay = match (quiet.and_then(|quiet| Duration::try_from(quiet).ok()), &status.mirror) {
        (Some(quiet), _) => quiet + NEXT_STEP,
        // Nobody tells of a workload that is somebody else's.
        _ if snapshot.object.spec.management_policies.only_observe() => LOOK_UP,
        // What is bound is followed by lists and websockets, unless it could not be read even once.
        (None, Some(mirror)) if mirror.state.is_live() && snapshot.processes.unknown().is_some() => LOOK_UP,
        (None, Some(mirror)) if mirror.state == MirrorState::Intended => LOOK_UP,
        // Nobody tells of an object that is not the operator's yet.
        _ if snapshot.object.spec.adoption_policy == AdoptionPolicy::Adopt
            && !outcome.plan.awaiting.is_empty() =>
        {
            LOOK_UP
        }
        (None, None) => LOOK_UP,
        _ if snapshot.object.metadata.deletion_timestamp.is_some() => LOOK_UP,
        _ => RESYNC,
    };
    (Action::requeue(jitter(delay)), result)
}
