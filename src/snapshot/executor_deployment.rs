//! What one pass knows of an `ExecutorDeployment` and of all that it depends on.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    core::v1::Pod,
};

use super::{
    Carrier, ColonyReference, Identity, Observed, PodExecutor, PodIdentities, Registration, TypeUse,
    pod_trouble::PodTrouble,
};
use crate::{
    api::{executor_deployment::ExecutorDeployment, names::is_executor_of},
    colony::model::{Blueprint, Process},
    runtime::config::model::{ExecutorResources, HostPathPolicy, ServiceAccountPolicy},
};

/// How many executor types that are similar to one's own are named.
pub const SIMILAR_TYPES_NAMED: usize = 3;

/// What one pass knows of an `ExecutorDeployment`.
#[derive(Clone, Debug)]
pub struct ExecutorDeploymentSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ExecutorDeployment,
    /// UID of this cluster's `kube-system` namespace: part of every process label.
    pub cluster: String,
    /// The colony in which the executors serve.
    pub colony: ColonyReference,
    /// Objects with the name of the workload, whatever their owner.
    pub workloads: Workloads,
    /// The object's pods.
    pub pods: Vec<Pod>,
    /// Why the API server refuses more of them, in its own words, as far as the workload does not say so itself.
    pub refused_pods: Option<String>,
    /// Why a volume of a pod cannot be mounted, which only Events tell.
    pub unmounted: Option<PodTrouble>,
    /// The Secret with the executor's key and environment.
    pub identity: Observed<Option<Identity>>,
    /// What the colony knows of the executor that the identity names.
    pub registration: Observed<Registration>,
    /// What the colony knows of the executor that status names.
    pub recorded_registration: Observed<Registration>,
    /// The executors of the pods, where each pod is one, or was.
    pub pod_identities: Option<PodIdentities>,
    /// The process of the object: by its id when bound, else everything that has its label, oldest first.
    pub processes: Observed<Vec<Process>>,
    /// Of one that runs to an end and was restored from a backup, which gave it another UID and no status: the processes of its earlier
    /// generations, the last one last. Looked at while nothing is on record.
    pub earlier: Observed<Vec<Process>>,
    /// The blueprint that mirrors the object, if it has one.
    pub blueprint: Observed<Option<Blueprint>>,
    /// Who carries it out, when another runtime does.
    pub carrier: Carrier,
    /// Before this moment nothing may be submitted, since an earlier submit could still arrive.
    pub submit_not_before: Option<Timestamp>,
    /// Until when what this operator has added to the colony may still arrive there.
    pub in_flight: AddsInFlight,
    /// Executor types, used by others in the same colony, that differ from this one only by digits at the end: the first few, one
    /// more than are named.
    pub similar_executor_types: Vec<String>,
    /// Who else has its executor type in the same colony.
    pub type_use: TypeUse,
    /// What this operator allows.
    pub policy: Policy,
    /// When the snapshot was taken.
    pub now: Timestamp,
}

impl ExecutorDeploymentSnapshot {
    /// The executor that status names, if the Secret names another and it is the object's own.
    #[must_use]
    pub fn predecessor(&self) -> Option<&str> {
        let name = &self.object.status.as_ref()?.executor.as_ref()?.name;
        let identity = self.identity.known()?.as_ref()?;
        let is_foreign = self.recorded_registration.known() == Some(&Registration::Foreign);
        (*name != identity.executor_name && self.is_named_after(name) && !is_foreign).then_some(name)
    }

    /// The pods that are, or are to be, executors of their own. Those that have ended are none any more.
    pub fn pod_executors(&self) -> impl Iterator<Item = PodExecutor<'_>> {
        let (namespace, name) =
            (self.object.metadata.namespace.as_deref(), self.object.metadata.name.as_deref());
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        self.pods.iter().filter_map(move |pod| PodExecutor::of(pod, namespace, name))
    }

    /// Whether an executor has the name of one of the object.
    #[must_use]
    pub fn is_named_after(&self, executor: &str) -> bool {
        let namespace = self.object.metadata.namespace.as_deref().unwrap_or_default();
        is_executor_of(executor, namespace, self.object.metadata.name.as_deref().unwrap_or_default())
    }
}

/// Until when adds whose answers never came may still arrive; none where nothing is on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddsInFlight {
    /// The blueprint that mirrors the object.
    pub blueprint: Option<Timestamp>,
    /// The executor that the identity names, or status, when there is no identity.
    pub executor: Option<Timestamp>,
    /// The executor that status names.
    pub recorded_executor: Option<Timestamp>,
}

/// Objects of the name that the workload would have, by kind.
#[derive(Clone, Debug)]
pub struct Workloads {
    pub deployment: Observed<Option<Deployment>>,
    pub daemon_set: Observed<Option<DaemonSet>>,
    pub job: Observed<Option<Job>>,
}

/// What this operator allows and what it adds.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Directories of nodes that may be mounted.
    pub host_paths: HostPathPolicy,
    /// Service accounts that pods may run as.
    pub service_accounts: ServiceAccountPolicy,
    /// Resources where the object names none.
    pub executor_resources: ExecutorResources,
    /// Image of the gate of pods that are drained.
    pub gate_image: String,
}
