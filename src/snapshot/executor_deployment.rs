//! What one pass knows of an `ExecutorDeployment` and of all that it depends on.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    core::v1::Pod,
};

use super::Observed;
use crate::{
    api::{colony::ColonySpec, executor_deployment::ExecutorDeployment},
    colony::model::{Blueprint, ExecutorState, Process},
    runtime::config::model::{ExecutorResources, HostPathPolicy, ServiceAccountPolicy},
};

/// What one pass knows of an `ExecutorDeployment`.
#[derive(Clone, Debug)]
pub struct ExecutorDeploymentSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ExecutorDeployment,
    /// UID of this cluster's `kube-system` namespace: part of every process label.
    pub cluster: String,
    /// The colony in which the executors serve.
    pub colony: ColonyReference,
    /// Objects of the name that the workload would have, whoever owns them.
    pub workloads: Workloads,
    /// The object's pods.
    pub pods: Vec<Pod>,
    /// The Secret with the executor's key and environment.
    pub identity: Observed<Option<Identity>>,
    /// What the colony knows of the executor that the identity names.
    pub registration: Observed<Registration>,
    /// The process that carries the object: by its id when bound, else everything that has its label, oldest first.
    pub processes: Observed<Vec<Process>>,
    /// The blueprint that says the same as the object, where there is to be one.
    pub blueprint: Observed<Option<Blueprint>>,
    /// Before this moment nothing may be submitted, since an earlier submit could still arrive.
    pub submit_not_before: Option<Timestamp>,
    /// Executor types, used by others in the same colony, that differ from this one only by digits at the end.
    pub similar_executor_types: Vec<String>,
    /// What this operator allows.
    pub policy: Policy,
    /// When the snapshot was taken.
    pub now: Timestamp,
}

/// Which colony an object uses, or why none.
#[derive(Clone, Debug)]
pub enum ColonyReference {
    /// The object may use this colony.
    Resolved(Box<ResolvedColony>),
    /// There is no `Colony` of the name; without a name, none is marked as the default.
    NotFound {
        /// The name that the object gives.
        name: Option<String>,
    },
    /// The `Colony` does not admit the object's namespace.
    NotAllowed {
        /// The `Colony`.
        name: String,
    },
}

impl ColonyReference {
    /// The colony, if there is one.
    #[must_use]
    pub const fn resolved(&self) -> Option<&ResolvedColony> {
        match self {
            Self::Resolved(colony) => Some(colony),
            Self::NotFound { .. } | Self::NotAllowed { .. } => None,
        }
    }
}

/// A colony that an object may use.
#[derive(Clone, Debug)]
pub struct ResolvedColony {
    /// Name of the `Colony` object.
    pub name: String,
    /// Its spec.
    pub spec: ColonySpec,
    /// Id of the operator's own executor there; unknown while the colony is not connected, with the reason.
    pub operator_executor_id: Observed<String>,
}

/// Objects of the name that the workload would have, by kind.
#[derive(Clone, Debug)]
pub struct Workloads {
    /// A Deployment.
    pub deployment: Observed<Option<Deployment>>,
    /// A `DaemonSet`.
    pub daemon_set: Observed<Option<DaemonSet>>,
    /// A Job.
    pub job: Observed<Option<Job>>,
}

/// An executor's identity as it stands in its Secret, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// UID of the object that controls the Secret, or with which it goes.
    pub owner_uid: Option<String>,
    /// Version of the Secret: precondition of its replacement.
    pub resource_version: Option<String>,
    /// Name of the executor in the colony.
    pub executor_name: String,
    /// Id of the executor, derived from its key.
    pub executor_id: String,
    /// Type as which it was made to register, if the Secret says it.
    pub executor_type: Option<String>,
    /// Where it was made to say that it is, empty for nowhere; if the Secret says it.
    pub location: Option<String>,
    /// Hash of the rest of the environment.
    pub content_hash: Option<String>,
}

/// What a colony knows of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It has never heard of it.
    Absent,
    /// It knows it.
    Present(ExecutorState),
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
}
