//! The process of an object in a colony, ready to be submitted. Pure.

use crate::{
    api::{
        mirror::MirrorStatus,
        names::{CONTROLLER_EXECUTOR_TYPE, GATE_NODE, RUN_NODE},
    },
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

/// The generation that may be submitted now, given what is on record: that of an intent, `next` if nothing is alive, none while
/// a process is.
pub(super) fn submittable(recorded: Option<&MirrorStatus>, next: i64) -> Option<i64> {
    match recorded {
        Some(mirror) if mirror.is_unbound() => Some(mirror.generation),
        Some(mirror) if mirror.state.is_live() => None,
        None | Some(_) => Some(next),
    }
}

/// A field that no colony would take.
pub(super) fn refused(error: &InvalidField) -> SpecError {
    SpecError::invalid(error.field, &error.value, error.remedy)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A new number for an intent that may have reached the colony would be a second process.
    #[test]
    fn an_intent_keeps_its_generation_and_what_is_alive_has_no_other_beside_it() {
        let recorded = |state: &str, id: Option<&str>| -> MirrorStatus {
            let mirror = json!({
                "label": "l", "generation": 3, "state": state, "processId": id, "intendedAt": "2026-11-26T10:00:00Z",
            });
            serde_json::from_value(mirror).unwrap()
        };
        assert_eq!(submittable(None, 1), Some(1));
        assert_eq!(submittable(Some(&recorded("Intended", None)), 4), Some(3));
        for state in ["Waiting", "Running"] {
            assert_eq!(submittable(Some(&recorded(state, Some("p"))), 4), None, "{state}");
        }
        for state in ["Successful", "Failed", "Cancelled", "Lost"] {
            assert_eq!(submittable(Some(&recorded(state, Some("p"))), 4), Some(4), "{state}");
        }
    }
}
