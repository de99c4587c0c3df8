//! Why a composition is invalid.

use std::fmt;

use super::limits::MAX_ERRORS;
use crate::{api::condition::Reason, expression};

/// Why a definition cannot be followed, or an instance not be made. The message names field, value or expression, and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompositionError {
    /// An expression is not one, speaks of what there is not, or has no value.
    #[error("{0}")]
    Expression(expression::ExpressionError),
    /// The value of a field is invalid or not allowed.
    #[error("{field}: {value}: {remedy}")]
    Invalid {
        /// Path of the field.
        field: String,
        value: String,
        /// What to write instead.
        remedy: String,
    },
}

impl CompositionError {
    /// Its reason in a condition.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Expression(_) => Reason::InvalidExpression,
            Self::Invalid { .. } => Reason::InvalidSpec,
        }
    }

    pub(super) fn invalid(
        field: impl Into<String>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Invalid { field: field.into(), value: value.into(), remedy: remedy.into() }
    }
}

/// Everything that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompositionErrors(pub Vec<CompositionError>);

impl CompositionErrors {
    /// The reason of the first in a condition.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.0.first().map_or(Reason::InvalidSpec, CompositionError::reason)
    }
}

impl std::error::Error for CompositionErrors {}

impl fmt::Display for CompositionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().take(MAX_ERRORS).enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        let more = self.0.len().saturating_sub(MAX_ERRORS);
        if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}
