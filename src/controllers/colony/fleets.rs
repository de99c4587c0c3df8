//! What a colony has to say to fleets in which each pod is an executor: which of them run something.

use std::collections::BTreeSet;

use kube::ResourceExt as _;

use crate::{
    api::{executor_deployment::ExecutorDeployment, mirror::Mirrored as _, names::parse_executor_origin},
    colony::{Executor, ProcessState},
    memory::connections::Connection,
    snapshot::Membership,
    watch::{
        cache::GuardedExecutorDeployment,
        colony::{ColonyReading, first_of_each},
        index::Index,
        triggers,
    },
};

/// How far back what still runs may have been submitted, in seconds: ten years.
const EVER: u32 = 315_360_000;

/// Lists all that runs where that is more than one list holds, if there are fleets that have to know.
pub(super) async fn list_all_running(
    objects: impl Iterator<Item = &Index<GuardedExecutorDeployment>>,
    reading: &mut ColonyReading,
) {
    let Membership::Member(statistics) = &reading.snapshot.membership else { return };
    let Some(sessions) = reading.sessions.as_ref().filter(|_| reading.running.is_none()) else { return };
    let name = reading.snapshot.object.name_any();
    let is_default = reading.snapshot.object.is_default();
    if statistics.running == 0 || !has_fleets(objects, &name, is_default) {
        return;
    }
    match sessions.member.process_history(None, EVER, ProcessState::Running).await {
        Ok(running) => reading.running = Some(first_of_each(&running)),
        Err(error) => tracing::debug!(colony = name, %error, "cannot list all that runs"),
    }
}

/// Whether fleets whose busy pods are marked are in a colony.
fn has_fleets<'a>(
    mut objects: impl Iterator<Item = &'a Index<GuardedExecutorDeployment>>,
    name: &str,
    is_default: bool,
) -> bool {
    let is_there = |object: &ExecutorDeployment| {
        let used = object.used_colony().map(|used| used.name.clone()).or(object.spec.colony.clone());
        object.spec.marks_busy_pods() && used.map_or(is_default, |used| used == name)
    };
    objects.any(|index| !triggers::references(index.store(), &(), is_there).is_empty())
}

/// The fleets, by namespace and name, of whose executors another runs something that lasts than before, or something else.
pub(super) fn moved(
    previous: Option<&Connection>,
    present: &Connection,
    executors: &[Executor],
    cluster: &str,
) -> BTreeSet<(String, String)> {
    let known = |connection: &Connection| connection.running.clone().filter(|known| known.is_known());
    let Some(present) = known(present) else { return BTreeSet::new() };
    let moved = previous.and_then(known).map(|before| present.changed_since(&before));
    // The first that is known may show all of them otherwise than their pods are marked.
    let is_moved = |executor: &&Executor| moved.as_ref().is_none_or(|moved| moved.contains(&executor.id));
    let fleet = |executor: &Executor| {
        let (origin, _, namespace, name) = parse_executor_origin(&executor.blueprint_id)?;
        (origin == cluster).then(|| (namespace.to_owned(), name.to_owned()))
    };
    executors.iter().filter(is_moved).filter_map(fleet).collect()
}
