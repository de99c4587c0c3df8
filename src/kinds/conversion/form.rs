//! What objects look like in a version, and how they become what is stored. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionVersion;
use serde_json::Value;

use super::{super::SpecError, path::Path};
use crate::{
    api::{kind::unobserved_status, resource_definition::VersionConversion},
    expression::{self, Template},
};

/// What expressions of conversions may speak of.
const VARIABLES: [&str; 1] = ["self"];

/// What objects look like in a version, and how they become what is stored.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) version: String,
    pub(super) is_stored: bool,
    pub(super) schema: Value,
    pub(super) moves: Vec<(Path, Path)>,
    pub(super) to_storage: Vec<(Path, Template)>,
    pub(super) from_storage: Vec<(Path, Template)>,
}

impl Form {
    pub(super) fn compile(
        field: &str,
        version: &CustomResourceDefinitionVersion,
        given: &VersionConversion,
    ) -> Result<Self, SpecError> {
        let path = |field: String, text: &str| {
            Path::parse(text).map_err(|remedy| SpecError::invalid(field, text, remedy))
        };
        let moves = given.moves.iter().enumerate().map(|(index, given)| {
            let from = path(format!("{field}.moves[{index}].from"), &given.from)?;
            Ok((from, path(format!("{field}.moves[{index}].to"), &given.to)?))
        });
        let templates = |list: &str, given: &BTreeMap<String, String>| {
            let each = given.iter().map(|(place, text)| {
                let field = format!("{field}.{list}['{place}']");
                let template = Template::parse(&field, &Value::from(text.as_str()), &VARIABLES);
                Ok((path(field, place)?, template.map_err(|error| of_expression(&error))?))
            });
            each.collect::<Result<Vec<_>, SpecError>>()
        };
        Ok(Self {
            version: version.name.clone(),
            is_stored: version.storage,
            schema: schema_of(version),
            moves: moves.collect::<Result<_, SpecError>>()?,
            to_storage: templates("toStorage", &given.to_storage)?,
            from_storage: templates("fromStorage", &given.from_storage)?,
        })
    }
}

/// The schema of a version, but for the status that new objects have: it says nothing that a conversion could lose.
pub(super) fn schema_of(version: &CustomResourceDefinitionVersion) -> Value {
    let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let mut schema = serde_json::to_value(schema).unwrap_or_default();
    let status = schema.pointer_mut("/properties/status").and_then(Value::as_object_mut);
    if let Some(status) = status.filter(|status| status.get("default") == Some(&unobserved_status())) {
        status.remove("default");
    }
    schema
}

/// An expression that is none, as an error of this stage.
pub(super) fn of_expression(error: &expression::ExpressionError) -> SpecError {
    SpecError::invalid(&error.field, &error.expression, format!("{}: {}", error.problem, error.remedy))
}
