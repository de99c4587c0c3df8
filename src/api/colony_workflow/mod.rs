//! `ColonyWorkflow`: calls of functions that wait for each other, submitted as one.

mod spec;
mod status;

pub use spec::{ColonyWorkflow, ColonyWorkflowSpec, WorkflowNode};
pub use status::{ColonyWorkflowStatus, NodeStatus};
