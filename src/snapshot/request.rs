//! What one pass knows of a `RequestState` and of all that it depends on.

use jiff::Timestamp;

use super::{ColonyReference, Observed, Values};
use crate::{
    api::{
        request_flow::RequestFlow,
        request_state::{PositionRecord, RequestState},
    },
    colony::model::Process,
    runtime::config::model::RequestRole,
};

/// What one pass knows of a `RequestState`.
#[derive(Clone, Debug)]
pub struct RequestSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: RequestState,
    /// UID of this cluster's `kube-system` namespace: part of every process label.
    pub cluster: String,
    /// The role of the operator for requests that do not set it.
    pub roles: Vec<RequestRole>,
    /// The flow that the request follows.
    pub flow: FlowSource,
    /// The colony in which its jobs are done.
    pub colony: ColonyReference,
    /// The process of the job: by its id when bound, else everything that has its label, oldest first.
    pub processes: Observed<Vec<Process>>,
    /// Name of the executor that the process is or was assigned to, if the colony reports it.
    pub executor: Option<String>,
    /// What the environment of the job refers to.
    pub values: Values,
    /// Before this moment nothing may be submitted, since an earlier submit could still arrive.
    pub submit_not_before: Option<Timestamp>,
    /// What this process has seen of the request's way.
    pub position_log: Vec<PositionRecord>,
    /// When the snapshot was taken.
    pub now: Timestamp,
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
