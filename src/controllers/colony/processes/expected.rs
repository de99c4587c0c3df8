//! Of which processes an event is expected: the others are found by the lists, and a subscription costs the server ten
//! times what a submit does. Pure.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::colony::{Process, ProcessState};

/// A process that the operator closes itself is mostly over by then.
const SETTLED: Duration = Duration::from_secs(2);
/// How many more than its executors may be taken of a queue before the next look at it: some executors run several.
const NEXT: usize = 4;
/// What a step of priority is worth in a queue.
const PRIORITY: Duration = Duration::from_hours(24);

/// A process that an object is bound to and that is not over, as far as is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// The process as it was last read.
    pub process: &'a Process,
    /// Its state as status has it.
    pub recorded: ProcessState,
    /// Whether others carry it out.
    pub run_by_others: bool,
    /// For how long it has been as it is.
    pub quiet_for: Duration,
}

/// The positions of those of which an event is expected: what runs, the newest first, then what executors take next.
/// `executors` is how many there are of each type.
pub(super) fn expected(candidates: &[Candidate<'_>], executors: &BTreeMap<String, usize>) -> Vec<usize> {
    let positions = || candidates.iter().enumerate();
    let mut running: Vec<(usize, &Candidate<'_>)> = positions()
        .filter(|(_, candidate)| candidate.recorded == ProcessState::Running)
        .filter(|(_, candidate)| candidate.run_by_others || candidate.quiet_for >= SETTLED)
        .collect();
    running.sort_by_key(|(_, candidate)| Reverse(candidate.process.submitted_at));
    // The operator hears of being assigned by being assigned.
    let mut waiting: Vec<(usize, &Candidate<'_>)> = positions()
        .filter(|(_, candidate)| candidate.recorded != ProcessState::Running && candidate.run_by_others)
        .collect();
    waiting.sort_by_cached_key(|(_, candidate)| queued_at(candidate.process));
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    waiting.retain(|(_, candidate)| {
        let executor_type = candidate.process.spec.conditions.executor_type.as_str();
        let most =
            executors.get(executor_type).map_or(0, |count| count.saturating_mul(2).saturating_add(NEXT));
        let taken = taken.entry(executor_type).or_default();
        *taken += 1;
        *taken <= most
    });
    running.into_iter().chain(waiting).map(|(position, _)| position).collect()
}

/// Where a process stands in the queue of its executors, the first first.
fn queued_at(process: &Process) -> Timestamp {
    let days = i32::try_from(process.spec.priority).unwrap_or_default();
    let ahead = jiff::SignedDuration::try_from(PRIORITY).unwrap_or_default().saturating_mul(days);
    process.submitted_at.checked_sub(ahead).unwrap_or(process.submitted_at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(second: u8, executor_type: &str, priority: i64) -> Process {
        serde_json::from_value(json!({
            "processid": second.to_string(), "state": 0, "assignedexecutorid": "",
            "submissiontime": format!("2026-11-21T09:58:{second:02}Z"),
            "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": "l", "priority": priority,
                      "conditions": { "colonyname": "c", "executortype": executor_type } },
        }))
        .unwrap()
    }

    fn others(process: &Process, recorded: ProcessState) -> Candidate<'_> {
        Candidate { process, recorded, run_by_others: true, quiet_for: Duration::ZERO }
    }

    use ProcessState::{Running, Waiting};

    /// A thousand that no executor serves would be three thousand websockets that never tell anything.
    #[test]
    fn what_waits_is_listened_to_when_an_executor_takes_it_next() {
        let queue: Vec<Process> =
            (0..20).map(|second| process(second, "served", i64::from(second == 15))).collect();
        let unserved = process(30, "unserved", 0);
        let candidates: Vec<_> =
            queue.iter().chain([&unserved]).map(|process| others(process, Waiting)).collect();
        let executors = BTreeMap::from([("served".to_owned(), 1)]);
        assert_eq!(expected(&candidates, &executors), [15, 0, 1, 2, 3, 4]);
        assert_eq!(expected(&candidates, &BTreeMap::new()), [0; 0]);
    }

    #[test]
    fn what_runs_is_listened_to_and_what_the_operator_closes_itself_when_that_takes_time() {
        let (old, new) = (process(1, "t", 0), process(2, "t", 0));
        assert_eq!(expected(&[others(&old, Running), others(&new, Running)], &BTreeMap::new()), [1, 0]);
        let own =
            |recorded, quiet_for| Candidate { run_by_others: false, quiet_for, ..others(&old, recorded) };
        let executors = BTreeMap::from([("t".to_owned(), 1)]);
        let candidates = [own(Running, Duration::ZERO), own(Running, SETTLED), own(Waiting, SETTLED)];
        assert_eq!(expected(&candidates, &executors), [1]);
    }
}
