//! Writes to a colony, as data.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    colony::model::{Blueprint, BlueprintDefinition},
    desired::{DesiredProcess, DesiredWorkflow},
};

/// One write to the colony.
#[derive(Clone, Debug, PartialEq)]
pub enum ColonyStep {
    /// Register an executor and approve it.
    RegisterExecutor {
        name: String,
        id: String,
        executor_type: String,
        /// What the executor says of its object.
        origin: String,
        location: Option<String>,
    },
    /// Remove an executor. Its name is burnt.
    RemoveExecutor {
        name: String,
    },
    /// Submit a process. Planned only when no other of its label can exist.
    Submit(Box<DesiredProcess>),
    /// Submit a workflow. Planned only when no other of its label can exist.
    SubmitWorkflow(Box<DesiredWorkflow>),
    /// Cancel a process.
    Cancel {
        process_id: String,
        why: String,
    },
    /// Cancel a workflow: its nodes cannot be cancelled by themselves.
    CancelGraph {
        graph_id: String,
        why: String,
    },
    /// Open the gate behind which a process waits.
    OpenGate {
        /// Id of the gate, which is a process that the operator was assigned.
        process_id: String,
        /// The workflow of the gate and of what waits behind it.
        graph_id: String,
    },
    /// Close a process as successful.
    CloseSuccessful {
        process_id: String,
        output: Vec<Value>,
    },
    /// Close a process as failed.
    CloseFailed {
        process_id: String,
        /// Why it failed.
        errors: Vec<String>,
    },
    AddBlueprint(Box<Blueprint>),
    /// Write the spec of a blueprint, and keep the rest of it.
    UpdateBlueprint {
        name: String,
        /// The whole spec.
        spec: Map<String, Value>,
        /// Its hash, to be noted on the blueprint.
        hash: String,
        /// Its generation when it was looked at: one that has changed since is not written.
        seen_generation: i64,
    },
    /// Write the status of a blueprint.
    UpdateBlueprintStatus {
        name: String,
        /// The whole status.
        status: Map<String, Value>,
    },
    RemoveBlueprint {
        name: String,
    },
    /// Register the operator's member key as a user of the colony.
    RegisterMember,
    /// Remove the user as which the operator was registered; a user of another name stays.
    RemoveMember,
    /// Register one of the operator's executors and approve it.
    RegisterOperator {
        name: String,
        id: String,
        executor_type: &'static str,
        /// What the executor says of its cluster.
        origin: String,
        location: Option<String>,
    },
    /// Add the definition of a kind of blueprints.
    AddDefinition(Box<BlueprintDefinition>),
    /// Remove the definition of a kind of blueprints, which has none.
    RemoveDefinition {
        name: String,
    },
    /// Answer a process that was born in the colony.
    Answer {
        process_id: String,
        /// The type of the operator's executor that runs it.
        executor_type: &'static str,
        /// What to close it with.
        answer: Answer,
    },
}

/// What a process that was born in the colony is closed with.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// As successful, with this output.
    Successful(Value),
    /// As failed, for this reason.
    Failed(String),
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
            Self::OpenGate { process_id, .. } => write!(f, "open gate {process_id}"),
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
            Self::RegisterMember => write!(f, "register the operator as a member"),
            Self::RemoveMember => write!(f, "remove the operator's member"),
            Self::RegisterOperator { name, executor_type, .. } => {
                write!(f, "register the operator as executor {name} of type {executor_type}")
            }
            Self::AddDefinition(definition) => {
                write!(f, "add BlueprintDefinition {}", definition.metadata.name)
            }
            Self::RemoveDefinition { name } => write!(f, "remove BlueprintDefinition {name}"),
            Self::Answer { process_id, answer: Answer::Successful(_), .. } => {
                write!(f, "close process {process_id} as successful")
            }
            Self::Answer { process_id, answer: Answer::Failed(why), .. } => {
                write!(f, "close process {process_id} as failed: {why}")
            }
        }
    }
}
