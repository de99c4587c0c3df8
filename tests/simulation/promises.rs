//! What holds when everything has come to rest.

use std::collections::BTreeMap;

use colonyos_operator::{
    api::{
        mirror::MirrorState,
        names::{GATE_NODE, parse_process_label, process_label},
        policy::DeletionPolicy,
    },
    colony::{Process, ProcessState},
};
use proptest::{prelude::*, test_runner::TestCaseError};

use crate::{operator, world::World};

/// Passes after which nothing more may be left to do. Each step of the protocol takes a pass of its own.
const ENOUGH: usize = 40;

type Kept = Result<(), TestCaseError>;

/// Lets the world come to rest, and looks whether every promise was kept.
pub fn kept(mut world: World) -> Kept {
    // First nobody takes processes and no pod becomes ready: what lives, stays.
    rest(&mut world, false)?;
    at_most_one_lives(&mut world)?;
    rest(&mut world, true)?;
    at_most_one_lives(&mut world)?;
    made_once(&world)?;
    at_most_one_was_run(&mut world)?;
    each_generation_has_its_process(&mut world)?;
    nothing_is_left_of_the_deleted(&mut world)
}

/// Looks again and again, with nothing bad happening, until the operator has nothing to do.
fn rest(world: &mut World, is_served: bool) -> Kept {
    for _ in 0..ENOUGH {
        world.pass(16);
        // As if everything had been told of; the telling itself is among the events.
        world.operator.ask_anew();
        if is_served {
            while world.colony.assign(world.now) {}
            (0..world.cluster.held.len()).for_each(|index| world.cluster.become_ready(index));
        }
        let looks: Vec<_> =
            (0..world.cluster.held.len()).map(|index| operator::quiet_look(world, index)).collect();
        if looks.iter().flatten().all(|(plan, wrote)| plan.is_idle() && !wrote) {
            return Ok(());
        }
    }
    Err(TestCaseError::fail(format!("never at rest: {:?}", world.cluster.held)))
}

/// Whether it lives and does the work: not a gate.
fn is_live(process: &Process) -> bool {
    is_run(process) && matches!(process.state, ProcessState::Waiting | ProcessState::Running)
}

fn is_run(process: &Process) -> bool {
    process.spec.node_name != GATE_NODE
}

/// At most one process lives for a label, and for an object.
fn at_most_one_lives(world: &mut World) -> Kept {
    let processes = world.colony.processes(world.now, "");
    let mut by_label: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_object: BTreeMap<&str, usize> = BTreeMap::new();
    for process in processes.iter().filter(|process| is_live(process)) {
        let label = process.spec.label.as_str();
        *by_label.entry(label).or_default() += 1;
        let uid = parse_process_label(label).map_or("", |(_, uid, _)| uid);
        *by_object.entry(uid).or_default() += 1;
    }
    prop_assert!(by_label.values().all(|count| *count <= 1), "live by label: {by_label:?}");
    prop_assert!(by_object.values().all(|count| *count <= 1), "live by object: {by_object:?}");
    Ok(())
}

/// A label is submitted once; again only when somebody has removed what there was.
fn made_once(world: &World) -> Kept {
    for (label, made) in &world.made {
        let removed = world.removed.get(label).copied().unwrap_or_default();
        prop_assert!(*made <= 1 + removed, "{label} was made {made} times, {removed} were removed");
    }
    Ok(())
}

/// Of the processes of a label one was run at most; behind a gate that holds whatever was made.
fn at_most_one_was_run(world: &mut World) -> Kept {
    let mut by_label: BTreeMap<String, usize> = BTreeMap::new();
    for process in world.colony.processes(world.now, "") {
        if is_run(&process) && process.started_at.is_some() {
            *by_label.entry(process.spec.label).or_default() += 1;
        }
    }
    for (label, count) in by_label {
        let removed = world.removed.get(&label).copied().unwrap_or_default();
        prop_assert!(count <= 1 + removed, "{label} was run {count} times");
    }
    Ok(())
}

/// The current generation has its process and its end; lost only when somebody removed it.
fn each_generation_has_its_process(world: &mut World) -> Kept {
    for index in 0..world.cluster.held.len() {
        let held = &world.cluster.held[index];
        let (uid, generation) = (held.uid.clone(), held.generation);
        let Some(object) = world.cluster.get(index) else { continue };
        prop_assert!(object.metadata.deletion_timestamp.is_none(), "{uid} is still being deleted");
        let mirror = object.status.as_ref().and_then(|status| status.mirror.clone());
        let Some(mirror) = mirror else {
            return Err(TestCaseError::fail(format!("{uid} has no process on record")));
        };
        prop_assert_eq!(mirror.generation, generation, "{} is mirrored", uid);
        let label = process_label("simulated", &uid, generation);
        let was_removed = world.removed.contains_key(&label);
        let mut processes = world.colony.processes(world.now, &label);
        processes.retain(is_run);
        if mirror.state == MirrorState::Lost {
            prop_assert!(was_removed, "{label} is lost, and nobody removed it");
            continue;
        }
        prop_assert!(
            matches!(mirror.state, MirrorState::Successful | MirrorState::Cancelled),
            "{} is {}",
            label,
            mirror.state.as_str()
        );
        prop_assert!(processes.len() == 1 || was_removed, "{label} has {} processes", processes.len());
        if let Some(process) = processes.first() {
            prop_assert_eq!(Some(process.id.to_string()), mirror.process_id.clone(), "{} is bound", label);
            prop_assert_eq!(process.state.as_str(), mirror.state.as_str(), "{} is told as it is", label);
        }
    }
    Ok(())
}

/// Of a deleted object nothing lives on, unless it was to.
fn nothing_is_left_of_the_deleted(world: &mut World) -> Kept {
    for index in 0..world.cluster.held.len() {
        if world.cluster.held[index].object.is_some() {
            continue;
        }
        let uid = world.cluster.held[index].uid.clone();
        let processes = world.colony.processes(world.now, "");
        let of_it =
            |process: &&Process| parse_process_label(&process.spec.label).is_some_and(|(_, of, _)| of == uid);
        let live: Vec<_> =
            processes.iter().filter(of_it).filter(|process| is_live(process)).map(|one| &one.id).collect();
        let may_live = world.cluster.held[index].deletion_policy == DeletionPolicy::Orphan;
        prop_assert!(may_live || live.is_empty(), "{uid} is gone, {live:?} live on");
        prop_assert!(world.cluster.held[index].deployment.is_none(), "{uid} is gone, its pods are not");
    }
    Ok(())
}
