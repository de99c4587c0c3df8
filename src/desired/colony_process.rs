//! The process of one attempt of a `ColonyProcess`. Pure.

use kube::ResourceExt as _;

use super::{
    DesiredProcess,
    function::{self, Place},
};
use crate::{
    api::{executor_deployment::ExecutionGuarantee, names},
    kinds::SpecError,
    snapshot::{ColonyProcessSnapshot, ResolvedColony},
};

/// Makes the process of an attempt.
///
/// # Errors
///
/// When a field holds what no colony can keep, or a value that it refers to is not there.
pub fn build(
    snapshot: &ColonyProcessSnapshot,
    colony: &ResolvedColony,
    attempt: i64,
) -> Result<DesiredProcess, SpecError> {
    let (object, spec) = (&snapshot.object, &snapshot.object.spec);
    let uid = object.uid().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let label = names::process_label(&snapshot.cluster, &uid, attempt);
    let call =
        function::build(&Place::of("spec"), &spec.call, &colony.spec.colony_name, &label, &snapshot.values)?;
    let is_gated = spec.execution_guarantee == ExecutionGuarantee::Strict;
    Ok(DesiredProcess { label, generation: attempt, spec: call, is_gated })
}
