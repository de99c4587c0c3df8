//! Effects as data: what the executor of plans can do, each a single write. Pure.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    api::{executor_deployment::Workload, resource_definition::ObjectKind},
    colony::model::Blueprint,
    desired::{DesiredIdentity, DesiredProcess, DesiredWorkflow, DesiredWorkload},
    kinds::composition::DesiredChild,
};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A write to the cluster.
    Kubernetes(KubernetesStep),
    /// A write to the colony.
    Colony(ColonyStep),
}

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum KubernetesStep {
    /// Hold the object until what stands in the colony for it is gone.
    AddFinalizer,
    /// Let the object go.
    RemoveFinalizer,
    /// Make a key and write it, with the environment, to a new Secret.
    CreateIdentity(Box<DesiredIdentity>),
    /// Write the environment to the Secret again and keep the key.
    UpdateIdentity {
        /// What the Secret should say.
        identity: Box<DesiredIdentity>,
        /// Version of the Secret that was seen.
        resource_version: Option<String>,
        /// Whether the Secret was nobody's, and becomes the object's.
        is_adopted: bool,
    },
    /// Leave the Secret with the key to nobody, so that it stays when its object goes.
    ReleaseIdentity {
        /// Its name.
        name: String,
        /// Version of the Secret that was seen.
        resource_version: Option<String>,
    },
    /// Remove the Secret with the key.
    DeleteIdentity {
        /// Its name.
        name: String,
    },
    /// Create a workload.
    CreateWorkload(DesiredWorkload),
    /// Write a workload again.
    UpdateWorkload {
        /// The whole object, with the UID that was seen.
        workload: DesiredWorkload,
        /// Paths that differ.
        differences: Vec<String>,
    },
    /// Delete a workload and its pods.
    DeleteWorkload {
        /// Its kind.
        kind: Workload,
        /// Its name.
        name: String,
        /// Its UID: another object of the name is not meant.
        uid: String,
        /// Why.
        why: String,
    },
    /// Create an object that an instance is made of.
    CreateChild(Box<DesiredChild>),
    /// Take over an object that nobody controls. What it should be like is brought about afterwards.
    AdoptChild {
        /// Its kind.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// Whose it is from now on, as a merge patch; with the UID and the version that were seen.
        patch: Map<String, Value>,
    },
    /// Change an object that an instance is made of.
    PatchChild {
        /// Its kind.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// What is to be different, as a merge patch; with the UID that was seen.
        patch: Map<String, Value>,
        /// Paths that differ.
        differences: Vec<String>,
    },
    /// Delete an object that an instance was made of.
    DeleteChild {
        /// Its kind.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// Its UID: another object of the name is not meant.
        uid: String,
        /// Why.
        why: String,
    },
    /// Write the spec of the object itself.
    UpdateSpec {
        /// The whole spec.
        spec: Map<String, Value>,
        /// Why.
        why: String,
    },
    /// Delete the object itself.
    DeleteObject {
        /// Why.
        why: String,
    },
}

/// One write to the colony.
#[derive(Clone, Debug, PartialEq)]
pub enum ColonyStep {
    /// Register an executor and approve it.
    RegisterExecutor {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// Its type.
        executor_type: String,
        /// Its location.
        location: Option<String>,
    },
    /// Remove an executor. Its name is burnt.
    RemoveExecutor {
        /// Its name.
        name: String,
    },
    /// Submit a process. Planned only when no other of its label can exist.
    Submit(Box<DesiredProcess>),
    /// Submit a workflow. Planned only when no other of its label can exist.
    SubmitWorkflow(Box<DesiredWorkflow>),
    /// Cancel a process.
    Cancel {
        /// Its id.
        process_id: String,
        /// Why.
        why: String,
    },
    /// Cancel a workflow: its nodes cannot be cancelled by themselves.
    CancelGraph {
        /// Its id.
        graph_id: String,
        /// Why.
        why: String,
    },
    /// Open the gate behind which a process waits.
    OpenGate {
        /// Id of the gate, which is a process that the operator was assigned.
        process_id: String,
    },
    /// Close a process as successful.
    CloseSuccessful {
        /// Its id.
        process_id: String,
        /// Its output.
        output: Vec<Value>,
    },
    /// Close a process as failed.
    CloseFailed {
        /// Its id.
        process_id: String,
        /// Why it failed.
        errors: Vec<String>,
    },
    /// Add a blueprint.
    AddBlueprint(Box<Blueprint>),
    /// Write the spec of a blueprint, and keep the rest of it.
    UpdateBlueprint {
        /// Its name.
        name: String,
        /// The whole spec.
        spec: Map<String, Value>,
        /// Its generation when it was looked at: one that has changed since is not written.
        seen_generation: i64,
    },
    /// Write the status of a blueprint.
    UpdateBlueprintStatus {
        /// Its name.
        name: String,
        /// The whole status.
        status: Map<String, Value>,
    },
    /// Remove a blueprint.
    RemoveBlueprint {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(step) => write!(f, "kubernetes  {step}"),
            Self::Colony(step) => write!(f, "colony      {step}"),
        }
    }
}

impl fmt::Display for KubernetesStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |identity: &DesiredIdentity| identity.metadata.name.clone().unwrap_or_default();
        match self {
            Self::AddFinalizer => write!(f, "add the finalizer"),
            Self::RemoveFinalizer => write!(f, "remove the finalizer"),
            Self::CreateIdentity(identity) => write!(
                f,
                "create Secret {} with a new key for executor {}-<random> and {} variables",
                secret(identity),
                identity.name_prefix,
                identity.environment.len()
            ),
            Self::UpdateIdentity { identity, is_adopted, .. } => {
                let what = if *is_adopted {
                    "take over, with its key, and update"
                } else {
                    "update the environment in"
                };
                write!(f, "{what} Secret {}", secret(identity))
            }
            Self::ReleaseIdentity { name, .. } => write!(f, "let go of Secret {name}"),
            Self::DeleteIdentity { name } => write!(f, "delete Secret {name}"),
            Self::CreateWorkload(workload) => write!(f, "create {}", describe(workload)),
            Self::UpdateWorkload { workload, differences } => {
                write!(f, "update {} ({})", describe(workload), differences.join(", "))
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
        }
    }
}

impl fmt::Display for ColonyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegisterExecutor { name, executor_type, location, .. } => {
                write!(f, "register and approve executor {name} of type {executor_type}")?;
                location.iter().try_for_each(|location| write!(f, " at {location}"))
            }
            Self::RemoveExecutor { name } => write!(f, "remove executor {name}"),
            Self::Submit(process) => {
                let gate = if process.is_gated { " behind a gate" } else { "" };
                write!(
                    f,
                    "submit process {} for {} with label {}{gate}",
                    process.spec.function(),
                    process.spec.executor_type(),
                    process.label
                )
            }
            Self::SubmitWorkflow(workflow) => {
                let nodes = workflow.spec.nodes().len();
                write!(f, "submit a workflow of {nodes} nodes with label {}", workflow.label)
            }
            Self::CancelGraph { graph_id, why } => write!(f, "cancel workflow {graph_id} ({why})"),
            Self::OpenGate { process_id } => write!(f, "open gate {process_id}"),
            Self::Cancel { process_id, why } => write!(f, "cancel process {process_id} ({why})"),
            Self::CloseSuccessful { process_id, .. } => write!(f, "close process {process_id} as successful"),
            Self::CloseFailed { process_id, errors } => {
                write!(f, "close process {process_id} as failed: {}", errors.join("; "))
            }
            Self::AddBlueprint(blueprint) => write!(f, "add blueprint {}", blueprint.metadata.name),
            Self::UpdateBlueprint { name, seen_generation, .. } => {
                write!(f, "write the spec of blueprint {name} over its generation {seen_generation}")
            }
            Self::UpdateBlueprintStatus { name, status } => {
                let running = status.get("runningInstances").unwrap_or(&Value::Null);
                let total = status.get("totalInstances").unwrap_or(&Value::Null);
                write!(f, "write the status of blueprint {name}: {running} of {total} instances run")
            }
            Self::RemoveBlueprint { name } => write!(f, "remove blueprint {name}"),
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
