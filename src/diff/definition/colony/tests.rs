use serde_json::{Value, json};

use super::*;
use crate::{api::resource_definition::ResourceDefinition, snapshot::fixtures};

fn object(executor_type: &str) -> ResourceDefinition {
    fixtures::definition(
        &json!({ "mode": "blueprint", "executorType": executor_type, "functionName": "reconcile" }),
    )
}

fn snapshot(definitions: Vec<BlueprintDefinition>, blueprints: usize) -> DefinitionSnapshot {
    DefinitionSnapshot {
        in_colony: Some(ColonyKindState {
            add_in_flight_until: None,
            used: fixtures::resolved().used(),
            cluster: "c".to_owned(),
            definitions: Observed::Known(definitions),
            blueprints: Observed::Known(blueprints),
        }),
        ..fixtures::defined(object("box-reconciler"))
    }
}

fn ours(executor_type: &str) -> BlueprintDefinition {
    ColonyDefinition::of(&object(executor_type)).unwrap().in_colony("dev", "c")
}

fn strangers(name: &str, executor_type: &str) -> BlueprintDefinition {
    BlueprintDefinition::new("dev", name, "Thing", executor_type, "reconcile").unwrap()
}

fn steps(snapshot: &DefinitionSnapshot) -> (InColony, Vec<String>) {
    let (stands, steps) = keep(snapshot);
    (stands, steps.iter().map(ToString::to_string).collect())
}

#[test]
fn the_definition_is_added_once_and_left_in_peace() {
    let add = "colony      add BlueprintDefinition things.g.example.com";
    assert_eq!(steps(&snapshot(Vec::new(), 0)), (InColony::Kept, vec![add.to_owned()]));
    assert_eq!(steps(&snapshot(vec![ours("box-reconciler")], 5)), (InColony::Kept, Vec::new()));
    let mut away = snapshot(Vec::new(), 0);
    away.in_colony.as_mut().unwrap().definitions = Observed::Unknown("away".to_owned());
    assert_eq!(steps(&away), (InColony::Unknown("away".to_owned()), Vec::new()));
}

/// Definitions have no update: without blueprints another is put in their place, and with some nothing is done.
#[test]
fn a_change_needs_a_kind_without_blueprints() {
    let (stands, steps_) = steps(&snapshot(vec![ours("another")], 0));
    assert_eq!((stands, steps_.len()), (InColony::Kept, 2));
    assert!(steps_[0].contains("remove") && steps_[1].contains("add"), "{steps_:?}");
    let (stands, steps_) = steps(&snapshot(vec![ours("another")], 3));
    let InColony::InUse(message) = stands else { panic!("{stands:?}") };
    assert!(message.contains("3 blueprints") && message.contains("handler.executorType"), "{message}");
    assert_eq!(steps_, [] as [&str; 0]);
    // Fields that the server ignores wait until they can be corrected.
    let mut older = ours("box-reconciler");
    "v1alpha1".clone_into(&mut older.spec.version);
    let (stands, steps_) = steps(&snapshot(vec![older.clone()], 3));
    assert!(matches!(stands, InColony::Lags(what) if what.contains("version")));
    assert_eq!(steps_, [] as [&str; 0]);
    assert_eq!(steps(&snapshot(vec![older], 0)).1.len(), 2);
}

#[test]
fn a_definition_of_a_stranger_is_never_written() {
    for (found, is_used) in [
        (strangers("own", "box-reconciler"), true),
        (strangers("own", "another"), false),
        (strangers("things.g.example.com", "another"), false),
    ] {
        for blueprints in [0, 3] {
            let world = snapshot(vec![found.clone()], blueprints);
            let (stands, steps_) = steps(&world);
            assert_eq!(steps_, [] as [&str; 0]);
            match stands {
                InColony::Used(name) => assert!(is_used && name == "own"),
                InColony::Foreign(message) => assert!(!is_used && message.contains("it is left unchanged")),
                other => panic!("{other:?}"),
            }
            let handler_state = handler_state(&world, &world.object.spec.handler);
            assert_eq!(handler_state == Some(HandlerState::Handled), is_used, "{handler_state:?}");
        }
    }
    // One of the name and of another kind.
    let mut other = strangers("things.g.example.com", "box-reconciler");
    "Crate".clone_into(&mut other.spec.names.kind);
    assert!(matches!(steps(&snapshot(vec![other], 0)).0, InColony::Foreign(_)));
    // The first by name holds, ours or not.
    let world = snapshot(vec![strangers("a", "another"), ours("box-reconciler")], 0);
    assert!(matches!(steps(&world), (InColony::Foreign(_), steps) if steps.is_empty()));
    assert!(matches!(handler_state(&world, &world.object.spec.handler), Some(HandlerState::Foreign(_))));
}

#[test]
fn the_definition_goes_with_the_kind_unless_somebody_needs_it() {
    let removal = Ok(Some("colony      remove BlueprintDefinition things.g.example.com".to_owned()));
    let ended = |world: &DefinitionSnapshot| end(world).map(|step| step.map(|step| step.to_string()));
    assert_eq!(ended(&snapshot(vec![ours("box-reconciler")], 0)), removal);
    assert_eq!(ended(&snapshot(vec![ours("box-reconciler")], 1)), Ok(None), "others have blueprints of it");
    assert_eq!(ended(&snapshot(vec![strangers("own", "box-reconciler")], 0)), Ok(None));
    let change = |annotations: Value, policy: &str| {
        let mut world = snapshot(vec![ours("box-reconciler")], 0);
        world.object.metadata.annotations = serde_json::from_value(annotations).unwrap();
        world.object.spec.deletion_policy = serde_json::from_value(json!(policy)).unwrap();
        world
    };
    assert_eq!(ended(&change(json!({}), "Orphan")), Ok(None));
    assert_eq!(ended(&change(json!({ ABANDON_ANNOTATION: "true" }), "Delete")), Ok(None));
    let mut away = snapshot(Vec::new(), 0);
    away.in_colony.as_mut().unwrap().blueprints = Observed::Unknown("away".to_owned());
    assert!(ended(&away).unwrap_err().contains("abandon-remote"));
    away.in_colony = None;
    assert_eq!(ended(&away), Ok(None), "there is no Colony");
}
