//! One generation, one process: the real engine of each kind, by the thousand sequences, against a colony and an API server
//! in memory, and everything that can go wrong between them. Nothing here waits, and nothing is a server.
//!
//! What is under test is the operator's own, from `Engine::pass` down to the bytes of its calls. Each of these calls may be
//! done, slow, refused, done without an answer, dropped, repeated, late, or the last thing that the operator did. Meanwhile
//! users change and delete objects, executors take and close processes, other clients cancel and remove processes, caches lag
//! behind, and another operator takes over.
//!
//! [`kind`] says what the simulation is told of a kind, [`engines`] puts its controller together, [`world`] plays with what is [`outside`], and
//! [`promises`] are what has to hold when everything has come to rest.
//!
//! A sequence that breaks a promise is kept in `regressions.txt` and tried first from then on.

#![cfg(test)]

mod blueprints;
mod colonies;
mod crons;
mod definitions;
mod engines;
mod events;
mod fleet;
mod instances;
mod kind;
mod late;
#[path = "../support/memory/mod.rs"]
mod memory;
mod outside;
mod permissions;
mod promises;
mod restored;
mod sweep;
mod world;

use colonyos_operator::api::resource_definition::HandlerMode;
use proptest::{
    collection::vec,
    test_runner::{Config, FileFailurePersistence, TestRunner},
};

use self::{
    events::{Event, Fate},
    kind::Kind,
    world::World,
};

/// The most that happens in one sequence, before everything comes to rest.
const EVENTS: usize = 20;

/// What passes run in. No sequence needs more than one thread, and none waits.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Plays sequences for objects of a kind, which share the colony and the operator.
fn play(kind: &Kind) {
    let drawn = Config::default();
    #[expect(clippy::disallowed_methods, reason = "what the library reads is told by the environment")]
    let is_said = |name: &str| std::env::var_os(name).is_some();
    let config = Config {
        cases: if is_said("PROPTEST_CASES") { drawn.cases } else { kind.sequences },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/simulation/regressions.txt",
        ))),
        max_shrink_iters: if is_said("PROPTEST_MAX_SHRINK_ITERS") { drawn.max_shrink_iters } else { 1_000 },
        ..drawn
    };
    let runtime = runtime();
    let outcome = TestRunner::new(config).run(&vec(events::any_event(), 1..EVENTS), |events| {
        runtime.block_on(async {
            let mut world = World::new(kind).await;
            world.play(&events).await;
            promises::kept(world).await
        })
    });
    outcome.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
}

fn look(fates: &[Fate]) -> Event {
    let fates = fates.to_vec();
    Event::Look { object: 0, fates, meanwhile: None, is_fresh: true, is_assigned: false }
}

/// The sequence of a plain day of each kind, so that a mistake in the simulation itself is seen as such.
#[test]
fn a_day_without_trouble_keeps_every_promise() {
    for kind in kinds() {
        runtime().block_on(async {
            let mut world = World::new(&kind).await;
            world.play(&[look(&[]), Event::Edit { object: 0 }]).await;
            promises::kept(world).await.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        });
    }
}

/// A submit whose answer was lost arrives while its label is looked up, and the rest of the quiet period passes before that
/// is answered: what was asked before its end says nothing of its end.
#[test]
fn a_look_up_that_outlasts_the_quiet_period_is_not_believed() {
    runtime().block_on(async {
        let mut world = World::new(&kind::process("Delete, Standard", 1)).await;
        world.meet("submitfuncspecmsg", Fate::Late(3));
        world.play_only(&[look(&[]), look(&[]), Event::Pass { seconds: 2 }]).await;
        world.meet("getprocessesmsg", Fate::Slow(13));
        world.play(&[look(&[])]).await;
        promises::kept(world).await.unwrap();
    });
}

/// An object that has come as far as its process.
async fn bound(kind: &Kind) -> World {
    let mut world = World::new(kind).await;
    for _ in 0..6 {
        world.play_only(&[look(&[]), Event::Pass { seconds: 1 }]).await;
    }
    world
}

/// One answer does not give up what runs.
#[test]
fn a_process_that_is_hidden_for_a_moment_is_not_lost() {
    runtime().block_on(async {
        let kinds = [kind::process("Delete, Standard", 1), kind::fleet("CancelRunning, Delete, Standard", 1)];
        for kind in kinds {
            let mut world = bound(&kind).await;
            let before = world.object("one").unwrap()["status"]["mirror"].clone();
            assert!(before["processId"].is_string(), "{before}");
            world.meet("getprocessmsg", Fate::Hidden);
            world.play_only(&[Event::Told, look(&[])]).await;
            assert!(world.has_met_all());
            let after = world.object("one").unwrap()["status"]["mirror"].clone();
            assert_eq!(after["state"], before["state"], "{}", kind.name);
            promises::kept(world).await.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        }
    });
}

/// A backup was restored, or a user removed the status: what runs is looked up, and goes on.
#[test]
fn an_object_whose_status_was_lost_has_one_process_still() {
    runtime().block_on(async {
        let kinds = [kind::process("Delete, Standard", 1), kind::fleet("CancelRunning, Delete, Standard", 1)];
        for kind in kinds {
            let mut world = bound(&kind).await;
            let bound = world.object("one").unwrap()["status"]["mirror"]["processId"].clone();
            assert!(bound.is_string(), "{}", kind.name);
            for _ in 0..3 {
                world.play_only(&[Event::Pass { seconds: 255 }]).await;
            }
            world.lose_status("one");
            for _ in 0..8 {
                world.play_only(&[look(&[]), Event::Pass { seconds: 16 }]).await;
            }
            assert_eq!(world.object("one").unwrap()["status"]["mirror"]["processId"], bound, "{}", kind.name);
            assert_eq!(world.outside.processes().len(), 1, "{}", kind.name);
        }
    });
}

/// What could not be taken away is there still, whatever the operator has tried.
#[test]
fn a_removal_or_a_cancel_that_fails_is_tried_again() {
    runtime().block_on(async {
        for call in ["removeexecutormsg", "cancelprocessmsg"] {
            let mut world = World::new(&kind::fleet("CancelRunning, Delete, Standard", 1)).await;
            let seconds = 16;
            for _ in 0..6 {
                world.play_only(&[look(&[]), Event::Pass { seconds }]).await;
            }
            world.meet(call, Fate::Refused);
            world.play_only(&[Event::Delete { object: 0 }]).await;
            for _ in 0..12 {
                world.play_only(&[look(&[]), Event::Pass { seconds }]).await;
            }
            assert!(world.object("one").is_none() && world.has_met_all(), "{call}");
            promises::kept(world).await.unwrap_or_else(|error| panic!("{call}: {error}"));
        }
    });
}

/// The finalizer cannot be written, and meanwhile the object goes: what had reached the colony by then would be left there.
#[test]
fn nothing_reaches_the_colony_for_a_fleet_that_nothing_holds() {
    runtime().block_on(async {
        let mut world = World::new(&kind::fleet("CancelRunning, Delete, Standard", 1)).await;
        world.play_only(&[look(&[Fate::Unreachable]), look(&[Fate::Done, Fate::Unreachable])]).await;
        let object = world.object("one").unwrap();
        assert_eq!(object["metadata"].get("finalizers"), None);
        assert_eq!(object["status"]["mirror"]["state"], "Intended");
        world.play(&[Event::Delete { object: 0 }]).await;
        promises::kept(world).await.unwrap();
    });
}

/// Every kind, once.
fn kinds() -> Vec<Kind> {
    vec![
        kind::fleet("CancelRunning, Delete, Standard", 2),
        kind::fleet("WaitForRunning, Delete, Strict", 1),
        kind::process("Delete, Standard", 2),
        kind::workflow("Delete"),
        kind::request(),
        instances::process("CancelRunning", None),
        instances::process("WaitForRunning", Some("clean")),
        instances::blueprint(),
        instances::composition(),
        crons::cron("Allow"),
        colonies::colony(),
        definitions::definition(HandlerMode::Process),
        definitions::definition(HandlerMode::Blueprint),
    ]
}

#[test]
fn fleets_whose_new_process_cancels_the_old() {
    play(&kind::fleet("CancelRunning, Delete, Standard", 1));
}

#[test]
fn fleets_whose_new_process_waits_for_the_old() {
    play(&kind::fleet("WaitForRunning, Delete, Standard", 1));
}

#[test]
fn fleets_whose_last_process_outlives_them() {
    play(&kind::fleet("CancelRunning, Orphan, Standard", 1));
}

#[test]
fn fleets_side_by_side() {
    play(&kind::fleet("CancelRunning, Delete, Standard", 2));
}

#[test]
fn fleets_behind_a_gate() {
    play(&kind::fleet("CancelRunning, Delete, Strict", 1));
}

#[test]
fn fleets_behind_a_gate_whose_old_and_last_processes_are_let_be() {
    play(&kind::fleet("WaitForRunning, Orphan, Strict", 1));
}

#[test]
fn processes() {
    play(&kind::process("Delete, Standard", 2));
}

#[test]
fn processes_behind_a_gate() {
    play(&kind::process("Delete, Strict", 1));
}

#[test]
fn processes_that_outlive_their_objects() {
    play(&kind::process("Orphan, Standard", 1));
}

#[test]
fn workflows() {
    play(&kind::workflow("Delete"));
}

#[test]
fn requests() {
    play(&kind::request());
}

#[test]
fn instances_whose_new_process_cancels_the_old() {
    play(&instances::process("CancelRunning", None));
}

#[test]
fn instances_that_are_cleaned_up_after() {
    play(&instances::process("WaitForRunning", Some("clean")));
}

#[test]
fn instances_that_are_blueprints() {
    play(&instances::blueprint());
}

#[test]
fn instances_that_are_made_of_others() {
    play(&instances::composition());
}

#[test]
fn colonies_that_are_connected() {
    play(&colonies::colony());
}

#[test]
fn definitions_of_kinds_that_processes_carry() {
    play(&definitions::definition(HandlerMode::Process));
}

#[test]
fn definitions_of_kinds_that_are_blueprints() {
    play(&definitions::definition(HandlerMode::Blueprint));
}

#[test]
fn crons_whose_runs_go_side_by_side() {
    play(&crons::cron("Allow"));
}

#[test]
fn crons_whose_runs_replace_each_other() {
    play(&crons::cron("Replace"));
}
