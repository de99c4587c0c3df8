//! `ExecutorDeployment`: a fleet of executors of one type.

mod config;
mod resources;
mod spec;
mod status;
mod sync;

pub use config::{Config, EmptyDirVolume, Volume};
pub use resources::Resources;
pub use spec::{ExecutionGuarantee, ExecutorDeployment, ExecutorDeploymentSpec, Runtime, Workload};
pub use status::{BlueprintStatus, ExecutorDeploymentStatus, ExecutorStatus, WorkloadReference};
