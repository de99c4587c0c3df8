//! What the operator reads from the metadata of a blueprint. Pure.

use super::names::BLUEPRINT_NAMESPACE_ANNOTATION;
use crate::colony::model::BlueprintMetadata;

/// The namespace in which a blueprint asks to be kept, by annotation or, easier to set with the colony's tools, by label.
#[must_use]
pub fn namespace_of(metadata: &BlueprintMetadata) -> Option<&str> {
    let annotation = metadata.annotations.get(BLUEPRINT_NAMESPACE_ANNOTATION);
    annotation.or_else(|| metadata.labels.get(BLUEPRINT_NAMESPACE_ANNOTATION)).map(String::as_str)
}
