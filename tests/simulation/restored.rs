//! Objects that are restored from a backup: with another UID, without status, and with their annotations. What was done for them is
//! not done again.

use colonyos_fake::cluster::Place;
use serde_json::{Value, json};

use crate::{
    events::Event,
    instances,
    kind::{self, Kind},
    look,
    memory::NAMESPACE,
    runtime,
    world::World,
};

/// Plays until nothing more is to be done.
async fn work(world: &mut World) {
    for _ in 0..24 {
        let served =
            [Event::Assign, Event::Close { successful: true }, Event::Told, Event::Pass { seconds: 16 }];
        world.play_only(&[look(&[])]).await;
        world.play_only(&served).await;
    }
}

/// A world in which the work of an object is done.
async fn done(kind: &Kind) -> World {
    let mut world = World::new(kind).await;
    work(&mut world).await;
    world
}

/// The object is gone, and comes back as a backup of it was when it was `saved`; `change` is made in between.
async fn restore(world: &mut World, saved: &Value, change: &Value) {
    world.play_only(&[Event::Delete { object: 0 }]).await;
    for _ in 0..8 {
        world.play_only(&[look(&[]), Event::Told, Event::Pass { seconds: 16 }]).await;
    }
    assert!(world.object("one").is_none(), "it is gone");
    let mut object = saved.clone();
    object["metadata"] = json!({
        "name": "one", "namespace": saved["metadata"]["namespace"],
        "annotations": saved["metadata"]["annotations"], "finalizers": saved["metadata"]["finalizers"],
    });
    object.as_object_mut().unwrap().remove("status");
    if let Some(spec) = change.get("spec").and_then(Value::as_object) {
        object["spec"].as_object_mut().unwrap().extend(spec.clone());
    }
    if let Some(annotations) = change.get("annotations").and_then(Value::as_object) {
        object["metadata"]["annotations"].as_object_mut().unwrap().extend(annotations.clone());
    }
    let made = world.outside.servers.cluster.create(&object).unwrap();
    assert_ne!(made["metadata"]["uid"], saved["metadata"]["uid"]);
    world.catch_up().await;
}

fn condition(world: &World, kind: &str) -> Value {
    let object = world.object("one").unwrap();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

#[test]
fn what_was_done_for_an_instance_is_not_done_again_for_a_restored_one() {
    runtime().block_on(async {
        let mut world = done(&instances::process("CancelRunning", None)).await;
        // A generation that was never submitted leaves a gap.
        let paused = json!({"metadata": {"annotations": {"colonies.io/paused": "true"}}});
        let cluster = &world.outside.servers.cluster;
        cluster.patch(world.outside.place("one"), &paused).unwrap();
        world.play_only(&[Event::Edit { object: 0 }, Event::Edit { object: 0 }]).await;
        let cluster = &world.outside.servers.cluster;
        let goes_on = json!({"metadata": {"annotations": {"colonies.io/paused": null}}});
        cluster.patch(world.outside.place("one"), &goes_on).unwrap();
        work(&mut world).await;
        let saved = world.object("one").unwrap();
        let (processes, last) =
            (world.outside.processes().len(), saved["status"]["mirror"]["processId"].clone());
        assert_eq!((processes, &saved["status"]["mirror"]["generation"]), (2, &json!(3)));

        restore(&mut world, &saved, &Value::Null).await;
        work(&mut world).await;
        assert_eq!(world.outside.processes().len(), processes, "nothing is submitted");
        let object = world.object("one").unwrap();
        assert_eq!(object["status"]["mirror"]["processId"], last);
        assert_eq!(condition(&world, "Ready")["status"], "True", "{object}");
        assert_eq!(condition(&world, "Warnings")["reason"], "Restored", "{object}");

        // What it asks for next is done.
        world.play_only(&[Event::Edit { object: 0 }]).await;
        work(&mut world).await;
        assert_eq!(world.outside.processes().len(), processes + 1);
        assert_eq!(condition(&world, "Warnings"), Value::Null);

        // What the last process was not given is done, too.
        let saved = world.object("one").unwrap();
        restore(&mut world, &saved, &json!({"spec": {"image": "another"}})).await;
        work(&mut world).await;
        assert_eq!(world.outside.processes().len(), processes + 2);
    });
}

/// What a clean-up has taken away is to be made again.
#[test]
fn what_was_cleaned_up_is_done_again_for_a_restored_instance() {
    runtime().block_on(async {
        let mut world = done(&instances::process("CancelRunning", Some("clean"))).await;
        let saved = world.object("one").unwrap();
        world.play_only(&[Event::Delete { object: 0 }]).await;
        work(&mut world).await;
        let processes = world.outside.processes().len();
        assert_eq!(processes, 2, "one for it, and one for the clean-up");
        restore(&mut world, &saved, &Value::Null).await;
        work(&mut world).await;
        assert_eq!(world.outside.processes().len(), processes + 1);
    });
}

#[test]
fn the_jobs_of_a_restored_request_are_not_done_again() {
    runtime().block_on(async {
        let mut world = World::new(&kind::request()).await;
        // The backup is made while its first job waits for an executor.
        for _ in 0..4 {
            world.play_only(&[look(&[]), Event::Pass { seconds: 1 }]).await;
        }
        let saved = world.object("one").unwrap();
        assert_eq!((&saved["spec"]["state"], world.outside.processes().len()), (&json!("REQUESTED"), 1));
        work(&mut world).await;
        let object = world.object("one").unwrap();
        assert_eq!((&object["spec"]["state"], world.outside.processes().len()), (&json!("COMPLETED"), 2));

        restore(&mut world, &saved, &Value::Null).await;
        work(&mut world).await;
        let object = world.object("one").unwrap();
        assert_eq!((&object["spec"]["job"], &object["spec"]["state"]), (&json!("JOB2"), &json!("COMPLETED")));
        assert_eq!(world.outside.processes().len(), 2, "nothing is submitted");
        assert!(
            object["status"]["history"].to_string().contains("before the request was restored"),
            "{object}"
        );

        let again = json!({"annotations": {"colonies.io/restore-policy": "Resubmit"}});
        restore(&mut world, &saved, &again).await;
        work(&mut world).await;
        assert_eq!(world.outside.processes().len(), 4);
    });
}

/// Has the Job of the fleet run to its end, if there is one.
fn complete(world: &World) {
    let place = Place { resource: "jobs.batch", namespace: NAMESPACE, name: "one" };
    world.outside.servers.cluster.change(place, |job| {
        job["status"] = json!({
            "succeeded": 1, "conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}],
        });
    });
}

#[test]
fn a_job_that_has_run_to_its_end_is_not_run_again_for_a_restored_fleet() {
    runtime().block_on(async {
        let mut kind = kind::fleet("CancelRunning, Delete, Standard", 1);
        kind.object["spec"]["workload"] = json!("Job");
        let mut world = World::new(&kind).await;
        let jobs = |world: &World| world.outside.servers.cluster.all("jobs.batch").len();
        for _ in 0..8 {
            world.play_only(&[look(&[]), Event::Assign, Event::Told, Event::Pass { seconds: 11 }]).await;
            complete(&world);
        }
        let saved = world.object("one").unwrap();
        assert_eq!((jobs(&world), &saved["status"]["mirror"]["state"]), (1, &json!("Successful")), "{saved}");

        // Once and once more.
        for _ in 0..2 {
            let saved = world.object("one").unwrap();
            restore(&mut world, &saved, &Value::Null).await;
            assert_eq!(jobs(&world), 0, "it is gone with its fleet");
            work(&mut world).await;
            let object = world.object("one").unwrap();
            assert_eq!(jobs(&world), 0, "it is not run again");
            assert_eq!(condition(&world, "Finished")["status"], "True", "{object}");
            assert_eq!(condition(&world, "Warnings")["reason"], "Restored", "{object}");
            assert_eq!(object["status"]["mirror"]["state"], "Successful", "{object}");
        }

        // Other work is other work, and so is what a policy asks for.
        let saved = world.object("one").unwrap();
        restore(&mut world, &saved, &json!({"spec": {"image": "example.com/another:1"}})).await;
        work(&mut world).await;
        assert_eq!(jobs(&world), 1);
        complete(&world);
        work(&mut world).await;
        let saved = world.object("one").unwrap();
        assert_eq!(saved["status"]["mirror"]["state"], "Successful", "{saved}");
        restore(&mut world, &saved, &json!({"spec": {"restorePolicy": "Resubmit"}})).await;
        work(&mut world).await;
        assert_eq!(jobs(&world), 1);
    });
}
