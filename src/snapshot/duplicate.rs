//! A process that a colony has besides the one that an object is bound to.

use crate::colony::model::Process;

/// What is known of a duplicate.
#[derive(Clone, Debug, PartialEq)]
pub struct Duplicate {
    pub process: Process,
    /// Whether it is to be ended now; else that was asked for a moment ago.
    pub is_due: bool,
    /// Whether nothing was tried yet.
    pub is_new: bool,
}
