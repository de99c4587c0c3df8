//! Why a spec or a definition cannot be carried out.

use super::composition;
use crate::api::condition::Reason;

/// Why a spec cannot be carried out. The message names field, value and remedy and goes into the condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
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
    /// What is to be adopted is another object's.
    #[error(
        "{field}: {id}: it belongs to {holder} and is left alone: delete that object first, with deletionPolicy Orphan, or name another id"
    )]
    Held {
        /// Path of the field that names it.
        field: &'static str,
        /// Its id.
        id: String,
        /// Kind, namespace and name of the object that has it.
        holder: String,
    },
    /// What instances are made of cannot be followed.
    #[error("{0}")]
    Composition(Box<composition::CompositionErrors>),
    /// Nobody is there who could convert objects between versions.
    #[error(
        "spec.versions: the conversions cannot be carried out: {why}; until then the kind stays as it is"
    )]
    Unconverted {
        /// Why.
        why: String,
    },
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

    /// A field that cannot be carried out.
    pub(crate) fn invalid(
        field: impl Into<String>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Invalid { field: field.into(), value: value.into(), remedy: remedy.into() }
    }
}
