//! Versions that become the stored one, and those that leave.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

/// As long as objects may be stored in it, a version stays, and reports whether intervention is needed.
#[test]
fn a_version_leaves_once_no_object_is_stored_in_it() {
    let mut world = snapshot(None, "Delete", (0, 0));
    world.object = converting();
    let mut crd = build(&world.object).unwrap();
    crd.metadata.generation = Some(2);
    crd.status = served().status;
    let mut stored = |versions: &[&str]| {
        let versions = versions.iter().map(|&name| name.to_owned()).collect();
        crd.status.get_or_insert_default().stored_versions = Some(versions);
        Observed::Known(Some(crd.clone()))
    };
    world.crd = stored(&["v1", "v2"]);
    world.object.spec.versions.remove(0);
    let held = |world: &DefinitionSnapshot| wanted(world).held.unwrap();
    assert_eq!(held(&world).reason, Reason::StorageMigrating, "{}", held(&world).message);
    world.stored = StoredObjects::OutOfReach(vec!["list things in group g.example.com".to_owned()]);
    let manual_migration = held(&world);
    assert_eq!(manual_migration.reason, Reason::VersionInUse);
    for expected in ["may not list things", r#"{"status":{"storedVersions":["v2"]}}"#] {
        assert!(manual_migration.message.contains(expected), "{}", manual_migration.message);
    }
    world.stored = StoredObjects::NotAsked;
    let began_at = Time(world.now);
    let mut migration =
        crate::api::resource_definition::StorageMigration::begin("v2".to_owned(), 2, began_at);
    (migration.listed, migration.failed) = (true, 1);
    world.object.status.get_or_insert_default().storage_migration = Some(migration);
    assert_eq!(held(&world).reason, Reason::VersionInUse, "some could not be written");

    world.crd = stored(&["v2"]);
    assert!(
        matches!(wanted(&world).plan.steps.as_slice(), [Step::Kubernetes(KubernetesStep::UpdateCrd { .. })]),
        "{:?}",
        wanted(&world)
    );
}

#[test]
fn instances_are_held_against_a_version_as_they_would_be_in_it() {
    let mut world = snapshot(Some(served()), "Delete", (0, 0));
    world.object = converting();
    world.live = Observed::Known(vec![instance("a", &json!({ "size": 5 }))]);
    assert!(
        matches!(wanted(&world).plan.steps.as_slice(), [Step::Kubernetes(KubernetesStep::UpdateCrd { .. })]),
        "{:?}",
        wanted(&world)
    );
    world.live =
        Observed::Known(vec![instance("a", &json!({ "size": 5 })), instance("b", &json!({ "size": 7 }))]);
    let impact = wanted(&world).held.unwrap().impact.unwrap();
    assert_eq!(impact.breaking, 1);
    assert_eq!(impact.instances[0].why, "v2: spec.count: 7: must be at most 5");

    // Without the conversion, everything would be lost in the new version.
    world.object.spec.versions[0].conversion = None;
    let impact = wanted(&world).held.unwrap().impact.unwrap();
    assert_eq!(impact.instances[0].why, "v2: spec.size: would be lost: the schema does not describe it");
}

/// API servers could neither read such an object nor have it changed: accepting that could not be undone.
#[test]
fn what_cannot_be_converted_cannot_be_accepted() {
    let mut world = snapshot(Some(served()), "Delete", (0, 0));
    let mut whole = serde_json::to_value(converting()).unwrap();
    whole["spec"]["versions"][0]["conversion"] = json!({
        "toStorage": { "spec.count": "${10 / (self.spec.size - 1)}" },
        "fromStorage": { "spec.size": "${1 + 10 / self.spec.count}" },
    });
    world.object = serde_json::from_value(whole).unwrap();
    world.live = Observed::Known(vec![instance("a", &json!({ "size": 1 }))]);
    let held = wanted(&world).held.unwrap();
    let impact = held.impact.unwrap();
    assert!(impact.instances[0].why.contains("cannot be converted"), "{impact:?}");
    assert!(held.message.contains("ml/a cannot be converted"), "{}", held.message);
    assert!(!held.message.contains("accept"), "{}", held.message);
    let annotation = crate::api::names::ACCEPT_IMPACT_ANNOTATION.to_owned();
    world.object.annotations_mut().insert(annotation, impact.hash);
    assert_eq!(wanted(&world).held.map(|held| held.reason), Some(Reason::BreaksInstances));
}
