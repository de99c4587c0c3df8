//! One generation, one process: the decisions about mirrored processes, by the thousand, against a colony and an API
//! server in memory, and everything that can go wrong between them. Nothing here waits, and nothing is a server.
//!
//! What is under test is the operator's own: `decide`, the status that is computed from what came of it, and what
//! `Submissions` remembers. What surrounds it is told in [`operator`]: it reads and writes in the same order, and each
//! read and write may be done, refused, done without an answer, late, or the last thing that the operator did. Meanwhile
//! users change and delete objects, and somebody cancels and removes processes.
//!
//! A sequence that breaks a promise is kept in `regressions.txt` and tried first from then on.

#![cfg(test)]

mod cluster;
mod colony;
mod events;
mod fleet;
#[path = "../support/memory/mod.rs"]
mod memory;
mod operator;
mod promises;
mod world;

use proptest::{
    collection::vec,
    test_runner::{Config, FileFailurePersistence, TestRunner},
};

use self::{
    events::{Event, Fate},
    world::World,
};

/// Sequences per test; the tests run side by side.
const SEQUENCES: u32 = 1_700;

/// The most that happens in one sequence, before everything comes to rest.
const EVENTS: usize = 20;

/// Plays sequences for objects of one kind of policy, which share the colony and the operator.
fn play(policies: &'static str, objects: usize) {
    let config = Config {
        cases: SEQUENCES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/simulation/regressions.txt",
        ))),
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(events::any(), 1..EVENTS), |events| {
        let mut world = World::new(policies, objects);
        world.play(&events);
        promises::kept(world)
    });
    outcome.unwrap_or_else(|error| panic!("{policies}: {error}"));
}

/// The sequence of a plain day, so that a mistake in the simulation itself is seen as such.
#[test]
fn a_day_without_trouble_ends_with_one_process_for_each_generation() {
    let mut world = World::new("CancelRunning, Delete, Standard", 2);
    let events = [Event::Look { object: 0, fates: vec![], meanwhile: None }, Event::Edit { object: 0 }];
    world.play(&events);
    promises::kept(world).unwrap();
}

/// A submit whose answer was lost arrives while its label is looked up, and the rest of the quiet period passes before that
/// is answered: what was asked before its end says nothing of its end.
#[test]
fn a_look_up_that_outlasts_the_quiet_period_is_not_believed() {
    let look = |fates: &[Fate]| Event::Look { object: 0, fates: fates.to_vec(), meanwhile: None };
    let events = [look(&[]), look(&[Fate::Late(3)]), Event::Pass { seconds: 2 }, look(&[Fate::Late(13)])];
    let mut world = World::new("CancelRunning, Delete, Standard", 1);
    world.play(&events);
    promises::kept(world).unwrap();
}

#[test]
fn one_process_for_each_generation_when_a_new_one_cancels_the_old() {
    play("CancelRunning, Delete, Standard", 1);
}

#[test]
fn one_process_for_each_generation_when_a_new_one_waits_for_the_old() {
    play("WaitForRunning, Delete, Standard", 1);
}

#[test]
fn one_process_for_each_generation_when_the_last_one_outlives_its_object() {
    play("CancelRunning, Orphan, Standard", 1);
}

#[test]
fn one_process_for_each_generation_of_objects_side_by_side() {
    play("CancelRunning, Delete, Standard", 2);
}

#[test]
fn one_process_for_each_generation_behind_a_gate() {
    play("CancelRunning, Delete, Strict", 1);
}

#[test]
fn one_process_for_each_generation_behind_a_gate_when_the_old_and_the_last_are_let_be() {
    play("WaitForRunning, Orphan, Strict", 1);
}
