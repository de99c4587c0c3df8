//! The process that carries one generation of an `ExecutorDeployment` in the colony. Pure.

use serde_json::{Map, Value, json};

use super::super::{Error, metadata::Owner};
use crate::{
    api::{
        executor_deployment::{ExecutionGuarantee, ExecutorDeployment},
        names::{self, CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION},
    },
    watch::snapshot::ResolvedColony,
};

/// The process that carries one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredProcess {
    /// What ties it to the generation.
    pub label: String,
    /// The generation.
    pub generation: i64,
    /// Function that the controller in the colony is asked to call.
    pub function: &'static str,
    /// Executor type that may be assigned it.
    pub executor_type: &'static str,
    /// Location whose executors may be assigned it: this cluster.
    pub location: Option<String>,
    /// Whether it waits behind a gate until it is on record which process of its label it is.
    pub is_gated: bool,
    /// The object, as `apiVersion`, `kind`, `metadata` and `spec`.
    pub kwargs: Map<String, Value>,
}

/// Makes the process of the object's current generation.
///
/// # Errors
///
/// When the spec cannot be written as JSON, which its types do not allow.
pub fn build(
    owner: &Owner,
    object: &ExecutorDeployment,
    colony: &ResolvedColony,
    cluster: &str,
) -> Result<DesiredProcess, Error> {
    let spec = serde_json::to_value(&object.spec).map_err(|error| {
        Error::invalid("spec", error.to_string(), "report this: it is the operator's mistake")
    })?;
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
    Ok(DesiredProcess {
        label: names::process_label(cluster, &owner.uid, owner.generation),
        generation: owner.generation,
        function: RECONCILE_FUNCTION,
        executor_type: CONTROLLER_EXECUTOR_TYPE,
        location: colony.spec.location.clone(),
        is_gated: object.spec.execution_guarantee == ExecutionGuarantee::Strict,
        kwargs: kwargs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    })
}
