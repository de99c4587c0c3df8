//! Who could take work in a colony, as the colony was last asked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    api::names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE},
    colony::{Executor, ExecutorState, Id, Process, ProcessId},
};

/// How many types, names or locations a message lists.
const MOST_LISTED: usize = 8;
/// How many of a queue are followed: those behind them are not written anew whenever one before them is taken.
const MOST_QUEUED: usize = 10;

/// The executors of a colony.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workforce {
    /// Whether the owner of the colony has paused assignments.
    pub is_paused: bool,
    /// The approved ones, by type and name.
    approved: BTreeMap<String, BTreeMap<String, Approved>>,
    /// How many of each type wait for the owner of the colony to approve them.
    pending: BTreeMap<String, usize>,
    /// Those that run something and since when, if that is known.
    busy: Option<Busy>,
    /// The first processes that wait for executors of each type, in the order in which they are taken.
    queues: BTreeMap<String, Vec<ProcessId>>,
    /// How many of those that were listed wait for executors of each type, and since when the oldest of them.
    waiting: BTreeMap<String, (usize, Timestamp)>,
}

/// Executors that run something, and since when.
pub type Busy = BTreeMap<Id, Option<Timestamp>>;

/// An executor that may take work.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Approved {
    id: Id,
    /// Empty when it has none.
    location: String,
    /// How many nodes it has; none where it does not say.
    nodes: Option<i64>,
}

/// Which executors may take a process.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Their type.
    pub executor_type: &'a str,
    /// Their names; empty for any.
    pub names: &'a [String],
    /// Where they must be; none for anywhere.
    pub location: Option<&'a str>,
}

/// Why no executor takes a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The owner of the colony has paused assignments.
    Paused(String),
    /// All of the type wait for the owner of the colony to approve them.
    NotApproved(String),
    /// There is none that would; the text says which there are.
    NoneFits(String),
    /// Those that would run other processes.
    AllBusy(String),
}

impl Workforce {
    /// The executors that a colony lists. `busy` are those that run something, if that is known.
    #[must_use]
    pub fn new(executors: &[Executor], is_paused: bool, busy: Option<Busy>) -> Self {
        let mut workforce = Self { is_paused, busy, ..Self::default() };
        for executor in executors {
            match executor.state {
                ExecutorState::Approved => {
                    let nodes = executor.capabilities.hardware.iter().map(|hardware| hardware.nodes).max();
                    let approved = Approved {
                        id: executor.id.clone(),
                        location: executor.location.clone(),
                        nodes: nodes.filter(|nodes| *nodes > 0),
                    };
                    let of_type = workforce.approved.entry(executor.executor_type.clone()).or_default();
                    of_type.insert(executor.name.clone(), approved);
                }
                ExecutorState::Pending => {
                    *workforce.pending.entry(executor.executor_type.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
        workforce
    }

    /// Adds what waits, in the order in which the server lists it: that in which it is taken.
    #[must_use]
    pub fn with_queue(mut self, waiting: &[Process]) -> Self {
        for process in waiting.iter().filter(|process| !process.waits_for_parents) {
            let queue = self.queues.entry(process.spec.conditions.executor_type.clone()).or_default();
            if queue.len() <= MOST_QUEUED {
                queue.push(process.id.clone());
            }
            let executor_type = process.spec.conditions.executor_type.clone();
            let (count, oldest) = self.waiting.entry(executor_type).or_insert((0, process.submitted_at));
            (*count, *oldest) = (*count + 1, process.submitted_at.min(*oldest));
        }
        self
    }

    /// How many of the processes that were listed wait for executors of each type, and since when the oldest of them.
    #[must_use]
    pub const fn waiting(&self) -> &BTreeMap<String, (usize, Timestamp)> {
        &self.waiting
    }

    /// Whether other executors may take work than in `before`, or all those of a type are busy that were not. Which of them run
    /// something otherwise changes all the time, and does not count.
    #[must_use]
    pub fn differs_from(&self, before: &Self) -> bool {
        (self.is_paused, &self.approved, &self.pending)
            != (before.is_paused, &before.approved, &before.pending)
            || !self.taken().is_subset(&before.taken())
    }

    /// The first processes of queues that have another place than in `before`.
    #[must_use]
    pub fn moved_since(&self, before: &Self) -> BTreeSet<&ProcessId> {
        let place = |workforce: &Self, executor_type: &str, id: &ProcessId| {
            workforce.queues.get(executor_type)?.iter().position(|queued| queued == id)
        };
        let all = self.queues.iter().flat_map(|(executor_type, queue)| {
            queue.iter().enumerate().map(move |(index, id)| (executor_type, index, id))
        });
        all.filter(|(executor_type, index, id)| place(before, executor_type, id) != Some(*index))
            .map(|(_, _, id)| id)
            .collect()
    }

    /// The places, by type and location, at which every executor runs something.
    fn taken(&self) -> BTreeSet<(&str, &str)> {
        let Some(busy) = &self.busy else { return BTreeSet::new() };
        let mut places: BTreeMap<(&str, &str), bool> = BTreeMap::new();
        for (executor_type, executors) in &self.approved {
            for executor in executors.values() {
                let is_busy = busy.contains_key(&executor.id);
                let place = (executor_type.as_str(), executor.location.as_str());
                places.entry(place).and_modify(|all| *all &= is_busy).or_insert(is_busy);
            }
        }
        places.into_iter().filter_map(|(place, is_busy)| is_busy.then_some(place)).collect()
    }

    /// Why no executor takes process `id` with these conditions in `colony`; none where one should.
    #[must_use]
    pub fn lack(&self, wanted: &Wanted<'_>, id: Option<&ProcessId>, colony: &str) -> Option<Lack> {
        let none = |text: String| Some(Lack::NoneFits(text));
        if self.is_paused {
            return Some(Lack::Paused(format!("assignments in colony {colony} are paused")));
        }
        let &Wanted { executor_type, names, location } = wanted;
        let Some(of_type) = self.approved.get(executor_type) else {
            return match self.pending.get(executor_type) {
                Some(count) => Some(Lack::NotApproved(format!(
                    "{count} of that type in colony {colony} wait for the owner of the colony to approve them"
                ))),
                None => none(format!("none is registered in colony {colony} ({})", there_are(self.types()))),
            };
        };
        let named: Vec<&Approved> = named(of_type, names).collect();
        if named.is_empty() {
            return none(format!(
                "none of the names {} is registered in colony {colony} ({})",
                listed(names.iter().map(String::as_str)),
                there_are(of_type.keys().map(String::as_str))
            ));
        }
        let there: Vec<&&Approved> = named.iter().filter(|executor| executor.is_at(location)).collect();
        if there.is_empty() {
            let places: BTreeSet<&str> = named
                .iter()
                .map(|executor| executor.location.as_str())
                .filter(|place| !place.is_empty())
                .collect();
            let elsewhere = if places.is_empty() {
                "they have no location".to_owned()
            } else {
                format!("they are at {}", listed(places.into_iter()))
            };
            return none(format!(
                "{} registered in colony {colony}, none at location {} ({elsewhere})",
                of_count(named.len()),
                location.unwrap_or_default()
            ));
        }
        let busy = self.busy.as_ref()?;
        let since: Vec<Option<Timestamp>> =
            there.iter().map(|executor| busy.get(&executor.id).copied()).collect::<Option<_>>()?;
        let who = match there.len() {
            1 => "the only one that fits is busy".to_owned(),
            2 => "both that fit are busy".to_owned(),
            count => format!("all {count} that fit are busy"),
        };
        let since = since.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        let since = since.map(|since| format!(" since {}", whole_second(since))).unwrap_or_default();
        let before = id.and_then(|id| self.before(executor_type, id));
        let before = before.map(|before| format!("; {before} before it in the queue")).unwrap_or_default();
        Some(Lack::AllBusy(format!("{who}{since}{before}")))
    }

    /// How many processes are before one in the queue, as a beginning of a sentence; none if that is not known.
    fn before(&self, executor_type: &str, id: &ProcessId) -> Option<String> {
        let queue = self.queues.get(executor_type)?;
        match queue.iter().position(|queued| queued == id) {
            Some(0) => Some("nothing is".to_owned()),
            Some(1) => Some("1 process is".to_owned()),
            Some(count) if count < MOST_QUEUED => Some(format!("{count} processes are")),
            None if queue.len() <= MOST_QUEUED => None,
            _ => Some(format!("{MOST_QUEUED} or more processes are")),
        }
    }

    /// The most nodes that an executor registers of those that fit, where all of them say.
    #[must_use]
    pub fn most_nodes(&self, wanted: &Wanted<'_>) -> Option<i64> {
        let of_type = self.approved.get(wanted.executor_type)?;
        let there = named(of_type, wanted.names).filter(|executor| executor.is_at(wanted.location));
        there.map(|executor| executor.nodes).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Whether an approved executor of a type is at a location.
    #[must_use]
    pub fn is_served(&self, executor_type: &str, location: &str) -> bool {
        let of_type = self.approved.get(executor_type);
        of_type.is_some_and(|of_type| of_type.values().any(|executor| executor.is_at(Some(location))))
    }

    /// The types that people may ask for.
    fn types(&self) -> impl Iterator<Item = &str> {
        let own = [CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE];
        self.approved.keys().map(String::as_str).filter(move |executor_type| !own.contains(executor_type))
    }
}

impl Approved {
    /// Whether it is where a process asks for, as the server compares.
    fn is_at(&self, location: Option<&str>) -> bool {
        location.is_none_or(|location| location.to_lowercase() == self.location.to_lowercase())
    }
}

/// Those that a process asks for by name; the server takes `*` for any.
fn named<'a>(
    of_type: &'a BTreeMap<String, Approved>,
    names: &'a [String],
) -> impl Iterator<Item = &'a Approved> {
    let is_any = names.is_empty() || names == ["*"];
    of_type.iter().filter(move |(name, _)| is_any || names.contains(name)).map(|(_, executor)| executor)
}

/// A moment as messages tell it.
#[must_use]
pub fn whole_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

fn of_count(count: usize) -> String {
    if count == 1 { "1 is".to_owned() } else { format!("{count} are") }
}

fn there_are<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let listed = listed(names);
    if listed.is_empty() { "there are none".to_owned() } else { format!("there are: {listed}") }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    let shown = all.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST_LISTED) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::function::ExecutorConditions;

    fn executor(number: u8, name: &str, executor_type: &str, location: &str, state: u8) -> Executor {
        serde_json::from_value(json!({
            "executorid": format!("{number:064x}"), "executorname": name, "executortype": executor_type,
            "colonyname": "dev", "state": state, "locationname": location,
            "commissiontime": "2026-11-21T09:58:00Z", "lastheardfromtime": "2026-11-21T09:58:00Z",
        }))
        .unwrap()
    }

    /// Those that are busy, each since a minute later than the one before.
    fn busy(numbers: &[u8]) -> Busy {
        let since = |number: &u8| format!("2026-11-21T14:{number:02}:00.5Z").parse().unwrap();
        let id = |number: &u8| Id::parse(&format!("{number:064x}")).unwrap();
        numbers.iter().map(|number| (id(number), Some(since(number)))).collect()
    }

    fn lack(workforce: &Workforce, conditions: serde_json::Value, numbers: &[u8]) -> Option<String> {
        let conditions: ExecutorConditions = serde_json::from_value(conditions).unwrap();
        let wanted = Wanted {
            executor_type: &conditions.executor_type,
            names: &conditions.executor_names,
            location: conditions.location.as_deref(),
        };
        let workforce = Workforce { busy: Some(busy(numbers)), ..workforce.clone() };
        workforce.lack(&wanted, Some(&ProcessId::new("p")), "dev").map(|lack| match lack {
            Lack::Paused(text) | Lack::NotApproved(text) | Lack::NoneFits(text) | Lack::AllBusy(text) => text,
        })
    }

    fn waiting(id: &str, executor_type: &str, is_blocked: bool) -> Process {
        serde_json::from_value(json!({
            "processid": id, "state": 0, "submissiontime": "2026-11-21T10:00:00Z", "waitforparents": is_blocked,
            "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": "l", "conditions": { "executortype": executor_type } },
        }))
        .unwrap()
    }

    #[test]
    fn what_keeps_a_process_from_being_taken_is_named() {
        let executors = [
            executor(1, "w-1", "worker", "earth", 1),
            executor(2, "w-2", "worker", "moon", 1),
            executor(3, "g-1", "gpu", "", 1),
            executor(4, "n-1", "new", "", 0),
            executor(5, "o-1", "old", "", 3),
            executor(6, "dev-operator", CONTROLLER_EXECUTOR_TYPE, "", 1),
        ];
        let workforce = Workforce::new(&executors, false, None);
        let says = |conditions, busy: &[u8]| lack(&workforce, conditions, busy).unwrap_or_default();
        assert_eq!(says(json!({ "executorType": "worker" }), &[1]), "");
        assert_eq!(
            says(json!({ "executorType": "wroker" }), &[]),
            "none is registered in colony dev (there are: gpu, worker)"
        );
        assert_eq!(
            says(json!({ "executorType": "old" }), &[]),
            "none is registered in colony dev (there are: gpu, worker)"
        );
        assert_eq!(
            says(json!({ "executorType": "new" }), &[]),
            "1 of that type in colony dev wait for the owner of the colony to approve them"
        );
        assert_eq!(
            says(json!({ "executorType": "worker", "location": "mars" }), &[]),
            "2 are registered in colony dev, none at location mars (they are at earth, moon)"
        );
        assert_eq!(
            says(json!({ "executorType": "gpu", "location": "mars" }), &[]),
            "1 is registered in colony dev, none at location mars (they have no location)"
        );
        assert_eq!(
            says(json!({ "executorType": "worker", "executorNames": ["w-3"] }), &[]),
            "none of the names w-3 is registered in colony dev (there are: w-1, w-2)"
        );
        assert_eq!(
            says(json!({ "executorType": "worker" }), &[1, 2]),
            "both that fit are busy since 2026-11-21T14:02:00Z"
        );
        for location in ["moon", "Moon"] {
            assert_eq!(
                says(json!({ "executorType": "worker", "location": location }), &[2]),
                "the only one that fits is busy since 2026-11-21T14:02:00Z",
                "the server does not look at case"
            );
        }
        assert_eq!(says(json!({ "executorType": "worker", "executorNames": ["*"] }), &[]), "");
        let paused = Workforce::new(&executors, true, None);
        let all = json!({ "executorType": "worker" });
        assert_eq!(lack(&paused, all, &[]).unwrap(), "assignments in colony dev are paused");
        let none = Workforce::new(&[], false, None);
        let says = lack(&none, json!({ "executorType": "worker" }), &[]).unwrap();
        assert_eq!(says, "none is registered in colony dev (there are none)");
        let many: Vec<Executor> = (0..20)
            .map(|number| executor(number, &format!("e{number}"), &format!("t{number:02}"), "", 1))
            .collect();
        let says = lack(&Workforce::new(&many, false, None), json!({ "executorType": "x" }), &[]).unwrap();
        assert!(says.ends_with("t06, t07 and 12 more)"), "{says}");
    }

    #[test]
    fn the_place_in_the_queue_is_said_as_far_as_it_is_known() {
        let executors = [executor(1, "w-1", "worker", "", 1)];
        let says = |ahead: usize, is_listed: bool| {
            let mut queue = vec![waiting("child", "worker", true), waiting("other", "gpu", false)];
            queue.extend((0..ahead).map(|number| waiting(&number.to_string(), "worker", false)));
            queue.extend(is_listed.then(|| waiting("p", "worker", false)));
            let workforce = Workforce::new(&executors, false, None).with_queue(&queue);
            let says = lack(&workforce, json!({ "executorType": "worker" }), &[1]).unwrap();
            says.strip_prefix("the only one that fits is busy since 2026-11-21T14:01:00Z").unwrap().to_owned()
        };
        assert_eq!(says(0, true), "; nothing is before it in the queue");
        assert_eq!(says(1, true), "; 1 process is before it in the queue");
        assert_eq!(says(9, true), "; 9 processes are before it in the queue");
        assert_eq!(says(10, true), "; 10 or more processes are before it in the queue");
        assert_eq!(says(12, true), "; 10 or more processes are before it in the queue");
        assert_eq!(says(12, false), "; 10 or more processes are before it in the queue");
        assert_eq!(says(3, false), "", "it was submitted since, or the list was cut");
    }

    /// Each object that is woken may cost a write.
    #[test]
    fn objects_are_woken_for_what_they_say_and_for_nothing_else() {
        let executors = [executor(1, "w-1", "worker", "", 1), executor(2, "w-2", "worker", "", 1)];
        let of = |numbers: &[u8], queue: &[&str]| {
            let queue: Vec<Process> = queue.iter().map(|id| waiting(id, "worker", false)).collect();
            Workforce::new(&executors, false, Some(busy(numbers))).with_queue(&queue)
        };
        let one_busy = of(&[1], &["a", "b"]);
        assert!(!of(&[2], &["a", "b"]).differs_from(&one_busy));
        assert!(of(&[1, 2], &["a", "b"]).differs_from(&one_busy));
        assert!(!one_busy.differs_from(&of(&[1, 2], &["a", "b"])), "one will be taken");
        let moved = |now: &[&str]| {
            let now = of(&[1], now);
            now.moved_since(&one_busy).into_iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(moved(&["a", "b"]), [""; 0]);
        assert_eq!(moved(&["b"]), ["b"]);
        assert_eq!(moved(&["a", "b", "c"]), ["c"]);
        assert_eq!(moved(&["c", "a", "b"]), ["a", "b", "c"]);
    }

    #[test]
    fn the_largest_executor_counts_only_where_all_that_fit_say_how_large_they_are() {
        let sized = |number, location, nodes: i64| {
            let mut executor = executor(number, &format!("e-{number}"), "hpc", location, 1);
            executor.capabilities.hardware = vec![crate::colony::Hardware { nodes }];
            executor
        };
        let most = |executors: &[Executor], location| {
            let wanted = Wanted { executor_type: "hpc", names: &[], location };
            Workforce::new(executors, false, None).most_nodes(&wanted)
        };
        assert_eq!(most(&[sized(1, "", 2), sized(2, "moon", 8)], None), Some(8));
        assert_eq!(most(&[sized(1, "earth", 2), sized(2, "moon", 8)], Some("earth")), Some(2));
        assert_eq!(most(&[sized(1, "", 2), sized(2, "", 0)], None), None);
        assert_eq!(most(&[], None), None);
    }
}
