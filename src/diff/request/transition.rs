//! The table of transitions. The CRD has the same rules in CEL, and a test on a real API server keeps both equal.

use crate::api::request_state::{Position, State};

/// A transition that may not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{from} cannot become {to}: {remedy}")]
pub struct Illegal {
    pub from: Position,
    /// Where it was to go.
    pub to: Position,
    /// What may be done instead.
    pub remedy: &'static str,
}

/// Whether a request may go from one position to another. Staying is no transition, and is allowed.
///
/// # Errors
///
/// When it may not; with what it may do instead.
pub fn check(from: &Position, to: &Position) -> Result<(), Illegal> {
    let remedy = if from == to {
        return Ok(());
    } else {
        match (from.state, to.state, from.job == to.job) {
            (State::Requested, State::Started | State::Failed | State::Cancelled, true)
            | (State::Started, State::Completed | State::Failed | State::Cancelled, true)
            | (State::Completed, State::Requested, false)
            | (State::Failed, State::Requested, _) => return Ok(()),
            (State::Requested, _, true) => "set STARTED, FAILED or CANCELLED",
            (State::Started, _, true) => "set COMPLETED, FAILED or CANCELLED",
            (State::Requested | State::Started, _, false) => {
                "name another job once this one is COMPLETED or FAILED"
            }
            (State::Completed, _, _) => "set REQUESTED and another job",
            (State::Failed, _, _) => "set REQUESTED, with the same job or another",
            (State::Cancelled, _, _) => "create another RequestState",
        }
    };
    Err(Illegal { from: from.clone(), to: to.clone(), remedy })
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    fn legal(from: (&str, State)) -> Vec<String> {
        let from = Position::new(from.0, from.1);
        let all = ["A", "B"]
            .into_iter()
            .flat_map(|job| State::VARIANTS.iter().map(move |state| Position::new(job, *state)));
        all.filter(|to| *to != from && check(&from, to).is_ok()).map(|to| to.to_string()).collect()
    }

    #[test]
    fn each_state_has_its_successors_and_no_others() {
        assert_eq!(legal(("A", State::Requested)), ["A STARTED", "A FAILED", "A CANCELLED"]);
        assert_eq!(legal(("A", State::Started)), ["A COMPLETED", "A FAILED", "A CANCELLED"]);
        assert_eq!(legal(("A", State::Completed)), ["B REQUESTED"]);
        assert_eq!(legal(("A", State::Failed)), ["A REQUESTED", "B REQUESTED"]);
        assert_eq!(legal(("A", State::Cancelled)), [""; 0]);
    }
}
