//! `ExecutorDeployment`: a fleet of executors of one type.

mod config;
mod drain;
mod resources;
mod spec;
mod status;
mod sync;
mod workload;

pub use config::{Config, EmptyDirVolume, Volume};
pub use drain::{Drain, DrainPolicy};
pub use resources::Resources;
pub use spec::{ExecutionGuarantee, ExecutorDeployment, ExecutorDeploymentSpec, IdentityMode, Runtime};
pub use status::{
    BlueprintStatus, ExecutorDeploymentStatus, ExecutorStatus, ExecutorsStatus, FinishedJob, InstanceStatus,
    JobFailure, PodProcess, WorkloadReference,
};
pub use workload::Workload;
