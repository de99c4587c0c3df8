//! Which replicas go, when, and what is left over. Pure.

use std::{collections::BTreeMap, time::Duration};

use super::{start, step::Step};
use crate::{
    fleet::Fleet,
    name::ReplicaName,
    snapshot::{Memory, Replica, Snapshot, State, Wish, Work},
};

/// For how long a blueprint has to be away before its replicas go, and for how long what another reconciler of the same host
/// has made may be unfinished.
const CERTAINTY: Duration = Duration::from_secs(10);
const UNFINISHED: Duration = Duration::from_secs(30);

/// Takes away what has ended, and what was never started.
pub(super) fn ended(snapshot: &Snapshot, steps: &mut Vec<Step>) {
    for replica in &snapshot.replicas {
        let is_left_over = match &replica.state {
            State::Ended(_) => true,
            // By this reconciler in an earlier life: it makes and starts a replica within one step.
            State::Created => replica.is_own || age(snapshot, replica) > UNFINISHED,
            State::Running => false,
        };
        if is_left_over {
            steps.push(Step::Remove(replica.name.clone()));
        }
    }
}

/// Removes the executors of this host that have no replica.
pub(super) fn executors(snapshot: &Snapshot, steps: &mut Vec<Step>) {
    for member in &snapshot.members {
        let is_ours = !member.is_gone && member.host.as_ref() == Some(&snapshot.host);
        if is_ours && snapshot.replicas.iter().all(|replica| replica.name != member.name) {
            steps.push(Step::Unregister(member.name.clone()));
        }
    }
}

/// Asks those to end that are to go, as soon as they run no process.
pub(super) fn leaving(snapshot: &Snapshot, memory: &mut Memory, steps: &mut Vec<Step>) {
    let certain = |replica: &Replica| {
        let since = memory.absent.get(&replica.name.fleet);
        since.is_some_and(|since| snapshot.elapsed.saturating_sub(*since) >= CERTAINTY)
    };
    let is_asked = |name: &ReplicaName| memory.asked.contains_key(name);
    let mut going: BTreeMap<ReplicaName, &'static str> = due(snapshot, &certain, &is_asked)
        .into_iter()
        .map(|(replica, why)| (replica.name.clone(), why))
        .collect();
    let running = snapshot.replicas.iter().filter(|replica| replica.state == State::Running);
    for replica in running.filter(|replica| is_asked(&replica.name)) {
        // There is no way back from a signal, even if it is wanted again.
        going.entry(replica.name.clone()).or_insert("it was asked to end");
    }
    // One that is wanted again before it was asked stays.
    memory.leaving.retain(|name, _| going.contains_key(name));
    for (name, why) in going {
        let since = *memory.leaving.entry(name.clone()).or_insert(snapshot.elapsed);
        let is_over = snapshot.elapsed.saturating_sub(since) >= snapshot.patience.drain;
        let is_idle = snapshot.work.get(&name) == Some(&Work::Idle) || is_nobody(snapshot, &name);
        match memory.asked.get(&name) {
            // It may have won a process just before it heard: only an idle one has no use for more time.
            Some(asked) => {
                let has_had_time = snapshot.elapsed.saturating_sub(*asked) >= snapshot.patience.grace;
                if has_had_time && (is_idle || is_over) {
                    steps.push(Step::Kill(name, why));
                }
            }
            None if is_idle || is_over => steps.push(Step::Ask(name, why)),
            None => {}
        }
    }
}

/// The replicas whose work has to be known.
#[must_use]
pub fn candidates(snapshot: &Snapshot) -> Vec<&Replica> {
    due(snapshot, &|_| true, &|_| false)
        .into_iter()
        .map(|(replica, _)| replica)
        .chain(outdated(snapshot))
        .collect()
}

/// Running replicas that are to go, and why.
fn due<'a>(
    snapshot: &'a Snapshot,
    is_certain: &dyn Fn(&Replica) -> bool,
    is_asked: &dyn Fn(&ReplicaName) -> bool,
) -> Vec<(&'a Replica, &'static str)> {
    let mut due = Vec::new();
    for replica in snapshot.replicas.iter().filter(|replica| replica.state == State::Running) {
        let fleet = snapshot.fleet(&replica.name.fleet);
        let why = if is_nobody(snapshot, &replica.name)
            && (replica.is_own || age(snapshot, replica) > UNFINISHED)
        {
            Some("its executor is not registered any more")
        } else {
            match fleet {
                Some(fleet) if fleet.id != replica.blueprint => Some("its blueprint was removed"),
                Some(fleet) if replica.name.slot >= fleet.replicas => Some("scaled down"),
                Some(_) => None,
                // What cannot be read says nothing about what runs.
                None if snapshot.has_wish(&replica.name.fleet) => None,
                None => is_certain(replica).then_some("its blueprint was removed"),
            }
        };
        due.extend(why.map(|why| (replica, why)));
    }
    for wish in &snapshot.wishes {
        let Wish::Fleet(fleet) = wish else { continue };
        due.extend(
            rolled(snapshot, fleet, is_asked).map(|replica| (replica, "a new generation of the spec")),
        );
    }
    due
}

/// The one replica of an older generation that makes way now: one that runs no process, once all others of the fleet are up.
fn rolled<'a>(
    snapshot: &'a Snapshot,
    fleet: &'a Fleet,
    is_asked: &dyn Fn(&ReplicaName) -> bool,
) -> Option<&'a Replica> {
    if of(snapshot, fleet).any(|replica| is_asked(&replica.name)) {
        return None;
    }
    let (old, new): (Vec<&Replica>, Vec<&Replica>) =
        of(snapshot, fleet).partition(|replica| !snapshot.is_current(fleet, replica));
    let missing = (0..fleet.replicas).any(|slot| {
        of(snapshot, fleet).all(|replica| replica.name.slot != slot)
            && start::holders(snapshot, fleet).all(|member| member.name.slot != slot)
    });
    if missing
        || new.iter().any(|replica| !snapshot.is_ready(replica))
        || old.iter().any(|replica| replica.state != State::Running)
    {
        return None;
    }
    let is_idle = |replica: &&&Replica| snapshot.work.get(&replica.name) == Some(&Work::Idle);
    // None is idle: the first one drains, so that its time limit counts.
    old.iter().find(is_idle).or(old.first()).copied()
}

fn outdated(snapshot: &Snapshot) -> impl Iterator<Item = &Replica> {
    snapshot.replicas.iter().filter(|replica| {
        let fleet = snapshot.fleet(&replica.name.fleet);
        replica.state == State::Running && fleet.is_some_and(|fleet| !snapshot.is_current(fleet, replica))
    })
}

/// The replicas of a fleet that it wants, on this host.
fn of<'a>(snapshot: &'a Snapshot, fleet: &'a Fleet) -> impl Iterator<Item = &'a Replica> {
    snapshot.replicas.iter().filter(|replica| {
        replica.name.fleet == fleet.name
            && replica.blueprint == fleet.id
            && replica.name.slot < fleet.replicas
    })
}

/// What a fleet waits for before it is as it should be, besides what is missing.
pub(super) fn waits(snapshot: &Snapshot, fleet: &Fleet) -> Vec<String> {
    let mut waits = Vec::new();
    for replica in snapshot.replicas.iter().filter(|replica| replica.name.fleet == fleet.name) {
        let is_wanted = replica.blueprint == fleet.id
            && replica.name.slot < fleet.replicas
            && snapshot.is_current(fleet, replica)
            && !is_nobody(snapshot, &replica.name);
        if is_wanted {
            if replica.state == State::Running && !snapshot.is_ready(replica) {
                waits.push(format!("{} has not asked the colony for work yet", replica.name));
            }
            continue;
        }
        waits.push(match snapshot.work.get(&replica.name) {
            Some(Work::Busy(process)) => format!("{} finishes process {process}", replica.name),
            _ => format!("{} is to go", replica.name),
        });
    }
    waits
}

/// Whether the colony has no executor for a replica (any more), so that it can do nothing.
fn is_nobody(snapshot: &Snapshot, name: &ReplicaName) -> bool {
    snapshot.member(name).is_none_or(|member| member.is_gone)
}

fn age(snapshot: &Snapshot, replica: &Replica) -> Duration {
    Duration::try_from(snapshot.now.duration_since(replica.created)).unwrap_or_default()
}
