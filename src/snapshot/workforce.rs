//! Who could take work in a colony, as the colony was last asked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE},
    colony::{Executor, ExecutorState, Id},
};

/// How many types, names or locations a message lists.
const MOST_LISTED: usize = 8;

/// The executors of a colony.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workforce {
    /// Whether the owner of the colony has paused assignments.
    pub is_paused: bool,
    /// The approved ones, by type and name.
    approved: BTreeMap<String, BTreeMap<String, Approved>>,
    /// How many of each type wait for the owner of the colony to approve them.
    pending: BTreeMap<String, usize>,
    /// Those that run something, if that is known.
    busy: Option<BTreeSet<Id>>,
}

/// An executor that may take work.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Approved {
    id: Id,
    /// Empty when it has none.
    location: String,
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
    /// There is none that would; the text says which there are.
    NoneFits(String),
    /// Those that would run other processes.
    AllBusy(String),
}

impl Workforce {
    /// The executors that a colony lists. `busy` are those that run something, if that is known.
    #[must_use]
    pub fn new(executors: &[Executor], is_paused: bool, busy: Option<BTreeSet<Id>>) -> Self {
        let mut workforce = Self { is_paused, busy, ..Self::default() };
        for executor in executors {
            match executor.state {
                ExecutorState::Approved => {
                    let approved = Approved { id: executor.id.clone(), location: executor.location.clone() };
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

    /// Whether other executors may take work than in `other`. Which of them run something changes all the time, and does not count.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        (self.is_paused, &self.approved, &self.pending) != (other.is_paused, &other.approved, &other.pending)
    }

    /// Why no executor takes a process with these conditions in `colony`; none where one should.
    #[must_use]
    pub fn lack(&self, wanted: &Wanted<'_>, colony: &str) -> Option<Lack> {
        let none = |text: String| Some(Lack::NoneFits(text));
        if self.is_paused {
            return none(format!("assignments in colony {colony} are paused"));
        }
        let &Wanted { executor_type, names, location } = wanted;
        let Some(of_type) = self.approved.get(executor_type) else {
            return none(match self.pending.get(executor_type) {
                Some(count) => {
                    format!(
                        "{count} of that type in colony {colony} wait for the owner of the colony to approve them"
                    )
                }
                None => format!("none is registered in colony {colony} ({})", there_are(self.types())),
            });
        };
        let named: Vec<(&String, &Approved)> =
            of_type.iter().filter(|(name, _)| names.is_empty() || names.contains(name)).collect();
        if named.is_empty() {
            return none(format!(
                "none of the names {} is registered in colony {colony} ({})",
                listed(names.iter().map(String::as_str)),
                there_are(of_type.keys().map(String::as_str))
            ));
        }
        let there: Vec<&(&String, &Approved)> = named
            .iter()
            .filter(|(_, executor)| location.is_none_or(|location| location == executor.location))
            .collect();
        if there.is_empty() {
            let places: BTreeSet<&str> = named
                .iter()
                .map(|(_, executor)| executor.location.as_str())
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
        there.iter().all(|(_, executor)| busy.contains(&executor.id)).then(|| {
            Lack::AllBusy(match there.len() {
                1 => "the only one that fits runs another process".to_owned(),
                count => format!("all {count} that fit run other processes"),
            })
        })
    }

    /// The types that people may ask for.
    fn types(&self) -> impl Iterator<Item = &str> {
        let own = [CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE];
        self.approved.keys().map(String::as_str).filter(move |executor_type| !own.contains(executor_type))
    }
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

    fn lack(workforce: &Workforce, conditions: serde_json::Value, busy: &[u8]) -> Option<String> {
        let conditions: ExecutorConditions = serde_json::from_value(conditions).unwrap();
        let wanted = Wanted {
            executor_type: &conditions.executor_type,
            names: &conditions.executor_names,
            location: conditions.location.as_deref(),
        };
        let busy = busy.iter().map(|number| Id::parse(&format!("{number:064x}")).unwrap()).collect();
        let workforce = Workforce { busy: Some(busy), ..workforce.clone() };
        workforce.lack(&wanted, "dev").map(|lack| match lack {
            Lack::NoneFits(text) | Lack::AllBusy(text) => text,
        })
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
        assert_eq!(says(json!({ "executorType": "worker" }), &[1, 2]), "all 2 that fit run other processes");
        assert_eq!(
            says(json!({ "executorType": "worker", "location": "moon" }), &[2]),
            "the only one that fits runs another process"
        );
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
}
