//! What is read of an object of any kind. Pure.

use serde_json::Value;

use crate::{api::names::RESOURCE_LABEL, kinds::composition::controller};

pub(super) fn text<'o>(object: &'o Value, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn name_of(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn uid_of(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(super) fn is_terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

pub(super) fn annotation<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

/// The id of the resource from which an object was made.
pub(super) fn resource_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/labels")?.get(RESOURCE_LABEL)?.as_str()
}

pub(super) fn owner_of(object: &Value) -> String {
    controller(object).map_or_else(
        || "an unknown owner".to_owned(),
        |reference| format!("{} {}", text(reference, "/kind"), text(reference, "/name")),
    )
}
