//! The status of a `RequestFlow`: whether it can be followed. Pure.

use jiff::Timestamp;

use super::condition::{Finding, merge};
use crate::{
    api::{
        condition::{ConditionType, Reason},
        request_flow::{RequestFlow, RequestFlowStatus},
    },
    desired::request_flow::CompiledFlow,
};

/// The recorded status.
#[must_use]
pub fn compute(flow: &RequestFlow, now: Timestamp) -> RequestFlowStatus {
    let finding = match CompiledFlow::compile(&flow.spec) {
        Ok(_) => Finding::yes(ConditionType::Ready, Reason::Reconciled, "requests can follow it"),
        Err(error) => Finding::no(ConditionType::Ready, error.reason(), error.to_string()),
    };
    let before = flow.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let generation = flow.metadata.generation;
    RequestFlowStatus {
        observed_generation: generation,
        jobs: i32::try_from(flow.spec.jobs.len()).ok(),
        conditions: merge(before, vec![finding], generation, now),
    }
}
