//! `colonyos-operator crds`: the custom resource definitions, generated from the types in `api`.

use super::{Failure, output};
use crate::api;

/// Prints every definition as one YAML stream.
pub(super) fn print() -> Result<(), Failure> {
    let mut text = String::new();
    for definition in api::custom_resource_definitions() {
        text.push_str("---\n");
        text.push_str(&serde_norway::to_string(&definition)?);
    }
    output::print(&text)
}
