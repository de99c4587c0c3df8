//! Which rungs share a stack of servers.
//!
//! Rungs whose tests look after the whole cluster, or stop its servers, cannot run while others use it: they have a stack
//! of their own, and follow when the other is down.

use super::rung::{Needs, Rung};
use crate::cluster::Which;

/// The programs of interop and the operator of e2e look after the whole cluster, and faults takes servers away.
const ALONE: [Rung; 3] = [Rung::Interop, Rung::Faults, Rung::E2e];
/// Those that use the servers side by side.
const TOGETHER: [Rung; 3] = [Rung::Conformance, Rung::Colony, Rung::Apiserver];
/// Those that use no servers: what finds most in the shortest time comes first.
pub const BESIDE: [Rung; 4] = [Rung::Unit, Rung::Golden, Rung::Chart, Rung::Simulation];
/// What is added to the name of the stack of [`ALONE`].
const SUFFIX: &str = "-alone";

/// Rungs that run on the same stack.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The stack.
    pub which: Which,
    /// The rungs.
    pub rungs: Vec<Rung>,
}

impl Lane {
    /// What its rungs need.
    pub fn needs(&self) -> Needs {
        Needs::of(&self.rungs)
    }

    /// Rungs that run one after the other, beside each other list.
    pub fn sequences() -> [Vec<Rung>; 2] {
        let [conformance, colony, apiserver] = TOGETHER;
        [vec![conformance, colony], [&[apiserver], &ALONE[..]].concat()]
    }
}

/// Spreads rungs over stacks: two where both kinds are chosen, unless the servers are existing ones.
pub fn spread(rungs: &[Rung], which: &Which, is_own: bool) -> Vec<Lane> {
    let has = |some: &[Rung]| rungs.iter().any(|rung| some.contains(rung));
    if !is_own || !has(&ALONE) || !has(&TOGETHER) {
        return vec![Lane { which: which.clone(), rungs: rungs.to_vec() }];
    }
    let (alone, others) = rungs.iter().partition(|rung| ALONE.contains(rung));
    let second = Which { name: format!("{}{SUFFIX}", which.name), state: which.state.clone() };
    vec![Lane { which: which.clone(), rungs: others }, Lane { which: second, rungs: alone }]
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn spread_out(rungs: &[Rung], is_own: bool) -> Vec<(String, Vec<Rung>)> {
        let which = Which { name: "test".to_owned(), state: None };
        spread(rungs, &which, is_own).into_iter().map(|lane| (lane.which.name, lane.rungs)).collect()
    }

    #[test]
    fn rungs_that_need_the_cluster_alone_have_one_of_their_own() {
        let all = Rung::value_variants();
        let [(first, others), (second, alone)] = spread_out(all, true).try_into().unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("test", "test-alone"));
        assert_eq!(alone, ALONE);
        assert_eq!(others.len() + alone.len(), all.len());
    }

    #[test]
    fn one_stack_is_enough_for_one_kind_and_all_there_is_where_servers_are_brought() {
        let few = [Rung::Unit, Rung::Interop, Rung::E2e];
        assert_eq!(spread_out(&few, true), [("test".to_owned(), few.to_vec())]);
        let all = Rung::value_variants();
        assert_eq!(spread_out(all, false), [("test".to_owned(), all.to_vec())]);
    }

    #[test]
    fn every_rung_with_servers_is_in_one_sequence() {
        let all = Lane::sequences().concat();
        for rung in Rung::value_variants().iter().filter(|rung| rung.needs().servers) {
            assert_eq!(all.iter().filter(|other| *other == rung).count(), 1, "{rung:?}");
        }
    }
}
