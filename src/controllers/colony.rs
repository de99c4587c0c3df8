//! The controller of `Colonies`: keeps a connection to each, and the operator registered in it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use kube::{
    Resource as _, ResourceExt as _,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::{ObjectRef, Store},
    },
};
use tokio::task::AbortHandle;

use super::{
    assignments,
    context::{Hints, Machinery},
    inbound::Inbound,
    processes::{Carriers, Followed},
    retry::{Retries, jitter},
    to_its_end,
};
use crate::{
    act::{
        connection::{ConnectionTarget, connect},
        outcome::StepFailure,
    },
    api::{
        colony::{Colony, ColonyStatus},
        executor_deployment::ExecutorDeployment,
        names::{CONTROLLER_EXECUTOR_TYPE, EXECUTOR_DEPLOYMENT_KIND},
    },
    colony::{Client, Executor, ExecutorState, Server},
    diff::plan_colony,
    memory::connections::{Connection, OperatorIdentity},
    runtime::{
        metrics::{Kind, ReconcileResult},
        shutdown::Shutdown,
    },
    status,
    watch::{
        colony::{Reading, Surroundings, read},
        inbound::InboundReader,
        index::{Index, IndexKey},
        snapshot::{ColonySnapshot, Membership},
        stores::{self, Filled, GuardedExecutorDeployment},
        triggers,
    },
};

/// How soon a pass follows one that wrote something.
const NEXT_STEP: Duration = Duration::from_millis(20);
/// How many colonies are looked after at the same time; each pass waits for a server somewhere.
const CONCURRENCY: u16 = 8;

struct Context {
    machinery: Arc<Machinery>,
    hints: Hints<GuardedExecutorDeployment>,
    retries: Retries,
    colonies: Store<Colony>,
    objects: Vec<(Index<GuardedExecutorDeployment>, Filled)>,
    carriers: Carriers,
    clients: tokio::sync::Mutex<HashMap<String, Option<(Server, Client)>>>,
    served: Mutex<HashMap<Served, (String, AbortHandle)>>,
    inbound: Mutex<HashMap<String, Inbound>>,
}

/// Name of the `Colony` and type of the operator's executor in it.
type Served = (String, &'static str);

/// Runs the controller until the shutdown. `objects` are the caches in which the objects of processes are looked up,
/// `carriers` the objects of all kinds that processes carry.
pub async fn run(
    machinery: Arc<Machinery>,
    objects: Vec<(Index<GuardedExecutorDeployment>, Filled)>,
    hints: Hints<GuardedExecutorDeployment>,
    carriers: Carriers,
    shutdown: Shutdown,
) {
    let colonies = stores::colonies(&machinery.kubernetes.watches, &machinery.configuration.cluster_selector);
    let elections = machinery.leadership.changes().map(drop);
    let context = Arc::new(Context {
        machinery,
        hints,
        retries: Retries::default(),
        colonies: colonies.store.clone(),
        objects,
        carriers,
        clients: tokio::sync::Mutex::default(),
        served: Mutex::default(),
        inbound: Mutex::default(),
    });
    let stop = shutdown.clone();
    let controller = Controller::for_stream(colonies.changes, colonies.store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_all_on(elections)
        .graceful_shutdown_on(async move { stop.requested().await })
        .run(reconcile, |_, _, _| Action::requeue(NEXT_STEP), context.clone())
        .for_each(|_| futures::future::ready(()));
    to_its_end(controller, vec![colonies.filled], shutdown).await;
    let served = std::mem::take(&mut *context.served.lock().unwrap_or_else(PoisonError::into_inner));
    for (_, task) in served.values() {
        task.abort();
    }
}

/// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
async fn reconcile(object: Arc<Colony>, context: Arc<Context>) -> Result<Action, Infallible> {
    let machinery = &context.machinery;
    if !machinery.leadership.is_leader() {
        return Ok(Action::await_change());
    }
    let started = machinery.clock.instant();
    let counted = machinery.metrics.reconcile_started(Kind::Colony);
    let span = tracing::info_span!(
        "reconcile",
        kind = "Colony",
        object = object.name_any(),
        generation = object.metadata.generation
    );
    let (action, result) = tracing::Instrument::instrument(pass(&object, &context), span).await;
    counted.finish(result, machinery.clock.instant().saturating_duration_since(started));
    Ok(action)
}

/// The five stages.
async fn pass(object: &Colony, context: &Context) -> (Action, ReconcileResult) {
    let machinery = &context.machinery;
    let name = object.name_any();
    let uid = object.uid().unwrap_or_default();
    let namespace = &machinery.kubernetes.namespace;
    let mut known = context.clients.lock().await.remove(&name).flatten();
    let surroundings = Surroundings {
        kubernetes: &machinery.kubernetes.calls,
        namespace,
        clock: &machinery.clock,
        metrics: Some(&machinery.metrics),
    };
    let reading = read(object, &surroundings, &mut known).await;
    context.clients.lock().await.insert(name.clone(), known);

    let steps = plan_colony(&reading.snapshot);
    let sessions = reading.sessions.as_ref().map(|sessions| (&sessions.owner, &sessions.member));
    let target = ConnectionTarget { object, namespace, sessions };
    let done = connect(&machinery.to_cluster, &machinery.leadership, &steps, &target).await;
    remember(&name, &reading, context);
    meet_blueprints(&name, &reading, context).await;

    let failure = done.as_ref().err();
    let status = status::colony::compute(&reading.snapshot, failure);
    let published = publish(object, status, machinery).await;
    if let Some(failure) = failure.or(published.as_ref().err()) {
        tracing::warn!(kind = ?failure.kind, "{}", failure.message);
        return (Action::requeue(context.retries.after_failure(&uid)), ReconcileResult::Failed);
    }
    if !steps.is_empty() {
        return (Action::requeue(NEXT_STEP), ReconcileResult::Changed);
    }
    if is_connected(&reading.snapshot) {
        context.retries.reset(&uid);
    } else {
        return (Action::requeue(context.retries.after_failure(&uid)), ReconcileResult::Waiting);
    }
    let poll = Duration::from_secs(machinery.configuration.colony_poll_seconds.into());
    let result =
        if published.unwrap_or(false) { ReconcileResult::Changed } else { ReconcileResult::Unchanged };
    (Action::requeue(jitter(poll)), result)
}

fn is_connected(snapshot: &ColonySnapshot) -> bool {
    matches!(snapshot.membership, Membership::Member(_)) && snapshot.executors.known().is_some()
}

async fn publish(object: &Colony, status: ColonyStatus, machinery: &Machinery) -> Result<bool, StepFailure> {
    let before = object.status.as_ref().map_or(&[][..], |before| &before.conditions);
    let notes = status::event::transitions(before, &status.conditions);
    let written = machinery.publisher.colony(object, status).await?;
    if written {
        machinery.publisher.events(&object.object_ref(&()), notes).await;
    }
    Ok(written)
}

/// Keeps the connection for the other controller, wakes the objects for which it makes a difference, and has the colony
/// served.
fn remember(name: &str, reading: &Reading, context: &Context) {
    let snapshot = &reading.snapshot;
    let Some(sessions) = &reading.sessions else {
        if context.machinery.connections.remove(name) {
            context.machinery.executor_changes.send_replace(());
            wake_all(context);
        }
        return;
    };
    let executors = snapshot.executors.known().map(Vec::as_slice);
    let operator: Vec<OperatorIdentity> =
        sessions.operator.iter().filter(|own| is_approved(own, executors)).cloned().collect();
    let problem = problem(snapshot);
    let connection = Connection::new(
        sessions.member.clone(),
        sessions.owner.clone(),
        operator.clone(),
        problem.clone(),
        executors,
    );
    let (connection, previous) = context.machinery.connections.put(name, connection, reading.asked_at);
    let states = connection.executor_states();
    let approved = connection.approved().cloned();
    let reconnected = previous
        .as_ref()
        .is_none_or(|previous| previous.problem != problem || previous.operator.len() != operator.len());
    if previous.as_ref().and_then(|previous| previous.approved()) != approved.as_ref() {
        context.machinery.executor_changes.send_replace(());
    }
    let before = previous.and_then(|previous| previous.executor_states()).unwrap_or_default();
    if reconnected {
        wake_all(context);
    }
    if let Some(states) = states {
        // Only executors whose state has changed: a colony may have thousands of others.
        wake(context, |object| {
            let recorded = object.status.as_ref().and_then(|status| status.executor.as_ref());
            recorded.is_some_and(|recorded| before.get(&recorded.name) != states.get(&recorded.name))
        });
    }
    for identity in operator {
        serve(name, identity, context);
    }
}

/// Keeps what the colony says of blueprints, wakes the objects of those that have changed, and makes what is missing.
async fn meet_blueprints(name: &str, reading: &Reading, context: &Context) {
    let (Some(blueprints), Some(sessions)) = (reading.snapshot.blueprints.known(), &reading.sessions) else {
        return;
    };
    let changed = context.machinery.blueprints.put_all(name, EXECUTOR_DEPLOYMENT_KIND, blueprints.clone());
    for name in changed {
        let key = IndexKey::Blueprint(name);
        for object in context.objects.iter().flat_map(|(index, _)| index.get(&key)) {
            context.hints.wake(&ObjectRef::from_obj(object.as_ref()));
        }
    }
    let has_object = |name: &String| {
        let key = IndexKey::Blueprint(name.clone());
        context.objects.iter().any(|(index, _)| !index.get(&key).is_empty())
    };
    if blueprints.iter().any(|blueprint| !has_object(&blueprint.metadata.name)) {
        inbound(name, context).sweep(&sessions.member).await;
    }
}

/// Whoever answers what is born in a colony; one for each, so that nothing is answered twice at once.
fn inbound(name: &str, context: &Context) -> Inbound {
    let mut all = context.inbound.lock().unwrap_or_else(PoisonError::into_inner);
    let machinery = &context.machinery;
    let new = || {
        let reader = InboundReader {
            client: machinery.kubernetes.calls.clone(),
            objects: context.objects.clone(),
            colonies: context.colonies.clone(),
            watched: machinery.configuration.watch_namespaces.clone(),
            blueprints: machinery.blueprints.clone(),
            writes: machinery.writes.clone(),
            clock: machinery.clock.clone(),
        };
        Inbound::new(name, machinery.clone(), reader)
    };
    all.entry(name.to_owned()).or_insert_with(new).clone()
}

fn wake(context: &Context, concerned: impl Fn(&ExecutorDeployment) -> bool) {
    for (index, _) in &context.objects {
        for object in triggers::references(index.store(), &(), &concerned) {
            context.hints.wake(&object);
        }
    }
}

/// Wakes everything that the colony makes a difference for.
fn wake_all(context: &Context) {
    wake(context, |_| true);
    for objects in context.carriers.all() {
        objects.wake_all();
    }
}

/// Whether the colony has approved one of the operator's executors.
fn is_approved(own: &OperatorIdentity, executors: Option<&[Executor]>) -> bool {
    let found = executors.and_then(|executors| executors.iter().find(|executor| executor.name == own.name));
    found.is_some_and(|found| found.state == ExecutorState::Approved)
}

/// Why the colony cannot be asked at the moment, if so.
fn problem(snapshot: &ColonySnapshot) -> Option<String> {
    match &snapshot.membership {
        _ if snapshot.server.known().is_none() => snapshot.server.unknown().map(str::to_owned),
        Membership::Member(_) => snapshot.executors.unknown().map(str::to_owned),
        Membership::Stranger => Some("the operator is not a member of the colony yet".to_owned()),
        Membership::Unknown(why) => Some(why.clone()),
    }
}

/// Has the colony served under one of the operator's present identities, and under no earlier one of its type. While the
/// colony is away the identity is unknown, not gone: the task waits for it by itself.
fn serve(name: &str, operator: OperatorIdentity, context: &Context) {
    let key = (name.to_owned(), operator.executor_type);
    let inbound = inbound(name, context);
    let mut served = context.served.lock().unwrap_or_else(PoisonError::into_inner);
    if served.get(&key).is_some_and(|(executor, task)| !task.is_finished() && *executor == operator.name) {
        return;
    }
    if let Some((_, task)) = served.remove(&key) {
        task.abort();
    }
    let executor = operator.name.clone();
    let assignments = assignments::Assignments {
        colony: name.to_owned(),
        operator,
        machinery: context.machinery.clone(),
        colonies: context.colonies.clone(),
        carriers: context.carriers.clone(),
        inbound,
    };
    // What was submitted is followed once, beside the executor that it is submitted to.
    let followed = (key.1 == CONTROLLER_EXECUTOR_TYPE).then(|| Followed {
        colony: name.to_owned(),
        machinery: context.machinery.clone(),
        carriers: context.carriers.clone(),
    });
    let serving = async move {
        match followed {
            None => assignments.serve().await,
            Some(followed) => tokio::select! {
                () = assignments.serve() => {}
                () = followed.follow() => {}
            },
        }
    };
    let task = tokio::spawn(serving).abort_handle();
    served.insert(key, (executor, task));
}
