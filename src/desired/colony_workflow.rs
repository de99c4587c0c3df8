//! The workflow of one attempt of a `ColonyWorkflow`. Pure.

use super::{
    function::{self, Place},
    process::refused,
    work::DesiredWork,
};
use crate::{
    colony::WorkflowSpec,
    kinds::SpecError,
    snapshot::{ColonyWorkflowSnapshot, ResolvedColony},
};

/// The workflow of an object, ready to be submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredWorkflow {
    /// What ties it to the object: each of its nodes has it.
    pub label: String,
    /// The attempt that it is.
    pub generation: i64,
    /// The calls.
    pub spec: WorkflowSpec,
}

impl DesiredWork for ColonyWorkflowSnapshot {
    type Submission = DesiredWorkflow;

    /// The nodes must not wait for each other in a circle.
    fn build(
        &self,
        colony: &ResolvedColony,
        label: String,
        attempt: i64,
    ) -> Result<DesiredWorkflow, SpecError> {
        let colony = &colony.spec.colony_name;
        let mut nodes = Vec::new();
        for (index, node) in self.object.spec.nodes.iter().enumerate() {
            let place = Place::of(&format!("spec.nodes[{index}]"));
            let call = function::build(&place, &node.call, colony, &label, &self.values)?;
            let named = call.node_name(&node.name).map_err(|error| refused(&error))?;
            let whole = node.dependencies.iter().try_fold(named, |call, needed| call.depends_on(needed));
            nodes.push(whole.map_err(|error| refused(&error))?);
        }
        let spec = WorkflowSpec::new(colony, nodes).map_err(|error| {
            SpecError::invalid(format!("spec.nodes: {}", error.field), error.value, error.remedy)
        })?;
        Ok(DesiredWorkflow { label, generation: attempt, spec })
    }
}
