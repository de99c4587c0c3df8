//! The process of one attempt of a `ColonyProcess`. Pure.

use kube::ResourceExt as _;

use super::{
    DesiredProcess,
    function::{self, Place},
    process::submittable,
};
use crate::{
    api::{executor_deployment::ExecutionGuarantee, names},
    kinds::SpecError,
    snapshot::{ColonyProcessSnapshot, ResolvedColony},
};

/// Makes the process of the attempt that may be submitted now, if one may: that whose intent is on record, or the one after
/// the last.
///
/// # Errors
///
/// When a field holds what no colony can keep, or a value that it refers to is not there.
pub fn desired(
    snapshot: &ColonyProcessSnapshot,
    colony: &ResolvedColony,
) -> Result<Option<DesiredProcess>, SpecError> {
    if !snapshot.object.spec.may_submit() {
        return Ok(None);
    }
    let status = snapshot.object.status.as_ref();
    let last = status.map_or(0, |status| status.attempts);
    let attempt = submittable(status.and_then(|status| status.mirror.as_ref()), last + 1);
    attempt.map(|attempt| build(snapshot, colony, attempt)).transpose()
}

/// Makes the process of an attempt.
fn build(
    snapshot: &ColonyProcessSnapshot,
    colony: &ResolvedColony,
    attempt: i64,
) -> Result<DesiredProcess, SpecError> {
    let (object, spec) = (&snapshot.object, &snapshot.object.spec);
    let uid = object.uid().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let label = names::process_label(&snapshot.header.cluster, &uid, attempt);
    let call =
        function::build(&Place::of("spec"), &spec.call, &colony.spec.colony_name, &label, &snapshot.values)?;
    let is_gated = spec.execution_guarantee == ExecutionGuarantee::Strict;
    Ok(DesiredProcess { label, generation: attempt, spec: call, is_gated })
}
