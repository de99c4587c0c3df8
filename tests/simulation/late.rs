//! What arrives after the operator has given it up, and after the end of its object.

use colonyos_fake::cluster::Place;
use colonyos_operator::api::resource_definition::HandlerMode;
use jiff::SignedDuration;
use serde_json::json;

use crate::{
    crons, definitions,
    events::{Event, Fate},
    instances, kind, look,
    memory::NAMESPACE,
    promises, runtime,
    world::World,
};

/// Looks at everything, again and again.
async fn work(world: &mut World, rounds: usize, seconds: u8) {
    for _ in 0..rounds {
        world.play_only(&[look(&[]), Event::Pass { seconds }]).await;
    }
}

/// Ends an object whose call of that name is on its way for `late` seconds, as soon as the operator has given it up.
async fn delete_behind(world: &mut World, call: &'static str, late: u8) {
    world.meet(call, Fate::Late(late));
    while !world.has_met_all() {
        world.play_only(&[look(&[])]).await;
    }
    world.play_only(&[Event::Delete { object: 0 }]).await;
    work(world, 30, 1).await;
}

#[test]
fn an_executor_that_is_registered_late_goes_with_its_fleet() {
    runtime().block_on(async {
        let mut world = World::new(&kind::fleet("CancelRunning, Delete, Standard", 1)).await;
        delete_behind(&mut world, "addexecutormsg", 14).await;
        promises::kept(world).await.unwrap();
    });
}

#[test]
fn a_blueprint_that_is_added_late_goes_with_its_instance() {
    runtime().block_on(async {
        let mut world = World::new(&instances::blueprint()).await;
        delete_behind(&mut world, "addblueprintmsg", 14).await;
        promises::kept(world).await.unwrap();
    });
}

/// The answer to the add was lost with the operator, and the first look of the next one does not see the blueprint.
#[test]
fn a_blueprint_that_is_hidden_at_the_end_of_its_instance_goes_with_it() {
    runtime().block_on(async {
        let mut world = World::new(&instances::blueprint()).await;
        world.meet("addblueprintmsg", Fate::Lost);
        while !world.has_met_all() {
            world.play_only(&[look(&[])]).await;
        }
        world.play_only(&[Event::Crash { after: 0 }, Event::Delete { object: 0 }]).await;
        world.play_only(&[Event::Pass { seconds: 20 }]).await;
        world.meet("getblueprintmsg", Fate::Hidden);
        work(&mut world, 30, 1).await;
        assert!(world.has_met_all(), "it was asked for");
        promises::kept(world).await.unwrap();
    });
}

#[test]
fn a_definition_of_blueprints_that_is_added_late_goes_with_its_kind() {
    runtime().block_on(async {
        let mut world = World::new(&definitions::definition(HandlerMode::Blueprint)).await;
        delete_behind(&mut world, "addblueprintdefinitionmsg", 14).await;
        promises::kept(world).await.unwrap();
    });
}

#[test]
fn a_crd_that_is_created_late_goes_with_its_definition() {
    runtime().block_on(async {
        let mut world = World::new(&definitions::definition(HandlerMode::Process)).await;
        delete_behind(&mut world, "create customresourcedefinitions", 14).await;
        assert!(world.object("models.ml.example.com").is_none(), "the definition is gone");
        let crds = world.outside.servers.cluster.all("customresourcedefinitions.apiextensions.k8s.io");
        assert!(crds.iter().all(|crd| crd["metadata"]["name"] != "models.ml.example.com"));
        promises::kept(world).await.unwrap();
    });
}

/// Another operator knows only what is on record.
#[test]
fn what_an_operator_that_has_ended_added_late_goes_with_its_object() {
    runtime().block_on(async {
        let kinds = [
            (kind::fleet("CancelRunning, Delete, Standard", 1), "addexecutormsg"),
            (instances::blueprint(), "addblueprintmsg"),
        ];
        for (kind, call) in kinds {
            let mut world = World::new(&kind).await;
            world.meet(call, Fate::Late(12));
            while !world.has_met_all() {
                world.play_only(&[look(&[])]).await;
            }
            world.play_only(&[Event::Crash { after: 1 }, Event::Delete { object: 0 }]).await;
            work(&mut world, 30, 1).await;
            promises::kept(world).await.unwrap_or_else(|error| panic!("{call}: {error}"));
        }
    });
}

/// No wait is long enough for a server that waits for its database.
#[test]
fn a_submit_that_arrives_after_another_was_bound_is_cancelled() {
    runtime().block_on(async {
        let kinds = [
            kind::fleet("WaitForRunning, Delete, Standard", 1),
            kind::process("Delete, Standard", 1),
            kind::workflow("Delete"),
            instances::process("CancelRunning", None),
            kind::request(),
        ];
        for kind in kinds {
            let mut world = World::new(&kind).await;
            let call =
                if kind.name.contains("Workflow") { "submitworkflowspecmsg" } else { "submitfuncspecmsg" };
            world.meet(call, Fate::Late(39));
            while !world.has_met_all() {
                world.play_only(&[look(&[])]).await;
            }
            work(&mut world, 4, 8).await;
            let first = world.outside.processes();
            assert!(!first.is_empty(), "{}: it is submitted again", kind.name);
            world.play_only(&[Event::Pass { seconds: 20 }]).await;
            assert!(world.outside.processes().len() > first.len(), "{}: the first has arrived", kind.name);
            world.play_only(&[Event::Told, look(&[]), look(&[])]).await;
            promises::kept(world).await.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        }
    });
}

/// Status says that all is over, and no list has shown the other one yet.
#[test]
fn a_submit_that_arrives_after_the_end_of_another_goes_with_the_object() {
    runtime().block_on(async {
        let mut world = World::new(&kind::process("Delete, Standard", 1)).await;
        world.meet("submitfuncspecmsg", Fate::Late(39));
        while !world.has_met_all() {
            world.play_only(&[look(&[])]).await;
        }
        work(&mut world, 4, 8).await;
        world.play_only(&[Event::Assign, Event::Close { successful: true }, Event::Told]).await;
        work(&mut world, 2, 1).await;
        assert_eq!(world.object("one").unwrap()["status"]["mirror"]["state"], "Successful");
        world.play_only(&[Event::Pass { seconds: 20 }]).await;
        assert_eq!(world.outside.processes().len(), 2, "the first has arrived");
        world.play_only(&[Event::Delete { object: 0 }]).await;
        work(&mut world, 4, 1).await;
        assert!(world.object("one").is_none());
        assert!(world.outside.processes().iter().all(|process| process.state.is_final()));
    });
}

/// What is to outlive its object is one process, although its submit arrived twice.
#[test]
fn of_a_submit_that_was_repeated_one_process_outlives_its_object() {
    runtime().block_on(async {
        let orphaned =
            [kind::process("Orphan, Standard", 1), kind::fleet("CancelRunning, Orphan, Standard", 1)];
        for kind in orphaned {
            let mut world = World::new(&kind).await;
            world.meet("submitfuncspecmsg", Fate::Twice);
            while !world.has_met_all() {
                world.play_only(&[look(&[])]).await;
            }
            assert_eq!(world.outside.processes().len(), 2, "{}", kind.name);
            world.play_only(&[Event::Delete { object: 0 }]).await;
            work(&mut world, 12, 16).await;
            assert!(world.object("one").is_none(), "{}", kind.name);
            promises::kept(world).await.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        }
    });
}

/// A create that arrives after the garbage collector has taken away the run that it was for.
#[test]
fn a_run_of_a_cron_that_is_gone_is_not_run_again() {
    runtime().block_on(async {
        let mut world = World::new(&crons::cron("Allow")).await;
        while world.outside.processes().is_empty() {
            for (controller, name) in world.known() {
                world.quiet_look(controller, &name).await;
            }
            world.outside.servers.pass(16);
            world.catch_up().await;
        }
        let run =
            world.known().into_iter().map(|(_, name)| name).find(|name| name.starts_with("one-")).unwrap();
        let place = Place { resource: "colonyprocesses.colonies.io", namespace: NAMESPACE, name: &run };
        let made = world.outside.servers.cluster.get(place).unwrap();
        world.play_only(&[Event::Delete { object: 0 }]).await;
        for _ in 0..12 {
            world.outside.servers.cluster.run_controllers();
            world.catch_up().await;
            for (controller, name) in world.known() {
                world.quiet_look(controller, &name).await;
            }
            world.outside.servers.pass(16);
        }
        assert!(world.outside.servers.cluster.get(place).is_none(), "it went with its cron");
        let mut late =
            json!({ "apiVersion": made["apiVersion"], "kind": made["kind"], "spec": made["spec"] });
        for field in ["name", "namespace", "labels", "annotations", "ownerReferences"] {
            late["metadata"][field] = made["metadata"][field].clone();
        }
        world.outside.servers.cluster.create(&late).unwrap();
        // The garbage collector has much else to do.
        for _ in 0..6 {
            world.catch_up().await;
            for (controller, name) in world.known() {
                let _ = world.controllers[controller].pass(&name).await;
            }
        }
        assert_eq!(world.outside.processes().len(), 1, "it is run once");
        promises::kept(world).await.unwrap();
    });
}

/// A create of a part of an instance that arrives after the instance is gone.
#[test]
fn nothing_is_submitted_for_an_object_whose_owner_is_gone() {
    runtime().block_on(async {
        let mut world = World::new(&kind::process("Delete, Standard", 1)).await;
        let owner = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow", "name": "gone", "uid": "gone", "controller": true,
        });
        let late = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
            "metadata": { "name": "late", "namespace": NAMESPACE, "ownerReferences": [owner] },
            "spec": { "function": "late", "conditions": { "executorType": "worker" } },
        });
        world.outside.servers.cluster.create(&late).unwrap();
        for _ in 0..6 {
            world.catch_up().await;
            for (controller, name) in world.known() {
                let _ = world.controllers[controller].pass(&name).await;
            }
            world.outside.servers.pass(4);
        }
        let submitted = world.outside.processes();
        assert!(!submitted.is_empty(), "that of the object without an owner");
        assert!(submitted.iter().all(|process| process.spec.function != "late"), "{submitted:#?}");
        world.outside.servers.cluster.run_controllers();
        promises::kept(world).await.unwrap();
    });
}

/// A second release, or `run` on a laptop: its intents show it, and what is told is that of another alone.
#[test]
fn an_intent_that_another_operator_records_is_noticed() {
    runtime().block_on(async {
        let later = [Event::Pass { seconds: 255 }];
        let seen = |world: &World| world.services.neighbours.other_intent(world.services.clock.instant());

        let mut world = World::new(&kind::process("Delete, Standard", 1)).await;
        world.play_only(&later).await;
        world.meet("update colonyprocesses.colonies.io/status", Fate::Lost);
        world.play_only(&[look(&[]), look(&[]), look(&[])]).await;
        assert!(world.has_met_all(), "the answer to the intent was lost");
        assert_eq!(seen(&world), None, "it is its own");

        let mut world = World::new(&kind::process("Delete, Standard", 1)).await;
        world.play_only(&later).await;
        let object = world.object("one").unwrap();
        let uid = object["metadata"]["uid"].as_str().unwrap();
        let label = format!("k8s:{}/{uid}/1", world.services.cluster);
        let intent = json!({ "status": { "mirror": {
            "label": label, "generation": 1, "state": "Intended", "intendedAt": world.services.clock.now().to_string(),
        } } });
        world.outside.servers.cluster.patch_status(world.outside.place("one"), &intent).unwrap();
        world.play_only(&[look(&[])]).await;
        assert_eq!(seen(&world), Some(label));
        work(&mut world, 4, 255).await;
        assert_eq!(seen(&world), None, "it is not told for ever");
    });
}

/// The server loses roots that are assigned while it still writes the workflow: no executor has the process. It is given to an executor
/// again once its time is over, and not a second time.
#[test]
fn a_root_that_the_server_loses_is_given_again_exactly_once() {
    runtime().block_on(async {
        for times in [1, 2] {
            let mut kind = kind::workflow("Delete");
            kind.object["spec"]["nodes"][0]["maxExecTime"] = json!("1m");
            let mut world = World::new(&kind).await;
            work(&mut world, 6, 1).await;
            assert_eq!(world.outside.processes().len(), 2);
            for _ in 0..times {
                assert!(world.outside.assign(), "the root is to be had");
                assert!(!world.outside.assign(), "and nothing else is");
                world.play_only(&[look(&[]), Event::Pass { seconds: 70 }, Event::Told, look(&[])]).await;
            }
            while world.outside.assign() || world.outside.close(true) {}
            world.play_only(&[Event::Told]).await;
            work(&mut world, 4, 16).await;
            let processes = world.outside.processes();
            let root = processes.iter().find(|process| process.spec.node_name == "split").unwrap();
            let state = world.object("one").unwrap()["status"]["state"].clone();
            assert_eq!((processes.len(), root.retries), (2, 1), "nothing is submitted again");
            assert_eq!(state, if times == 1 { "Succeeded" } else { "Failed" });
        }
    });
}

/// The time server corrects the calendar while a submit is on its way.
#[test]
fn a_calendar_that_jumps_ends_no_quiet_period() {
    runtime().block_on(async {
        for jump in [SignedDuration::from_hours(1), SignedDuration::from_hours(-1)] {
            let mut world = World::new(&kind::process("Delete, Standard", 1)).await;
            world.meet("submitfuncspecmsg", Fate::Late(12));
            while !world.has_met_all() {
                world.play_only(&[look(&[])]).await;
            }
            world.outside.servers.clock.step(jump);
            work(&mut world, 6, 2).await;
            work(&mut world, 4, 16).await;
            assert_eq!(world.outside.processes().len(), 1, "it is submitted once: {jump}");
            promises::kept(world).await.unwrap_or_else(|error| panic!("{jump}: {error}"));
        }
    });
}
