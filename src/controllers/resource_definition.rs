//! The controller of `ResourceDefinitions`: makes the CRD of each and has its instances looked after.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Resource as _, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::ObjectRef,
    },
};

use super::{
    engine::{
        context::{Hints, Machinery},
        dynamic::Instances,
        queue::Queue,
        retry::{Retries, jitter},
    },
    migration::{Migrations, goes_on_in},
    to_its_end,
};
use crate::{
    act::{
        definition::carry_out,
        outcome::{DefinitionOutcome, FailureKind, MigrationOutcome},
    },
    api::{condition::Reason, policy::DeletionPolicy, resource_definition::ResourceDefinition},
    diff::{
        Problem,
        definition::{
            DefinitionPlan, DefinitionStep, InColony, Migration, is_established, is_foreign, lacks_rights,
            plan, plan_deletion, plan_endpoint, standing,
        },
    },
    kinds::{
        self,
        definition::{build, check_parts, converted_at, kind_of},
    },
    memory::rights::Rights,
    runtime::{
        metrics::{Kind, ReconcileResult},
        shutdown::Shutdown,
    },
    snapshot::{DefinitionSnapshot, Observed},
    status,
    watch::{resource_definition::DefinitionReader, stores},
};

/// How soon a pass follows one that wrote something.
const NEXT_STEP: Duration = Duration::from_millis(20);
/// How long a pass waits for the cache unless the watch wakes it before.
const CACHE_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked whether the API server serves a kind, should the watch of CRDs not tell.
const ESTABLISHING: Duration = Duration::from_millis(250);
/// How often something is looked for of which nobody would tell: rights, names that others have, instances that go.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How often a definition is looked at for which nothing is expected to happen.
const RESYNC: Duration = Duration::from_mins(8);
/// How many definitions are looked after at the same time.
const CONCURRENCY: u16 = 8;

struct Context {
    machinery: Arc<Machinery>,
    reader: DefinitionReader,
    instances: Instances,
    hints: Hints<DeserializeGuard<ResourceDefinition>>,
    retries: Retries,
    migrations: Migrations,
    queue: Queue<DeserializeGuard<ResourceDefinition>>,
    /// Whether CRDs are watched: not before the operator may.
    watches: tokio::sync::watch::Sender<bool>,
}

/// Runs the controller until the shutdown.
pub(super) async fn run(machinery: Arc<Machinery>, instances: Instances, shutdown: Shutdown) {
    let client = &machinery.kubernetes.watches;
    let definitions =
        stores::resource_definitions(client, &machinery.configuration.cluster_selector, &machinery.writes);
    let (colonies, filled) = instances.colonies();
    let reader = DefinitionReader {
        client: machinery.kubernetes.calls.clone(),
        definitions: definitions.store.clone(),
        colonies,
        rights: Rights::default(),
        writes: machinery.writes.clone(),
        clock: machinery.clock.clone(),
        cluster: machinery.cluster.clone(),
        namespace: machinery.kubernetes.namespace.clone(),
        watched: machinery.configuration.watch_namespaces.clone(),
        endpoint: machinery.endpoint.clone(),
        filled: [vec![definitions.filled], filled].concat(),
    };
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let hints = Hints::new(vec![waker]);
    let queue = Queue::new(definitions.store.clone(), Kind::ResourceDefinition, machinery.metrics.clone());
    let (gone, vanished) = futures::channel::mpsc::unbounded();
    let changes = {
        let (queue, store) = (queue.clone(), definitions.store.clone());
        definitions.changes.inspect_ok(move |definition| {
            queue.changed(definition);
            let reference = ObjectRef::from_obj(definition);
            if store.get(&reference).is_none() {
                // Nobody listens any more when the controller ends.
                let _ = gone.unbounded_send(reference.name);
            }
        })
    };
    let woken = {
        let queue = queue.clone();
        woken.inspect(move |definition| queue.woken(definition))
    };
    let elections = machinery.leadership.changes().map(drop);
    let executors = machinery.executor_changes.subscribe();
    let executors = futures::stream::unfold(executors, |mut executors| async move {
        executors.changed().await.ok().map(|()| ((), executors))
    });
    let endpoint = futures::stream::unfold(machinery.endpoint.changes(), |mut changes| async move {
        changes.changed().await.ok().map(|()| ((), changes))
    });
    let watches = tokio::sync::watch::Sender::new(false);
    let crds = watch_crds(machinery.clone(), watches.subscribe(), hints.clone());
    // One that goes although it is held, by whoever took the finalizer away, has no pass any more.
    let leaving = {
        let (instances, store) = (instances.clone(), definitions.store.clone());
        vanished.for_each(move |name| {
            let (instances, store) = (instances.clone(), store.clone());
            async move {
                // Another may have taken its place, which has passes of its own.
                if store.get(&ObjectRef::new(&name)).is_none() {
                    instances.stop(&name).await;
                }
            }
        })
    };
    let context = Arc::new(Context {
        machinery,
        reader,
        instances,
        hints,
        retries: Retries::default(),
        migrations: Migrations::default(),
        queue,
        watches,
    });
    let (stop, caches) = (shutdown.clone(), context.reader.filled.clone());
    let controller = Controller::for_stream(changes, definitions.store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(woken)
        .reconcile_all_on(elections)
        // A colony's executors are there before anybody may have been served by them: the end of this stream is none.
        .reconcile_all_on(executors.chain(futures::stream::pending()))
        .reconcile_all_on(endpoint.chain(futures::stream::pending()))
        .graceful_shutdown_on(async move { stop.requested().await })
        .run(reconcile, |_, _, _| Action::requeue(RESYNC), context)
        .for_each(|_| futures::future::ready(()));
    tokio::select! {
        () = to_its_end(controller, caches, shutdown) => {}
        () = futures::future::join(crds, leaving).map(drop) => {}
    }
}

/// Wakes the definition of each CRD of ours that changes, once the operator may watch them.
async fn watch_crds(
    machinery: Arc<Machinery>,
    mut may: tokio::sync::watch::Receiver<bool>,
    hints: Hints<DeserializeGuard<ResourceDefinition>>,
) {
    if may.wait_for(|may| *may).await.is_ok() {
        let crds = stores::custom_resource_definitions(&machinery.kubernetes.watches);
        let waking = crds.changes.for_each(|changed| {
            if let Ok(crd) = changed {
                hints.wake(&ObjectRef::new(&crd.name_any()));
            }
            futures::future::ready(())
        });
        waking.await;
    }
    std::future::pending::<()>().await;
}

/// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
async fn reconcile(
    guarded: Arc<DeserializeGuard<ResourceDefinition>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let Ok(object) = &guarded.0 else {
        tracing::error!(definition = %ObjectRef::from_obj(guarded.as_ref()), "cannot be read: correct it with kubectl edit");
        return Ok(Action::requeue(RESYNC));
    };
    let machinery = &context.machinery;
    context.queue.begun(&guarded);
    for filled in &context.reader.filled {
        filled.reached().await;
    }
    if !machinery.leadership.is_leader() {
        return Ok(Action::await_change());
    }
    let started = machinery.clock.instant();
    let counted = machinery.metrics.reconcile_started(Kind::ResourceDefinition);
    let span = tracing::info_span!(
        "reconcile",
        kind = "ResourceDefinition",
        object = object.name_any(),
        generation = object.metadata.generation
    );
    let (action, result) = tracing::Instrument::instrument(Box::pin(pass(object, &context)), span).await;
    counted.finish(result, machinery.clock.instant().saturating_duration_since(started));
    Ok(action)
}

/// The five stages, and the controllers of the instances.
async fn pass(object: &ResourceDefinition, context: &Context) -> (Action, ReconcileResult) {
    let machinery = &context.machinery;
    let name = object.name_any();
    let Ok(snapshot) = context.reader.snapshot(object, context.instances.watched(&name)).await else {
        machinery.metrics.count_stale_skip(Kind::ResourceDefinition);
        return (Action::requeue(CACHE_WAIT), ReconcileResult::Waiting);
    };
    if snapshot.missing_rights.known().is_some_and(Vec::is_empty) {
        context.watches.send_if_modified(|may| !std::mem::replace(may, true));
    }
    if let Some(plan) = plan_endpoint(&snapshot) {
        let done = carry_out(&plan, object, &machinery.to_cluster, None, &machinery.leadership).await;
        if done.failure.is_none() {
            return (Action::requeue(NEXT_STEP), ReconcileResult::Changed);
        }
    }
    let outcome = match decide(&snapshot) {
        Ok(plan) => {
            let colony = snapshot.kept.as_ref().and_then(|kept| machinery.connections.get(&kept.colony));
            let owner = colony.as_ref().map(|connection| &connection.owner);
            let done = carry_out(&plan, object, &machinery.to_cluster, owner, &machinery.leadership).await;
            Ok((plan, done))
        }
        Err(problem) => Err(problem),
    };
    if outcome.as_ref().is_ok_and(|(_, done)| done.done.contains(&DefinitionStep::LetGo)) {
        context.instances.stop(&name).await;
        context.retries.reset(&object.uid().unwrap_or_default());
        return (Action::await_change(), ReconcileResult::Changed);
    }
    // Before status says by what instances are carried out.
    let updated = outcome.as_ref().ok().and_then(|(_, done)| done.updated.as_deref());
    serve(&snapshot, updated, context).await;
    // What was seen of the CRD is not what it is any more.
    let rewritten = if updated.is_some() {
        (Migration::Nothing, MigrationOutcome::default())
    } else {
        context.migrations.go_on(&snapshot, machinery).await
    };
    publish(&snapshot, outcome, rewritten, context).await
}

/// Stages 2 and 3.
fn decide(snapshot: &DefinitionSnapshot) -> Result<DefinitionPlan, Problem> {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(plan_deletion(snapshot));
    }
    let problem = |error: kinds::Error| Problem { reason: error.reason(), message: error.to_string() };
    let mut desired = check_parts(&snapshot.object.spec, &snapshot.composes)
        .and_then(|()| build(&snapshot.object))
        .map_err(problem)?;
    if let Observed::Known(Some(crd)) = &snapshot.crd
        && is_foreign(snapshot, crd)
    {
        let name = crd.name_any();
        let message = format!(
            "CustomResourceDefinition {name} exists and was not made by the operator: delete it, or choose other names; it is left alone"
        );
        return Err(Problem { reason: Reason::ForeignObject, message });
    }
    // Nothing is begun that could not be brought to its end.
    if lacks_rights(snapshot) {
        return Ok(DefinitionPlan::default());
    }
    let found = snapshot.crd.known().and_then(Option::as_ref);
    converted_at(&mut desired, &snapshot.endpoint, found).map_err(problem)?;
    Ok(plan(snapshot, &desired))
}

/// Has the instances looked after by what the CRD remembers, as long as the API server serves the kind.
async fn serve(snapshot: &DefinitionSnapshot, updated: Option<&CustomResourceDefinition>, context: &Context) {
    let name = snapshot.object.name_any();
    let served = match &snapshot.crd {
        _ if updated.is_some() => updated.filter(|crd| is_served(snapshot, crd)),
        // What cannot be read may well be served.
        Observed::Unknown(_) if !lacks_rights(snapshot) => return,
        Observed::Unknown(_) => None,
        Observed::Known(crd) => crd.as_ref().filter(|crd| is_served(snapshot, crd)),
    };
    let goes = snapshot.object.metadata.deletion_timestamp.is_some();
    let is_released = goes && snapshot.object.spec.deletion_policy == DeletionPolicy::Orphan;
    match served.map(|crd| kind_of(crd, is_released)) {
        Some(Ok(kind)) => {
            let standing = standing(snapshot, kind.handler());
            context.instances.serve(&name, kind, &context.hints).await;
            if standing.is_some_and(|standing| context.machinery.blueprints.stand(&name, &standing)) {
                context.instances.wake_all(&name);
            }
        }
        // Put right by the next write of the CRD.
        Some(Err(error)) => tracing::warn!("{error}"),
        None => {
            context.instances.stop(&name).await;
            context.machinery.blueprints.forget_standing(&name);
        }
    }
}

fn is_served(snapshot: &DefinitionSnapshot, crd: &CustomResourceDefinition) -> bool {
    is_established(crd) && !is_foreign(snapshot, crd)
}

/// Stage 5, and when to look again.
async fn publish(
    snapshot: &DefinitionSnapshot,
    outcome: Result<(DefinitionPlan, DefinitionOutcome), Problem>,
    (migration, rewritten): (Migration, MigrationOutcome),
    context: &Context,
) -> (Action, ReconcileResult) {
    let (machinery, object) = (&context.machinery, &snapshot.object);
    let pass = outcome.as_ref().map(|(plan, done)| (plan, done));
    let status = status::definition::compute(snapshot, pass, (&migration, &rewritten));
    let migrating = goes_on_in(snapshot, &migration, &status);
    let before = object.status.as_ref().map_or(&[][..], |before| &before.conditions);
    let notes = status::event::transitions(before, &status.conditions);
    let version = outcome.as_ref().ok().and_then(|(_, done)| done.resource_version.clone());
    let published = machinery.publisher.status(&(), object, status, version).await;
    let uid = object.uid().unwrap_or_default();
    let failed = outcome.as_ref().ok().and_then(|(_, done)| done.failure.as_ref());
    if let Some(failure) = published.as_ref().err().or(failed).or(rewritten.failure.as_ref()) {
        tracing::debug!(kind = ?failure.kind, "{}", failure.message);
        let delay = match failure.kind {
            FailureKind::Conflict => context.retries.after_conflict(&uid),
            _ => context.retries.after_failure(&uid),
        };
        return (Action::requeue(delay), ReconcileResult::Failed);
    }
    let is_written = published.unwrap_or(false);
    if is_written {
        machinery.publisher.events(&object.object_ref(&()), notes).await;
    }
    context.retries.reset(&uid);
    let (delay, result) =
        if is_written { (NEXT_STEP, ReconcileResult::Changed) } else { rest(snapshot, &outcome) };
    let delay = migrating.map_or(delay, |migrating| delay.min(migrating));
    (Action::requeue(delay), result)
}

/// When to look again after a pass that had nothing new to say.
fn rest(
    snapshot: &DefinitionSnapshot,
    outcome: &Result<(DefinitionPlan, DefinitionOutcome), Problem>,
) -> (Duration, ReconcileResult) {
    match outcome {
        Ok((_, done)) if !done.done.is_empty() => (NEXT_STEP, ReconcileResult::Changed),
        Err(_) => (jitter(LOOK_UP), ReconcileResult::Waiting),
        Ok(_) if !snapshot.missing_rights.known().is_some_and(Vec::is_empty) => {
            (jitter(LOOK_UP), ReconcileResult::Waiting)
        }
        // The instances of others, and definitions in a colony, change without a word.
        Ok((plan, _)) if matches!(plan.in_colony, InColony::Unknown(_) | InColony::Foreign(_)) => {
            (jitter(LOOK_UP), ReconcileResult::Waiting)
        }
        // Changes of instances wake the definition; nobody tells when those that are read here are known.
        Ok((plan, _)) if plan.held.as_ref().is_some_and(|held| held.reason == Reason::ReadFailed) => {
            (ESTABLISHING, ReconcileResult::Waiting)
        }
        Ok((plan, _)) if plan.held.is_some() => (jitter(LOOK_UP), ReconcileResult::Waiting),
        Ok((plan, _)) if plan.awaiting.is_empty() => (jitter(RESYNC), ReconcileResult::Unchanged),
        Ok(_) if snapshot.object.metadata.deletion_timestamp.is_some() => {
            (jitter(LOOK_UP), ReconcileResult::Waiting)
        }
        Ok(_) => (ESTABLISHING, ReconcileResult::Waiting),
    }
}
