//! What may be done about the workload of an `ExecutorDeployment`, and which of its fields are left to others. Pure.

use serde::{Serialize, de::DeserializeOwned};

use super::queue::decided_by_queue;
use crate::{
    api::{
        executor_deployment::ExecutorDeploymentSpec,
        policy::{AdoptionPolicy, DriftPolicy, ManagementPolicies},
    },
    kinds::{FieldPath, SpecError},
};

/// What may be done about a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadPolicies {
    /// What becomes of one that has no controller.
    pub adoption: AdoptionPolicy,
    /// What becomes of fields that others have changed.
    pub drift: DriftPolicy,
    /// Fields that are left to others.
    pub ignored: Vec<FieldPath>,
    /// What may be done at all.
    pub management: ManagementPolicies,
}

impl WorkloadPolicies {
    /// Reads the policies of a spec.
    ///
    /// # Errors
    ///
    /// When `drift.ignoreFields` names no field that can be left to others.
    pub fn build(spec: &ExecutorDeploymentSpec) -> Result<Self, SpecError> {
        let drift = spec.drift.clone().unwrap_or_default();
        let paths = drift.ignore_fields.iter().enumerate().map(|(index, text)| {
            FieldPath::parse(text).map_err(|remedy| {
                SpecError::invalid(format!("spec.drift.ignoreFields[{index}]"), text, remedy)
            })
        });
        let ignored = paths.collect::<Result<_, _>>()?;
        let management = spec.management_policies.clone();
        Ok(Self { adoption: spec.adoption_policy, drift: drift.policy, ignored, management })
    }

    /// What is wanted of a workload that is there: of the fields that are left to others, what it has.
    #[must_use]
    pub fn with_ignored_fields<T: Clone + Serialize + DeserializeOwned>(&self, wanted: &T, found: &T) -> T {
        let (Ok(mut value), Ok(found)) = (serde_json::to_value(wanted), serde_json::to_value(found)) else {
            return wanted.clone();
        };
        let queue = decided_by_queue(&found);
        if self.ignored.is_empty() && queue.is_empty() {
            return wanted.clone();
        }
        for field in self.ignored.iter().chain(&queue) {
            field.leave(&mut value, &found);
        }
        // Both were of the type before; what was put together of them in places of a type's own still is.
        serde_json::from_value(value).unwrap_or_else(|_| wanted.clone())
    }
}
