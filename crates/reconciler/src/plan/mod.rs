//! What one pass does: from what is known to steps. Pure.
//!
//! A slot of a fleet has at most one executor that lives, on whatever host: its next one can be registered only by the
//! one reconciler that gets its name. On a host a replica is made before its executor is registered, and is gone before its executor is
//! removed, so an executor of this host without a replica is left over, and so is a replica without an executor.

mod leave;
mod start;
mod step;

use std::collections::BTreeSet;

use crate::{
    fleet::Fleet,
    name::FleetName,
    snapshot::{Memory, Snapshot, State, Wish},
};

pub use leave::candidates;
pub use step::{Launch, Plan, Progress, Step};

/// Decides. `memory` is what earlier passes noted, and is brought up to date.
#[must_use]
pub fn plan(snapshot: &Snapshot, memory: &mut Memory) -> Plan {
    note(snapshot, memory);
    let mut plan = Plan::default();
    leave::ended(snapshot, &mut plan.steps);
    leave::leaving(snapshot, memory, &mut plan.steps);
    leave::executors(snapshot, &mut plan.steps);
    for wish in &snapshot.wishes {
        let Wish::Fleet(fleet) = wish else { continue };
        let mut waits = start::missing(snapshot, memory, fleet, &mut plan.steps);
        waits.extend(leave::waits(snapshot, fleet));
        plan.progress.push(progress(snapshot, fleet, waits));
    }
    plan
}

fn progress(snapshot: &Snapshot, fleet: &Fleet, waits: Vec<String>) -> Progress {
    let held: BTreeSet<u32> = start::holders(snapshot, fleet).map(|member| member.name.slot).collect();
    Progress {
        fleet: fleet.name.clone(),
        current: u32::try_from(held.len()).unwrap_or(u32::MAX),
        desired: fleet.replicas,
        waits,
    }
}

/// Brings the memory up to date with what is seen, and forgets what is gone.
fn note(snapshot: &Snapshot, memory: &mut Memory) {
    let present: BTreeSet<_> = snapshot.replicas.iter().map(|replica| &replica.name).collect();
    memory.leaving.retain(|name, _| present.contains(name));
    memory.asked.retain(|name, _| present.contains(name));
    memory.absent.retain(|name, _| !snapshot.has_wish(name));
    for replica in &snapshot.replicas {
        if !snapshot.has_wish(&replica.name.fleet) {
            memory.absent.entry(replica.name.fleet.clone()).or_insert(snapshot.elapsed);
        }
        let slot = (replica.name.fleet.clone(), replica.name.slot);
        match &replica.state {
            // One that was asked to end is no failure.
            State::Ended(reason) if !memory.asked.contains_key(&replica.name) => {
                let failures = memory.failures.entry(slot).or_default();
                failures.count += 1;
                failures.last = snapshot.elapsed;
                failures.reason.clone_from(reason);
            }
            State::Running
                if snapshot.is_ready(replica) && start::is_calm(memory, &slot, snapshot.elapsed) =>
            {
                memory.failures.remove(&slot);
            }
            _ => {}
        }
    }
    let wished =
        |(fleet, slot): &(FleetName, u32)| snapshot.fleet(fleet).is_some_and(|fleet| *slot < fleet.replicas);
    memory.failures.retain(|slot, _| wished(slot));
}

#[cfg(test)]
mod tests;
