//! The words of ColonyOS: what is sent and what comes back. Pure data.
//!
//! Two directions, two kinds of type. What we send (`FunctionSpec`, `New…`, `…Query`) can only be built
//! right. What comes back (`Process`, `Executor`, …) may have been made by any member, so it is read as it
//! stands: a value that the protocol does not know is a decode error, a value that is merely unwise is kept.

mod attribute;
mod blueprint;
mod cron;
mod executor;
mod field;
mod filesystem;
mod function_spec;
mod id;
mod limits;
mod log;
mod membership;
mod process;
mod query;
mod server;
mod submitted;
pub(super) mod timestamp;
mod weight;
mod workflow;

pub use attribute::{Attribute, AttributeKind, NewAttribute};
pub use blueprint::{
    Blueprint, BlueprintDefinition, BlueprintMetadata, BlueprintRevision, DefinitionMetadata,
    DefinitionNames, DefinitionSpec, Handler,
};
pub use cron::{Cron, NewCron, Schedule};
pub use executor::{Capabilities, Executor, ExecutorState, Hardware, NewExecutor, Software};
pub use field::InvalidField;
pub use field::null_is_empty;
pub use filesystem::{Filesystem, OnConflicts, SnapshotMount, SyncDirectory, Winner};
pub use function_spec::FunctionSpec;
pub use id::{Id, ProcessId};
pub use limits::{Cpu, GpuRequest, Memory, Retries, TimeLimit};
pub use log::{Log, LogQuery};
pub use membership::{Colony, NewColony, NewUser, User};
pub use process::{Process, ProcessState};
pub use query::{Filter, LIST_MAX, ProcessQuery};
pub use server::{Backend, ServerInfo, Statistics};
pub use submitted::{Environment, SubmittedConditions, SubmittedSpec};
pub use weight::weight;
pub use workflow::{ProcessGraph, WorkflowSpec};
