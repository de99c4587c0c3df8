//! A day of an object, again and again: each time something else becomes of one of the operator's calls.

use crate::{
    colonies, definitions,
    events::{Event, Fate},
    kind::Kind,
    look, promises, runtime,
    world::World,
};
use colonyos_operator::api::resource_definition::HandlerMode;

/// What may become of a write.
const OF_WRITES: [Fate; 3] = [Fate::Lost, Fate::CrashBefore, Fate::CrashAfter];
/// What may become of a read.
const OF_READS: [Fate; 1] = [Fate::Refused];

/// An object is created, changed and, if so said, deleted.
async fn live(world: &mut World, deletes: bool) {
    work(world, 4).await;
    world.play_only(&[Event::Ready, Event::Edit { object: 0 }]).await;
    work(world, 2).await;
    if deletes {
        world.play_only(&[Event::Delete { object: 0 }]).await;
        work(world, 2).await;
    }
}

async fn work(world: &mut World, rounds: usize) {
    for _ in 0..rounds {
        world.play_only(&[look(&[]), Event::Pass { seconds: 11 }]).await;
    }
}

fn sweep(kind: &Kind, deletes: bool, of_reads: &[Fate]) {
    runtime().block_on(async {
        let mut world = World::new(kind).await;
        live(&mut world, deletes).await;
        let calls = world.calls();
        promises::kept(world).await.unwrap();
        assert!(calls.contains(&true) && calls.contains(&false), "{calls:?}");
        for (number, is_write) in calls.into_iter().enumerate() {
            let fates = if is_write { OF_WRITES.as_slice() } else { of_reads };
            for fate in fates {
                let mut world = World::new(kind).await;
                world.meet_at(number, *fate);
                live(&mut world, deletes).await;
                let kept = promises::kept(world).await;
                kept.unwrap_or_else(|error| panic!("{}: {fate:?} of call {number}: {error}", kind.name));
            }
        }
    });
}

#[test]
fn a_colony_is_connected_whatever_becomes_of_a_call() {
    sweep(&colonies::colony(), false, &OF_READS);
}

#[test]
fn a_definition_goes_whatever_becomes_of_a_call() {
    sweep(&definitions::definition(HandlerMode::Process), true, &OF_READS);
}

#[test]
fn a_definition_in_the_colony_goes_whatever_becomes_of_a_call() {
    // What becomes of its reads is the same as without a colony, but for two.
    sweep(&definitions::definition(HandlerMode::Blueprint), true, &[]);
}
