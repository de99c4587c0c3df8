//! The controller of `Colonies`: keeps a connection to each, and the operator registered in it.

mod assignments;
pub(super) mod blueprints;
mod inbound;
pub(super) mod processes;
mod users;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    ResourceExt as _,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use self::{
    inbound::Inbound,
    processes::{FollowedProcesses, MirroredKinds},
    users::{Users, default_of},
};
use super::engine::{
    context::{Requeuer, Services},
    pass::Engine,
    stages::{Look, Passed, Stages},
    wiring::{self, Wiring},
};
use crate::{
    api::{
        colony::{Colony, ColonyStatus},
        executor_deployment::ExecutorDeployment,
        kind::HasFinalizer as _,
        names::{CONTROLLER_EXECUTOR_TYPE, EXECUTOR_DEPLOYMENT_KIND},
    },
    colony::{Client, Executor, ExecutorState, Server},
    diff::{Plan, Problem, plan_colony},
    memory::connections::{Connection, OperatorIdentity},
    runtime::{metrics::Kind, shutdown::Shutdown},
    snapshot::{ColonySnapshot, Membership},
    status,
    watch::{
        colony::{ColonyReader, ColonyReading, Sessions, read},
        freshness::CacheBehind,
        inbound::InboundReader,
        index::{Index, IndexKey},
        stores::{self, Filled, GuardedExecutorDeployment},
        triggers,
    },
};

/// How many colonies are reconciled at the same time; each pass waits for a server somewhere.
const CONCURRENCY: u16 = 8;

/// How often a `Colony` that is deleted is looked at: what holds it ends without a word to it.
const LEAVING: Duration = Duration::from_secs(2);

/// The stages of `Colonies`, and what goes on beside them.
struct ColonyStages {
    services: Arc<Services>,
    requeuer: Requeuer<GuardedExecutorDeployment>,
    colonies: Store<DeserializeGuard<Colony>>,
    filled: Filled,
    objects: Vec<(Index<GuardedExecutorDeployment>, Filled)>,
    mirrored_kinds: MirroredKinds,
    clients: tokio::sync::Mutex<HashMap<String, Option<(Server, Client)>>>,
    served: Arc<Mutex<HashMap<Served, (String, AbortHandle)>>>,
    inbound: Mutex<HashMap<String, Inbound>>,
}

/// Name of the `Colony` and type of the operator's executor in it.
type Served = (String, &'static str);

impl Stages for ColonyStages {
    type Object = Colony;
    type Snapshot = ColonyReading;
    type Desired = ();
    type Findings = ();

    const KIND: Kind = Kind::Colony;
    const FINALIZER: Option<&'static str> = Some(Colony::FINALIZER);
    const CAN_BE_PAUSED: bool = false;

    fn kind(&self) -> &() {
        &()
    }

    fn caches(&self) -> Vec<Filled> {
        vec![self.filled.clone()]
    }

    async fn snapshot(&self, object: &Colony) -> Result<ColonyReading, CacheBehind> {
        let name = object.name_any();
        let mut known = self.clients.lock().await.remove(&name).flatten();
        let reader = ColonyReader {
            kubernetes: &self.services.kubernetes.calls,
            namespace: &self.services.kubernetes.namespace,
            clock: &self.services.clock,
            metrics: Some(&self.services.metrics),
        };
        let mut reading = read(object, &reader, &mut known).await;
        self.clients.lock().await.insert(name.clone(), known);
        let users = Users {
            mirrored_kinds: &self.mirrored_kinds,
            kubernetes: &self.services.kubernetes.calls,
            colonies: &self.colonies,
        };
        reading.snapshot.users = users.of(object).await;
        let default = default_of(&self.colonies).filter(|_| object.is_default());
        reading.snapshot.other_default = default.filter(|default| *default != name);
        Ok(reading)
    }

    fn now(reading: &ColonyReading) -> Timestamp {
        reading.snapshot.now
    }

    /// As owner and as member, before the colony can be used by others.
    fn connection(&self, reading: &ColonyReading, _: &Services) -> Option<Arc<Connection>> {
        let Sessions { owner, member, .. } = reading.sessions.clone()?;
        Some(Arc::new(Connection::new(member, owner, Vec::new(), None, None)))
    }

    fn desired(&self, _: &ColonyReading) -> Result<(), Problem> {
        Ok(())
    }

    fn plan(&self, reading: &ColonyReading, (): &()) -> Result<(Plan, ()), Problem> {
        Ok((plan_colony(&reading.snapshot), ()))
    }

    async fn released(&self, object: &Colony) {
        let name = object.name_any();
        let _ = self.services.connections.remove(&name);
        self.clients.lock().await.remove(&name);
        self.served.lock().retain(|(colony, _), (_, task)| {
            let stays = *colony != name;
            if !stays {
                task.abort();
            }
            stays
        });
        wake_all(self);
    }

    async fn after_act(&self, reading: &ColonyReading, _: Passed<'_, Self>) {
        let name = reading.snapshot.object.name_any();
        remember(&name, reading, self);
        sync_blueprints(&name, reading, self).await;
    }

    fn status(&self, reading: &ColonyReading, pass: Passed<'_, Self>) -> Option<ColonyStatus> {
        let failure = pass.ok().and_then(|carried| carried.outcome.failure());
        Some(status::colony::compute(&reading.snapshot, failure))
    }

    fn next(&self, reading: &ColonyReading, _: Option<&ColonyStatus>, _: Passed<'_, Self>) -> Look {
        if reading.snapshot.is_leaving() {
            return Look::After(LEAVING);
        }
        if !is_connected(&reading.snapshot) {
            return Look::Backoff;
        }
        Look::About(Duration::from_secs(self.services.configuration.colony_poll_seconds.into()))
    }
}

/// Runs the controller until the shutdown. `objects` are the caches in which the objects of processes are looked up,
/// `mirrored_kinds` the objects of all kinds that processes carry.
pub async fn run(
    services: Arc<Services>,
    objects: Vec<(Index<GuardedExecutorDeployment>, Filled)>,
    requeuer: Requeuer<GuardedExecutorDeployment>,
    mirrored_kinds: MirroredKinds,
    shutdown: Shutdown,
) {
    let selector = &services.configuration.cluster_selector;
    let colonies = stores::colonies(&services.kubernetes.watches, selector);
    let served = Arc::<Mutex<HashMap<Served, (String, AbortHandle)>>>::default();
    let stages = ColonyStages {
        services: services.clone(),
        requeuer,
        colonies: colonies.store.clone(),
        filled: colonies.filled.clone(),
        objects,
        mirrored_kinds,
        clients: tokio::sync::Mutex::default(),
        served: served.clone(),
        inbound: Mutex::default(),
    };
    let (_, nothing) = futures::channel::mpsc::unbounded();
    let wiring = Wiring::new(colonies, nothing, CONCURRENCY);
    wiring::run(Engine::new(services, stages), wiring, shutdown).await;
    for (_, task) in std::mem::take(&mut *served.lock()).values() {
        task.abort();
    }
}

fn is_connected(snapshot: &ColonySnapshot) -> bool {
    matches!(snapshot.membership, Membership::Member(_)) && snapshot.executors.known().is_some()
}

/// Keeps the connection for the other controller, wakes the objects for which it makes a difference, and has the colony
/// served.
fn remember(name: &str, reading: &ColonyReading, context: &ColonyStages) {
    let snapshot = &reading.snapshot;
    let Some(sessions) = &reading.sessions else {
        if context.services.connections.remove(name) {
            context.services.executor_changes.send_replace(());
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
    let (connection, previous) = context.services.connections.put(name, connection, reading.asked_at);
    let states = connection.executor_states();
    let approved = connection.approved().cloned();
    let reconnected = previous
        .as_ref()
        .is_none_or(|previous| previous.problem != problem || previous.operator.len() != operator.len());
    if previous.as_ref().and_then(|previous| previous.approved()) != approved.as_ref() {
        context.services.executor_changes.send_replace(());
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

/// Caches the blueprints of the colony, wakes the objects of changed ones, and creates missing ones.
async fn sync_blueprints(name: &str, reading: &ColonyReading, context: &ColonyStages) {
    let (Some(blueprints), Some(sessions)) = (reading.snapshot.blueprints.known(), &reading.sessions) else {
        return;
    };
    if reading.snapshot.is_doubtful() {
        return;
    }
    let changed = context.services.blueprints.put_all(name, EXECUTOR_DEPLOYMENT_KIND, blueprints.clone());
    for name in changed {
        let key = IndexKey::Blueprint(name);
        for object in context.objects.iter().flat_map(|(index, _)| index.get(&key)) {
            context.requeuer.wake(&ObjectRef::from_obj(object.as_ref()));
        }
    }
    let has_object = |name: &String| {
        let key = IndexKey::Blueprint(name.clone());
        context.objects.iter().any(|(index, _)| !index.get(&key).is_empty())
    };
    // What is deleted with it would come back.
    let may_make = !reading.snapshot.is_leaving();
    if may_make && blueprints.iter().any(|blueprint| !has_object(&blueprint.metadata.name)) {
        inbound(name, context).sweep(&sessions.member).await;
    }
}

/// The handler of what originates in a colony; one for each, so that nothing is answered twice at once.
fn inbound(name: &str, context: &ColonyStages) -> Inbound {
    let mut all = context.inbound.lock();
    let services = &context.services;
    let new = || {
        let reader = InboundReader {
            client: services.kubernetes.calls.clone(),
            objects: context.objects.clone(),
            colonies: context.colonies.clone(),
            watched: services.configuration.watch_namespaces.clone(),
            blueprints: services.blueprints.clone(),
            absences: services.absences.clone(),
            writes: services.writes.clone(),
            clock: services.clock.clone(),
        };
        Inbound::new(name, services.clone(), reader)
    };
    all.entry(name.to_owned()).or_insert_with(new).clone()
}

fn wake(context: &ColonyStages, concerned: impl Fn(&ExecutorDeployment) -> bool) {
    for (index, _) in &context.objects {
        for object in triggers::references(index.store(), &(), &concerned) {
            context.requeuer.wake(&object);
        }
    }
}

/// Wakes everything that the colony makes a difference for.
fn wake_all(context: &ColonyStages) {
    wake(context, |_| true);
    for objects in context.mirrored_kinds.all() {
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
        _ if snapshot.is_doubtful() => {
            Some("it does not know what this cluster has there, or is another: see the Colony".to_owned())
        }
        Membership::Member(_) => snapshot.executors.unknown().map(str::to_owned),
        Membership::Stranger => Some("the operator is not a member of the colony yet".to_owned()),
        Membership::Unknown(why) => Some(why.clone()),
    }
}

/// Has the colony served under one of the operator's present identities, and under no earlier one of its type. While the
/// colony is away the identity is unknown, not gone: the task waits for it by itself.
fn serve(name: &str, operator: OperatorIdentity, context: &ColonyStages) {
    let key = (name.to_owned(), operator.executor_type);
    let inbound = inbound(name, context);
    let mut served = context.served.lock();
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
        services: context.services.clone(),
        colonies: context.colonies.clone(),
        mirrored_kinds: context.mirrored_kinds.clone(),
        inbound,
    };
    // What was submitted is followed once, beside the executor that it is submitted to.
    let followed = (key.1 == CONTROLLER_EXECUTOR_TYPE).then(|| FollowedProcesses {
        colony: name.to_owned(),
        services: context.services.clone(),
        mirrored_kinds: context.mirrored_kinds.clone(),
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
