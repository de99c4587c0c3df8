//! Whose turn it is.

use crate::api::request_state::State;

/// Who owns the next transition of a request, and so may write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The role that runs the jobs.
    Worker,
    /// The role that decides which job comes next.
    Director,
    /// Neither side: it has ended, and writing to it is safe.
    Finished,
}

/// Whose turn it is in `state`, where `goes_on` is whether another job follows this state.
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
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn a_request_that_is_cancelled_has_ended_whatever_its_flow_says() {
        let turns =
            |has_next| -> Vec<Turn> { State::VARIANTS.iter().map(|state| turn(*state, has_next)).collect() };
        assert_eq!(turns(true), [Turn::Worker, Turn::Worker, Turn::Director, Turn::Director, Turn::Finished]);
        assert_eq!(
            turns(false),
            [Turn::Worker, Turn::Worker, Turn::Finished, Turn::Finished, Turn::Finished]
        );
    }
}
