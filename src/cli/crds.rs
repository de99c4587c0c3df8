//! `colonyos-operator crds`: the custom resource definitions, generated from the types in `api`.

use std::io::{self, Write as _};

use super::Failure;
use crate::api;

/// Prints every definition as one YAML stream.
pub(super) fn print() -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    for definition in api::custom_resource_definitions() {
        write!(stdout, "---\n{}", serde_norway::to_string(&definition)?)?;
    }
    Ok(())
}
