//! The workflow of one attempt of a `ColonyWorkflow`. Pure.

use kube::ResourceExt as _;

use super::{
    function::{self, Place},
    process::{refused, submittable},
};
use crate::{
    api::names,
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

/// Makes the workflow of the attempt that may be submitted now, if one may: that whose intent is on record, or the one after
/// the last.
///
/// # Errors
///
/// When the nodes wait for each other in a circle, a field holds what no colony can keep, or a value that it refers to is
/// not there.
pub fn desired(
    snapshot: &ColonyWorkflowSnapshot,
    colony: &ResolvedColony,
) -> Result<Option<DesiredWorkflow>, SpecError> {
    if !snapshot.object.spec.may_submit() {
        return Ok(None);
    }
    let status = snapshot.object.status.as_ref();
    let last = status.map_or(0, |status| status.attempts);
    let attempt = submittable(status.and_then(|status| status.mirror.as_ref()), last + 1);
    attempt.map(|attempt| build(snapshot, colony, attempt)).transpose()
}

/// Makes the workflow of an attempt.
fn build(
    snapshot: &ColonyWorkflowSnapshot,
    colony: &ResolvedColony,
    attempt: i64,
) -> Result<DesiredWorkflow, SpecError> {
    let object = &snapshot.object;
    let uid = object.uid().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let label = names::process_label(&snapshot.header.cluster, &uid, attempt);
    let colony = &colony.spec.colony_name;
    let mut nodes = Vec::new();
    for (index, node) in object.spec.nodes.iter().enumerate() {
        let place = Place::of(&format!("spec.nodes[{index}]"));
        let call = function::build(&place, &node.call, colony, &label, &snapshot.values)?;
        let named = call.node_name(&node.name).map_err(|error| refused(&error))?;
        let whole = node.dependencies.iter().try_fold(named, |call, needed| call.depends_on(needed));
        nodes.push(whole.map_err(|error| refused(&error))?);
    }
    let spec = WorkflowSpec::new(colony, nodes).map_err(|error| {
        SpecError::invalid(format!("spec.nodes: {}", error.field), error.value, error.remedy)
    })?;
    Ok(DesiredWorkflow { label, generation: attempt, spec })
}
