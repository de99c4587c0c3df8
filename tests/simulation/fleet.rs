//! What the simulation stands on does what real servers do: a fleet is made, a lost answer is told as such, and a cache that
//! lags behind holds up the pass.

use colonyos_fake::cluster::Place;
use serde_json::{Value, json};

use crate::{
    events::{Event, Fate},
    kind, look,
    memory::NAMESPACE,
    runtime,
    world::World,
};

async fn world() -> World {
    World::new(&kind::fleet("CancelRunning, Delete, Standard", 1)).await
}

fn mirror(world: &World) -> Value {
    world.object("one").unwrap()["status"]["mirror"].clone()
}

#[test]
fn a_fleet_is_made_on_servers_in_memory() {
    runtime().block_on(async {
        let mut world = world().await;
        for _ in 0..12 {
            world.play_only(&[look(&[]), Event::Ready, Event::Assign, Event::Pass { seconds: 11 }]).await;
        }
        let object = world.object("one").unwrap();
        let conditions = object["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(ready["status"], "True", "{object}");
        assert_eq!(mirror(&world)["state"], "Successful");
        let place = Place { resource: "deployments.apps", namespace: NAMESPACE, name: "one" };
        let cluster = &world.outside.servers.cluster;
        assert_eq!(cluster.get(place).unwrap()["metadata"]["ownerReferences"][0]["name"], "one");
        assert_eq!(cluster.all("secrets").len(), 1, "its identity");
    });
}

/// With a thousand fleets, a restart would else read a thousand Secrets, to find that nothing is to be done.
#[test]
fn an_operator_that_begins_reads_nothing_of_a_fleet_that_is_as_it_should_be() {
    runtime().block_on(async {
        let mut world = world().await;
        for _ in 0..12 {
            world.play_only(&[look(&[]), Event::Ready, Event::Assign, Event::Pass { seconds: 11 }]).await;
        }
        assert_eq!(mirror(&world)["state"], "Successful");
        world.play_only(&[Event::Crash { after: 1 }]).await;
        assert_eq!(world.reads_of_a_look(0, "one").await, [""; 0]);

        // What is on record is not believed where something is to be done.
        world.play_only(&[Event::Edit { object: 0 }, Event::Crash { after: 1 }]).await;
        let reads = world.reads_of_a_look(0, "one").await;
        assert!(reads.iter().any(|read| read.starts_with("get secrets")), "{reads:?}");

        // Nor of what this operator has read, or written, itself.
        for _ in 0..12 {
            world.play_only(&[look(&[]), Event::Ready, Event::Assign, Event::Pass { seconds: 11 }]).await;
        }
        world.play_only(&[Event::Crash { after: 1 }, look(&[])]).await;
        let secret = Place { resource: "secrets", namespace: NAMESPACE, name: "one-executor" };
        let cluster = &world.outside.servers.cluster;
        let name = cluster.all("secrets")[0]["metadata"]["name"].as_str().unwrap().to_owned();
        cluster.delete(Place { name: &name, ..secret }).unwrap();
        world
            .play_only(&[
                Event::Pass { seconds: 255 },
                Event::Pass { seconds: 255 },
                Event::Pass { seconds: 255 },
            ])
            .await;
        world.play_only(&[look(&[]), look(&[])]).await;
        assert_eq!(world.outside.servers.cluster.all("secrets").len(), 1, "made anew");
    });
}

/// Secrets are not watched: who deletes one to have the key of an executor replaced asks for it.
#[test]
fn a_key_is_replaced_when_a_user_asks_for_it() {
    runtime().block_on(async {
        let mut world = world().await;
        for _ in 0..12 {
            world.play_only(&[look(&[]), Event::Ready, Event::Assign, Event::Pass { seconds: 11 }]).await;
        }
        let cluster = &world.outside.servers.cluster;
        let before = cluster.all("secrets")[0]["metadata"].clone();
        let name = before["name"].as_str().unwrap();
        cluster.delete(Place { resource: "secrets", namespace: NAMESPACE, name }).unwrap();
        world.play_only(&[look(&[])]).await;
        let cluster = &world.outside.servers.cluster;
        assert_eq!(cluster.all("secrets").len(), 0, "what was read is believed");
        let asked = json!({"metadata": {"annotations": {"colonies.io/reconcile-at": "now"}}});
        let place =
            Place { resource: "executordeployments.compute.colonies.io", namespace: NAMESPACE, name: "one" };
        cluster.patch(place, &asked).unwrap();
        world.play_only(&[look(&[]), look(&[])]).await;
        let after = world.outside.servers.cluster.all("secrets");
        assert_eq!(after.len(), 1, "made anew");
        assert_ne!(after[0]["metadata"]["uid"], before["uid"]);
    });
}

#[test]
fn a_submit_whose_answer_is_lost_is_looked_for() {
    runtime().block_on(async {
        let mut world = world().await;
        world.meet("submitfuncspecmsg", Fate::Lost);
        while world.outside.processes().is_empty() {
            world.play_only(&[look(&[])]).await;
        }
        assert_eq!(mirror(&world)["state"], "Intended", "it was done all the same");
        world.play_only(&[look(&[])]).await;
        assert_eq!(mirror(&world)["processId"], world.outside.processes()[0].id.as_str());
    });
}

#[test]
fn a_cache_that_lags_behind_holds_up_the_pass() {
    runtime().block_on(async {
        let mut world = world().await;
        assert!(!world.quiet_look(0, "one").await.is_empty());
        assert_eq!(world.quiet_look(0, "one").await, [""; 0], "the cache does not show what was written");
        world.catch_up().await;
        assert!(!world.quiet_look(0, "one").await.is_empty());
    });
}

/// No object of the cluster is read, since caches show them all, and nothing can have been made for a new one. Its process is
/// believed for some seconds after its submit and read once then, and as often as lists or websockets report a change.
#[test]
fn a_new_object_is_made_without_a_get() {
    runtime().block_on(async {
        for kind in [kind::fleet("CancelRunning, Delete, Standard", 1), kind::process("Delete, Standard", 1)]
        {
            let mut world = World::new(&kind).await;
            let mut reads = Vec::new();
            for _ in 0..8 {
                world.catch_up().await;
                reads.extend(world.reads_of_a_look(0, "one").await);
                world.play_only(&[Event::Ready, Event::Assign, Event::Pass { seconds: 1 }]).await;
            }
            assert!(mirror(&world)["processId"].is_string(), "{}: it has its process", kind.name);
            assert_eq!(reads, ["getprocessmsg"], "{}", kind.name);
        }
    });
}

/// The writes of the passes over a new fleet whose workload and process follow at once, until nothing more is written.
async fn writes_until_settled(world: &mut World) -> Vec<String> {
    let mut writes = Vec::new();
    for _ in 0..4 {
        world.catch_up().await;
        writes.extend(world.quiet_look(0, "one").await);
        world.play_only(&[Event::Ready, Event::Assign, Event::Told]).await;
    }
    writes
}

/// The intent is on record before anything is submitted. What the process is then is written with how it ended.
#[test]
fn a_fleet_that_nothing_holds_up_is_made_with_five_writes_and_four_calls() {
    runtime().block_on(async {
        let mut kind = kind::fleet("CancelRunning, Delete, Standard", 1);
        kind.object["spec"]["replicas"] = json!(0);
        let mut world = World::new(&kind).await;
        let expected = [
            "patch executordeployments.compute.colonies.io media/one",
            "create secrets media/one-executor-identity",
            "update executordeployments.compute.colonies.io/status media/one",
            "addexecutormsg",
            "approveexecutormsg",
            "create deployments.apps media/one",
            "submitfuncspecmsg",
            "closesuccessfulmsg",
            "update executordeployments.compute.colonies.io/status media/one",
        ];
        assert_eq!(writes_until_settled(&mut world).await, expected);
        assert_eq!(mirror(&world)["state"], "Successful");
    });
}

/// The status that waits is lost with the operator.
#[test]
fn what_was_submitted_right_before_the_end_of_an_operator_is_found_by_its_label() {
    runtime().block_on(async {
        let mut world = world().await;
        world.play_only(&[look(&[]), look(&[])]).await;
        let processes = world.outside.processes();
        assert_eq!(
            (processes.len(), &mirror(&world)["state"]),
            (1, &json!("Intended")),
            "it is not on record"
        );
        world.play_only(&[Event::Crash { after: 0 }, look(&[])]).await;
        assert_eq!(mirror(&world)["processId"], processes[0].id.as_str());
        assert_eq!(world.outside.processes().len(), 1);
    });
}

/// Two seconds later, if nothing has followed.
#[test]
fn a_process_that_is_not_carried_out_at_once_is_put_on_record() {
    runtime().block_on(async {
        let mut world = world().await;
        world.play_only(&[look(&[]), look(&[]), look(&[])]).await;
        assert_eq!(mirror(&world)["state"], "Intended");
        world.play_only(&[Event::Pass { seconds: 2 }, look(&[])]).await;
        assert_eq!(mirror(&world)["state"], "Waiting");
        assert_eq!(mirror(&world)["processId"], world.outside.processes()[0].id.as_str());
        // Nor does it wait when it is to go.
        let mut world = self::world().await;
        world.play_only(&[look(&[]), look(&[]), Event::Delete { object: 0 }, look(&[])]).await;
        assert_eq!(mirror(&world)["processId"], world.outside.processes()[0].id.as_str());
    });
}
