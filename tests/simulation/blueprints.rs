//! Objects that are kept as blueprints, and whose edit is whose.

use colonyos_fake::cluster::Place;
use serde_json::{Value, json};

use crate::{
    events::{Event, Fate},
    instances, look,
    memory::NAMESPACE,
    runtime,
    world::World,
};

/// Condition `Conflict` of the object.
fn conflict(world: &World) -> Value {
    let object = world.object("one").unwrap();
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == "Conflict").cloned().unwrap_or_default()
}

/// The owner of the spec edits it again, and the status that records the operator's write of the blueprint is lost. The blueprint is
/// then neither what both agreed about nor what the object says, and was edited by the operator alone.
#[test]
fn the_operators_own_write_of_a_blueprint_is_no_edit_in_the_colony() {
    runtime().block_on(async {
        let mut world = World::new(&instances::blueprint()).await;
        for _ in 0..6 {
            world.play_only(&[look(&[]), Event::Pass { seconds: 11 }]).await;
        }
        assert_eq!(conflict(&world)["reason"], "InSync");
        let edit = |world: &World, image: &str| {
            let place = Place { resource: "models.ml.example.com", namespace: NAMESPACE, name: "one" };
            world.outside.servers.cluster.patch(place, &json!({"spec": {"image": image}})).unwrap();
        };
        edit(&world, "second");
        world.meet("update models.ml.example.com/status", Fate::Refused);
        world.play_only(&[look(&[])]).await;
        assert!(world.has_met_all(), "the status was not written");
        edit(&world, "third");
        world.play_only(&[look(&[]), look(&[])]).await;
        let conflict = conflict(&world);
        assert_eq!(conflict["reason"], "InSync", "{conflict}");
    });
}
