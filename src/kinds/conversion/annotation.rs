//! Where what is kept stands: in an annotation of the object. Pure.

use serde_json::{Map, Value};

use super::{super::SpecError, preserved_fields::PreservedFields};
use crate::api::names::PRESERVED_FIELDS_ANNOTATION;

/// Most bytes that are kept beside an object: half of what API servers take of annotations.
pub(super) const MAX_PRESERVED_BYTES: usize = 128 * 1024;

/// Metadata without what was kept, and that.
pub(super) fn take_preserved_fields(object: &Value) -> (Value, Result<PreservedFields, SpecError>) {
    let mut metadata = object.get("metadata").cloned().unwrap_or_default();
    let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
    let Some(text) = annotations.and_then(|annotations| annotations.remove(PRESERVED_FIELDS_ANNOTATION))
    else {
        return (metadata, Ok(PreservedFields::new()));
    };
    if let Some(all) = metadata.as_object_mut()
        && all.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        all.remove("annotations");
    }
    let notes = serde_json::from_str(text.as_str().unwrap_or_default()).map_err(|error| {
        let field = format!("metadata.annotations['{PRESERVED_FIELDS_ANNOTATION}']");
        SpecError::invalid(field, error.to_string(), "leave it as it is read, or remove it")
    });
    (metadata, notes)
}

/// Puts what is kept into metadata.
pub(super) fn store_preserved_fields(
    metadata: &mut Value,
    notes: &PreservedFields,
    version: &str,
) -> Result<(), SpecError> {
    if notes.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string(notes).unwrap_or_default();
    if text.len() > MAX_PRESERVED_BYTES {
        let remedy = format!(
            "cannot be expressed in {version} and would be preserved in an annotation, which is limited to {MAX_PRESERVED_BYTES}: use less of these fields, or declare conversions for them"
        );
        return Err(SpecError::invalid("metadata.annotations", format!("{} bytes", text.len()), remedy));
    }
    let Some(all) = metadata.as_object_mut() else { return Ok(()) };
    let annotations = all.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(PRESERVED_FIELDS_ANNOTATION.to_owned(), Value::from(text));
    }
    Ok(())
}
