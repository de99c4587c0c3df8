//! Where what is kept stands: in an annotation of the object. Pure.

use serde_json::{Map, Value};

use super::{super::Error, kept::Notes};
use crate::api::names::KEPT_ANNOTATION;

/// Most bytes that are kept beside an object: half of what API servers take of annotations.
pub(super) const MAX_KEPT: usize = 128 * 1024;

/// Metadata without what was kept, and that.
pub(super) fn taken_notes(object: &Value) -> (Value, Result<Notes, Error>) {
    let mut metadata = object.get("metadata").cloned().unwrap_or_default();
    let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
    let Some(text) = annotations.and_then(|annotations| annotations.remove(KEPT_ANNOTATION)) else {
        return (metadata, Ok(Notes::new()));
    };
    if let Some(all) = metadata.as_object_mut()
        && all.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        all.remove("annotations");
    }
    let notes = serde_json::from_str(text.as_str().unwrap_or_default()).map_err(|error| {
        let field = format!("metadata.annotations['{KEPT_ANNOTATION}']");
        Error::invalid(field, error.to_string(), "leave it as it is read, or remove it")
    });
    (metadata, notes)
}

/// Puts what is kept into metadata.
pub(super) fn put_notes(metadata: &mut Value, notes: &Notes, version: &str) -> Result<(), Error> {
    if notes.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string(notes).unwrap_or_default();
    if text.len() > MAX_KEPT {
        let remedy = format!(
            "is what {version} cannot say and would have to be kept in an annotation, which has room for {MAX_KEPT}: use less of these fields, or declare conversions for them"
        );
        return Err(Error::invalid("metadata.annotations", format!("{} bytes", text.len()), remedy));
    }
    let Some(all) = metadata.as_object_mut() else { return Ok(()) };
    let annotations = all.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(KEPT_ANNOTATION.to_owned(), Value::from(text));
    }
    Ok(())
}
