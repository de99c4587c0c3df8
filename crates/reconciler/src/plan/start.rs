//! Which replicas are missing. Pure.

use std::time::Duration;

use super::step::{Launch, Step};
use crate::{
    fleet::Fleet,
    name::{FleetName, ReplicaName},
    snapshot::{Failures, Member, Memory, Snapshot, State},
};

/// The shortest pause after a replica that ended soon, doubled with each that follows.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// Most replicas that one pass starts, so that status and answers are not long in coming.
const AT_ONCE: usize = 16;

/// The executors of a fleet that live, on whatever host.
pub(super) fn holders<'a>(snapshot: &'a Snapshot, fleet: &'a Fleet) -> impl Iterator<Item = &'a Member> {
    snapshot
        .members
        .iter()
        .filter(|member| !member.is_gone && member.name.fleet == fleet.name && member.blueprint == fleet.id)
}

/// Adds the starts of what is missing, and says what it waits for.
pub(super) fn missing(
    snapshot: &Snapshot,
    memory: &Memory,
    fleet: &Fleet,
    steps: &mut Vec<Step>,
) -> Vec<String> {
    let mut waits = Vec::new();
    let mut started = 0;
    for slot in 0..fleet.replicas {
        let replica = snapshot
            .replicas
            .iter()
            .find(|replica| replica.name.fleet == fleet.name && replica.name.slot == slot);
        if let Some(replica) = replica {
            if replica.state != State::Running {
                waits.push(format!("{} is replaced", replica.name));
            }
            continue;
        }
        // On another host, or left over on this one and about to be removed.
        if let Some(member) = holders(snapshot, fleet).find(|member| member.name.slot == slot) {
            if member.host.as_ref() == Some(&snapshot.host) {
                waits.push(format!("{} is replaced", member.name));
            }
            continue;
        }
        if let Some(failures) = pausing(memory, &(fleet.name.clone(), slot), snapshot.elapsed) {
            let Failures { count, reason, .. } = failures;
            waits.push(format!(
                "slot {slot}: no replica has lasted, {count} were tried ({reason}); the next one follows"
            ));
            continue;
        }
        if started == AT_ONCE {
            waits.push("more replicas follow".to_owned());
            break;
        }
        started += 1;
        let name =
            ReplicaName { fleet: fleet.name.clone(), slot, life: next_life(snapshot, &fleet.name, slot) };
        waits.push(format!("{name} is started"));
        steps.push(Step::Start(Box::new(Launch {
            name,
            blueprint: fleet.id.clone(),
            generation: fleet.generation,
            template: fleet.template.clone(),
        })));
    }
    waits
}

/// One more than any executor of that slot ever had, whatever blueprint it was for: names are given out once.
fn next_life(snapshot: &Snapshot, fleet: &FleetName, slot: u32) -> u64 {
    let lives = snapshot.members.iter().map(|member| &member.name);
    let lives = lives.chain(snapshot.replicas.iter().map(|replica| &replica.name));
    lives
        .filter(|name| name.fleet == *fleet && name.slot == slot)
        .map(|name| name.life)
        .max()
        .unwrap_or(0)
        .saturating_add(1)
}

/// The failures of a slot, while it pauses after them.
fn pausing<'a>(memory: &'a Memory, slot: &(FleetName, u32), elapsed: Duration) -> Option<&'a Failures> {
    let failures = memory.failures.get(slot)?;
    (elapsed < failures.last + pause(failures.count)).then_some(failures)
}

fn pause(failures: u32) -> Duration {
    PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

/// Whether a slot has been without a failure for longer than its last pause and half a minute.
pub(super) fn is_calm(memory: &Memory, slot: &(FleetName, u32), elapsed: Duration) -> bool {
    let Some(failures) = memory.failures.get(slot) else { return true };
    elapsed > failures.last + pause(failures.count) + Duration::from_secs(30)
}
