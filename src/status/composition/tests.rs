use serde_json::{Value, json};

use super::*;
use crate::{
    act::outcome::{Effect, StepFailure, StepResult},
    diff::{KubernetesStep, OwnershipError, Plan, Step},
    kinds::composition::{DesiredChild, Policies, Unreported},
    snapshot::{Children, fixtures},
};

fn config_map() -> ObjectKind {
    ObjectKind::new("v1", "ConfigMap")
}

/// An instance of generation 2 of a kind with an end, and with this status.
fn snapshot(status: &Value, is_deleted: bool) -> CompositionSnapshot {
    let accepted = json!({ "handler": {
        "mode": "compose", "finishedWhen": "${true}", "status": { "one": "${1}", "two": "${2}", "three": "${3}" } } });
    let mut object = json!({ "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 2 }, "status": status });
    if is_deleted {
        object["metadata"]["deletionTimestamp"] = json!("2026-11-26T10:00:00Z");
    }
    CompositionSnapshot {
        object: serde_json::from_value(object).unwrap(),
        kind: fixtures::kind(accepted, None),
        children: Children::new(),
        unserved: BTreeSet::new(),
        kinds_with_readiness: BTreeSet::new(),
        unready_workloads: 0,
        troubles: Vec::new(),
        now: "2026-11-26T10:00:05Z".parse().unwrap(),
    }
}

fn resource(id: &str, readiness: Readiness) -> DesiredResource {
    DesiredResource {
        id: id.to_owned(),
        kind: config_map(),
        wanted: Wanted::Objects(Vec::new()),
        held_back: None,
        readiness,
        policies: Policies::default(),
    }
}

fn desired(resources: Vec<DesiredResource>) -> Desired {
    Desired { resources, status: serde_json::Map::new(), unreported: Vec::new(), is_finished: false }
}

fn outcome(steps: Vec<Step>, results: Vec<StepResult>) -> Outcome {
    Outcome { plan: Plan { steps, ..Plan::default() }, results, resource_version: None }
}

fn pass<'a>(desired: Option<&'a Desired>, report: &'a Report, outcome: &'a Outcome) -> Pass<'a> {
    Pass { desired, report, outcome }
}

/// Conditions as `Type=Status/Reason`, without those of other types.
fn told(status: &InstanceStatus, types: &[&str]) -> Vec<String> {
    let wanted = status.conditions.iter().filter(|condition| types.contains(&condition.type_.as_str()));
    wanted.map(|condition| format!("{}={}/{}", condition.type_, condition.status, condition.reason)).collect()
}

fn message<'s>(status: &'s InstanceStatus, kind: &str) -> &'s str {
    &status.conditions.iter().find(|condition| condition.type_ == kind).expect("it is told").message
}

const MAIN: [&str; 4] = ["Progressing", "Degraded", "Finished", "Ready"];

#[test]
fn an_instance_is_ready_when_nothing_is_left_to_do() {
    let (snapshot, report) = (snapshot(&Value::Null, false), Report::default());
    let ready = desired(vec![resource("a", Readiness::Ready), resource("b", Readiness::Ready)]);
    let said = |desired: &Desired, outcome: &Outcome| {
        let kinds = BTreeSet::from([config_map()]);
        compute(&snapshot, &kinds, Ok(pass(Some(desired), &report, outcome)))
    };
    let settled = said(&ready, &Outcome::default());
    assert_eq!(
        told(&settled, &MAIN),
        [
            "Progressing=False/ResourcesReady",
            "Degraded=False/ResourcesReady",
            "Finished=False/NotFinished",
            "Ready=True/ResourcesReady"
        ]
    );
    assert_eq!(settled.observed_generation, Some(2));
    assert_eq!(settled.composed_of, [config_map()]);
    // What was written just now has not been seen to be ready.
    let step = || vec![Step::Kubernetes(KubernetesStep::AddFinalizer)];
    let busy = said(&ready, &outcome(step(), vec![StepResult::Done(Effect::Nothing)]));
    assert_eq!(
        told(&busy, &["Progressing", "Ready"]),
        ["Progressing=True/ResourcesNotReady", "Ready=False/ResourcesNotReady"]
    );
    let waiting = desired(vec![
        resource("a", Readiness::Waiting("0 of 1 are ready".to_owned())),
        DesiredResource {
            held_back: Some("a to be ready: 0 of 1 are ready".to_owned()),
            ..resource("b", Readiness::Waiting("ConfigMap b is not there".to_owned()))
        },
    ]);
    let waiting = said(&waiting, &Outcome::default());
    assert_eq!(
        message(&waiting, "Ready"),
        "a: 0 of 1 are ready; b waits for a to be ready: 0 of 1 are ready"
    );
}

#[test]
fn an_end_holds_once_nothing_is_left_to_write_and_then_for_good() {
    let (before, report) = (snapshot(&Value::Null, false), Report::default());
    let mut ended = desired(vec![resource("a", Readiness::Failed("it failed".to_owned()))]);
    ended.is_finished = true;
    let kinds = BTreeSet::new();
    let step = vec![Step::Kubernetes(KubernetesStep::AddFinalizer)];
    let busy = outcome(step, vec![StepResult::Done(Effect::Nothing)]);
    let status = compute(&before, &kinds, Ok(pass(Some(&ended), &report, &busy)));
    assert_eq!(told(&status, &["Finished"]), ["Finished=False/NotFinished"]);
    let idle = Outcome::default();
    let status = compute(&before, &kinds, Ok(pass(Some(&ended), &report, &idle)));
    assert_eq!(
        told(&status, &["Degraded", "Finished"]),
        ["Degraded=False/ResourceFailed", "Finished=True/FinishedWhenHolds"]
    );
    let after = snapshot(&serde_json::to_value(&status).unwrap(), false);
    let again = compute(&after, &kinds, Ok(pass(None, &report, &idle)));
    assert_eq!(again, status, "whatever becomes of its objects");
}

#[test]
fn what_needs_somebody_is_degraded_and_what_passes_is_not() {
    let (snapshot, kinds) = (snapshot(&Value::Null, false), BTreeSet::new());
    let ready = desired(vec![resource("a", Readiness::Ready)]);
    let foreign = OwnershipError::Foreign {
        kind: "ConfigMap".to_owned(),
        name: "a".to_owned(),
        owner: "Thing b".to_owned(),
    };
    let report = Report { foreign: vec![foreign], ..Report::default() };
    let idle = Outcome::default();
    let status = compute(&snapshot, &kinds, Ok(pass(Some(&ready), &report, &idle)));
    assert_eq!(
        told(&status, &["Degraded", "Ready"]),
        ["Degraded=True/ForeignObject", "Ready=False/ForeignObject"]
    );
    assert!(message(&status, "Ready").contains("Thing b"));

    let failure = |kind: FailureKind| {
        let failed = StepFailure { kind, message: "quota".to_owned() };
        outcome(vec![Step::Kubernetes(KubernetesStep::AddFinalizer)], vec![StepResult::Failed(failed)])
    };
    let none = Report::default();
    let refused = failure(FailureKind::Refused);
    let status = compute(&snapshot, &kinds, Ok(pass(Some(&ready), &none, &refused)));
    assert_eq!(told(&status, &["Degraded"]), ["Degraded=True/ApplyFailed"]);
    let conflict = failure(FailureKind::Conflict);
    let status = compute(&snapshot, &kinds, Ok(pass(Some(&ready), &none, &conflict)));
    assert_eq!(
        told(&status, &["Progressing", "Degraded"]),
        ["Progressing=True/ResourcesNotReady", "Degraded=False/ResourcesNotReady"]
    );

    let failed = desired(vec![resource("a", Readiness::Failed("BackoffLimitExceeded".to_owned()))]);
    let status = compute(&snapshot, &kinds, Ok(pass(Some(&failed), &none, &idle)));
    assert_eq!(told(&status, &["Degraded"]), ["Degraded=True/ResourceFailed"]);
    assert_eq!(message(&status, "Degraded"), "a: BackoffLimitExceeded");

    let problem =
        Problem { reason: Reason::InvalidExpression, message: "spec.x: division by zero".to_owned() };
    let status = compute(&snapshot, &kinds, Err(&problem));
    assert_eq!(
        told(&status, &["Degraded", "Ready"]),
        ["Degraded=True/InvalidExpression", "Ready=False/InvalidExpression"]
    );
}

/// Unknown is not empty: the previous status stays while it cannot be read.
#[test]
fn a_field_without_a_value_goes_unless_it_could_not_be_looked_at() {
    let (before, report) = (snapshot(&json!({ "one": 1, "two": 1, "three": 1 }), false), Report::default());
    let mut now = desired(vec![resource("a", Readiness::Ready)]);
    now.status.insert("one".to_owned(), json!(7));
    let unreported = |field: &str, is_unknown: bool| Unreported {
        field: field.to_owned(),
        why: "a".to_owned(),
        is_unknown,
    };
    now.unreported = vec![unreported("two", true), unreported("three", false)];
    let idle = Outcome::default();
    let status = compute(&before, &BTreeSet::new(), Ok(pass(Some(&now), &report, &idle)));
    assert_eq!(Value::Object(status.fields), json!({ "one": 7, "two": 1 }));
    let problem = Problem { reason: Reason::InvalidSpec, message: String::new() };
    let status = compute(&before, &BTreeSet::new(), Err(&problem));
    assert_eq!(Value::Object(status.fields), json!({ "one": 1, "two": 1, "three": 1 }));
}

/// Only what is on record is looked for later: a kind stays there until nothing of it can be left.
#[test]
fn kinds_stay_on_record_while_something_of_them_may_be_left() {
    let kind = |name: &str| ObjectKind::new("v1", name);
    let earlier = ["Gone", "Left", "Unread"].map(|name| json!({ "apiVersion": "v1", "kind": name }));
    let earlier = json!({ "composedOf": earlier });
    let mut snapshot = snapshot(&earlier, false);
    snapshot.children.insert(kind("Gone"), Observed::Known(Vec::new()));
    snapshot.children.insert(kind("Left"), Observed::Known(vec![json!({})]));
    snapshot.children.insert(kind("Unread"), Observed::Unknown("timeout".to_owned()));
    let (report, idle, now) = (Report::default(), Outcome::default(), desired(Vec::new()));
    let kinds = BTreeSet::from([kind("New")]);
    let status = compute(&snapshot, &kinds, Ok(pass(Some(&now), &report, &idle)));
    assert_eq!(status.composed_of, ["Left", "New", "Unread"].map(kind));
}

#[test]
fn what_is_left_as_it_is_stands_beside_being_ready() {
    let (snapshot, idle) = (snapshot(&Value::Null, false), Outcome::default());
    let ready = desired(vec![resource("a", Readiness::Ready)]);
    let report = Report {
        drifted: vec!["ConfigMap a: data.x".to_owned()],
        left: vec!["ConfigMap b is not created".to_owned()],
        ..Report::default()
    };
    let status = compute(&snapshot, &BTreeSet::new(), Ok(pass(Some(&ready), &report, &idle)));
    assert_eq!(
        told(&status, &["Drifted", "Warnings", "Ready"]),
        ["Drifted=True/DriftDetected", "Warnings=True/LeftAlone", "Ready=True/ResourcesReady"]
    );
    assert_eq!(message(&status, "Drifted"), "not corrected: ConfigMap a: data.x");
}

/// It never hangs without saying on what, and how to get out.
#[test]
fn a_deletion_says_what_it_waits_for_and_the_way_out() {
    let (snapshot, report) = (snapshot(&json!({ "one": 1 }), true), Report::default());
    let plan = Plan { awaiting: vec!["Disk a goes after server".to_owned()], ..Plan::default() };
    let waiting = Outcome { plan, ..Outcome::default() };
    let status = compute(&snapshot, &BTreeSet::new(), Ok(pass(None, &report, &waiting)));
    assert_eq!(told(&status, &["Degraded", "Ready"]), ["Degraded=False/Deleting", "Ready=False/Deleting"]);
    assert_eq!(message(&status, "Ready"), "awaiting Disk a goes after server");
    assert_eq!(Value::Object(status.fields), json!({ "one": 1 }));
    let failed = StepFailure { kind: FailureKind::Refused, message: "a webhook says no".to_owned() };
    let refused =
        outcome(vec![Step::Kubernetes(KubernetesStep::RemoveFinalizer)], vec![StepResult::Failed(failed)]);
    let status = compute(&snapshot, &BTreeSet::new(), Ok(pass(None, &report, &refused)));
    let said = message(&status, "Ready");
    assert!(said.contains("a webhook says no") && said.contains("colonies.io/abandon-remote"), "{said}");
}

/// The level at which people look is the instance: it says what its pods say, and that waiting does not help.
#[test]
fn pods_that_do_not_run_are_told_at_the_instance() {
    let deployment = ObjectKind::new("apps/v1", "Deployment");
    let child = DesiredChild { kind: deployment.clone(), name: "shop-web".to_owned(), object: Value::Null };
    let web = |readiness: Readiness| DesiredResource {
        kind: deployment.clone(),
        wanted: Wanted::Objects(vec![child.clone()]),
        ..resource("web", readiness)
    };
    let mut snapshot = snapshot(&Value::Null, false);
    let trouble = |may_pass: bool, reason: Reason| PartTrouble {
        kind: deployment.clone(),
        name: "shop-web".to_owned(),
        may_pass,
        reason,
        message: "pod shop-web-1: image x cannot be pulled: not found: correct it".to_owned(),
    };
    let (report, kinds) = (Report::default(), BTreeSet::from([deployment.clone()]));
    let said = |snapshot: &CompositionSnapshot, readiness: Readiness| {
        let (desired, outcome) = (desired(vec![web(readiness)]), outcome(Vec::new(), Vec::new()));
        compute(snapshot, &kinds, Ok(pass(Some(&desired), &report, &outcome)))
    };
    let waiting = || Readiness::Waiting("0 of 1 are ready".to_owned());

    snapshot.troubles = vec![trouble(false, Reason::ImageNotPulled)];
    let status = said(&snapshot, waiting());
    assert_eq!(
        told(&status, &["Degraded", "Ready"]),
        ["Degraded=True/ImageNotPulled", "Ready=False/ImageNotPulled"]
    );
    assert_eq!(
        message(&status, "Ready"),
        "web: 0 of 1 are ready; pod shop-web-1: image x cannot be pulled: not found: correct it"
    );
    let late = said(&snapshot, Readiness::Failed("ProgressDeadlineExceeded".to_owned()));
    assert!(message(&late, "Ready").contains("ProgressDeadlineExceeded; pod shop-web-1"), "{late:?}");

    snapshot.troubles = vec![trouble(true, Reason::PodUnschedulable)];
    let status = said(&snapshot, waiting());
    assert_eq!(told(&status, &["Degraded"]), ["Degraded=False/PodUnschedulable"]);
    assert!(message(&status, "Ready").contains("pod shop-web-1"), "{status:?}");
    let status = said(&snapshot, Readiness::Ready);
    assert_eq!(told(&status, &["Ready"]), ["Ready=True/ResourcesReady"], "it has passed");

    // Nothing of the workload changes while its pods do: it is looked at again, but not for ever.
    snapshot.unready_workloads = 1;
    let look = |snapshot: &CompositionSnapshot| next(snapshot, None, Ok(&report));
    assert_eq!(look(&snapshot), Look::About(LOOK_UP));
    let mut old = said(&snapshot, waiting());
    for condition in &mut old.conditions {
        condition.last_transition_time.0 -= SignedDuration::from_mins(11);
    }
    snapshot.object.status = Some(old);
    assert_eq!(look(&snapshot), Look::About(RESYNC));
}
