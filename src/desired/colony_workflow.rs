//! The workflow of one attempt of a `ColonyWorkflow`. Pure.

use super::{
    function::{self, Place},
    process::refused,
    work::DesiredWork,
};
use crate::{
    api::function::FunctionCall,
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
            let call = FunctionCall { max_retries: node.max_retries(), ..node.call.clone() };
            let call = function::build(&place, &call, colony, &label, &self.values)?;
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::snapshot::{
        ColonyReference, Observed, Values,
        fixtures::{header, resolved},
    };

    /// A root that the server has lost is given to an executor once more, and good work does not fail for it.
    #[test]
    fn a_root_is_given_again_once() {
        let node = |name: &str, more: Value| {
            let mut node = json!({ "name": name, "function": "f", "conditions": { "executorType": "t" } });
            for (field, value) in more.as_object().unwrap() {
                node[field] = value.clone();
            }
            node
        };
        let nodes = [
            node("root", json!({ "maxExecTime": "10m" })),
            node("thrice", json!({ "maxExecTime": "10m", "maxRetries": 3 })),
            node("never", json!({ "maxExecTime": "10m", "maxRetries": 0 })),
            node("untimed", json!({})),
            node("later", json!({ "maxExecTime": "10m", "dependencies": ["root"] })),
        ];
        let object =
            json!({ "metadata": { "name": "n", "namespace": "ns", "uid": "u" }, "spec": { "nodes": nodes } });
        let snapshot = ColonyWorkflowSnapshot {
            object: serde_json::from_value(object).unwrap(),
            header: header(ColonyReference::NotFound { name: None }, Observed::Known(Vec::new())),
            holder: Observed::Known(None),
            executors: std::collections::BTreeMap::new(),
            values: Values::default(),
        };
        let desired = snapshot.build(&resolved(), "l".to_owned(), 1).unwrap();
        let retries: Vec<Value> = desired
            .spec
            .nodes()
            .iter()
            .map(|node| serde_json::to_value(node).unwrap()["maxretries"].clone())
            .collect();
        assert_eq!(retries, [1, 3, 0, 0, 0]);
        let at_risk: Vec<&str> = snapshot
            .object
            .spec
            .nodes
            .iter()
            .filter(|node| node.is_at_risk())
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(at_risk, ["never", "untimed"]);
    }
}
