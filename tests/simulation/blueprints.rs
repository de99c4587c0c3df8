//! Objects that are kept as blueprints, and whose edit is whose.

use colonyos_fake::cluster::Place;
use serde_json::{Value, json};

use crate::{
    events::{Event, Fate},
    instances, look,
    memory::{COLONY, NAMESPACE, key},
    runtime,
    world::World,
};

/// Condition `Conflict` of the object.
fn conflict(world: &World) -> Value {
    let object = world.object("one").unwrap();
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == "Conflict").cloned().unwrap_or_default()
}

/// The blueprint of the object.
fn blueprint(world: &World) -> Value {
    let inner = json!({"namespace": COLONY, "name": "one"});
    world.outside.servers.colony.call(key(3).id(), "getblueprintmsg", inner).unwrap()
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

/// An edit of the side that does not own the spec is undone, and the status that tells of it afterwards cannot be written: both sides
/// are equal then.
#[test]
fn an_edit_that_is_undone_is_told_whatever_becomes_of_a_status() {
    runtime().block_on(async {
        let place = Place { resource: "models.ml.example.com", namespace: NAMESPACE, name: "one" };
        for lost in 1..=2 {
            let mut world = World::new(&instances::blueprint()).await;
            for _ in 0..6 {
                world.play_only(&[look(&[]), Event::Pass { seconds: 11 }]).await;
            }
            let mut theirs = blueprint(&world);
            theirs["spec"]["image"] = "theirs".into();
            let update = json!({"blueprint": theirs, "forcegeneration": false});
            world.outside.servers.colony.call(key(3).id(), "updateblueprintmsg", update).unwrap();
            // Whatever the operator knows of it is not of now.
            world.play_only(&[Event::Crash { after: 0 }]).await;
            for _ in 1..lost {
                world.play_only(&[look(&[])]).await;
            }
            world.meet("update models.ml.example.com/status", Fate::Refused);
            for _ in 0..6 {
                world.play_only(&[look(&[]), Event::Pass { seconds: 11 }]).await;
            }
            assert!(world.has_met_all(), "a status was not written");
            let spec = world.outside.servers.cluster.get(place).unwrap()["spec"].clone();
            assert_eq!(blueprint(&world)["spec"]["image"], spec["image"], "it is undone");
            let conflict = conflict(&world);
            assert_eq!(conflict["reason"], "Overruled", "{lost}: {conflict}");
        }
    });
}

/// Whatever applies the object again and again, such as a tool that keeps a cluster like a repository, and whatever admission makes of
/// it: an object that does not stay as the colony wants it is not written a hundred times a second.
#[test]
fn an_object_that_others_put_back_is_written_a_handful_of_times_a_minute() {
    runtime().block_on(async {
        let place = Place { resource: "models.ml.example.com", namespace: NAMESPACE, name: "one" };
        let mut world = World::new(&instances::blueprint_of_the_colony()).await;
        for _ in 0..6 {
            world.play_only(&[look(&[]), Event::Pass { seconds: 11 }]).await;
        }
        let mut written = Vec::new();
        for _ in 0..60 {
            world.outside.servers.cluster.patch(place, &json!({"spec": {"image": "theirs"}})).unwrap();
            for _ in 0..2 {
                world.catch_up().await;
                written.extend(world.quiet_look(0, "one").await);
            }
            world.outside.servers.pass(1);
        }
        let specs = written.iter().filter(|write| write.starts_with("patch models.ml.example.com ")).count();
        assert!((1..=8).contains(&specs), "{specs} in a minute: {written:?}");
        assert_eq!(conflict(&world)["reason"], "Overruled");
        let object = world.object("one").unwrap();
        let conditions = object["status"]["conditions"].as_array().unwrap();
        let is_told = |condition: &Value| condition["message"].as_str().unwrap().contains("which is delayed");
        assert!(conditions.iter().any(is_told), "{conditions:#?}");
    });
}
