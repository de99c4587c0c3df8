//! Words that all kinds share whose objects are work: where it stands, and why the operator ends it. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a piece of work stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr)]
pub enum WorkState {
    /// Nothing is known to be submitted yet.
    Pending,
    /// Nothing is to be submitted for now.
    Suspended,
    /// Waits for an executor.
    Waiting,
    /// An executor has it.
    Running,
    /// Closed as successful.
    Succeeded,
    /// Closed as failed, or out of time.
    Failed,
    /// Cancelled.
    Cancelled,
    /// It was submitted, and is no longer on the server. It is not submitted again.
    Lost,
}

impl WorkState {
    /// Whether nothing becomes of it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Lost)
    }

    /// The name as it stands in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why what was submitted is ended by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum StopReason {
    /// `spec.suspend`.
    Suspended,
    /// `spec.cancel`.
    Cancelled,
    /// `spec.activeDeadlineSeconds` has passed.
    DeadlineExceeded,
}
