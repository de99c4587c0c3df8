//! Why there is no plan, and what to do about a colony that an object cannot use.

use crate::{
    api::condition::Reason,
    kinds::SpecError,
    snapshot::{ColonyReference, ResolvedColony},
};

/// Why a pass did not get as far as acting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The reason that conditions, Events and metrics share.
    pub reason: Reason,
    /// For a person: field, value, remedy.
    pub message: String,
}

/// What to do about a colony that is not there.
#[must_use]
pub fn not_found(name: Option<&str>) -> String {
    name.map_or_else(
        || "spec.colony is absent and no Colony is annotated colonies.io/default: \"true\": name one, or annotate one".to_owned(),
        |name| format!("spec.colony: {name:?}: there is no such Colony: create it, or name another (kubectl get colonies)"),
    )
}

/// What to do about a colony that does not admit the namespace.
#[must_use]
pub fn not_allowed(name: &str) -> String {
    format!(
        "spec.colony: {name:?} does not admit this namespace: have spec.allowedNamespaces of the Colony changed"
    )
}

/// The colony of an object.
///
/// # Errors
///
/// When there is none that it may use.
pub fn resolved(colony: &ColonyReference) -> Result<&ResolvedColony, Problem> {
    match colony {
        ColonyReference::Resolved(colony) => Ok(colony),
        ColonyReference::NotFound { name } => {
            let message = not_found(name.as_deref());
            Err(Problem { reason: Reason::ColonyNotFound, message })
        }
        ColonyReference::NotAllowed { name } => {
            let message = not_allowed(name);
            Err(Problem { reason: Reason::NamespaceNotAllowed, message })
        }
    }
}

/// Why a spec is invalid.
#[must_use]
pub fn problem(error: &SpecError) -> Problem {
    Problem { reason: error.reason(), message: error.to_string() }
}
