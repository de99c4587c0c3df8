use serde_json::json;

use super::*;
use crate::{
    act::outcome::{Effect, StepResult},
    api::resource_definition::ResourceDefinition,
    diff::Plan,
    kinds::definition::build,
    snapshot::{ColonyKindState, fixtures},
};

/// What comes of a pass that updates a CRD, which the API server then has as it was sent.
fn updated(crd: CustomResourceDefinition) -> Outcome {
    let crd = Box::new(crd);
    let step = Step::Kubernetes(KubernetesStep::UpdateCrd { crd: crd.clone(), differences: Vec::new() });
    Outcome {
        plan: Plan { steps: vec![step], ..Plan::default() },
        results: vec![StepResult::Done(Effect::Crd(crd))],
        resource_version: None,
    }
}

pub(super) fn snapshot() -> DefinitionSnapshot {
    let object =
        fixtures::definition(&json!({ "mode": "process", "executorType": "t", "functionName": "f" }));
    DefinitionSnapshot {
        crd: Observed::Known(Some(served(&object))),
        handlers: Handlers::Executors { count: 1, colony: "dev".to_owned() },
        ..fixtures::defined(object)
    }
}

fn served(object: &ResourceDefinition) -> CustomResourceDefinition {
    let mut crd = build(object).unwrap();
    let conditions = json!({ "conditions": [{ "type": "Established", "status": "True",
        "lastTransitionTime": "2026-11-26T10:00:00Z", "reason": "InitialNamesAccepted", "message": "" }] });
    crd.status = Some(serde_json::from_value(conditions).unwrap());
    crd
}

fn said(status: &ResourceDefinitionStatus, kind: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

/// The status after a pass that wrote no object.
fn compute(snapshot: &DefinitionSnapshot, pass: Pass<'_>) -> ResourceDefinitionStatus {
    super::compute(snapshot, pass)
}

fn calm(snapshot: &DefinitionSnapshot) -> ResourceDefinitionStatus {
    compute(snapshot, Ok((&DefinitionPlan::default(), &Outcome::default())))
}

/// Another default would split the kind: its definition in one colony, and its instances in two.
#[test]
fn the_colony_of_the_definition_is_on_record_from_the_first_answer() {
    let object =
        fixtures::definition(&json!({ "mode": "blueprint", "executorType": "t", "functionName": "f" }));
    let mut world = fixtures::defined(object);
    let used = fixtures::resolved().used();
    world.in_colony = Some(ColonyKindState {
        add_in_flight_until: None,
        used: used.clone(),
        cluster: "c".to_owned(),
        definitions: Observed::Unknown("away".to_owned()),
        blueprints: Observed::Unknown("away".to_owned()),
    });
    assert_eq!(calm(&world).colony, None, "it may never have been there");
    if let Some(in_colony) = &mut world.in_colony {
        in_colony.definitions = Observed::Known(Vec::new());
    }
    world.object.status = Some(calm(&world));
    world.in_colony = None;
    assert_eq!(calm(&world).colony, Some(used));
}

#[test]
fn a_kind_that_is_served_is_ready_whether_or_not_executors_are_there() {
    let mut world = snapshot();
    let status = calm(&world);
    let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Authorized", "Established", "Handled", "Degraded", "Ready"]);
    assert_eq!(said(&status, "Ready").0, "True");
    world.handlers = Handlers::Executors { count: 0, colony: "dev".to_owned() };
    let status = calm(&world);
    assert_eq!((said(&status, "Ready").0.as_str(), said(&status, "Handled").0.as_str()), ("True", "False"));
    world.object.status = Some(status.clone());
    assert_eq!(calm(&world), status, "nothing new to say");
}

/// Who has just started has asked no colony yet, which is no news about executors.
#[test]
fn a_restart_changes_nothing_that_was_said_of_executors() {
    let mut world = snapshot();
    let before = calm(&world);
    world.object.status = Some(before.clone());
    world.handlers = Handlers::Unread("dev".to_owned());
    assert_eq!(calm(&world), before);
    world.object.metadata.generation = Some(3);
    assert_eq!(said(&calm(&world), "Handled").0, "Unknown", "of this generation nothing was said");
}

/// The line must not take rights away that other kinds have.
#[test]
fn missing_rights_come_with_the_line_that_grants_them() {
    let mut world = snapshot();
    world.crd = Observed::Unknown("rights are missing".to_owned());
    world.missing_rights = Observed::Known(vec!["list things in group g.example.com".to_owned()]);
    world.granted_groups = vec!["a.example.com".to_owned()];
    let status = calm(&world);
    let (holds, reason, message) = said(&status, "Authorized");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "RightsMissing"));
    let line = r#"--namespace operators --reset-then-reuse-values --set-json 'userKinds.groups=["a.example.com","g.example.com"]'"#;
    assert!(message.contains(line), "{message}");
    assert_eq!(said(&status, "Ready").1, "RightsMissing");
    assert_eq!(said(&status, "Degraded").0, "True");
}

/// A kind that works goes on: what is missing is for the safety of others.
#[test]
fn without_its_policies_a_kind_is_not_authorized() {
    let mut world = snapshot();
    world.missing_policies = Observed::Known(vec!["op-composer".to_owned()]);
    let status = calm(&world);
    let (holds, reason, message) = said(&status, "Authorized");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "PoliciesMissing"));
    assert!(message.contains("op-composer") && message.contains("admissionPolicy.enabled=true"), "{message}");
    assert_eq!((said(&status, "Ready").0.as_str(), said(&status, "Degraded").0.as_str()), ("True", "False"));
    world.missing_policies = Observed::Unknown("timed out".to_owned());
    let status = calm(&world);
    assert_eq!(
        (said(&status, "Authorized").0.as_str(), said(&status, "Ready").0.as_str()),
        ("Unknown", "True")
    );
    world.missing_rights = Observed::Known(vec!["list things".to_owned()]);
    assert_eq!(said(&calm(&world), "Ready").1, "RightsMissing");
}

#[test]
fn a_revision_that_cannot_be_says_by_which_one_instances_are_carried_out() {
    let mut world = snapshot();
    world.object.metadata.generation = Some(3);
    let problem = Problem { reason: Reason::InvalidSpec, message: "spec.x: wrong".to_owned() };
    let status = compute(&world, Err(&problem));
    assert_eq!(status.accepted_generation, Some(2));
    assert_eq!(said(&status, "Established").0, "True", "the kind is served all the same");
    let (holds, reason, message) = said(&status, "Ready");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "InvalidSpec"));
    assert!(message.starts_with("spec.x: wrong") && message.contains("generation 2"), "{message}");
}

#[test]
fn what_the_api_server_says_of_names_is_passed_on() {
    let mut world = snapshot();
    let mut crd = served(&world.object);
    let conditions = json!({ "conditions": [{ "type": "NamesAccepted", "status": "False", "reason": "ShortNamesConflict",
        "lastTransitionTime": "2026-11-26T10:00:00Z", "message": "\"po\" is already in use" }] });
    crd.status = Some(serde_json::from_value(conditions).unwrap());
    world.crd = Observed::Known(Some(crd));
    let (_, reason, message) = said(&calm(&world), "Ready");
    assert_eq!(reason, "NamesNotAccepted");
    assert!(message.contains("already in use"), "{message}");
}

#[test]
fn what_a_change_would_break_is_told_until_it_is_carried_out() {
    let mut world = snapshot();
    world.object.metadata.generation = Some(3);
    let impact = crate::api::resource_definition::Impact {
        hash: "h".to_owned(),
        breaking: 1,
        checked: 2,
        ..Default::default()
    };
    let held = HeldBack {
        reason: Reason::BreaksInstances,
        message: "1 of 2".to_owned(),
        impact: Some(impact.clone()),
    };
    let plan = DefinitionPlan { held: Some(held), ..DefinitionPlan::default() };
    let status = compute(&world, Ok((&plan, &Outcome::default())));
    assert_eq!(status.impact, Some(impact));
    let (holds, reason, message) = said(&status, "Ready");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "BreaksInstances"));
    assert!(message.starts_with("1 of 2") && message.contains("stay as generation 2"), "{message}");
    assert_eq!(said(&status, "Degraded").0, "True", "it waits for somebody");
    let generations: Vec<i64> = status.revisions.iter().map(|revision| revision.generation).collect();
    assert_eq!(generations, [2], "the one that is carried out");
    world.object.status = Some(status.clone());
    assert_eq!(calm(&world).impact, None);

    // A restart knows no instances for a moment, which is no news.
    let unknown = HeldBack { reason: Reason::ReadFailed, message: "not known yet".to_owned(), impact: None };
    let plan = DefinitionPlan { held: Some(unknown), ..DefinitionPlan::default() };
    assert_eq!(compute(&world, Ok((&plan, &Outcome::default()))), status);
    world.object.metadata.generation = Some(4);
    let status = compute(&world, Ok((&plan, &Outcome::default())));
    assert_eq!(
        (said(&status, "Ready").1.as_str(), status.impact),
        ("ReadFailed", None),
        "of another spec nothing was said"
    );
}

/// The accepted generations, and when; nothing is written again for them.
#[test]
fn revisions_are_remembered() {
    let mut world = snapshot();
    let first = calm(&world);
    assert_eq!((first.revisions.len(), first.revisions[0].generation), (1, 2));
    assert_eq!(first.revisions[0].carried_out_at.0, world.now);
    world.object.status = Some(first.clone());
    world.now = "2026-11-26T11:00:00Z".parse().unwrap();
    assert_eq!(calm(&world).revisions, first.revisions, "the time stays");
    for generation in 3..20 {
        world.object.metadata.generation = Some(generation);
        world.object.spec.handler.function_name = Some(format!("f{}", generation % 2));
        let outcome = updated(build(&world.object).unwrap());
        world.object.status = Some(compute(&world, Ok((&DefinitionPlan::default(), &outcome))));
        world.crd = Observed::Known(Some(served(&world.object)));
        assert_eq!(calm(&world).revisions, world.object.status.clone().unwrap().revisions);
    }
    let revisions = world.object.status.unwrap().revisions;
    let generations: Vec<i64> = revisions.iter().map(|revision| revision.generation).collect();
    assert_eq!(generations, (10..20).collect::<Vec<i64>>());
    assert_eq!(revisions[0].hash, revisions[2].hash, "the same again is the same");
    assert_ne!(revisions[0].hash, revisions[1].hash);
}

/// A waiting client must not see the condition of the previous version.
#[test]
fn objects_are_not_called_stored_anew_when_the_version_has_just_changed() {
    let mut world = snapshot();
    let mut crd = served(&world.object);
    let mut second = crd.spec.versions[0].clone();
    (second.name, second.storage) = ("v2".to_owned(), false);
    crd.spec.versions.push(second);
    crd.status.get_or_insert_default().stored_versions = Some(vec!["v1".to_owned()]);
    world.crd = Observed::Known(Some(crd.clone()));
    assert_eq!(said(&calm(&world), "StorageMigrated").0, "True");
    (crd.spec.versions[0].storage, crd.spec.versions[1].storage) = (false, true);
    crd.status.get_or_insert_default().stored_versions = Some(vec!["v1".to_owned(), "v2".to_owned()]);
    let outcome = updated(crd);
    let status = compute(&world, Ok((&DefinitionPlan::default(), &outcome)));
    let (holds, reason, message) = said(&status, "StorageMigrated");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "StorageMigrating"), "{message}");
}
