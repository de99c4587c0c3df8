//! What one pass knows of a `RequestState` and of all that it depends on.

use super::{Values, WorkHeader};
use crate::{
    api::{
        request_flow::RequestFlow,
        request_state::{PositionRecord, RequestState},
    },
    runtime::config::model::RequestRole,
};

/// What one pass knows of a `RequestState`.
#[derive(Clone, Debug)]
pub struct RequestSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: RequestState,
    /// What the snapshots of work share.
    pub header: WorkHeader,
    /// The role of the operator for requests that do not set it.
    pub roles: Vec<RequestRole>,
    /// The flow that the request follows.
    pub flow: FlowSource,
    /// Name of the executor that the process is or was assigned to, if the colony reports it.
    pub executor: Option<String>,
    /// What the environment of the job refers to.
    pub values: Values,
    /// What this process has seen of the request's way.
    pub position_log: Vec<PositionRecord>,
}

/// The flow that a request follows.
#[derive(Clone, Debug)]
pub enum FlowSource {
    /// It names none: two jobs.
    Default,
    /// It lists its jobs, separated by commas.
    Listed(String),
    Named(Box<RequestFlow>),
    /// It names one that is not there, or cannot be read.
    NotFound(String),
}
