//! What an object comes to as a whole, and which conditions follow from it. Pure.

use super::condition::Finding;
use crate::api::condition::{ConditionType, Reason};

/// What an object comes to as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Summary {
    /// It is as it should be.
    Ready,
    /// Nothing more happens to it, and it is not ready: policies or its spec want it so, or it has ended.
    Settled,
    /// It is on its way.
    Progressing,
    /// It cannot recover without intervention.
    Degraded,
    /// The colony cannot be asked.
    Unknown,
}

/// What the conditions say of each, in the order of [`CONDITIONS`]; none where that is not known.
const TABLE: [(Summary, [Option<bool>; 3]); 5] = [
    (Summary::Ready, [Some(false), Some(false), Some(true)]),
    (Summary::Settled, [Some(false), Some(false), Some(false)]),
    (Summary::Progressing, [Some(true), Some(false), Some(false)]),
    (Summary::Degraded, [Some(false), Some(true), Some(false)]),
    (Summary::Unknown, [None, Some(false), None]),
];

const CONDITIONS: [ConditionType; 3] =
    [ConditionType::Progressing, ConditionType::Degraded, ConditionType::Ready];

impl Summary {
    /// The conditions. `why` gives the reason and the message of each.
    pub fn findings(self, why: impl Fn(ConditionType) -> (Reason, String)) -> Vec<Finding> {
        let rows = TABLE.iter().filter(|(summary, _)| *summary == self).flat_map(|(_, row)| row);
        let finding = |(kind, holds): (ConditionType, &Option<bool>)| {
            let (reason, message) = why(kind);
            Finding { kind, holds: *holds, reason, message }
        };
        CONDITIONS.into_iter().zip(rows).map(finding).collect()
    }

    /// The conditions, which all say the same.
    pub fn alike(self, reason: Reason, message: &str) -> Vec<Finding> {
        self.findings(|_| (reason, message.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_summary_has_its_row_and_nothing_is_ready_and_on_its_way() {
        for summary in
            [Summary::Ready, Summary::Settled, Summary::Progressing, Summary::Degraded, Summary::Unknown]
        {
            let findings = summary.alike(Reason::Reconciled, "m");
            assert_eq!(findings.len(), 3, "{summary:?}");
            let true_ones = findings.iter().filter(|finding| finding.holds == Some(true)).count();
            assert!(true_ones <= 1, "{summary:?}");
        }
    }
}
