//! The process of one generation of an `ExecutorDeployment` in the colony. Pure.

use serde_json::json;

use super::super::{DesiredProcess, hidden::hide_variables, process::refused};
use crate::{
    api::{
        executor_deployment::{ExecutionGuarantee, ExecutorDeployment},
        metadata::Owner,
        names::{self, CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION},
    },
    colony::FunctionSpec,
    kinds::SpecError,
    snapshot::ResolvedColony,
};

/// Makes the process of the object's current generation.
///
/// # Errors
///
/// When the spec cannot be written as JSON, which its types do not allow, or the Colony has names that no colony has.
pub fn build(
    owner: &Owner,
    object: &ExecutorDeployment,
    colony: &ResolvedColony,
    cluster: &str,
) -> Result<DesiredProcess, SpecError> {
    let mut spec = serde_json::to_value(&object.spec).map_err(|error| {
        SpecError::invalid("spec", error.to_string(), "report this: it is the operator's mistake")
    })?;
    // The operator itself is assigned the process, and has the object.
    hide_variables(&mut spec);
    let kwargs = [
        ("apiVersion", json!("compute.colonies.io/v1")),
        ("kind", json!("ExecutorDeployment")),
        (
            "metadata",
            json!({
                "name": owner.name,
                "namespace": owner.namespace,
                "uid": owner.uid,
                "generation": owner.generation,
            }),
        ),
        ("spec", spec),
    ];
    let label = names::process_label(cluster, &owner.uid, owner.generation);
    // Its executor is named when it is submitted, and stays where it is when the Colony gets another location.
    let call = FunctionSpec::new(&colony.spec.colony_name, CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION)
        .and_then(|call| call.label(&label))
        .map_err(|error| refused(&error))?;
    Ok(DesiredProcess {
        label,
        generation: owner.generation,
        spec: kwargs.into_iter().fold(call, |call, (name, value)| call.kwarg(name, value)),
        is_gated: object.spec.execution_guarantee == ExecutionGuarantee::Strict,
        is_own: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::fixtures;

    /// Every member of the colony reads it.
    #[test]
    fn the_process_has_no_value_of_a_variable() {
        let object: ExecutorDeployment = serde_json::from_value(json!({
            "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
            "metadata": {"name": "e", "namespace": "n", "uid": "u", "generation": 1},
            "spec": {"executorType": "t", "image": "i", "config": {"env": {"PASSWORD": "hunter2"}},
                "template": {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "hunter2"}]}]}}},
        }))
        .unwrap();
        let owner = Owner::of(&object).unwrap();
        let process = build(&owner, &object, &fixtures::resolved(), "c").unwrap();
        let told = serde_json::to_string(&process.spec).unwrap();
        assert!(!told.contains("hunter2") && told.contains("PASSWORD"), "{told}");
    }
}
