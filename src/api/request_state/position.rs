//! Where a request is, and when it was seen there.

use std::fmt;

use jiff::Timestamp;

use super::{RequestState, State};

/// Where a request is: at a job, in a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The job.
    pub job: String,
    /// How far it is.
    pub state: State,
}

impl Position {
    /// The position at `job` in `state`.
    #[must_use]
    pub fn new(job: impl Into<String>, state: State) -> Self {
        Self { job: job.into(), state }
    }

    /// Where an object is.
    #[must_use]
    pub fn of(object: &RequestState) -> Self {
        Self::new(object.spec.job.clone(), object.spec.state)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.job, self.state)
    }
}

/// A position, and when the request came to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionRecord {
    /// The position.
    pub position: Position,
    /// When it was entered, as exactly as is known.
    pub at: Timestamp,
}
