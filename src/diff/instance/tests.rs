use serde_json::{Value, json};

use super::*;
use crate::{
    api::{
        instance::InstanceKind,
        names::{self, ABANDON_ANNOTATION, INSTANCE_FINALIZER},
    },
    colony::Process,
    desired,
    diff::{ColonyStep, KubernetesStep, Step},
    snapshot::{Observed, fixtures},
};

fn kind(policy: &str) -> InstanceKind {
    let handler = json!({
        "mode": "process", "executorType": "t", "functionName": "reconcile", "cleanupFunction": "clean",
    });
    fixtures::kind(json!({ "handler": handler, "deletionPolicy": policy }), None)
}

/// An instance of generation 2 with a finalizer, a status and the reply of the server.
fn snapshot(status: &Value, processes: Vec<Process>, is_deleted: bool) -> InstanceSnapshot {
    let mut object = json!({
        "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 2,
                      "finalizers": [INSTANCE_FINALIZER] },
        "spec": { "size": 1 }, "status": status,
    });
    if is_deleted {
        object["metadata"]["deletionTimestamp"] = json!("2026-11-26T10:00:00Z");
    }
    InstanceSnapshot {
        header: fixtures::header(fixtures::colony(), Observed::Known(processes)),
        ..fixtures::instance(kind("Delete"), object)
    }
}

fn mirror(generation: i64, state: &str, id: Option<&str>) -> Value {
    let mut mirror = json!({
        "label": names::process_label("c", "u", generation), "generation": generation, "state": state,
        "intendedAt": "2026-11-26T10:00:00Z",
    });
    if let Some(id) = id {
        mirror["processId"] = json!(id);
    }
    json!({ "mirror": mirror, "submittedGeneration": 1 })
}

fn process(id: &str, state: ProcessState) -> Process {
    serde_json::from_value(json!({
        "processid": id, "state": state.number(), "submissiontime": "2026-11-26T10:00:00Z",
        "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
        "spec": { "funcname": "f", "label": "l", "maxwaittime": -1, "maxexectime": -1, "maxretries": -1,
                  "conditions": { "colonyname": "c", "executortype": "t" } },
    }))
    .unwrap()
}

fn decided(snapshot: &InstanceSnapshot) -> Result<Plan, SpecError> {
    plan(snapshot, &desired::instance::process(snapshot, &fixtures::resolved()))
}

fn ended(snapshot: &InstanceSnapshot) -> Plan {
    plan_deletion(snapshot, &desired::instance::cleanup(snapshot, &fixtures::resolved()))
}

fn intended(plan: &Plan) -> Option<i64> {
    match &plan.mirror {
        Mirror::Intend { generation, .. } => Some(*generation),
        _ => None,
    }
}

fn submits(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Colony(ColonyStep::Submit(_)))).count()
}

const LET_GO: Step = Step::Kubernetes(KubernetesStep::RemoveFinalizer);

#[test]
fn each_generation_is_intended_then_submitted_then_followed() {
    let plan = |status, processes| decided(&snapshot(&status, processes, false)).unwrap();
    assert_eq!(intended(&plan(Value::Null, vec![])), Some(2));
    assert_eq!(submits(&plan(mirror(2, "Intended", None), vec![])), 1);
    let adopted = plan(mirror(2, "Intended", None), vec![process("p", ProcessState::Running)]);
    assert_eq!((submits(&adopted), adopted.steps.len()), (0, 0));
    assert!(matches!(adopted.mirror, Mirror::Observed { .. }), "what was sent is found by its label");
    assert!(plan(mirror(2, "Successful", Some("p")), vec![]).is_idle());
    assert!(plan(mirror(2, "Lost", Some("p")), vec![]).is_idle(), "it is not submitted again");
    assert_eq!(intended(&plan(mirror(1, "Successful", Some("p")), vec![])), Some(2));
    let superseded = plan(mirror(1, "Running", Some("p")), vec![process("p", ProcessState::Running)]);
    assert!(matches!(superseded.steps.as_slice(), [Step::Colony(ColonyStep::Cancel { .. })]), "{superseded}");
    // An intent of the older generation without a process is dropped, and not submitted.
    let forgotten = plan(mirror(1, "Intended", None), vec![]);
    assert_eq!((submits(&forgotten), &forgotten.mirror), (0, &Mirror::Forget));
}

/// Without the finalizer, deletion would leave in the colony what runs there.
#[test]
fn a_finalizer_that_was_taken_away_is_put_back() {
    let mut world = snapshot(&mirror(2, "Successful", Some("p")), vec![], false);
    world.object.metadata.finalizers = None;
    let plan = decided(&world).unwrap();
    let submitted_as = names::submitted_as("c", "u", "ns", "n");
    assert_eq!(plan.steps, [Step::Kubernetes(KubernetesStep::Hold { submitted_as })]);
}

#[test]
fn deletion_ends_what_runs_then_cleans_up_then_lets_go() {
    let plan = |status, processes| ended(&snapshot(&status, processes, true));
    let ending = plan(mirror(1, "Running", Some("p")), vec![process("p", ProcessState::Running)]);
    assert!(matches!(ending.steps.as_slice(), [Step::Colony(ColonyStep::Cancel { .. })]), "{ending}");
    let ended = plan(mirror(1, "Running", Some("p")), vec![process("p", ProcessState::Cancelled)]);
    assert!(ended.steps.is_empty() && !ended.awaiting.is_empty(), "its end is recorded first: {ended}");
    let begun = plan(mirror(1, "Cancelled", Some("p")), vec![]);
    assert_eq!((intended(&begun), begun.steps.len()), (Some(0), 0), "{begun}");
    let submitted = plan(mirror(0, "Intended", None), vec![]);
    assert_eq!((submits(&submitted), submitted.steps.contains(&LET_GO)), (1, false));
    let found = plan(mirror(0, "Intended", None), vec![process("q", ProcessState::Successful)]);
    assert_eq!((submits(&found), found.steps.contains(&LET_GO)), (0, false), "its end is recorded first");
    let running = plan(mirror(0, "Running", Some("q")), vec![process("q", ProcessState::Running)]);
    assert!(running.steps.is_empty() && !running.awaiting.is_empty(), "{running}");
    assert_eq!(plan(mirror(0, "Successful", Some("q")), vec![]).steps, [LET_GO]);
}

/// A submit that arrived late, or a process that was taken for lost.
#[test]
fn what_lives_under_the_label_of_a_finished_instance_is_ended_before_its_clean_up() {
    for state in ["Successful", "Failed", "Cancelled", "Lost"] {
        let plan = |processes| ended(&snapshot(&mirror(2, state, Some("p")), processes, true));
        let late = plan(vec![process("late", ProcessState::Running)]);
        assert!(
            matches!(late.steps.as_slice(), [Step::Colony(ColonyStep::Cancel { .. })]),
            "{state}: {late}"
        );
        assert_eq!(intended(&late), None, "{state}");
        assert_eq!(intended(&plan(vec![])), Some(0), "{state}");
    }
}

#[test]
fn a_clean_up_that_failed_is_repeated_after_a_growing_time() {
    let failed = snapshot(&mirror(0, "Failed", Some("q")), vec![], true);
    let waiting = ended(&failed);
    assert_eq!(waiting.due, Some("2026-11-26T10:00:10Z".parse().unwrap()));
    assert!(waiting.steps.is_empty() && intended(&waiting).is_none(), "{waiting}");
    let mut later = failed.clone();
    later.header.now = "2026-11-26T10:00:10Z".parse().unwrap();
    assert_eq!(intended(&ended(&later)), Some(-1));
    let mut abandoned = failed;
    let annotations = abandoned.object.metadata.annotations.get_or_insert_default();
    annotations.insert(ABANDON_ANNOTATION.to_owned(), "true".to_owned());
    assert_eq!(ended(&abandoned).steps, [LET_GO]);
}

#[test]
fn what_never_reached_the_colony_goes_freely() {
    assert_eq!(ended(&snapshot(&json!({}), vec![], true)).steps, [LET_GO]);
    let mut never = mirror(1, "Intended", None);
    never["submittedGeneration"] = Value::Null;
    let forgotten = ended(&snapshot(&never, vec![], true));
    assert_eq!(forgotten.mirror, Mirror::Forget);
    let mut unknown = snapshot(&mirror(1, "Running", Some("p")), vec![], true);
    unknown.header.processes = Observed::Unknown("away".to_owned());
    let held = ended(&unknown);
    assert!(held.steps.is_empty() && !held.awaiting.is_empty(), "unknown is not empty: {held}");
    unknown.kind = kind("Orphan");
    assert_eq!(ended(&unknown).steps, [LET_GO]);
}

/// As [`snapshot`], with what the definition lets be done.
fn managed(policies: &[&str], status: &Value, processes: Vec<Process>, is_deleted: bool) -> InstanceSnapshot {
    let mut snapshot = snapshot(status, processes, is_deleted);
    let mut terms = snapshot.kind.terms().clone();
    terms.accepted.handler.management_policies = serde_json::from_value(json!(policies)).unwrap();
    snapshot.kind = InstanceKind::new(terms);
    snapshot
}

#[test]
fn an_instance_goes_to_the_colony_only_as_far_as_that_is_listed() {
    let first = |policies: &[&str]| decided(&managed(policies, &json!({}), vec![], false)).unwrap();
    assert_eq!(intended(&first(&["Observe", "Create"])), Some(2));
    let withheld = first(&["Observe", "Update"]);
    assert_eq!((intended(&withheld), withheld.steps.len()), (None, 0));
    assert!(withheld.left[0].contains("do not list Create"), "{:?}", withheld.left);

    let later = |policies: &[&str], state: &str, now: ProcessState| {
        let snapshot = managed(policies, &mirror(1, state, Some("p1")), vec![process("p1", now)], false);
        decided(&snapshot).unwrap()
    };
    assert_eq!(intended(&later(&["Observe", "Update"], "Successful", ProcessState::Successful)), Some(2));
    let withheld = later(&["Observe", "Create"], "Successful", ProcessState::Successful);
    assert_eq!(intended(&withheld), None);
    assert!(withheld.left[0].contains("do not list Update"), "{:?}", withheld.left);
    // What runs of an earlier generation is not cancelled for one that is not submitted.
    assert_eq!(later(&["*"], "Running", ProcessState::Running).steps.len(), 1);
    assert_eq!(later(&["Observe", "Create"], "Running", ProcessState::Running).steps.len(), 0);
}

#[test]
fn without_delete_neither_cancel_nor_cleanup() {
    for (state, now) in [("Running", ProcessState::Running), ("Successful", ProcessState::Successful)] {
        let going = |policies: &[&str]| {
            let snapshot = managed(policies, &mirror(2, state, Some("p1")), vec![process("p1", now)], true);
            ended(&snapshot)
        };
        assert_ne!(going(&["*"]).steps, [LET_GO], "{state}");
        let left = going(&["Observe", "Create", "Update"]);
        assert_eq!((&left.steps[..], &left.mirror), (&[LET_GO][..], &Mirror::Unchanged), "{state}");
    }
}
