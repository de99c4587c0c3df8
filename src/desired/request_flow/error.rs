//! Why a flow cannot be followed.

use crate::{api::condition::Reason, expression, kinds::SpecError};

/// Why a flow cannot be followed. The message names field, value and remedy and goes into the condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFlowError {
    /// An expression is not one, or speaks of what it cannot know.
    #[error("{0}")]
    Expression(expression::ExpressionError),
    /// Another field is invalid. The API server refuses it, unless it is older than the rule.
    #[error("{0}")]
    Invalid(SpecError),
}

impl RequestFlowError {
    /// Its reason in condition Ready.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Expression(_) => Reason::InvalidExpression,
            Self::Invalid(_) => Reason::InvalidSpec,
        }
    }

    pub(super) fn invalid(field: String, value: &str, remedy: &str) -> Self {
        Self::Invalid(SpecError::invalid(field, value, remedy))
    }
}
