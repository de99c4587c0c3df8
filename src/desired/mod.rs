//! Stage 2, what should be: from a snapshot to the objects and processes that should exist. Pure.

pub mod colony_cron;
mod colony_process;
mod colony_workflow;
pub mod composition;
pub mod executor_deployment;
pub mod function;
mod hidden;
pub mod inbound;
pub mod instance;
mod problem;
mod process;
mod quantity;
pub mod request;
pub mod request_flow;
pub mod resource_definition;
pub mod schedule;
mod shared_spec;
pub mod work;

pub use colony_workflow::DesiredWorkflow;
pub use executor_deployment::{
    DesiredExecutorDeployment, DesiredIdentity, DesiredWorkload, WorkloadPolicies,
};
pub use instance::DesiredInstance;
pub use problem::{Problem, problem, resolved};
pub use process::DesiredProcess;
pub use shared_spec::{Difference, SharedSpec};
