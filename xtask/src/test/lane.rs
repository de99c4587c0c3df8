//! Which rungs share a stack of servers.
//!
//! Rungs whose tests look after the whole cluster, or stop its servers, cannot run while others use it: they have stacks
//! of their own, and follow when the first one is down.

use super::rung::{Needs, Rung};
use crate::cluster::Which;

/// The programs of interop and the operator of e2e look after the whole cluster: one after the other.
const ALONE: [Rung; 2] = [Rung::Interop, Rung::E2e];
/// It takes servers away, and leaves half of the processors idle meanwhile: beside those.
const TAKES_AWAY: Rung = Rung::Faults;
/// Those that use the servers side by side.
const TOGETHER: [Rung; 3] = [Rung::Conformance, Rung::Colony, Rung::Apiserver];
/// Those that use no servers: what finds most in the shortest time comes first.
pub const BESIDE: [Rung; 4] = [Rung::Unit, Rung::Golden, Rung::Chart, Rung::Simulation];
/// What is added to the name of the stack of [`ALONE`].
const SUFFIX: &str = "-alone";
/// The same of [`TAKES_AWAY`].
const SUFFIX_TAKES_AWAY: &str = "-faults";

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
        [vec![conformance, colony], [&[apiserver], &ALONE[..], &[TAKES_AWAY]].concat()]
    }
}

/// Spreads rungs over stacks, one for each of the three sorts that is chosen, unless the servers are existing ones. What
/// stands in one list runs side by side, and before the next list.
pub fn spread(rungs: &[Rung], which: &Which, is_own: bool) -> Vec<Vec<Lane>> {
    let is_alone = |rung: Rung| ALONE.contains(&rung);
    let of = |suffix: &str, sort: &dyn Fn(Rung) -> bool| {
        let which = Which { name: format!("{}{suffix}", which.name), state: which.state.clone() };
        let rungs: Vec<Rung> = rungs.iter().copied().filter(|rung| sort(*rung)).collect();
        (!rungs.is_empty()).then_some(Lane { which, rungs })
    };
    let together = of("", &|rung| !is_alone(rung) && rung != TAKES_AWAY);
    let alone = of(SUFFIX, &is_alone);
    let takes_away = of(SUFFIX_TAKES_AWAY, &|rung| rung == TAKES_AWAY);
    let is_one_sort = [&together, &alone, &takes_away].iter().filter(|lane| lane.is_some()).count() == 1;
    if !is_own || is_one_sort {
        return vec![vec![Lane { which: which.clone(), rungs: rungs.to_vec() }]];
    }
    let rounds = [together.into_iter().collect(), alone.into_iter().chain(takes_away).collect()];
    rounds.into_iter().filter(|round: &Vec<Lane>| !round.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn spread_out(rungs: &[Rung], is_own: bool) -> Vec<Vec<(String, Vec<Rung>)>> {
        let which = Which { name: "test".to_owned(), state: None };
        let lane = |lane: Lane| (lane.which.name, lane.rungs);
        let round = |round: Vec<Lane>| round.into_iter().map(lane).collect();
        spread(rungs, &which, is_own).into_iter().map(round).collect()
    }

    #[test]
    fn rungs_that_need_the_cluster_alone_have_stacks_of_their_own() {
        let all = Rung::value_variants();
        let rounds = spread_out(all, true);
        let [first, second] = rounds.as_slice() else { panic!("{rounds:?}") };
        let names: Vec<&str> = first.iter().chain(second).map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["test", "test-alone", "test-faults"]);
        assert_eq!((second[0].1.as_slice(), second[1].1.as_slice()), (&ALONE[..], &[TAKES_AWAY][..]));
        assert_eq!(first[0].1.len() + 3, all.len());
        assert_eq!(spread_out(&[Rung::Faults, Rung::E2e], true).len(), 1, "side by side");
    }

    #[test]
    fn one_stack_is_enough_for_one_kind_and_all_there_is_where_servers_are_brought() {
        let few = [Rung::Interop, Rung::E2e];
        assert_eq!(spread_out(&few, true), [[("test".to_owned(), few.to_vec())]]);
        let all = Rung::value_variants();
        assert_eq!(spread_out(all, false), [[("test".to_owned(), all.to_vec())]]);
    }

    #[test]
    fn every_rung_with_servers_is_in_one_sequence() {
        let all = Lane::sequences().concat();
        for rung in Rung::value_variants().iter().filter(|rung| rung.needs().servers) {
            assert_eq!(all.iter().filter(|other| *other == rung).count(), 1, "{rung:?}");
        }
    }
}
