//! Why there is no plan, and what to do about a colony that an object cannot use.

use crate::{
    api::condition::Reason,
    kinds::SpecError,
    snapshot::{ColonyReference, ResolvedColony},
};

/// Why a pass did not get as far as acting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The reason that conditions, Events and metrics share.
    pub reason: Reason,
    /// For a person: field, value, remedy.
    pub message: String,
}

/// The colony of an object.
///
/// # Errors
///
/// When there is none that it may use.
pub fn resolved(colony: &ColonyReference) -> Result<&ResolvedColony, Problem> {
    match colony {
        ColonyReference::Resolved(colony) => Ok(colony),
        other => {
            let (reason, message) = other.obstacle().unwrap_or((Reason::ColonyNotFound, String::new()));
            Err(Problem { reason, message })
        }
    }
}

/// Why a spec is invalid.
#[must_use]
pub fn problem(error: &SpecError) -> Problem {
    Problem { reason: error.reason(), message: error.to_string() }
}
