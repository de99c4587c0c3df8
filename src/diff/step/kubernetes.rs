//! Writes to the cluster, as data.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::{
    api::policy::v1::PodDisruptionBudget,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::ResourceExt as _;
use serde_json::{Map, Value};

use crate::{
    api::{
        colony_cron::RunKind,
        executor_deployment::{ExecutorDeployment, Workload},
        instance::InstanceKind,
        kind::Kind,
        names::REGISTRATION_GATE,
        resource_definition::{ObjectKind, StoredObject, stored_version},
    },
    desired::{DesiredIdentity, DesiredWorkload, colony_cron::DesiredRun},
    kinds::composition::DesiredChild,
};

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum KubernetesStep {
    /// Hold the object until what stands in the colony for it is gone.
    AddFinalizer,
    /// The same, and record as what its work is submitted.
    Hold {
        /// The value of the annotation.
        submitted_as: String,
    },
    /// Remove the finalizer from the object.
    RemoveFinalizer,
    /// Make a key and write it, with the environment, to a new Secret.
    CreateIdentity(Box<DesiredIdentity>),
    /// Write the environment to the Secret again and keep the key.
    UpdateIdentity {
        /// The desired data of the Secret.
        identity: Box<DesiredIdentity>,
        /// Version of the Secret that was seen.
        resource_version: Option<String>,
        /// Whether the object adopts a Secret without a controller.
        is_adopted: bool,
    },
    /// Orphan the Secret with the key, so that it stays when its object is deleted.
    ReleaseIdentity {
        name: String,
        /// Version of the Secret that was seen.
        resource_version: Option<String>,
    },
    /// Remove the Secret with the key.
    DeleteIdentity {
        name: String,
        /// UID of the Secret that was seen: another of its name stays.
        uid: Option<String>,
    },
    /// Make a key and write it, with the environment, to a new Secret for the executor of one pod.
    CreatePodIdentity {
        identity: Box<DesiredIdentity>,
        /// Name of the executor.
        executor: String,
    },
    /// Remove the gate from a pod whose executor is registered.
    OpenPod {
        name: String,
        uid: String,
        /// Version of the pod that was seen.
        resource_version: Option<String>,
        /// Gates of others, which stay.
        gates: Vec<String>,
    },
    /// Delete a pod that has never started.
    DeletePod {
        name: String,
        /// Its UID: another pod of the name is not meant.
        uid: String,
        why: String,
    },
    /// Have a pod say that its executor runs something, or nothing.
    MarkPod {
        name: String,
        /// Its UID: another pod of the name is not meant.
        uid: String,
        /// The process.
        busy_with: Option<String>,
        /// Labels and annotations, as a merge patch.
        metadata: Map<String, Value>,
    },
    /// Create the budget of the busy pods.
    CreateBudget(Box<PodDisruptionBudget>),
    /// Write it again, with the UID and the version that were seen.
    UpdateBudget(Box<PodDisruptionBudget>),
    /// Delete it.
    DeleteBudget {
        name: String,
        /// Its UID: another object of the name is not meant.
        uid: String,
    },
    CreateWorkload(DesiredWorkload),
    /// Write a workload again.
    UpdateWorkload {
        /// The whole object, with the UID that was seen.
        workload: DesiredWorkload,
        /// Paths that differ.
        differences: Vec<String>,
    },
    /// Note on a workload what admission made of the last write.
    NoteAdmission {
        kind: Workload,
        name: String,
        /// Its UID: another object of the name is not meant.
        uid: String,
        /// The annotation.
        admitted: String,
    },
    /// Delete a workload and its pods.
    DeleteWorkload {
        kind: Workload,
        name: String,
        /// Its UID: another object of the name is not meant.
        uid: String,
        why: String,
    },
    /// Create an object that an instance is made of.
    CreateChild(Box<DesiredChild>),
    /// Adopt an object without a controller. What it should be like is brought about afterwards.
    AdoptChild {
        kind: ObjectKind,
        name: String,
        /// Whose it is from now on, as a merge patch; with the UID and the version that were seen.
        patch: Map<String, Value>,
    },
    /// Change an object that an instance is made of.
    PatchChild {
        kind: ObjectKind,
        name: String,
        /// What is to be different, as a merge patch; with the UID that was seen.
        patch: Map<String, Value>,
        /// Paths that differ.
        differences: Vec<String>,
    },
    /// Delete an object that an instance was made of.
    DeleteChild {
        kind: ObjectKind,
        name: String,
        /// Its UID: another object of the name is not meant.
        uid: String,
        why: String,
    },
    /// Write the spec of the object itself.
    UpdateSpec {
        /// The whole spec.
        spec: Map<String, Value>,
        /// Its hash, to be noted on an object that has a blueprint.
        hash: Option<String>,
        why: String,
    },
    /// Delete the object itself.
    DeleteObject {
        why: String,
    },
    /// Create a run of a `ColonyCron`.
    CreateRun {
        time: Timestamp,
        run: DesiredRun,
    },
    /// Delete a run of a `ColonyCron`.
    DeleteRun {
        kind: RunKind,
        name: String,
        uid: String,
        why: Removal,
    },
    CreateCrd(Box<CustomResourceDefinition>),
    /// Write the CRD of a definition again.
    UpdateCrd {
        /// The whole object, with the UID and the version that were seen.
        crd: Box<CustomResourceDefinition>,
        /// Paths that differ.
        differences: Vec<String>,
    },
    /// Delete the CRD of a definition, which has no instances.
    DeleteCrd {
        name: String,
        /// Its UID: another object of the name is not meant.
        uid: String,
    },
    /// Write an instance again without a change, so that it is stored in the version of now.
    Rewrite {
        /// Its kind, in the version of now.
        kind: InstanceKind,
        object: StoredObject,
    },
    /// Note in the status of a CRD that all instances are stored in the version of now.
    ConcludeMigration(Box<CustomResourceDefinition>),
    /// Create a fleet that was born in the colony.
    CreateFleet(Box<ExecutorDeployment>),
    /// Write a fleet that was born in the colony again, if it is still the one that was seen.
    ReplaceFleet(Box<ExecutorDeployment>),
    /// Delete a fleet that was born in the colony.
    DeleteFleet {
        namespace: String,
        name: String,
        uid: String,
    },
    /// Make keys for a member and for executors and write them to the operator's own Secret.
    CreateOperatorKeys {
        /// What the operator's executors are named after.
        place: String,
    },
    /// Add the key of the reconciler to the operator's own Secret.
    AddReconcilerKey {
        /// What the operator's executors are named after.
        place: String,
    },
    /// Note in the operator's own Secret that what has a label is to outlive its object.
    RecordLeft {
        /// UID of the object.
        uid: String,
        label: String,
    },
    /// Remove such notes, of what is over.
    ForgetLeft {
        /// UIDs of the objects.
        uids: Vec<String>,
    },
}

/// Why a run is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Another takes its place.
    Replaced,
    /// More are kept than the history may hold.
    History,
}

impl KubernetesStep {
    /// Whether its refusal says nothing of the steps behind it: each is for an object of its own.
    #[must_use]
    pub const fn stands_alone(&self) -> bool {
        matches!(self, Self::Rewrite { .. } | Self::MarkPod { .. })
    }
}

impl fmt::Display for KubernetesStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |identity: &DesiredIdentity| identity.metadata.name.clone().unwrap_or_default();
        match self {
            Self::AddFinalizer | Self::Hold { .. } => write!(f, "add the finalizer"),
            Self::RemoveFinalizer => write!(f, "remove the finalizer"),
            Self::CreateIdentity(identity) => write!(
                f,
                "create Secret {} with a new key for executor {}-<random> and {} variables",
                secret(identity),
                identity.name_prefix,
                identity.environment.len()
            ),
            Self::CreatePodIdentity { identity, executor } => {
                write!(f, "create Secret {} with a new key for executor {executor}", secret(identity))
            }
            Self::OpenPod { name, .. } => write!(f, "remove gate {REGISTRATION_GATE} from Pod {name}"),
            Self::DeletePod { name, why, .. } => write!(f, "delete Pod {name} ({why})"),
            Self::MarkPod { name, busy_with: Some(process), .. } => {
                write!(f, "mark Pod {name} as busy with process {process}")
            }
            Self::MarkPod { name, busy_with: None, .. } => write!(f, "mark Pod {name} as idle"),
            Self::CreateBudget(budget) => write!(f, "create PodDisruptionBudget {}", budget.name_any()),
            Self::UpdateBudget(budget) => write!(f, "update PodDisruptionBudget {}", budget.name_any()),
            Self::DeleteBudget { name, .. } => write!(f, "delete PodDisruptionBudget {name}"),
            Self::UpdateIdentity { identity, is_adopted, .. } => {
                let what = if *is_adopted {
                    "take over, with its key, and update"
                } else {
                    "update the environment in"
                };
                write!(f, "{what} Secret {}", secret(identity))
            }
            Self::ReleaseIdentity { name, .. } => write!(f, "release Secret {name}"),
            Self::DeleteIdentity { name, .. } => write!(f, "delete Secret {name}"),
            Self::CreateWorkload(workload) => write!(f, "create {}", describe(workload)),
            Self::UpdateWorkload { workload, differences } => {
                write!(f, "update {} ({})", describe(workload), differences.join(", "))
            }
            Self::NoteAdmission { kind, name, .. } => {
                write!(f, "note what admission changed of {} {name}", kind.as_str())
            }
            Self::DeleteWorkload { kind, name, why, .. } => {
                write!(f, "delete {} {name} ({why})", kind.as_str())
            }
            Self::CreateChild(child) => write!(f, "create {} {}", child.kind.kind, child.name),
            Self::AdoptChild { kind, name, .. } => write!(f, "adopt {} {name}", kind.kind),
            Self::PatchChild { kind, name, differences, .. } => {
                write!(f, "update {} {name} ({})", kind.kind, differences.join(", "))
            }
            Self::DeleteChild { kind, name, why, .. } => write!(f, "delete {} {name} ({why})", kind.kind),
            Self::UpdateSpec { why, .. } => write!(f, "write the object's own spec ({why})"),
            Self::DeleteObject { why } => write!(f, "delete the object itself ({why})"),
            Self::CreateRun { time, run } => {
                write!(f, "create {} {} for {time}", Kind::from(run.kind()).name(), run.name())
            }
            Self::DeleteRun { kind, name, why, .. } => {
                let why = match why {
                    Removal::Replaced => "replaced by a later run",
                    Removal::History => "older than the history that is kept",
                };
                write!(f, "delete {} {name}: {why}", Kind::from(*kind).name())
            }
            Self::CreateCrd(crd) => write!(f, "create CustomResourceDefinition {}", crd.name_any()),
            Self::UpdateCrd { crd, differences } => {
                write!(f, "update CustomResourceDefinition {} ({})", crd.name_any(), differences.join(", "))
            }
            Self::DeleteCrd { name, .. } => write!(f, "delete CustomResourceDefinition {name}"),
            Self::Rewrite { kind, object } => {
                let version = &kind.terms().resource.version;
                write!(f, "write {} {} again, in {version}", kind.name(), object.name)
            }
            Self::ConcludeMigration(crd) => {
                let version = stored_version(crd).unwrap_or_default();
                write!(f, "note that all objects of {} are stored in {version}", crd.name_any())
            }
            Self::CreateFleet(object) => write!(f, "create ExecutorDeployment {}", object.name_any()),
            Self::ReplaceFleet(object) => write!(f, "update ExecutorDeployment {}", object.name_any()),
            Self::DeleteFleet { name, .. } => write!(f, "delete ExecutorDeployment {name}"),
            Self::CreateOperatorKeys { .. } => write!(f, "create the Secret with the operator's keys"),
            Self::AddReconcilerKey { .. } => {
                write!(f, "add the reconciler's key to the Secret with the operator's keys")
            }
            Self::RecordLeft { label, .. } => {
                write!(
                    f,
                    "note in the Secret with the operator's keys that process {label} outlives its object"
                )
            }
            Self::ForgetLeft { uids } => {
                write!(f, "remove {} notes from the Secret with the operator's keys", uids.len())
            }
        }
    }
}

/// A workload in a few words.
fn describe(workload: &DesiredWorkload) -> String {
    let (metadata, size) = match workload {
        DesiredWorkload::Deployment(deployment) => {
            (&deployment.metadata, deployment.spec.as_ref().and_then(|spec| spec.replicas))
        }
        DesiredWorkload::DaemonSet(daemon_set) => (&daemon_set.metadata, None),
        DesiredWorkload::Job(job) => (&job.metadata, job.spec.as_ref().and_then(|spec| spec.parallelism)),
    };
    let name = metadata.name.as_deref().unwrap_or_default();
    let size = size.map(|size| format!(" with {size} replicas")).unwrap_or_default();
    format!("{} {name}{size}", workload.kind().as_str())
}
