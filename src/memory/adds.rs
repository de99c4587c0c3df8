//! Which executors, blueprints and definitions this process has tried to add to a colony, so that it knows when an add whose answer never
//! came can no longer arrive. A second add of the same is refused; one that arrives after the end of its object stays.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::submissions::quiet_period;

/// How many are remembered before the first look for those that no longer matter.
const PRUNED_FROM: usize = 256;

/// What may have an add on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Added {
    /// An executor, by the names of the `Colony` and its own.
    Executor(String, String),
    /// A blueprint, by the names of the `Colony` and its own.
    Blueprint(String, String),
    /// A definition of blueprints, by the names of the `Colony` and its own.
    Definition(String, String),
}

/// Adds of this process.
#[derive(Clone, Default)]
pub struct Adds {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    by_name: HashMap<Added, Add>,
    prune_at: usize,
}

#[derive(Clone, Copy)]
enum Add {
    /// It was sent then, and there is no answer.
    Sent { at: Timestamp },
    /// At that moment nothing was on its way: the add was answered, or what it added was removed.
    Settled { at: Timestamp },
}

impl Add {
    const fn at(self) -> Timestamp {
        match self {
            Self::Sent { at } | Self::Settled { at } => at,
        }
    }
}

impl Adds {
    /// Notes that an add is about to be sent.
    pub fn sent(&self, added: Added, at: Timestamp) {
        self.put(added, Add::Sent { at });
    }

    /// Notes that it is there, or was: an add that arrives later is refused, or was followed by a removal.
    pub fn settled(&self, added: Added, at: Timestamp) {
        self.put(added, Add::Settled { at });
    }

    /// Until when an add may still arrive, in the term of leadership that began at `term`.
    #[must_use]
    pub fn in_flight_until(&self, added: &Added, term: Timestamp) -> Option<Timestamp> {
        let from = match self.state.lock().by_name.get(added) {
            Some(Add::Settled { at }) if *at >= term => return None,
            Some(Add::Sent { at }) => (*at).max(term),
            // Another process may have sent one up to the moment at which this one took over.
            Some(Add::Settled { .. }) | None => term,
        };
        from.checked_add(quiet_period()).ok()
    }

    fn put(&self, added: Added, add: Add) {
        let mut state = self.state.lock();
        state.by_name.insert(added, add);
        if state.by_name.len() >= state.prune_at.max(PRUNED_FROM) {
            // What is older than the quiet period says no more than that nothing is known.
            state.by_name.retain(|_, other| add.at().duration_since(other.at()) <= quiet_period());
            state.prune_at = state.by_name.len().saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn executor(name: &str) -> Added {
        Added::Executor("dev".to_owned(), name.to_owned())
    }

    #[test]
    fn only_what_was_settled_in_this_term_is_known_not_to_be_on_its_way() {
        let (adds, added) = (Adds::default(), executor("a"));
        assert_eq!(adds.in_flight_until(&added, at(100)), Some(at(115)), "of an earlier process");
        adds.sent(added.clone(), at(130));
        assert_eq!(adds.in_flight_until(&added, at(100)), Some(at(145)));
        assert_eq!(adds.in_flight_until(&added, at(200)), Some(at(215)), "of another leader since");
        adds.settled(added.clone(), at(131));
        assert_eq!(adds.in_flight_until(&added, at(100)), None);
        assert_eq!(adds.in_flight_until(&added, at(200)), Some(at(215)));
        let blueprint = Added::Blueprint("dev".to_owned(), "a".to_owned());
        assert_eq!(adds.in_flight_until(&blueprint, at(100)), Some(at(115)), "another thing of that name");
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let adds = Adds::default();
        for number in 0..10_000 {
            adds.sent(executor(&number.to_string()), at(number));
        }
        assert!(adds.state.lock().by_name.len() <= PRUNED_FROM);
        assert_eq!(adds.in_flight_until(&executor("9999"), at(0)), Some(at(10_014)));
        assert!(adds.in_flight_until(&executor("1"), at(0)) <= Some(at(16)), "which is long over");
    }
}
