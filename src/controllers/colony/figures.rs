//! What metrics show of a colony. Pure.

use std::collections::BTreeMap;

use crate::{
    colony::ExecutorState,
    runtime::metrics::{ColonyFigures, QueueFigures},
    snapshot::{ColonySnapshot, Membership, Workforce},
};

/// Those that are shown although there are none.
const STATES: [ExecutorState; 3] = [ExecutorState::Approved, ExecutorState::Pending, ExecutorState::Rejected];

/// The figures of a colony that was just read.
pub fn of(snapshot: &ColonySnapshot, workforce: Option<&Workforce>) -> ColonyFigures {
    let mut executors: BTreeMap<&'static str, usize> = BTreeMap::new();
    if let Some(listed) = snapshot.executors.known() {
        executors.extend(STATES.iter().map(|state| (state.as_str(), 0)));
        for executor in listed {
            *executors.entry(executor.state.as_str()).or_default() += 1;
        }
    }
    let mut processes = BTreeMap::new();
    if let Membership::Member(counts) = &snapshot.membership {
        let all = [
            ("Waiting", counts.waiting),
            ("Running", counts.running),
            ("Successful", counts.successful),
            ("Failed", counts.failed),
            ("Cancelled", counts.cancelled),
        ];
        processes.extend(all.map(|(state, count)| (state, figure(count))));
    }
    let queues = workforce.map(Workforce::waiting).into_iter().flatten().map(|(name, (waiting, oldest))| {
        let oldest_age = snapshot.now.duration_since(*oldest).as_secs_f64().max(0.0);
        (name.clone(), QueueFigures { waiting: *waiting, oldest_age })
    });
    let was_read = snapshot.problem().is_none();
    let last_read = was_read.then(|| figure(snapshot.now.as_second()));
    ColonyFigures { executors, processes, last_read, queues: queues.collect() }
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^53")]
fn figure(count: i64) -> f64 {
    count as f64
}
