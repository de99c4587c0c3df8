//! What to do about a lease, given what was observed of it; pure.
//!
//! As in client-go's leader election, the times written in another holder's record are never compared with the own
//! clock: a record counts as alive for its duration after this process *saw it change*.

use std::time::{Duration, Instant};

/// The parts of a Lease that the decision needs, as read from the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The holder of the lease; empty when it was released.
    pub holder: String,
    /// How long the holder asked others to wait after a renewal; `None` when the record does not say.
    pub duration: Option<Duration>,
    /// The version that a write must name to replace exactly this record.
    pub resource_version: String,
    /// How often the holder has changed.
    pub transitions: i32,
}

/// A record and the moment at which this process first saw it in this state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub record: Record,
    /// When it was first seen, by the monotonic clock.
    pub since: Instant,
}

impl Observation {
    /// Takes in a fresh reading: the moment moves only if the record has changed since `before`.
    #[must_use]
    pub fn of(record: Record, before: Option<&Self>, now: Instant) -> Self {
        match before {
            Some(before) if before.record == record => before.clone(),
            _ => Self { record, since: now },
        }
    }
}

/// What a candidate does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no lease: create it in the own name.
    Create,
    Renew,
    /// The lease was released or its holder fell silent: take it.
    Take,
    /// Another replica holds it, at least until this moment.
    Wait {
        /// When the lease runs out unless it is seen to change before.
        until: Instant,
    },
}

/// Decides for the candidate `identity`; `own_duration` stands in for a record that names no duration.
#[must_use]
pub fn decide(
    identity: &str,
    observed: Option<&Observation>,
    now: Instant,
    own_duration: Duration,
) -> Decision {
    let Some(observation) = observed else { return Decision::Create };
    let record = &observation.record;
    if record.holder == identity {
        return Decision::Renew;
    }
    if record.holder.is_empty() {
        return Decision::Take;
    }
    let until = observation.since + record.duration.unwrap_or(own_duration);
    if now < until { Decision::Wait { until } } else { Decision::Take }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock::Clock;

    const OWN: Duration = Duration::from_secs(15);

    fn record(holder: &str, seconds: Option<u64>, version: &str) -> Record {
        Record {
            holder: holder.to_owned(),
            duration: seconds.map(Duration::from_secs),
            resource_version: version.to_owned(),
            transitions: 3,
        }
    }

    /// The whole table: who holds the lease, how long ago it was seen to change, what follows.
    #[test]
    fn decisions() {
        let since = Clock::system().instant();
        let at = |seconds: u64| since + Duration::from_secs(seconds);
        let seen = |holder, seconds| Some(Observation { record: record(holder, seconds, "7"), since });
        let cases = [
            ("no lease", None, 0, Decision::Create),
            ("own, fresh", seen("me", Some(15)), 1, Decision::Renew),
            (
                "own, long silent: it was not taken, the swap will tell",
                seen("me", Some(15)),
                99,
                Decision::Renew,
            ),
            ("released", seen("", Some(15)), 0, Decision::Take),
            ("released, the way client-go does", seen("", Some(1)), 0, Decision::Take),
            ("other, just seen", seen("other", Some(15)), 0, Decision::Wait { until: at(15) }),
            ("other, last moment", seen("other", Some(15)), 14, Decision::Wait { until: at(15) }),
            ("other, run out", seen("other", Some(15)), 15, Decision::Take),
            (
                "other asks for more than we would",
                seen("other", Some(60)),
                59,
                Decision::Wait { until: at(60) },
            ),
            ("other asks for less than we would", seen("other", Some(5)), 5, Decision::Take),
            (
                "other says nothing: our own duration",
                seen("other", None),
                14,
                Decision::Wait { until: at(15) },
            ),
            ("other says nothing, run out", seen("other", None), 15, Decision::Take),
            ("a longer name is another holder", seen("me-2", Some(15)), 1, Decision::Wait { until: at(15) }),
        ];
        for (name, observed, seconds, expected) in cases {
            assert_eq!(decide("me", observed.as_ref(), at(seconds), OWN), expected, "{name}");
        }
    }

    /// A candidate that has only just come must wait a whole duration: how old the record is, it cannot know.
    #[test]
    fn only_a_change_restarts_the_wait() {
        let start = Clock::system().instant();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let first = Observation::of(record("other", Some(15), "7"), None, at(0));
        let unchanged = Observation::of(record("other", Some(15), "7"), Some(&first), at(14));
        assert_eq!(decide("me", Some(&unchanged), at(15), OWN), Decision::Take);
        let renewed = Observation::of(record("other", Some(15), "8"), Some(&unchanged), at(14));
        assert_eq!(decide("me", Some(&renewed), at(15), OWN), Decision::Wait { until: at(29) });
    }
}
