use serde_json::{Value, json};

use super::*;
use crate::{
    api::{colony_process::ColonyProcess, mirror::MirrorState, names::COLONY_PROCESS_FINALIZER},
    desired,
    diff::{
        ColonyStep, KubernetesStep, Step,
        work_plan::{plan, plan_deletion},
    },
    snapshot::{
        ColonyReference, Observed, ResolvedColony, Restored, Values,
        fixtures::{colony, header, resolved},
    },
};

const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// An object with further spec fields, a status, and the reply of the colony.
fn snapshot(more: &Value, status: &Value, processes: Observed<Vec<Process>>) -> ColonyProcessSnapshot {
    let mut spec = json!({ "function": "encode", "conditions": { "executorType": "encoder" } });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let object: ColonyProcess = serde_json::from_value(json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
        "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 1, "finalizers": [COLONY_PROCESS_FINALIZER] },
        "spec": spec, "status": status,
    }))
    .unwrap();
    ColonyProcessSnapshot {
        object,
        header: header(colony(), processes),
        holder: Observed::Known(None),
        executor: None,
        values: Values::default(),
    }
}

fn process(state: ProcessState, more: &Value) -> Process {
    let mut whole = json!({
        "processid": ID, "state": state.number(), "submissiontime": "2026-11-26T09:00:00Z",
        "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
        "spec": { "funcname": "encode", "label": "", "maxwaittime": -1, "maxexectime": -1, "maxretries": -1,
                  "conditions": { "colonyname": "dev", "executortype": "encoder" } },
    });
    for (field, value) in more.as_object().unwrap() {
        whole[field] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn running() -> Observed<Vec<Process>> {
    Observed::Known(vec![process(ProcessState::Running, &json!({}))])
}

fn bound(state: &str) -> Value {
    json!({ "attempts": 1, "mirror": {
        "label": "k8s:c/u/1", "generation": 1, "state": state, "processId": ID, "intendedAt": "2026-11-26T10:00:00Z",
    } })
}

fn intended() -> Value {
    json!({ "attempts": 1, "mirror": {
        "label": "k8s:c/u/1", "generation": 1, "state": "Intended", "intendedAt": "2026-11-26T10:00:00Z",
    } })
}

fn decided(snapshot: &ColonyProcessSnapshot) -> Result<Plan, SpecError> {
    plan(snapshot, &desired::work::attempt(snapshot, &resolved()))
}

fn planned(snapshot: &ColonyProcessSnapshot) -> Plan {
    decided(snapshot).unwrap()
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

fn refused(snapshot: &ColonyProcessSnapshot) -> String {
    decided(snapshot).unwrap_err().to_string()
}

fn policies(listed: &[&str]) -> Value {
    json!({ "managementPolicies": listed })
}

fn adopting(policy: &str, more: &Value) -> Value {
    let mut spec = json!({ "processId": ID, "adoptionPolicy": policy });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

fn absent() -> Observed<Vec<Process>> {
    Observed::Known(Vec::new())
}

#[test]
fn without_create_nothing_is_submitted_and_what_was_sent_is_looked_for() {
    let spec = policies(&["Observe", "Update", "Delete"]);
    let plan = planned(&snapshot(&spec, &json!({}), absent()));
    assert_eq!((steps(&plan), &plan.mirror), (vec![], &Mirror::Unchanged));
    let plan = planned(&snapshot(&spec, &intended(), absent()));
    assert_eq!((steps(&plan), &plan.mirror), (vec![], &Mirror::Forget), "an intent that was not sent");
    let plan = planned(&snapshot(&spec, &intended(), running()));
    assert!(matches!(&plan.mirror, Mirror::Observed { process_id, .. } if process_id == ID));
    let plan = planned(&snapshot(&json!({}), &json!({}), absent()));
    assert!(matches!(plan.mirror, Mirror::Intend { generation: 1, .. }), "with it, it is");
}

#[test]
fn without_update_what_runs_is_not_cancelled() {
    for stop in [json!({ "suspend": true }), json!({ "cancel": true }), json!({ "activeDeadlineSeconds": 1 })]
    {
        let mut status = bound("Running");
        status["activeSince"] = json!("2026-11-26T09:00:00Z");
        let mut spec = stop.clone();
        let plan = planned(&snapshot(&spec, &status, running()));
        assert!(plan.stop.is_some(), "{stop}");
        spec["managementPolicies"] = json!(["Observe", "Create", "Delete"]);
        let plan = planned(&snapshot(&spec, &status, running()));
        assert_eq!((plan.stop, steps(&plan)), (None, vec![]), "{stop}");
        // Not even one whose end was on record before.
        status["stopping"] = json!("Cancelled");
        assert_eq!(steps(&planned(&snapshot(&spec, &status, running()))), [""; 0], "{stop}");
    }
    // An intent that may not be sent any more is none that is sent after all.
    let spec = json!({ "suspend": true, "managementPolicies": ["Observe", "Create"] });
    let plan = planned(&snapshot(&spec, &intended(), absent()));
    assert_eq!((steps(&plan), plan.mirror), (vec![], Mirror::Forget));
}

#[test]
fn without_delete_it_runs_on_when_the_object_goes() {
    let gone = |spec: &Value| {
        let mut snapshot = snapshot(spec, &bound("Running"), running());
        let deleted = json!("2026-11-26T10:00:00Z");
        snapshot.object.metadata.deletion_timestamp = serde_json::from_value(deleted).unwrap();
        plan_deletion(&snapshot)
    };
    let cancelled = gone(&json!({}));
    assert_eq!(steps(&cancelled), [format!("colony      cancel process {ID} (the object is deleted)")]);
    let left = gone(&policies(&["Observe", "Create", "Update"]));
    assert_eq!(left.steps, [Step::Kubernetes(KubernetesStep::RemoveFinalizer)]);
}

#[test]
fn what_is_adopted_is_bound_and_never_submitted() {
    for policy in ["adopt", "adopt-or-create"] {
        let plan = planned(&snapshot(&adopting(policy, &json!({})), &json!({}), running()));
        assert_eq!(steps(&plan), [""; 0]);
        let Mirror::Found { label, generation, process_id, state, .. } = &plan.mirror else {
            panic!("{policy}: {:?}", plan.mirror)
        };
        assert_eq!((label.as_str(), *generation, process_id.as_str()), ("k8s:c/u/1", 1, ID));
        assert_eq!(*state, MirrorState::Running);
    }
    let plan = planned(&snapshot(&adopting("adopt", &json!({})), &json!({}), absent()));
    assert_eq!((steps(&plan), &plan.mirror), (vec![], &Mirror::Unchanged));
    assert!(plan.awaiting[0].contains("to be there"), "{:?}", plan.awaiting);
}

/// Nothing is submitted on the strength of an answer that did not come, and not at once either.
#[test]
fn one_is_submitted_only_when_the_colony_has_said_that_there_is_none() {
    let spec = adopting("adopt-or-create", &json!({}));
    let plan = planned(&snapshot(&spec, &json!({}), Observed::Unknown("away".to_owned())));
    assert_eq!((steps(&plan), &plan.mirror), (vec![], &Mirror::Unchanged));
    assert!(plan.awaiting[0].contains("whether process"), "{:?}", plan.awaiting);
    let plan = planned(&snapshot(&spec, &json!({}), absent()));
    assert!(matches!(plan.mirror, Mirror::Intend { generation: 1, .. }));
    let mut quiet = snapshot(&spec, &intended(), absent());
    quiet.header.submit_not_before = "2026-11-26T10:00:10Z".parse().ok();
    assert_eq!(steps(&planned(&quiet)), [""; 0], "the quiet period holds");
    quiet.header.submit_not_before = None;
    let submitted = planned(&quiet);
    assert!(matches!(&submitted.steps[..], [Step::Colony(ColonyStep::Submit(_))]), "{:?}", submitted.steps);
    let plan_without_workload = adopting("adopt-or-create", &policies(&["Observe", "Update"]));
    let plan = planned(&snapshot(&plan_without_workload, &json!({}), absent()));
    assert_eq!((&plan.mirror, plan.awaiting.len()), (&Mirror::Unchanged, 1));
}

/// No object can reach the process of another object.
#[test]
fn a_process_of_another_object_is_refused() {
    let spec = adopting("adopt", &json!({}));
    let mut held = snapshot(&spec, &json!({}), running());
    held.holder = Observed::Known(Some("ColonyProcess other/theirs".to_owned()));
    let said = refused(&held);
    assert!(
        said.starts_with(&format!("spec.processId: {ID}: it belongs to ColonyProcess other/theirs")),
        "{said}"
    );
    held.holder = Observed::Unknown("not all objects are known yet".to_owned());
    let plan = planned(&held);
    assert_eq!((&plan.mirror, plan.awaiting.len()), (&Mirror::Unchanged, 1), "unknown is not nobody");
}

/// Left behind a gate that nothing opens any more, it would wait for ever.
#[test]
fn what_outlives_its_object_does_not_wait_behind_a_gate() {
    let gate = |state: ProcessState| {
        let spec = json!({ "nodename": "gate", "funcname": "gate", "label": "k8s:c/u/1", "conditions": {} });
        process(
            state,
            &json!({ "processid": "g", "processgraphid": "w", "assignedexecutorid": ID, "spec": spec }),
        )
    };
    let run = |is_held: bool| {
        let spec = json!({ "nodename": "run", "funcname": "encode", "label": "k8s:c/u/1", "conditions": {} });
        let more =
            json!({ "processgraphid": "w", "parents": ["g"], "waitforparents": is_held, "spec": spec });
        process(ProcessState::Waiting, &more)
    };
    let deleted = |status: &Value, found: Observed<Vec<Process>>| {
        let more = json!({ "deletionPolicy": "Orphan", "executionGuarantee": "Strict" });
        let mut snapshot = snapshot(&more, status, found);
        let operator = ResolvedColony { operator_executor_id: Observed::Known(ID.to_owned()), ..resolved() };
        snapshot.header.colony = ColonyReference::Resolved(Box::new(operator));
        snapshot.object.metadata.deletion_timestamp =
            Some(serde_json::from_str("\"2026-11-26T10:00:00Z\"").unwrap());
        plan_deletion(&snapshot)
    };
    for status in [bound("Waiting"), intended()] {
        let shut = deleted(&status, Observed::Known(vec![run(true), gate(ProcessState::Running)]));
        assert_eq!(steps(&shut), ["colony      open gate g"], "{status}");
        let untaken = deleted(&status, Observed::Known(vec![run(true), gate(ProcessState::Waiting)]));
        assert_eq!((steps(&untaken).len(), untaken.awaiting.len()), (0, 1), "{status}");
        let open = deleted(&status, Observed::Known(vec![run(false), gate(ProcessState::Successful)]));
        assert_eq!(steps(&open), ["kubernetes  remove the finalizer"], "{status}");
    }
    let unknown = deleted(&bound("Waiting"), Observed::Unknown("away".to_owned()));
    assert_eq!((steps(&unknown).len(), unknown.awaiting.len()), (0, 1));
}

/// A backup brings an object back with another UID and without status.
#[test]
fn what_was_submitted_before_a_restore_is_not_submitted_again() {
    let restored = |found: Observed<Vec<Process>>| {
        let mut snapshot = snapshot(&json!({ "backoffLimit": 3 }), &json!({}), found);
        let before = Restored { label: "k8s:c/before/2".to_owned(), attempt: 2, id: ID.to_owned() };
        snapshot.header.restored = Observed::Known(Some(before));
        snapshot
    };
    let over = planned(&restored(Observed::Known(vec![process(ProcessState::Successful, &json!({}))])));
    let Mirror::Found { label, generation, process_id, state, .. } = &over.mirror else { panic!("{over}") };
    assert_eq!((label.as_str(), *generation, process_id.as_str()), ("k8s:c/before/2", 2, ID));
    assert_eq!((*state, over.steps.len()), (MirrorState::Successful, 0));
    for found in [running(), Observed::Unknown("away".to_owned())] {
        let plan = planned(&restored(found));
        assert_eq!((&plan.mirror, plan.steps.len(), plan.awaiting.len()), (&Mirror::Unchanged, 0, 1));
    }
    let mut unread = snapshot(&json!({}), &json!({}), Observed::Known(Vec::new()));
    unread.header.restored = Observed::Unknown("away".to_owned());
    let plan = planned(&unread);
    assert_eq!((&plan.mirror, plan.awaiting.len()), (&Mirror::Unchanged, 1), "unknown is not nothing");
    assert!(matches!(planned(&snapshot(&json!({}), &json!({}), absent())).mirror, Mirror::Intend { .. }));
}

/// Several that adopt one process at the same moment all bind it before they see each other.
#[test]
fn what_another_object_keeps_is_left_to_it() {
    let older = || Observed::Known(Some("ColonyProcess ns/older".to_owned()));
    for more in [json!({}), json!({ "cancel": true }), json!({ "suspend": true })] {
        let mut bound_twice = snapshot(&adopting("adopt", &more), &bound("Running"), running());
        bound_twice.holder = older();
        let plan = planned(&bound_twice);
        assert_eq!((steps(&plan), &plan.mirror), (Vec::new(), &Mirror::Forget), "{more}");
        assert!(plan.awaiting[0].contains("ns/older"), "{:?}", plan.awaiting);

        bound_twice.object.metadata.deletion_timestamp =
            Some(serde_json::from_str("\"2026-11-26T10:00:00Z\"").unwrap());
        assert_eq!(steps(&plan_deletion(&bound_twice)), ["kubernetes  remove the finalizer"], "{more}");
    }
    let mut over =
        snapshot(&adopting("adopt", &json!({})), &bound("Successful"), Observed::Known(Vec::new()));
    over.holder = older();
    assert_eq!(planned(&over).mirror, Mirror::Unchanged);
}

/// A wrong id shows, or cancels, work of others.
#[test]
fn a_process_that_is_another_than_the_object_says_is_refused() {
    let spec = adopting("adopt", &json!({}));
    let another = |more: Value| {
        refused(&snapshot(&spec, &json!({}), Observed::Known(vec![process(ProcessState::Running, &more)])))
    };
    let call = |function: &str, kind: &str| json!({ "spec": { "funcname": function, "label": "", "conditions": { "colonyname": "dev", "executortype": kind } } });
    let said = another(call("decode", "encoder"));
    assert!(said.starts_with("spec.function: encode: process") && said.contains("\"decode\""), "{said}");
    let said = another(call("encode", "other"));
    assert!(said.starts_with("spec.conditions.executorType: encoder: process"), "{said}");
    let said = another(json!({ "processgraphid": "g1" }));
    assert!(said.contains("of workflow g1") && said.contains("ColonyWorkflow"), "{said}");
}

/// What only looks writes nothing, not even a finalizer; an object whose deletion may end a process has a finalizer.
#[test]
fn an_object_is_held_for_what_its_deletion_ends() {
    let adopted = |spec: &Value, status: &Value| {
        let mut snapshot = snapshot(spec, status, running());
        snapshot.object.metadata.finalizers = None;
        steps(&planned(&snapshot))
    };
    let observing = adopting("adopt", &policies(&["Observe"]));
    assert_eq!(adopted(&observing, &json!({})), [""; 0]);
    assert_eq!(adopted(&observing, &bound("Running")), [""; 0]);
    let owning = adopting("adopt", &json!({}));
    assert_eq!(adopted(&owning, &json!({})), ["kubernetes  add the finalizer"]);
    assert_eq!(
        adopted(&owning, &bound("Running")),
        ["kubernetes  add the finalizer"],
        "the policies changed"
    );
}

/// What the server did not have for a while, such as a row that was hidden, is no second process when it is there again.
#[test]
fn a_lost_process_that_is_there_again_is_followed() {
    let found = planned(&snapshot(&json!({}), &bound("Lost"), running()));
    assert_eq!(steps(&found), [""; 0]);
    assert!(
        matches!(&found.mirror, Mirror::Observed { state: MirrorState::Running, process_id, .. } if process_id == ID),
        "{found:?}"
    );
    let mut lost = bound("Lost");
    lost["state"] = json!("Lost");
    let lost = planned(&snapshot(&json!({}), &lost, Observed::Known(Vec::new())));
    assert_eq!((steps(&lost).len(), lost.mirror), (0, Mirror::Unchanged));
    let over = Observed::Known(vec![process(ProcessState::Successful, &json!({}))]);
    let over = planned(&snapshot(&json!({}), &bound("Lost"), over));
    assert!(matches!(over.mirror, Mirror::Observed { state: MirrorState::Successful, .. }), "{over:?}");
}
