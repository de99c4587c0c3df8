use serde_json::json;

use super::*;
use crate::{
    api::resource_definition::ResourceDefinition,
    desired::definition::build,
    watch::snapshot::{Handlers, LeftInstances},
};

fn definition(policy: &str) -> ResourceDefinition {
    serde_json::from_value(json!({
        "metadata": { "name": "things.g.example.com", "generation": 2,
                      "finalizers": [RESOURCE_DEFINITION_FINALIZER] },
        "spec": {
            "group": "g.example.com", "names": { "kind": "Thing", "plural": "things" },
            "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": { "type": "object", "nullable": false,
                    "properties": { "size": { "type": "integer", "minimum": 1 } } } } } } }],
            "handler": { "mode": "process", "executorType": "t", "functionName": "f" },
            "deletionPolicy": policy,
        },
    }))
    .unwrap()
}

fn snapshot(crd: Option<CustomResourceDefinition>, policy: &str, left: (usize, usize)) -> DefinitionSnapshot {
    DefinitionSnapshot {
        object: definition(policy),
        crd: Observed::Known(crd),
        missing_rights: Observed::Known(Vec::new()),
        granted_groups: Vec::new(),
        namespace: "operators".to_owned(),
        instances: None,
        left: Observed::Known(LeftInstances { total: left.0, held: left.1 }),
        composes: crate::watch::snapshot::Composes::default(),
        handlers: Handlers::None,
        now: "2026-11-26T10:00:00Z".parse().unwrap(),
    }
}

/// The CRD as the API server gives it back: with what it adds, and without what it leaves out.
fn served() -> CustomResourceDefinition {
    let mut crd = build(&definition("Delete")).unwrap();
    crd.metadata.uid = Some("u".to_owned());
    crd.metadata.resource_version = Some("7".to_owned());
    let conditions = json!({ "conditions": [{ "type": "Established", "status": "True",
        "lastTransitionTime": "2026-11-26T10:00:00Z", "reason": "InitialNamesAccepted", "message": "" }] });
    crd.status = Some(serde_json::from_value(conditions).unwrap());
    crd
}

fn desired() -> CustomResourceDefinition {
    build(&definition("Delete")).unwrap()
}

/// The API server leaves out what is false: wanting it would be a write in every pass.
#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let whole = serde_json::to_string(&desired()).unwrap();
    assert!(!whole.contains(r#""nullable":false"#), "{whole}");
    assert_eq!(plan(&snapshot(Some(served()), "Delete", (0, 0)), &desired()), DefinitionPlan::default());
}

#[test]
fn a_crd_is_made_and_put_right() {
    let mut world = snapshot(None, "Delete", (0, 0));
    assert_eq!(plan(&world, &desired()).steps, [DefinitionStep::Create(Box::new(desired()))]);
    world.object.metadata.finalizers = None;
    assert_eq!(
        plan(&world, &desired()).steps.first(),
        Some(&DefinitionStep::Hold),
        "held before anything is made"
    );

    let mut edited = served();
    edited.spec.versions[0].served = false;
    edited.metadata.annotations.get_or_insert_default().insert("note".to_owned(), "mine".to_owned());
    let steps = plan(&snapshot(Some(edited), "Delete", (0, 0)), &desired()).steps;
    let [DefinitionStep::Update { crd, differences }] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(differences, &["spec.versions[0].served"]);
    assert_eq!((crd.uid().as_deref(), crd.metadata.resource_version.as_deref()), (Some("u"), Some("7")));
    assert_eq!(
        crd.annotations().get("note").map(String::as_str),
        Some("mine"),
        "what others put there stays"
    );

    // A field that is no longer wished for is only absent from what is: the hash tells.
    let mut shorter = definition("Delete");
    shorter.spec.versions[0].schema.open_api_v3_schema = json!({ "type": "object" });
    let steps = plan(&snapshot(Some(served()), "Delete", (0, 0)), &build(&shorter).unwrap()).steps;
    assert!(matches!(steps.as_slice(), [DefinitionStep::Update { .. }]), "{steps:?}");
}

#[test]
fn nothing_is_done_to_what_is_not_known_or_not_ours() {
    let mut foreign = served();
    foreign.metadata.annotations = None;
    assert_eq!(plan(&snapshot(Some(foreign.clone()), "Delete", (0, 0)), &desired()).steps, []);
    assert_eq!(plan_deletion(&snapshot(Some(foreign), "Delete", (3, 0))).steps, [DefinitionStep::LetGo]);
    let mut unknown = snapshot(None, "Delete", (0, 0));
    unknown.crd = Observed::Unknown("away".to_owned());
    for plan in [plan(&unknown, &desired()), plan_deletion(&unknown)] {
        assert!(plan.steps.is_empty() && !plan.awaiting.is_empty(), "{plan:?}");
    }
}

#[test]
fn a_definition_goes_when_no_instance_would_be_lost() {
    let going = |policy: &str, left| plan_deletion(&snapshot(Some(served()), policy, left));
    let held = going("Delete", (2, 0));
    assert!(held.steps.is_empty() && held.awaiting[0].contains("spec.deletionPolicy"), "{held:?}");
    assert!(matches!(going("Delete", (0, 0)).steps.as_slice(), [DefinitionStep::Delete { .. }]));
    assert_eq!(plan_deletion(&snapshot(None, "Delete", (0, 0))).steps, [DefinitionStep::LetGo]);
    assert_eq!(going("Orphan", (2, 1)).steps, [], "one would keep a finalizer that nobody takes away");
    assert_eq!(going("Orphan", (2, 0)).steps, [DefinitionStep::LetGo]);
    let mut unknown = snapshot(Some(served()), "Delete", (0, 0));
    unknown.left = Observed::Unknown("away".to_owned());
    assert_eq!(plan_deletion(&unknown).steps, [], "unknown is not empty");
}
