//! `RequestFlow`: which jobs a request goes through, in which order, and what follows when one of them fails.

mod spec;
mod status;

pub use spec::{FailureAction, FlowFunction, FlowJob, OnFailure, RequestFlow, RequestFlowSpec};
pub use status::RequestFlowStatus;
