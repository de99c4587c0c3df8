use serde_json::{Value, json};

use super::*;
use crate::{
    api::{colony_workflow::ColonyWorkflow, mirror::MirrorState, names::COLONY_WORKFLOW_FINALIZER},
    desired,
    diff::work_plan::plan,
    snapshot::{
        Observed, Values,
        fixtures::{colony, header, resolved},
    },
};

const ID: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A workflow of two nodes with further spec fields, a status, and the reply of the colony.
fn snapshot(more: &Value, status: &Value, processes: Observed<Vec<Process>>) -> ColonyWorkflowSnapshot {
    let node = |name: &str| json!({ "name": name, "function": "f", "conditions": { "executorType": "t" } });
    let mut spec = json!({ "nodes": [node("a"), node("b")] });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let object: ColonyWorkflow = serde_json::from_value(json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow",
        "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 1, "finalizers": [COLONY_WORKFLOW_FINALIZER] },
        "spec": spec, "status": status,
    }))
    .unwrap();
    ColonyWorkflowSnapshot {
        object,
        header: header(colony(), processes),
        holder: Observed::Known(None),
        executors: std::collections::BTreeMap::new(),
        values: Values::default(),
    }
}

fn node(name: &str, function: &str) -> Process {
    serde_json::from_value(json!({
        "processid": format!("p-{name}"), "state": 0, "submissiontime": "2026-11-26T09:00:00Z", "processgraphid": ID,
        "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
        "spec": { "nodename": name, "funcname": function, "label": "", "conditions": { "colonyname": "dev", "executortype": "t" } },
    }))
    .unwrap()
}

fn nodes(names: &[&str]) -> Observed<Vec<Process>> {
    Observed::Known(names.iter().map(|name| node(name, "f")).collect())
}

fn planned(snapshot: &ColonyWorkflowSnapshot) -> Result<Plan, SpecError> {
    plan(snapshot, &desired::work::attempt(snapshot, &resolved()))
}

fn adopting(policies: &[&str]) -> Value {
    json!({ "graphId": ID, "adoptionPolicy": "adopt", "managementPolicies": policies })
}

#[test]
fn a_workflow_that_is_adopted_is_bound_as_a_whole() {
    let plan = planned(&snapshot(&adopting(&["Observe"]), &json!({}), nodes(&["b", "a"]))).unwrap();
    assert_eq!(plan.steps, []);
    let Mirror::Found { label, process_id, state, .. } = &plan.mirror else { panic!("{:?}", plan.mirror) };
    assert_eq!((label.as_str(), process_id.as_str(), *state), ("k8s:c/u/1", ID, MirrorState::Waiting));
    let plan = planned(&snapshot(&adopting(&["*"]), &json!({}), nodes(&[]))).unwrap();
    assert_eq!((&plan.mirror, plan.awaiting.len()), (&Mirror::Unchanged, 1), "there is none yet");
    let away = Observed::Unknown("away".to_owned());
    let or_create = json!({ "graphId": ID, "adoptionPolicy": "adopt-or-create" });
    let plan = planned(&snapshot(&or_create, &json!({}), away)).unwrap();
    assert_eq!((&plan.mirror, plan.awaiting.len()), (&Mirror::Unchanged, 1), "no answer is not none");
}

#[test]
fn a_workflow_with_other_nodes_or_of_another_object_is_refused() {
    let refused = |found| planned(&snapshot(&adopting(&["*"]), &json!({}), found)).unwrap_err().to_string();
    let said = refused(nodes(&["a", "b", "c"]));
    assert!(said.starts_with("spec.nodes: 2 nodes: workflow") && said.contains("a node \"c\""), "{said}");
    let said = refused(nodes(&["a"]));
    assert!(said.starts_with("spec.nodes[1].name: b: workflow"), "{said}");
    let said = refused(Observed::Known(vec![node("a", "f"), node("b", "g")]));
    assert!(said.starts_with("spec.nodes[1].function: f: workflow") && said.contains("\"g\""), "{said}");
    let mut held = snapshot(&adopting(&["Observe"]), &json!({}), nodes(&["a", "b"]));
    held.holder = Observed::Known(Some("ColonyWorkflow ns/theirs".to_owned()));
    let said = planned(&held).unwrap_err().to_string();
    assert!(said.contains("belongs to ColonyWorkflow ns/theirs"), "{said}");
}

#[test]
fn what_runs_is_neither_submitted_nor_cancelled_where_that_is_not_listed() {
    let status = json!({
        "attempts": 1,
        "nodes": [{ "name": "a", "state": "Waiting", "processId": "p-a" }, { "name": "b", "state": "Waiting", "processId": "p-b" }],
        "mirror": { "label": "k8s:c/u/1", "generation": 1, "state": "Waiting", "processId": ID, "intendedAt": "2026-11-26T10:00:00Z" },
    });
    let spec = |policies: &[&str]| json!({ "cancel": true, "managementPolicies": policies });
    assert!(planned(&snapshot(&spec(&["*"]), &status, nodes(&["a", "b"]))).unwrap().stop.is_some());
    let plan = planned(&snapshot(&spec(&["Observe"]), &status, nodes(&["a", "b"]))).unwrap();
    assert_eq!((plan.stop, &plan.steps[..]), (None, &[][..]));
    let plan_without_workload = json!({ "managementPolicies": ["Observe", "Update", "Delete"] });
    let plan = planned(&snapshot(&plan_without_workload, &json!({}), nodes(&[]))).unwrap();
    assert_eq!((&plan.mirror, &plan.steps[..]), (&Mirror::Unchanged, &[][..]));
}
