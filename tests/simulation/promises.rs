//! What holds when everything has come to rest.

use std::collections::BTreeMap;

use colonyos_operator::{
    api::{
        kind as kinds,
        names::{GATE_NODE, parse_process_label},
    },
    colony::{Process, ProcessState},
};
use proptest::{prelude::*, test_runner::TestCaseError};
use serde_json::{Value, json};

use crate::{
    crons,
    kind::{Engines, Kind},
    memory::{COLONY, NAMESPACE, key},
    world::World,
};

/// Passes after which nothing more may be left to do. Each step of the protocol takes a pass of its own.
const ENOUGH: usize = 40;
/// Rounds in a row without a write after which nothing more comes: between two there is no time to wait for.
const SILENT: usize = 2;
/// Seconds between two rounds.
const PAUSE: u32 = 16;

/// What is made for objects and goes with them.
const CHILDREN: [&str; 4] = ["deployments.apps", "secrets", "configmaps", "colonyprocesses.colonies.io"];

type Kept = Result<(), TestCaseError>;

/// Lets the world come to rest, and looks whether every promise was kept.
pub async fn kept(mut world: World) -> Kept {
    // First no process is taken and no pod becomes ready: what lives, stays.
    rest(&mut world, false).await?;
    at_most_one_lives(&world)?;
    rest(&mut world, true).await?;
    at_most_one_lives(&world)?;
    made_once(&world)?;
    at_most_one_was_run(&world)?;
    each_object_is_settled(&world)?;
    status_is_true(&world)?;
    each_time_has_one_run(&world)?;
    nothing_is_left_of_the_deleted(&world)?;
    let registered = world.outside.kind.registered.map_or(Ok(()), |holds| holds(&world.outside));
    prop_assert!(registered.is_ok(), "{registered:?}");
    Ok(())
}

/// Looks again and again, with nothing bad happening, until the operator has nothing to do: then it writes nothing.
async fn rest(world: &mut World, is_served: bool) -> Kept {
    let mut silent = 0;
    let mut last = Vec::new();
    for _ in 0..ENOUGH {
        world.outside.servers.pass(PAUSE);
        // What has arrived late for an object that is gone is the garbage collector's.
        world.outside.servers.cluster.run_controllers();
        if is_served {
            while world.outside.assign() || world.outside.close(true) {}
            world.outside.become_ready();
            world.outside.obey();
        }
        // As if everything had been told of; the telling itself is among the events.
        world.tell();
        world.catch_up().await;
        last.clear();
        for (controller, name) in world.known() {
            last.extend(world.quiet_look(controller, &name).await);
        }
        silent = if last.is_empty() { silent + 1 } else { 0 };
        if silent == SILENT {
            return Ok(());
        }
    }
    let objects: Vec<_> = world.outside.names().iter().map(|name| world.object(name)).collect();
    Err(TestCaseError::fail(format!("never at rest: {last:?} {objects:?}")))
}

/// What ties a process to what it does: its label, and its node in a workflow of a user's.
fn task(process: &Process) -> (String, String) {
    (process.spec.label.clone(), process.spec.node_name.clone())
}

/// Whether it does the work of an object: not a gate, and not what a server submits by itself for a blueprint.
fn is_run(process: &Process) -> bool {
    let is_servers_own = process.spec.label.is_empty();
    process.spec.node_name != GATE_NODE && !is_servers_own
}

fn is_live(process: &Process) -> bool {
    is_run(process) && matches!(process.state, ProcessState::Waiting | ProcessState::Running)
}

fn uid(label: &str) -> &str {
    parse_process_label(label).map_or("", |(_, uid, _)| uid)
}

fn count<K: Ord>(items: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

/// Whether a process is of a submit that arrived later than the operator waits, after its object had gone.
fn is_left_by_lateness(world: &World, process: &Process) -> bool {
    let label = &process.spec.label;
    world.outside.late.lock().contains(label) && !world.uids().contains(uid(label))
}

/// At most one process lives for a label, and for an object; of a workflow, for each of its nodes.
fn at_most_one_lives(world: &World) -> Kept {
    let processes = world.outside.processes();
    let is_counted = |process: &&Process| is_live(process) && !is_left_by_lateness(world, process);
    let live: Vec<&Process> = processes.iter().filter(is_counted).collect();
    let by_label = count(live.iter().map(|process| task(process)));
    let by_object =
        count(live.iter().map(|process| (uid(&process.spec.label), process.spec.node_name.clone())));
    prop_assert!(by_label.values().all(|count| *count <= 1), "live by label: {by_label:?}");
    prop_assert!(by_object.values().all(|count| *count <= 1), "live by object: {by_object:?}");
    Ok(())
}

/// A label is submitted once; again only when another client has removed what there was, or when its submit was repeated on its
/// way.
fn made_once(world: &World) -> Kept {
    let processes = world.outside.processes();
    let repeated = world.outside.repeated.lock();
    for ((label, node), there) in count(processes.iter().filter(|process| is_run(process)).map(task)) {
        prop_assert!(parse_process_label(&label).is_some(), "not a label of ours: {label}");
        let repeated = repeated.get(&label).copied().unwrap_or_default();
        prop_assert!(there <= 1 + repeated, "{label} {node}: there are {there}, {repeated} were repeated");
    }
    Ok(())
}

/// Of the processes of a label one was run at most; behind a gate that holds whatever was made.
fn at_most_one_was_run(world: &World) -> Kept {
    let processes = world.outside.processes();
    let run = processes.iter().filter(|process| is_run(process) && process.started_at.is_some());
    let (removed, repeated) = (world.outside.removed.lock(), world.outside.repeated.lock());
    for ((label, node), run) in count(run.map(task)) {
        let removed = removed.get(&label).copied().unwrap_or_default();
        let repeated = repeated.get(&label).copied().unwrap_or_default();
        let more = removed + if world.outside.kind.is_strict { 0 } else { repeated };
        prop_assert!(run <= 1 + more, "{label} {node} was run {run} times");
    }
    Ok(())
}

/// What is there is as its kind wants it, and nothing is still going.
fn each_object_is_settled(world: &World) -> Kept {
    for name in world.outside.names() {
        let Some(object) = world.object(name) else { continue };
        let is_going = object["metadata"].get("deletionTimestamp").is_some();
        prop_assert!(!is_going, "{name} is still being deleted: {object}");
        let settled = (world.outside.kind.settled)(&world.outside, &object)
            .and_then(|()| has_only_its_conditions(&world.outside.kind, &object));
        prop_assert!(settled.is_ok(), "{name}: {settled:?}: {object}");
    }
    Ok(())
}

/// The conditions are those that its kind has in the table of the kinds, in their order.
fn has_only_its_conditions(kind: &Kind, object: &Value) -> Result<(), String> {
    let own = kinds::Kind::find(group(object), object["kind"].as_str().unwrap_or_default());
    let mut left = own.unwrap_or(kinds::Kind::Instance).info().conditions.iter();
    let conditions = object["status"]["conditions"].as_array();
    match conditions.into_iter().flatten().find(|found| !left.any(|own| found["type"] == own.as_str())) {
        None => Ok(()),
        Some(stray) => Err(format!("{} has no such condition, or not in this place: {stray}", kind.name)),
    }
}

fn group(object: &Value) -> &str {
    object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

/// What status says of a process is so; one is lost only when another client removed it.
fn status_is_true(world: &World) -> Kept {
    let processes = world.outside.processes();
    for name in world.outside.names() {
        let Some(object) = world.object(name) else { continue };
        let mirror = &object["status"]["mirror"];
        let (Some(label), Some(state)) = (mirror["label"].as_str(), mirror["state"].as_str()) else {
            continue;
        };
        let was_removed = world.outside.removed.lock().contains_key(label);
        if state == "Lost" {
            prop_assert!(was_removed, "{label} is lost, and was not removed");
            continue;
        }
        let Some(id) = mirror["processId"].as_str() else { continue };
        let of_it = |process: &&Process| process.id.as_str() == id || process.graph_id == id;
        let Some(process) = processes.iter().find(of_it) else {
            prop_assert!(was_removed, "{label} is bound to {id}, which is not there");
            continue;
        };
        prop_assert!(process.spec.label == label || !is_run(process), "{name} is bound to another's");
        if process.id.as_str() == id {
            prop_assert_eq!(process.state.as_str(), state, "{} is told as it is", label);
        }
    }
    Ok(())
}

/// What a cron creates for a time, it creates once, and it creates something for the last time that there was.
fn each_time_has_one_run(world: &World) -> Kept {
    // What a cache that lags behind, or a late create, makes for a cron that is gone, the garbage collector takes away once more.
    // Nothing is run for it.
    let processes = world.outside.processes();
    for (name, uids) in &world.seen {
        let has_process =
            |of: &&String| processes.iter().any(|process| uid(&process.spec.label) == of.as_str());
        let run: Vec<&String> = uids.iter().filter(has_process).collect();
        prop_assert!(run.len() <= 1, "{name} was run as {run:?}");
    }
    let is_there = |run: &str| {
        let names = world.outside.names().iter();
        names.filter(|name| run.starts_with(*name)).any(|name| world.object(name).is_some())
    };
    for (name, uids) in world.seen.iter().filter(|(name, _)| is_there(name)) {
        prop_assert!(uids.len() == 1, "{name} was created as {uids:?}");
    }
    if !matches!(world.outside.kind.engines, Engines::Crons) {
        return Ok(());
    }
    // What has become due since the last look but one need not be there yet.
    let until = world.outside.servers.clock.now().as_second() - 2 * i64::from(PAUSE);
    let last = until.div_euclid(crons::PERIOD) * crons::PERIOD;
    for name in world.outside.names().iter().filter(|name| world.object(name).is_some()) {
        let run = format!("{name}-{}", last / 60);
        prop_assert!(world.seen.contains_key(&run), "{run} was not created: {:?}", world.seen);
    }
    Ok(())
}

/// Of a deleted object nothing lives on, unless it was to; nor is anything else left that was made for it.
fn nothing_is_left_of_the_deleted(world: &World) -> Kept {
    let servers = &world.outside.servers;
    let mut there = world.uids();
    let mut children = Vec::new();
    for child in CHILDREN.iter().flat_map(|resource| servers.cluster.all(resource)) {
        there.insert(text(&child["metadata"]["uid"]));
        children.push(child);
    }
    for process in world.outside.processes().iter().filter(|process| is_live(process)) {
        let is_owned = there.contains(uid(&process.spec.label)) || is_left_by_lateness(world, process);
        prop_assert!(world.outside.kind.may_outlive || is_owned, "{:?} lives on", process.spec.label);
    }
    for child in children.iter().filter(|child| child["metadata"]["namespace"] == NAMESPACE) {
        let owner = text(&child["metadata"]["ownerReferences"][0]["uid"]);
        prop_assert!(owner.is_empty() || there.contains(&owner), "its owner is gone: {child}");
    }
    let inner = json!({"colonyname": COLONY});
    let kept = servers.colony.call(key(3).id(), "getblueprintsmsg", inner).unwrap_or_default();
    for blueprint in kept.as_array().into_iter().flatten() {
        let name = text(&blueprint["metadata"]["name"]);
        prop_assert!(world.object(&name).is_some(), "blueprint {name} is left");
    }
    let listed = servers.colony.call(key(3).id(), "getexecutorsmsg", json!({"colonyname": COLONY})).unwrap();
    let executors = listed.as_array().cloned().unwrap_or_default();
    for name in world.outside.names() {
        let its_type = format!("type-of-{name}");
        let registered =
            executors.iter().filter(|one| one["executortype"] == *its_type && one["state"] != 3).count();
        let most = usize::from(world.object(name).is_some());
        prop_assert!(registered <= most, "{registered} executors of type {its_type}: {executors:?}");
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
