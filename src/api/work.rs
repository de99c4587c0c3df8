//! Words that all kinds share whose objects are work: where it stands, and why the operator ends it. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr)]
pub enum WorkState {
    /// Nothing is known to be submitted yet.
    Pending,
    /// Suspended.
    Suspended,
    /// Waits for an executor.
    Waiting,
    /// It is assigned to an executor.
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
    /// Whether the state is final.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Lost)
    }

    /// The name in status.
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
