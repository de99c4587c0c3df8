//! What a director does next: the role that decides which job follows.

use super::{Turn, turn};
use crate::api::request_state::State;

/// A director's next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectorStep<'a> {
    /// Nothing: it is another party's turn.
    Wait,
    /// Complete the history, then request this job.
    Request(&'a str),
    /// The request has ended: complete the history and record it.
    Finish,
}

/// The next step for a request in `state`, after which the flow wants `next`. One that is being deleted is left
/// unchanged; one that is paused goes no further.
#[must_use]
pub fn direct(state: State, next: Option<&str>, is_deleted: bool, is_paused: bool) -> DirectorStep<'_> {
    match (turn(state, next.is_some()), next) {
        (_, _) if is_deleted => DirectorStep::Wait,
        (Turn::Director, Some(job)) if !is_paused => DirectorStep::Request(job),
        (Turn::Finished, _) => DirectorStep::Finish,
        (Turn::Director | Turn::Worker, _) => DirectorStep::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_director_keeps_its_hands_off_while_a_worker_is_at_it() {
        assert_eq!(direct(State::Requested, Some("B"), false, false), DirectorStep::Wait);
        assert_eq!(direct(State::Started, None, false, false), DirectorStep::Wait);
        assert_eq!(direct(State::Completed, Some("B"), false, false), DirectorStep::Request("B"));
        assert_eq!(direct(State::Completed, Some("B"), true, false), DirectorStep::Wait);
        assert_eq!(direct(State::Completed, Some("B"), false, true), DirectorStep::Wait);
        assert_eq!(direct(State::Completed, None, false, false), DirectorStep::Finish);
        assert_eq!(direct(State::Completed, None, false, true), DirectorStep::Finish);
        assert_eq!(direct(State::Cancelled, Some("B"), false, false), DirectorStep::Finish);
    }
}
