//! The process of one attempt of a `ColonyProcess`. Pure.

use super::{
    DesiredProcess,
    function::{self, Place},
    work::DesiredWork,
};
use crate::{
    api::executor_deployment::ExecutionGuarantee,
    kinds::SpecError,
    snapshot::{ColonyProcessSnapshot, ResolvedColony},
};

impl DesiredWork for ColonyProcessSnapshot {
    type Submission = DesiredProcess;

    fn build(
        &self,
        colony: &ResolvedColony,
        label: String,
        attempt: i64,
    ) -> Result<DesiredProcess, SpecError> {
        let (spec, colony) = (&self.object.spec, &colony.spec.colony_name);
        let call = function::build(&Place::of("spec"), &spec.call, colony, &label, &self.values)?;
        let is_gated = spec.execution_guarantee == ExecutionGuarantee::Strict;
        Ok(DesiredProcess { label, generation: attempt, spec: call, is_gated, is_own: false })
    }
}
