//! `ExecutorDeployment`: a fleet of executors of one type.

mod config;
mod resources;
mod spec;
mod status;

pub use config::{Config, EmptyDirVolume, Volume};
pub use resources::Resources;
pub use spec::{DeletionPolicy, ExecutorDeployment, ExecutorDeploymentSpec, Runtime, UpdatePolicy, Workload};
pub use status::{ExecutorDeploymentStatus, ExecutorStatus, MirrorState, MirrorStatus, WorkloadReference};
