//! Whose turn it is.

use crate::api::request_state::State;

/// Who owns the next transition of a request, and so may write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Whoever does the jobs.
    Worker,
    /// Whoever decides which job comes next.
    Director,
    /// Nobody: it has ended, and writing to it disturbs nobody.
    Finished,
}

/// Whose turn it is in `state`, if `goes_on` says whether another job follows this state.
#[must_use]
pub fn turn(state: State, goes_on: bool) -> Turn {
    match state {
        State::Requested | State::Started => Turn::Worker,
        State::Completed | State::Failed if goes_on => Turn::Director,
        State::Completed | State::Failed | State::Cancelled => Turn::Finished,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_cancelled_has_ended_whatever_its_flow_says() {
        assert_eq!(
            State::ALL.map(|state| turn(state, true)),
            [Turn::Worker, Turn::Worker, Turn::Director, Turn::Director, Turn::Finished]
        );
        assert_eq!(
            State::ALL.map(|state| turn(state, false)),
            [Turn::Worker, Turn::Worker, Turn::Finished, Turn::Finished, Turn::Finished]
        );
    }
}
