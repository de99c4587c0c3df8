//! What one pass knows of a `RequestState` and of all that it depends on.

use super::{Values, WorkHeader};
use crate::{
    api::{
        request_flow::RequestFlow,
        request_state::{RequestState, Sighting},
    },
    runtime::config::model::RequestRole,
};

/// What one pass knows of a `RequestState`.
#[derive(Clone, Debug)]
pub struct RequestSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: RequestState,
    /// What all work has in common.
    pub header: WorkHeader,
    /// What the operator is for requests that do not say it themselves.
    pub roles: Vec<RequestRole>,
    /// The flow that the request follows.
    pub flow: FlowSource,
    /// Name of the executor that has, or had, the process, if the colony says it.
    pub executor: Option<String>,
    /// What the environment of the job refers to.
    pub values: Values,
    /// What this process has seen of the request's way.
    pub sightings: Vec<Sighting>,
}

/// The flow that a request follows.
#[derive(Clone, Debug)]
pub enum FlowSource {
    /// It names none: two jobs.
    Default,
    /// It lists its jobs, separated by commas.
    Listed(String),
    /// The one that it names.
    Named(Box<RequestFlow>),
    /// It names one that is not there, or cannot be read.
    NotFound(String),
}
