//! What an instance that is made of other objects should be made of. Pure.

use super::Problem;
use crate::{
    api::{
        condition::{ConditionType, Reason},
        resource_definition::ObjectKind,
    },
    kinds::composition::{Composition, CompositionErrors, Desired, Instance},
    snapshot::{Children, CompositionSnapshot},
};

/// What an instance should be made of.
pub struct DesiredParts {
    /// The instance, as templates see it.
    pub instance: Instance,
    /// Its parts; none while it is deleted, or has ended.
    pub parts: Option<Desired>,
}

impl DesiredParts {
    /// Objects that matter to the instance although they may belong to others, and that no watch shows.
    #[must_use]
    pub fn unseen(
        &self,
        composition: Option<&Composition>,
        children: &Children,
    ) -> Vec<(ObjectKind, String)> {
        let references = composition.is_some_and(Composition::references_foreign_objects);
        let parts = self.parts.as_ref().filter(|_| references);
        parts.map(|parts| parts.unseen(children)).unwrap_or_default()
    }
}

/// Stage 2.
///
/// # Errors
///
/// When the instance cannot be read, or its parts cannot be rendered.
pub fn desired(
    snapshot: &CompositionSnapshot,
    composition: Result<&Composition, &CompositionErrors>,
) -> Result<DesiredParts, Problem> {
    let instance = Instance::read(&snapshot.object, &snapshot.kind)
        .map_err(|error| Problem { reason: Reason::InvalidSpec, message: error.to_string() })?;
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(DesiredParts { instance, parts: None });
    }
    let composition =
        composition.map_err(|errors| Problem { reason: errors.reason(), message: errors.to_string() })?;
    if has_ended(snapshot) {
        return Ok(DesiredParts { instance, parts: None });
    }
    let parts = composition
        .desired(&instance, &snapshot.children, &snapshot.kinds_with_readiness)
        .map_err(|error| Problem { reason: error.reason(), message: error.to_string() })?;
    Ok(DesiredParts { instance, parts: Some(parts) })
}

/// Whether the instance has ended, and its status is final: it is not started again because one of its objects was
/// deleted since.
#[must_use]
pub fn has_ended(snapshot: &CompositionSnapshot) -> bool {
    let conditions = snapshot.object.status.iter().flat_map(|status| &status.conditions);
    let mut finished = conditions.filter(|condition| condition.type_ == ConditionType::Finished.as_str());
    finished.any(|condition| {
        condition.status == "True" && condition.observed_generation == snapshot.object.metadata.generation
    })
}
