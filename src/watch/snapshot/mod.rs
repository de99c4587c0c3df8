//! What one pass knows of the world, as data: the noun that stage 1 hands to the stages that decide.

pub mod colony;
mod colony_cron;
pub mod colony_process;
pub mod colony_workflow;
mod composition;
mod definition;
pub mod executor_deployment;
pub mod inbound;
mod instance;
pub mod progress;
mod request;
mod values;

pub use colony::{ColonySnapshot, Credentials, Membership, OperatorExecutor};
pub use colony_cron::{ColonyCronSnapshot, CronRun};
pub use colony_process::ColonyProcessSnapshot;
pub use colony_workflow::ColonyWorkflowSnapshot;
pub use composition::{Children, CompositionSnapshot};
pub use definition::{
    Composes, ConversionAddress, ConversionEndpoint, DefinitionSnapshot, Handlers, KeptKind, LeftInstances,
    LiveInstance, StoredObjects, StoredPage,
};
pub use executor_deployment::{
    ColonyReference, ExecutorDeploymentSnapshot, Identity, Policy, Registration, ResolvedColony, Workloads,
};
pub use inbound::{InboundObjects, InboundProcess, InboundSnapshot, NamespaceState};
pub use instance::{InstanceSnapshot, KeptInstance, Standing};
pub use request::{FlowSource, RequestSnapshot};
pub use values::{ValueSource, Values};

/// Something that was looked for. Unknown is not empty: nothing is created or deleted on the strength of a read that
/// failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed<T> {
    /// The read succeeded.
    Known(T),
    /// The read failed or was not possible; why, for a person.
    Unknown(String),
}

impl<T> Observed<T> {
    /// The value, if it is known.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// Why it is not known, if it is not.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }
}
