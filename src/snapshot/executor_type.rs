//! Who else has the executor type of a fleet in its colony.

use jiff::Timestamp;

use super::Observed;

/// What is known of the executor type of a fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeUse {
    /// Whether executors of the type are registered for the fleet.
    pub is_registered: Observed<bool>,
    /// Those of other namespaces that have it in the same colony, and may use that.
    pub others: Vec<TypeHolder>,
}

impl Default for TypeUse {
    fn default() -> Self {
        Self { is_registered: Observed::Known(false), others: Vec::new() }
    }
}

/// A fleet of another namespace that has the same executor type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeHolder {
    pub uid: String,
    /// None of one that is in no cache, and of which the colony has an executor.
    pub created_at: Option<Timestamp>,
    /// Whether executors of the type are registered for it; none if the colony could not be asked.
    pub is_registered: Option<bool>,
}
