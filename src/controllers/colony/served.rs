//! What goes on in a colony beside the passes over its `Colony`: its connection is kept for other controllers, objects
//! for which that makes a difference are woken, and the operator works there as its executors.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use kube::{
    ResourceExt as _,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{
    assignments::Assignments,
    figures, fleets,
    inbound::Inbound,
    leftovers::LeftoverReader,
    processes::{FollowedProcesses, MirroredKinds},
    stages::ServeColony,
    users::{Users, default_of},
};
use crate::{
    api::{
        colony::Colony,
        executor_deployment::{ExecutorDeployment, Runtime},
        names::{CONTROLLER_EXECUTOR_TYPE, EXECUTOR_DEPLOYMENT_KIND},
    },
    colony::{Executor, ExecutorState, ProcessState},
    controllers::engine::context::{Requeuer, Services},
    memory::{
        connections::{Connection, OperatorIdentity},
        running::Running,
    },
    snapshot::whole_second,
    watch::{
        colony::ColonyReading,
        inbound::InboundReader,
        index::{Index, IndexKey},
        stores::{Filled, GuardedExecutorDeployment},
        triggers,
    },
};

/// Name of the `Colony` and type of the operator's executor in it.
type ServedAs = (String, &'static str);

/// What serves a colony.
pub(super) struct ServingTask {
    /// Id of the executor, which follows from its key: one whose key was replaced keeps its name.
    executor_id: String,
    pub task: AbortHandle,
}

impl ServingTask {
    /// Whether it goes on and calls with the key of that id.
    fn serves_as(&self, executor_id: &str) -> bool {
        !self.task.is_finished() && self.executor_id == executor_id
    }
}

/// Serves colonies.
pub(super) struct ServedColonies {
    pub services: Arc<Services>,
    pub requeuer: Requeuer<GuardedExecutorDeployment>,
    pub colonies: Store<DeserializeGuard<Colony>>,
    /// Where the objects of processes are looked up.
    pub objects: Vec<(Index<GuardedExecutorDeployment>, Filled)>,
    /// The objects of all kinds that processes carry.
    pub mirrored_kinds: MirroredKinds,
    pub leftovers: LeftoverReader,
    /// Wakes `Colonies`.
    pub own: Requeuer<DeserializeGuard<Colony>>,
    pub served: Arc<Mutex<HashMap<ServedAs, ServingTask>>>,
    pub inbound: Mutex<HashMap<String, Inbound>>,
}

impl ServeColony for ServedColonies {
    async fn serve(&self, name: &str, reading: &ColonyReading) {
        let figures = figures::of(&reading.snapshot, reading.workforce.as_ref());
        self.services.metrics.world().note_colony(name, figures);
        remember(name, reading, self);
        sync_blueprints(name, reading, self).await;
    }

    async fn complete(&self, reading: &mut ColonyReading) {
        reading.snapshot.leftovers = self.leftovers.read(reading).await;
        fleets::list_all_running(self.objects.iter().map(|(index, _)| index), reading).await;
        let users = Users {
            mirrored_kinds: &self.mirrored_kinds,
            kubernetes: &self.services.kubernetes.calls,
            colonies: &self.colonies,
            selector: &self.services.configuration.cluster_selector,
            absences: &self.services.absences,
            clock: &self.services.clock,
        };
        let object = &reading.snapshot.object;
        let name = object.name_any();
        let default = default_of(&self.colonies).filter(|_| object.is_default());
        let users = users.of(object).await;
        let refused_blueprints = self.services.blueprints.refused(&name);
        reading.snapshot.users = users;
        reading.snapshot.refused_blueprints = refused_blueprints;
        reading.snapshot.other_default = default.filter(|default| *default != name);
    }

    fn end(&self, name: &str) {
        self.services.metrics.world().forget_colony(name);
        self.served.lock().retain(|(colony, _), served| {
            let stays = colony != name;
            if !stays {
                served.task.abort();
            }
            stays
        });
        wake_all(self);
    }
}

/// Keeps the connection for the other controller, wakes the objects for which it makes a difference, and has the colony
/// served.
fn remember(name: &str, reading: &ColonyReading, context: &ServedColonies) {
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
    // That of which the reason changes lasts all the same.
    let before = context.services.connections.get(name);
    let running = reading.running.as_ref().map(|shown| {
        let earlier = before.as_ref().and_then(|before| before.running.as_deref());
        Running::after(earlier, shown, reading.asked_at)
    });
    let problem = snapshot.problem().map(|why| {
        let since = before.and_then(|before| before.problem_since).unwrap_or(snapshot.now);
        (why, since)
    });
    let problem_since = problem.as_ref().map(|(_, since)| *since);
    let problem = problem.map(|(why, since)| format!("{why} (so since {})", whole_second(since)));
    let connection = Connection::new(
        sessions.member.clone(),
        sessions.owner.clone(),
        operator.clone(),
        problem.clone(),
        executors,
    )
    .with_workforce(reading.workforce.clone())
    .with_running(running)
    .with_problem_since(problem_since);
    let (connection, previous) = context.services.connections.put(name, connection, reading.asked_at);
    let states = connection.executor_states();
    let approved = connection.approved().cloned();
    let reconnected = previous
        .as_ref()
        .is_none_or(|previous| previous.problem != problem || previous.operator.len() != operator.len());
    if previous.as_ref().and_then(|previous| previous.approved()) != approved.as_ref() {
        context.services.executor_changes.send_replace(());
    }
    wake_waiting(previous.as_deref(), &connection, context);
    let cluster = &context.services.cluster;
    let moved = fleets::moved(previous.as_deref(), &connection, executors.unwrap_or_default(), cluster);
    if !moved.is_empty() {
        wake(context, |object| {
            let name = (object.namespace().unwrap_or_default(), object.name_any());
            object.spec.is_per_pod() && moved.contains(&name)
        });
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
async fn sync_blueprints(name: &str, reading: &ColonyReading, context: &ServedColonies) {
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
    let mut refused = BTreeMap::new();
    if may_make && blueprints.iter().any(|blueprint| !has_object(&blueprint.metadata.name)) {
        refused = inbound(name, context).sweep(&sessions.member).await;
    }
    for (blueprint, why) in &refused {
        tracing::debug!(colony = name, blueprint, "not made: {why}");
    }
    if context.services.blueprints.record_refused(name, &refused) {
        // Its status tells.
        context.own.wake(&ObjectRef::new(name));
    }
}

/// The handler of what originates in a colony; one for each, so that nothing is answered twice at once.
fn inbound(name: &str, context: &ServedColonies) -> Inbound {
    let mut all = context.inbound.lock();
    let services = &context.services;
    let new = || {
        let reader = InboundReader {
            client: services.kubernetes.calls.clone(),
            objects: context.objects.clone(),
            colonies: context.colonies.clone(),
            operator_namespace: services.kubernetes.namespace.clone(),
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

fn wake(context: &ServedColonies, concerned: impl Fn(&ExecutorDeployment) -> bool) {
    for (index, _) in &context.objects {
        for object in triggers::references(index.store(), &(), &concerned) {
            context.requeuer.wake(&object);
        }
    }
}

/// Wakes what waits for executors and is to say something else of them than before: all of it if others could take it, else
/// what has another place in the queue.
fn wake_waiting(previous: Option<&Connection>, present: &Connection, context: &ServedColonies) {
    let Some(present) = &present.workforce else { return };
    let moved = previous
        .and_then(|previous| previous.workforce.as_ref())
        .filter(|previous| !present.differs_from(previous))
        .map(|previous| present.moved_since(previous));
    if moved.is_none() {
        // Their reconciler may have come or gone.
        wake(context, |object| object.spec.runtime != Runtime::Kubernetes);
    }
    if moved.as_ref().is_some_and(BTreeSet::is_empty) {
        return;
    }
    for kind in context.mirrored_kinds.all() {
        let waiting = kind.carried().into_iter().filter(|process| process.run_by_others);
        let waiting = waiting.filter(|process| process.recorded == ProcessState::Waiting);
        for process in waiting {
            if moved.as_ref().is_some_and(|moved| !moved.contains(&process.process_id)) {
                continue;
            }
            let object = process.object;
            object.kind.wake(&object.namespace, &object.name);
        }
    }
}

/// Wakes everything that the colony makes a difference for.
fn wake_all(context: &ServedColonies) {
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

/// Has the colony served under one of the operator's present identities, and under no earlier one of its type. While the
/// colony is away the identity is unknown, not gone: the task waits for it by itself.
fn serve(name: &str, operator: OperatorIdentity, context: &ServedColonies) {
    let key = (name.to_owned(), operator.executor_type);
    let inbound = inbound(name, context);
    let mut served = context.served.lock();
    if served.get(&key).is_some_and(|served| served.serves_as(&operator.id)) {
        return;
    }
    if let Some(earlier) = served.remove(&key) {
        earlier.task.abort();
    }
    let executor_id = operator.id.clone();
    let assignments = Assignments {
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
        own: context.own.clone(),
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
    served.insert(key, ServingTask { executor_id, task });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a key that the colony no longer knows, nothing would be assigned to the operator until it is restarted.
    #[tokio::test]
    async fn a_key_that_was_replaced_under_the_same_name_is_used() {
        let running = tokio::spawn(std::future::pending::<()>());
        let served = ServingTask { executor_id: "one".to_owned(), task: running.abort_handle() };
        assert!(served.serves_as("one"));
        assert!(!served.serves_as("two"));
        running.abort();
        let _ = running.await;
        assert!(!served.serves_as("one"), "it has ended");
    }
}
