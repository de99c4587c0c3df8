//! Why a spec or a definition is invalid.

use super::composition;
use crate::api::condition::Reason;

/// Why a spec is invalid. The message names field, value and remedy and goes into the condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The value of a field is invalid or not allowed.
    #[error("{field}: {value}: {remedy}")]
    Invalid {
        /// Path of the field.
        field: String,
        value: String,
        /// What to write instead.
        remedy: String,
    },
    /// Something that a field refers to is not there, or cannot be read.
    #[error("{field}: {what}: {why}; create it, or correct the reference")]
    Missing {
        /// Path of the field.
        field: String,
        /// What it refers to.
        what: String,
        /// Why it cannot be used.
        why: String,
    },
    /// The object to adopt belongs to another object.
    #[error(
        "{field}: {id}: it belongs to {holder} and is left unchanged: delete that object first, with deletionPolicy Orphan, or name another id"
    )]
    Held {
        /// Path of the field that names it.
        field: &'static str,
        id: String,
        /// Kind, namespace and name of the object that has it.
        holder: String,
    },
    /// The composition of instances is invalid.
    #[error("{0}")]
    Composition(Box<composition::CompositionErrors>),
    /// No endpoint can convert objects between versions.
    #[error("spec.versions: objects cannot be converted: {why}; until then, the kind does not change")]
    Unconverted { why: String },
    /// The object lacks what the API server always sets.
    #[error("the object has no {0}: it did not come from an API server")]
    Incomplete(&'static str),
}

impl SpecError {
    /// Its reason in a condition.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Invalid { .. } | Self::Incomplete(_) => Reason::InvalidSpec,
            Self::Missing { .. } => Reason::SourceNotFound,
            Self::Held { .. } => Reason::ForeignObject,
            Self::Unconverted { .. } => Reason::ConversionUnavailable,
            Self::Composition(errors) => errors.reason(),
        }
    }

    /// An invalid field.
    pub(crate) fn invalid(
        field: impl Into<String>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Invalid { field: field.into(), value: value.into(), remedy: remedy.into() }
    }
}
