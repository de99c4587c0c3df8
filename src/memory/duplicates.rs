//! Processes that colonies have besides those that objects are bound to, or of objects that are gone, as the last lists showed
//! them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    colony::{Process, ProcessId},
    snapshot::Duplicate,
};

/// How often the end of one is asked for. What the server does not end by then is reported and left.
const TRIES: u32 = 5;
/// How long after the first try the second comes; twice as long after each further one.
const AGAIN: Duration = Duration::from_secs(5);

/// By UID of the object.
type Found = BTreeMap<String, Vec<Process>>;

#[derive(Clone, Default)]
pub struct Duplicates(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By name of the `Colony`.
    found: HashMap<String, Found>,
    tried: HashMap<ProcessId, Tried>,
}

#[derive(Clone, Copy)]
struct Tried {
    times: u32,
    at: Instant,
}

impl Duplicates {
    /// Notes what the lists of a colony have shown; what they showed before is forgotten.
    pub fn listed(&self, colony: &str, found: Found) {
        let mut state = self.0.lock();
        if found.is_empty() {
            state.found.remove(colony);
        } else {
            state.found.insert(colony.to_owned(), found);
        }
        let State { found, tried } = &mut *state;
        let is_there = |id: &ProcessId| {
            found.values().flat_map(BTreeMap::values).flatten().any(|process| process.id == *id)
        };
        tried.retain(|id, _| is_there(id));
    }

    /// The UIDs of the objects of which a colony has some.
    #[must_use]
    pub fn objects(&self, colony: &str) -> Vec<(String, Vec<Process>)> {
        let state = self.0.lock();
        let found = state.found.get(colony).into_iter().flatten();
        found.map(|(uid, processes)| (uid.clone(), processes.clone())).collect()
    }

    /// Those of an object that are not given up. The end of those that are due is about to be asked for.
    #[must_use]
    pub fn of(&self, colony: &str, uid: &str, now: Instant) -> Vec<Duplicate> {
        let mut state = self.0.lock();
        let found = state.found.get(colony).and_then(|found| found.get(uid)).cloned().unwrap_or_default();
        let mut left = Vec::new();
        for process in found {
            let tried = state.tried.get(&process.id).copied();
            let is_due = tried.is_none_or(|tried| {
                let wait = AGAIN.saturating_mul(1 << (tried.times - 1).min(TRIES));
                now.saturating_duration_since(tried.at) >= wait
            });
            let times = tried.map_or(0, |tried| tried.times);
            if is_due && times >= TRIES {
                continue;
            }
            if is_due {
                state.tried.insert(process.id.clone(), Tried { times: times + 1, at: now });
            }
            left.push(Duplicate { process, is_due, is_new: times == 0 });
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(id: &str) -> Process {
        serde_json::from_value(json!({
            "processid": id, "state": 0, "assignedexecutorid": "",
            "submissiontime": "2026-11-21T09:58:00Z", "starttime": "0001-01-01T00:00:00Z",
            "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": "l", "conditions": { "colonyname": "c", "executortype": "t" } },
        }))
        .unwrap()
    }

    /// One that the server does not end would be told of for ever, and hold its object.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn what_does_not_end_is_tried_again_less_and_less_often_and_given_up() {
        let (duplicates, start) = (Duplicates::default(), Instant::now());
        let found = || Found::from([("u".to_owned(), vec![process("p")])]);
        let mut tries = Vec::new();
        for second in 0..600 {
            duplicates.listed("dev", found());
            let of = duplicates.of("dev", "u", start + Duration::from_secs(second));
            tries.extend(of.iter().filter(|duplicate| duplicate.is_due).map(|_| second));
            assert_eq!(of.iter().filter(|duplicate| duplicate.is_new).count(), usize::from(second == 0));
        }
        assert_eq!(tries, [0, 5, 15, 35, 75]);
        assert_eq!(duplicates.of("dev", "u", start + Duration::from_mins(10)), [], "given up");
        duplicates.listed("dev", Found::new());
        assert_eq!(duplicates.0.lock().tried.len(), 0);
        duplicates.listed("dev", found());
        assert_eq!(duplicates.of("dev", "u", start).len(), 1, "another time");
        assert_eq!(duplicates.of("other", "u", start), []);
    }
}
