//! What is known of requests besides the objects themselves.

use kube::{core::DeserializeGuard, runtime::reflector::Store};

use super::stores::Filled;
use crate::{
    api::request_flow::RequestFlow, memory::position_log::PositionLogs, runtime::config::model::RequestRole,
};

/// What is known of requests alone.
#[derive(Clone)]
pub struct Requests {
    pub flows: Store<DeserializeGuard<RequestFlow>>,
    /// The role of the operator for requests that do not set it.
    pub roles: Vec<RequestRole>,
    /// When all flows are known.
    pub filled: Filled,
    /// What was seen of the ways of requests.
    pub position_log: PositionLogs,
}
