//! Stage 2, what should be: from a snapshot to the objects and processes that should exist. Pure.

pub mod executor_deployment;
pub mod expression;
pub mod inbound;
pub mod metadata;
pub mod request_flow;

pub use executor_deployment::{
    DesiredExecutorDeployment, DesiredIdentity, DesiredProcess, DesiredWorkload, Difference, SharedSpec,
};

/// Why a spec cannot be carried out. The message names field, value and remedy and goes into the condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field holds what this operator cannot or may not carry out.
    #[error("{field}: {value}: {remedy}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// Its value.
        value: String,
        /// What to write instead.
        remedy: String,
    },
    /// The object lacks what the API server always sets.
    #[error("the object has no {0}: it did not come from an API server")]
    Incomplete(&'static str),
}

impl Error {
    /// A field that cannot be carried out.
    pub(crate) fn invalid(
        field: impl Into<String>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Invalid { field: field.into(), value: value.into(), remedy: remedy.into() }
    }
}
