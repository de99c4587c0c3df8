//! Which executors, blueprints and definitions this process has tried to add to a colony, and which CRDs to the cluster, so that it knows when an add whose answer never
//! came can no longer arrive. A second add of the same is refused; one that arrives after the end of its object stays.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use super::{pruned::Pruned, submissions::quiet_period};

/// What may have an add on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Added {
    /// An executor, by the names of the `Colony` and its own.
    Executor(String, String),
    /// A blueprint, by the names of the `Colony` and its own.
    Blueprint(String, String),
    /// A definition of blueprints, by the names of the `Colony` and its own.
    Definition(String, String),
    /// The CRD of a user's kind, by its name.
    Crd(String),
}

/// Adds of this process.
#[derive(Clone, Default)]
pub struct Adds {
    last: Arc<Mutex<Pruned<Added, Add>>>,
}

#[derive(Clone, Copy)]
enum Add {
    /// It was sent then, and there is no answer.
    Sent { at: Instant },
    /// At that moment nothing was on its way: the add was answered, or what it added was removed.
    Settled { at: Instant },
}

impl Add {
    const fn at(self) -> Instant {
        match self {
            Self::Sent { at } | Self::Settled { at } => at,
        }
    }
}

impl Adds {
    /// Notes that an add is about to be sent.
    pub fn sent(&self, added: Added, at: Instant) {
        self.put(added, Add::Sent { at });
    }

    /// Notes that it is there, or was: an add that arrives later is refused, or was followed by a removal.
    pub fn settled(&self, added: Added, at: Instant) {
        self.put(added, Add::Settled { at });
    }

    /// Until when an add may still arrive, where no other process can have sent one since `alone_since`.
    #[must_use]
    pub fn in_flight_until(&self, added: &Added, alone_since: Instant) -> Option<Instant> {
        let from = match self.last.lock().get(added) {
            Some(Add::Settled { at }) if *at >= alone_since => return None,
            Some(Add::Sent { at }) => (*at).max(alone_since),
            // Another process may have sent one up to the moment at which this one took over.
            Some(Add::Settled { .. }) | None => alone_since,
        };
        from.checked_add(quiet_period())
    }

    fn put(&self, added: Added, add: Add) {
        // What is older than the quiet period says no more than that nothing is known.
        let matters = |other: &Add| add.at().saturating_duration_since(other.at()) <= quiet_period();
        self.last.lock().insert(added, add, matters);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |second| start + Duration::from_secs(second)
    }

    fn executor(name: &str) -> Added {
        Added::Executor("dev".to_owned(), name.to_owned())
    }

    #[test]
    fn only_what_was_settled_since_is_known_not_to_be_on_its_way() {
        let (adds, added, at) = (Adds::default(), executor("a"), clock());
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
        let (adds, at) = (Adds::default(), clock());
        for number in 0..10_000 {
            adds.sent(executor(&number.to_string()), at(number));
        }
        assert!(adds.last.lock().get(&executor("1")).is_none());
        assert_eq!(adds.in_flight_until(&executor("9999"), at(0)), Some(at(10_014)));
        assert!(adds.in_flight_until(&executor("1"), at(0)) <= Some(at(16)), "which is long over");
    }
}
