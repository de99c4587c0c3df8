mod versions;

use serde_json::json;

use super::*;
use crate::desired::resource_definition::build_definition;
use crate::{
    api::resource_definition::ResourceDefinition,
    kinds::definition::{build, converted_at},
    snapshot::{ConversionAddress, ConversionEndpoint, RemainingInstances, StoredObjects, fixtures},
};

fn definition(policy: &str) -> ResourceDefinition {
    let mut made =
        fixtures::definition(&json!({ "mode": "process", "executorType": "t", "functionName": "f" }));
    made.metadata.finalizers = Some(vec![RESOURCE_DEFINITION_FINALIZER.to_owned()]);
    let mut whole = serde_json::to_value(made).unwrap();
    whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = json!({ "spec": {
        "type": "object", "nullable": false, "properties": { "size": { "type": "integer", "minimum": 1 } } } });
    whole["spec"]["deletionPolicy"] = json!(policy);
    serde_json::from_value(whole).unwrap()
}

pub(super) fn snapshot(
    crd: Option<CustomResourceDefinition>,
    policy: &str,
    left: (usize, usize),
) -> DefinitionSnapshot {
    DefinitionSnapshot {
        crd: Observed::Known(crd),
        left: Observed::Known(RemainingInstances { total: left.0, held: left.1 }),
        ..fixtures::defined(definition(policy))
    }
}

/// The CRD as the API server gives it back: with what it adds, and without what it leaves out.
pub(super) fn served() -> CustomResourceDefinition {
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
    assert_eq!(plan(&snapshot(Some(served()), "Delete", (0, 0)), &desired()), strict());
    let mut explicit = desired();
    explicit.spec.preserve_unknown_fields = Some(false);
    explicit.spec.names.categories = Some(Vec::new());
    assert_eq!(plan(&snapshot(Some(served()), "Delete", (0, 0)), &explicit), strict());
}

#[test]
fn a_crd_is_made_and_put_right() {
    let mut world = snapshot(None, "Delete", (0, 0));
    assert_eq!(
        plan(&world, &desired()).plan.steps,
        [Step::Kubernetes(KubernetesStep::CreateCrd(Box::new(desired())))]
    );
    world.object.metadata.finalizers = None;
    assert_eq!(
        plan(&world, &desired()).plan.steps.first(),
        Some(&Step::Kubernetes(KubernetesStep::AddFinalizer)),
        "held before anything is made"
    );

    let mut edited = served();
    edited.spec.versions[0].served = false;
    edited.metadata.annotations.get_or_insert_default().insert("note".to_owned(), "mine".to_owned());
    let steps = plan(&snapshot(Some(edited), "Delete", (0, 0)), &desired()).plan.steps;
    let [Step::Kubernetes(KubernetesStep::UpdateCrd { crd, differences })] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert_eq!(differences, &["spec.versions[0].served"]);
    assert_eq!((crd.uid().as_deref(), crd.metadata.resource_version.as_deref()), (Some("u"), Some("7")));
    assert_eq!(
        crd.annotations().get("note").map(String::as_str),
        Some("mine"),
        "what others put there stays"
    );

    // A field that is no longer desired is only absent: the hash tells.
    let mut shorter = definition("Delete");
    shorter.spec.versions[0].schema.open_api_v3_schema = json!({ "type": "object" });
    let steps = plan(&snapshot(Some(served()), "Delete", (0, 0)), &build(&shorter).unwrap()).plan.steps;
    assert!(matches!(steps.as_slice(), [Step::Kubernetes(KubernetesStep::UpdateCrd { .. })]), "{steps:?}");
}

#[test]
fn nothing_is_done_to_what_is_not_known_or_not_ours() {
    let mut foreign = served();
    foreign.metadata.annotations = None;
    assert_eq!(plan(&snapshot(Some(foreign.clone()), "Delete", (0, 0)), &desired()).plan.steps, []);
    assert_eq!(
        plan_deletion(&snapshot(Some(foreign), "Delete", (3, 0))).plan.steps,
        [Step::Kubernetes(KubernetesStep::RemoveFinalizer)]
    );
    let mut unknown = snapshot(None, "Delete", (0, 0));
    unknown.crd = Observed::Unknown("away".to_owned());
    for plan in [plan(&unknown, &desired()), plan_deletion(&unknown)] {
        assert!(plan.plan.steps.is_empty() && !plan.plan.awaiting.is_empty(), "{plan:?}");
    }
}

#[test]
fn a_definition_goes_when_no_instance_would_be_lost() {
    let going = |policy: &str, left| plan_deletion(&snapshot(Some(served()), policy, left));
    let held = going("Delete", (2, 0));
    assert!(held.plan.steps.is_empty() && held.plan.awaiting[0].contains("spec.deletionPolicy"), "{held:?}");
    assert!(matches!(
        going("Delete", (0, 0)).plan.steps.as_slice(),
        [Step::Kubernetes(KubernetesStep::DeleteCrd { .. })]
    ));
    assert_eq!(
        plan_deletion(&snapshot(None, "Delete", (0, 0))).plan.steps,
        [Step::Kubernetes(KubernetesStep::RemoveFinalizer)]
    );
    assert_eq!(going("Orphan", (2, 1)).plan.steps, [], "one would keep a finalizer that nobody takes away");
    assert_eq!(going("Orphan", (2, 0)).plan.steps, [Step::Kubernetes(KubernetesStep::RemoveFinalizer)]);
    let mut unknown = snapshot(Some(served()), "Delete", (0, 0));
    unknown.left = Observed::Unknown("away".to_owned());
    assert_eq!(plan_deletion(&unknown).plan.steps, [], "unknown is not empty");
}

/// What the API server has of an instance in namespace `ml`.
fn instance(name: &str, spec: &Value) -> crate::snapshot::LiveInstance {
    let object = json!({ "metadata": { "name": name, "namespace": "ml" }, "spec": spec });
    std::sync::Arc::new(serde_json::from_value(object).unwrap())
}

/// A definition whose size is limited, over a CRD in which it is not.
fn limited(live: Observed<Vec<crate::snapshot::LiveInstance>>) -> DefinitionSnapshot {
    let mut world = snapshot(Some(served()), "Delete", (0, 0));
    let schema = &mut world.object.spec.versions[0].schema.open_api_v3_schema;
    schema["properties"]["spec"]["properties"]["size"]["maximum"] = json!(5);
    world.object.metadata.generation = Some(3);
    world.live = live;
    world
}

fn wanted(world: &DefinitionSnapshot) -> DefinitionPlan {
    plan(world, &build(&world.object).unwrap())
}

#[test]
fn a_schema_that_breaks_instances_needs_their_hash() {
    let live = vec![
        instance("b", &json!({ "size": 9 })),
        instance("a", &json!({ "size": 7 })),
        instance("c", &json!({ "size": 5 })),
    ];
    let mut world = limited(Observed::Known(live));
    let held = wanted(&world).held.unwrap();
    assert_eq!((held.reason, wanted(&world).plan.steps), (Reason::BreaksInstances, vec![]));
    let impact = held.impact.unwrap();
    assert_eq!((impact.breaking, impact.checked), (2, 3));
    let named: Vec<&str> = impact.instances.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(named, ["a", "b"]);
    assert_eq!(impact.instances[0].why, "v1: spec.size: 7: must be at most 5");
    let command = format!(
        "kubectl annotate rd things.g.example.com colonies.io/accept-impact={} --overwrite",
        impact.hash
    );
    let counted =
        "2 of 3 instances do not fit the new schema, such as ml/a (v1: spec.size: 7: must be at most 5)";
    assert!(held.message.starts_with(counted) && held.message.ends_with(&command), "{}", held.message);

    let accept = |world: &mut DefinitionSnapshot, hash: &str| {
        world
            .object
            .annotations_mut()
            .insert(crate::api::names::ACCEPT_IMPACT_ANNOTATION.to_owned(), hash.to_owned());
    };
    accept(&mut world, "other");
    assert!(wanted(&world).held.is_some());
    accept(&mut world, &impact.hash);
    assert!(
        matches!(wanted(&world).plan.steps.as_slice(), [Step::Kubernetes(KubernetesStep::UpdateCrd { .. })]),
        "{:?}",
        wanted(&world)
    );

    // Another spec, or another instance that breaks, is something else.
    let mut other = world.clone();
    other.object.spec.versions[0].schema.open_api_v3_schema["properties"]["spec"]["properties"]["size"]["maximum"] =
        json!(6);
    assert!(wanted(&other).held.is_some());
    let Observed::Known(live) = &mut world.live else { panic!("{:?}", world.live) };
    live.push(instance("d", &json!({ "size": 8 })));
    assert!(wanted(&world).held.is_some());
}

#[test]
fn a_schema_that_breaks_nothing_is_carried_out() {
    for live in [vec![], vec![instance("a", &json!({ "size": 5 }))]] {
        let plan = wanted(&limited(Observed::Known(live)));
        assert!(
            matches!(plan.plan.steps.as_slice(), [Step::Kubernetes(KubernetesStep::UpdateCrd { .. })])
                && plan.held.is_none(),
            "{plan:?}"
        );
    }
}

/// Unknown is not empty, and only a change of the schema asks.
#[test]
fn instances_are_known_before_a_schema_changes() {
    let unknown = || Observed::Unknown("away".to_owned());
    let plan = wanted(&limited(unknown()));
    assert_eq!(plan.plan.steps, []);
    let held = plan.held.unwrap();
    assert!(held.reason == Reason::ReadFailed && held.message.contains("away"), "{held:?}");
    let mut handler = snapshot(Some(served()), "Delete", (0, 0));
    handler.live = unknown();
    handler.object.spec.handler.function_name = Some("other".to_owned());
    assert!(matches!(
        wanted(&handler).plan.steps.as_slice(),
        [Step::Kubernetes(KubernetesStep::UpdateCrd { .. })]
    ));
    // The API server does not serve it, so there are none.
    let mut never = limited(unknown());
    let mut crd = served();
    crd.status = None;
    never.crd = Observed::Known(Some(crd));
    assert!(matches!(
        wanted(&never).plan.steps.as_slice(),
        [Step::Kubernetes(KubernetesStep::UpdateCrd { .. })]
    ));
}

#[test]
fn an_instance_that_cannot_be_read_is_not_taken_as_fitting() {
    let object = json!({ "metadata": { "name": "odd", "namespace": "ml" }, "spec": {}, "status": { "conditions": 3 } });
    let odd: kube::core::DeserializeGuard<crate::api::instance::Instance> =
        serde_json::from_value(object).unwrap();
    assert!(odd.0.is_err());
    let held = wanted(&limited(Observed::Known(vec![std::sync::Arc::new(odd)]))).held.unwrap();
    assert!(held.impact.unwrap().instances[0].why.contains("cannot be checked"));
}

#[test]
fn a_new_version_is_held_against_every_instance_and_a_stored_one_stays() {
    let mut world = snapshot(Some(served()), "Delete", (0, 0));
    let mut second = world.object.spec.versions[0].clone();
    second.name = "v2".to_owned();
    second.storage = false;
    second.schema.open_api_v3_schema =
        json!({ "type": "object", "properties": { "spec": { "type": "object" } } });
    world.object.spec.versions.push(second);
    world.live = Observed::Known(vec![instance("a", &json!({ "size": 7 }))]);
    let held = wanted(&world).held.unwrap();
    assert!(held.message.contains("v2: spec.size: would be lost"), "{}", held.message);

    world.live = Observed::Known(Vec::new());
    world.object.spec.versions.remove(0);
    world.object.spec.versions[0].storage = true;
    let mut crd = served();
    crd.status.get_or_insert_default().stored_versions = Some(vec!["v1".to_owned()]);
    world.crd = Observed::Known(Some(crd));
    let held = wanted(&world).held.unwrap();
    assert_eq!(held.reason, Reason::VersionInUse);
    assert!(
        held.message.starts_with("spec.versions: v1: ") && held.message.contains("served: false"),
        "{}",
        held.message
    );
}

/// Of the definition in which sizes have become counts.
pub(super) fn converting() -> ResourceDefinition {
    let mut whole = serde_json::to_value(definition("Delete")).unwrap();
    let mut version = whole["spec"]["versions"][0].clone();
    version["name"] = json!("v2");
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] =
        json!({ "count": { "type": "integer", "maximum": 5 } });
    whole["spec"]["versions"][0]["storage"] = json!(false);
    whole["spec"]["versions"][0]["conversion"] =
        json!({ "moves": [{ "from": "spec.size", "to": "spec.count" }] });
    whole["spec"]["versions"].as_array_mut().unwrap().push(version);
    whole["metadata"]["generation"] = json!(3);
    serde_json::from_value(whole).unwrap()
}

/// However the definition is: what it is held back for does not keep API servers from finding the endpoint.
#[test]
fn a_crd_follows_the_endpoint_whatever_the_definition_says() {
    let endpoint = |url: &str| {
        Observed::Known(ConversionEndpoint {
            address: ConversionAddress::Url(url.to_owned()),
            authorities: b"PEM".to_vec(),
        })
    };
    let mut world = snapshot(None, "Delete", (0, 0));
    world.object = converting();
    let mut crd = build(&world.object).unwrap();
    converted_at(&mut crd, &endpoint("https://192.0.2.1"), None).unwrap();
    crd.status = served().status;
    world.crd = Observed::Known(Some(crd.clone()));
    world.object.spec.versions[0].conversion =
        Some(serde_json::from_value(json!({ "moves": [{ "from": "x", "to": "y" }] })).unwrap());
    let is_redirected =
        |world: &DefinitionSnapshot| matches!(build_definition(world), DesiredDefinition::Redirected(_));
    assert!(!is_redirected(&world), "the endpoint is not known");
    world.endpoint = endpoint("https://192.0.2.1");
    assert!(!is_redirected(&world), "it says so");
    world.endpoint = endpoint("https://192.0.2.2");
    let steps = plan_definition(&world, &build_definition(&world)).plan.steps;
    let [Step::Kubernetes(KubernetesStep::UpdateCrd { crd: updated, .. })] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert_eq!(updated.metadata.annotations, crd.metadata.annotations);
    assert_eq!(updated.spec.versions, crd.spec.versions);
    assert_ne!(updated.spec.conversion, crd.spec.conversion);
    crd.metadata.labels = None;
    world.crd = Observed::Known(Some(crd));
    assert!(!is_redirected(&world), "a stranger's");
}

#[test]
fn a_crd_forgets_conversions_that_are_not_declared_any_more() {
    let mut world = snapshot(None, "Delete", (0, 0));
    world.object = converting();
    let mut crd = build(&world.object).unwrap();
    crd.status = served().status;
    assert!(crd.annotations().contains_key(CONVERSIONS_ANNOTATION));
    world.crd = Observed::Known(Some(crd));
    world.object.spec.versions[0].conversion = None;
    let steps = wanted(&world).plan.steps;
    let [Step::Kubernetes(KubernetesStep::UpdateCrd { crd, differences })] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert!(!crd.annotations().contains_key(CONVERSIONS_ANNOTATION));
    assert_eq!(crd.spec.conversion.as_ref().unwrap().strategy, "None");
    assert!(differences.iter().any(|path| path.contains(CONVERSIONS_ANNOTATION)), "{differences:?}");
}
