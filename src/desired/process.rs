//! The process of an object in a colony, ready to be submitted. Pure.

use crate::{
    api::names::{CONTROLLER_EXECUTOR_TYPE, GATE_NODE, RUN_NODE},
    colony::{FunctionSpec, InvalidField, WorkflowSpec},
    kinds::SpecError,
};

/// The process of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredProcess {
    /// What ties it to the object.
    pub label: String,
    /// The generation, or the attempt, of its object.
    pub generation: i64,
    /// The call, which has the label.
    pub spec: FunctionSpec,
    /// Whether it waits behind a gate until it is on record which process of its label it is.
    pub is_gated: bool,
}

impl DesiredProcess {
    /// The call behind a gate: a node before it that only the operator is asked to run, with the same label.
    ///
    /// # Errors
    ///
    /// When the colony has a name that no workflow can be sent to.
    pub fn gated(&self) -> Result<WorkflowSpec, InvalidField> {
        let colony = self.spec.colony();
        let mut gate = FunctionSpec::new(colony, CONTROLLER_EXECUTOR_TYPE, GATE_NODE)?
            .label(&self.label)?
            .node_name(GATE_NODE)?;
        if let Some(location) = self.spec.location_str() {
            gate = gate.location(location)?;
        }
        let run = self.spec.clone().node_name(RUN_NODE)?.depends_on(GATE_NODE)?;
        WorkflowSpec::new(colony, vec![gate, run])
    }
}

/// A field that no colony would take.
pub(super) fn refused(error: &InvalidField) -> SpecError {
    SpecError::invalid(error.field, &error.value, error.remedy)
}
