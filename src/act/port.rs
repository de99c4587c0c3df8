//! The port behind which steps are carried out.

use super::{
    executor::Target,
    kinds::StatusKind,
    outcome::{Done, StepFailure},
};
use crate::diff::Step;

/// Where steps are carried out: the servers, or a record of what would be written.
pub trait Port: Send + Sync {
    /// Whether this process may write at the moment.
    fn is_leader(&self) -> bool;

    /// Carries one step out, once.
    fn execute<K: StatusKind>(
        &self,
        step: &Step,
        target: &Target<'_, K>,
    ) -> impl Future<Output = Result<Done, StepFailure>> + Send;
}
