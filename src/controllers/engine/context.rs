//! What the controllers share: the shared services of the process and, for each set of caches, a reader.

use std::{sync::Arc, time::Duration};

use futures::channel::mpsc::UnboundedSender;
use kube::{Resource, runtime::reflector::ObjectRef};

use crate::{
    act::{Actor, Servers, kubernetes::Cluster},
    api::{installation::status_manager, mirror::Mirrored},
    colony::ProcessId,
    memory::{
        absences::Absences, adds::Adds, blueprints::Blueprints, connections::Connections,
        duplicates::Duplicates, endpoint::Endpoint, identities::Identities,
        identity_webhook::IdentityWebhook, kinds::ServedKinds, lines::Lines, neighbours::Neighbours,
        processes::Processes, reconcile_requests::ReconcileRequests, released::ReleasedObjects,
        repeats::Repeats, submissions::Submissions, writes::Writes,
    },
    runtime::{
        clock::Clock, config::OperatorConfiguration, kubernetes::Kubernetes, lease::Leadership,
        metrics::Metrics, traces::Traces,
    },
    status::publish::Publisher,
    watch::mirror::ProcessReader,
};

/// The shared services of the process.
#[derive(Clone)]
pub struct Services {
    /// The API server.
    pub kubernetes: Kubernetes,
    /// The configuration.
    pub configuration: OperatorConfiguration,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// UID of the `kube-system` namespace.
    pub cluster: String,
    /// Writes to the cluster.
    pub to_cluster: Cluster,
    /// Carries plans out.
    pub actor: Actor<Servers>,
    /// Writes status and Events.
    pub publisher: Publisher,
    /// Connections to colonies.
    pub connections: Connections,
    /// Processes as they were last read.
    pub processes: Processes,
    /// The last lines of the logs of processes.
    pub lines: Lines,
    /// What was read of executors' Secrets.
    pub identities: Identities,
    /// What objects were asked to be looked at for.
    pub reconcile_requests: ReconcileRequests,
    /// Objects that this process has released.
    pub released: ReleasedObjects,
    /// Writes of this process that may repeat each other.
    pub repeats: Repeats,
    /// Submits of this process.
    pub submissions: Submissions,
    /// Executors and blueprints that this process has tried to add.
    pub adds: Adds,
    /// What colonies have reported to be gone.
    pub absences: Absences,
    /// Processes that colonies have besides those that objects are bound to.
    pub duplicates: Duplicates,
    /// Processes of objects that are gone.
    pub orphans: Duplicates,
    /// Whether other installations serve colonies under the identity of this one.
    pub neighbours: Neighbours,
    /// Blueprints as colonies last described them.
    pub blueprints: Blueprints,
    /// Last writes of this process.
    pub writes: Writes,
    /// Kinds that the cluster was found to serve.
    pub served: ServedKinds,
    /// Where API servers have objects converted.
    pub endpoint: Endpoint,
    /// Whether API servers ask for the names of the executors of new pods.
    pub identity_webhook: IdentityWebhook,
    /// Tells a collector of work.
    pub traces: Traces,
    /// Notifies waiters that some object has changed.
    pub object_changes: Arc<tokio::sync::watch::Sender<()>>,
    /// Notifies that executors of a colony were added or removed.
    pub executor_changes: Arc<tokio::sync::watch::Sender<()>>,
}

impl Services {
    /// Assembles the shared services.
    #[must_use]
    pub fn new(
        kubernetes: Kubernetes,
        configuration: OperatorConfiguration,
        leadership: Leadership,
        clock: Clock,
        metrics: Metrics,
        cluster: String,
        instance: Option<String>,
    ) -> Self {
        let (writes, identities) = (Writes::default(), Identities::default());
        let (submissions, adds) = (Submissions::default(), Adds::default());
        let absences = Absences::default();
        let blueprints = Blueprints::default();
        let calls = kubernetes.calls.clone();
        let served = ServedKinds::default();
        let to_cluster = Cluster::new(
            calls.clone(),
            writes.clone(),
            served.clone(),
            identities.clone(),
            metrics.clone(),
            clock.clone(),
            kubernetes.namespace.clone(),
        );
        let processes = Processes::new(Duration::from_secs(configuration.process_poll_seconds.into()));
        let actor = Actor::new(Servers {
            cluster: to_cluster.clone(),
            submissions: submissions.clone(),
            adds: adds.clone(),
            absences: absences.clone(),
            blueprints: blueprints.clone(),
            processes: processes.clone(),
            leadership: leadership.clone(),
            clock: clock.clone(),
        });
        let publisher = Publisher::new(
            calls,
            instance,
            leadership.clone(),
            writes.clone(),
            metrics.clone(),
            clock.clone(),
            status_manager(&kubernetes.namespace, &configuration.leader_election.lease_name),
        );
        Self {
            kubernetes,
            configuration,
            leadership,
            clock,
            metrics,
            cluster,
            to_cluster,
            actor,
            publisher,
            connections: Connections::default(),
            processes,
            lines: Lines::default(),
            identities,
            reconcile_requests: ReconcileRequests::default(),
            released: ReleasedObjects::default(),
            repeats: Repeats::default(),
            submissions,
            adds,
            duplicates: Duplicates::default(),
            orphans: Duplicates::default(),
            neighbours: Neighbours::default(),
            absences,
            blueprints,
            writes,
            served,
            endpoint: Endpoint::default(),
            identity_webhook: IdentityWebhook::default(),
            traces: Traces::default(),
            object_changes: Arc::new(tokio::sync::watch::channel(()).0),
            executor_changes: Arc::new(tokio::sync::watch::channel(()).0),
        }
    }

    /// Has the colony be asked for the processes and the blueprint of an object.
    pub fn invalidate(&self, object: &dyn Mirrored) {
        let now = self.clock.instant();
        for process in object.live_processes() {
            self.processes.invalidate(&ProcessId::new(process.id), now);
        }
        if let Some(name) = object.blueprint() {
            self.blueprints.invalidate(name);
        }
    }

    /// Notes that nothing holds an object any more.
    pub fn record_release(&self, uid: &str) {
        self.reconcile_requests.forget(uid);
        self.released.note(uid);
        self.repeats.forget(uid);
        self.submissions.forget(uid);
    }

    /// Reads the processes of objects.
    #[must_use]
    pub fn process_reader(&self) -> ProcessReader {
        ProcessReader {
            processes: self.processes.clone(),
            submissions: self.submissions.clone(),
            adds: self.adds.clone(),
            absences: self.absences.clone(),
            leadership: self.leadership.clone(),
            clock: self.clock.clone(),
        }
    }
}

/// Wakes objects of a kind for reasons that are not in the cluster: something happened in the colony.
#[derive(Clone)]
pub struct Requeuer<K: Resource<DynamicType: Clone>> {
    controllers: Vec<UnboundedSender<ObjectRef<K>>>,
}

impl<K: Resource<DynamicType: Clone>> Requeuer<K> {
    /// Hints to these controllers; each looks only after its own objects and ignores the rest.
    #[must_use]
    pub const fn new(controllers: Vec<UnboundedSender<ObjectRef<K>>>) -> Self {
        Self { controllers }
    }

    /// Wakes an object.
    pub fn wake(&self, object: &ObjectRef<K>) {
        for controller in &self.controllers {
            // A controller that has ended needs no hints.
            let _ = controller.unbounded_send(object.clone());
        }
    }
}
