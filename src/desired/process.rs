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
    /// Whether the operator itself carries it out: of several operators in a colony the one that submits it.
    pub is_own: bool,
}

impl DesiredProcess {
    /// The call as it is submitted by the operator whose executor is called `operator`.
    ///
    /// # Errors
    ///
    /// When that is no name.
    pub fn call(&self, operator: &str) -> Result<FunctionSpec, InvalidField> {
        let call = self.spec.clone();
        if self.is_own { call.executor_name(operator) } else { Ok(call) }
    }

    /// The call behind a gate: a node before it that only the operator whose executor is called `operator` can run, with the same
    /// label. Where the call is to run does not matter to it.
    ///
    /// # Errors
    ///
    /// When the colony has a name that no workflow can be sent to.
    pub fn gated(&self, operator: &str) -> Result<WorkflowSpec, InvalidField> {
        let colony = self.spec.colony();
        let gate = FunctionSpec::new(colony, CONTROLLER_EXECUTOR_TYPE, GATE_NODE)?
            .executor_name(operator)?
            .label(&self.label)?
            .node_name(GATE_NODE)?;
        let run = self.call(operator)?.node_name(RUN_NODE)?.depends_on(GATE_NODE)?;
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

    /// Another operator that takes a gate fails it, and one that is told to be elsewhere never opens it.
    #[test]
    fn a_gate_is_for_the_operator_that_submits_it() {
        let spec = FunctionSpec::new("dev", "bank", "pay").unwrap().location("edge-9").unwrap();
        let mut process = DesiredProcess {
            label: "k8s:c/u/1".to_owned(),
            generation: 1,
            spec,
            is_gated: true,
            is_own: false,
        };
        let conditions = |process: &DesiredProcess| {
            let workflow = process.gated("ours").unwrap();
            let nodes = workflow.nodes().iter().map(|node| serde_json::to_value(node).unwrap());
            nodes
                .map(|node| {
                    [node["conditions"]["executornames"].clone(), node["conditions"]["locationname"].clone()]
                })
                .collect::<Vec<_>>()
        };
        let none = serde_json::Value::Null;
        assert_eq!(
            conditions(&process),
            [[json!(["ours"]), none.clone()], [none.clone(), json!("edge-9")]],
            "gate, then run"
        );
        process.is_own = true;
        assert_eq!(conditions(&process)[1][0], json!(["ours"]));
    }
}
