//! What one pass knows of the world, as data: the noun that stage 1 hands to the stages that decide.

mod belonging;
mod busy_marks;
mod carrier;
pub mod colony;
mod colony_cron;
pub mod colony_process;
mod colony_reference;
pub mod colony_workflow;
mod composition;
mod definition;
pub mod duplicate;
mod executor_deployment;
mod executor_type;
#[cfg(test)]
pub(crate) mod fixtures;
mod identity;
pub mod inbound;
mod instance;
mod observed;
mod part_trouble;
mod pass;
mod pod_identity;
pub mod pod_trouble;
pub mod progress;
mod request;
mod values;
mod work;
mod workforce;

pub use belonging::Belonging;
pub use busy_marks::{BusyMarks, PROTECTION};
pub use carrier::Carrier;
pub use colony::{ColonySnapshot, ColonyUser, Credentials, Leftovers, Membership, OperatorExecutor};
pub use colony_cron::{ColonyCronSnapshot, CronRun};
pub use colony_process::ColonyProcessSnapshot;
pub use colony_reference::{ColonyAccess, ColonyReference, ResolvedColony};
pub use colony_workflow::ColonyWorkflowSnapshot;
pub use composition::{Children, CompositionSnapshot};
pub use definition::{
    ColonyKindState, ComposedKinds, ConversionAddress, ConversionEndpoint, DefinitionSnapshot, Handlers,
    LiveInstance, RemainingInstances, StoredObjects, StoredPage,
};
pub use duplicate::Duplicate;
pub use executor_deployment::{
    AddsInFlight, ExecutorDeploymentSnapshot, Policy, SIMILAR_TYPES_NAMED, Workloads,
};
pub use executor_type::{TypeHolder, TypeUse};
pub use identity::{Fleet, Identity, Registration};
pub use inbound::{InboundObjects, InboundProcess, InboundSnapshot, NamespaceState};
pub use instance::{ColonyInstanceState, HandlerState, InstanceSnapshot};
pub use observed::Observed;
pub use part_trouble::{PartTrouble, UnreadyPart};
pub use pass::Snapshot;
pub use pod_identity::{PodExecutor, PodIdentities, RegisteredExecutor, RunningProcess, is_queued};
pub use request::{FlowSource, RequestSnapshot};
pub use values::{ValueSource, Values};
pub use work::{Restored, StatusOf, WorkHeader, WorkSnapshot};
pub use workforce::{Busy, Lack, Wanted, Workforce, whole_second};
