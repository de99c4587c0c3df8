//! All errors of a definition at once, for its author: a condition reports only the first of several schemas. Pure.

use serde_json::Map;

use super::{super::SpecError, check_parts, handler::CompiledHandler, schema};
use crate::{
    api::resource_definition::{HandlerMode, ResourceDefinitionSpec},
    snapshot::ComposedKinds,
};

/// The errors of a definition, each with field, value and remedy: in every version's schema the first mistake, in the
/// handler all of them. Empty if it is valid.
#[must_use]
pub fn mistakes(spec: &ResourceDefinitionSpec, composes: &ComposedKinds) -> Vec<String> {
    let schemas = spec.versions.iter().enumerate().filter_map(|(index, version)| {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        schema::build(&path, version, &spec.handler, &Map::new()).err()
    });
    let mut mistakes: Vec<String> = schemas.map(|error| error.to_string()).collect();
    if spec.handler.mode == HandlerMode::Process {
        mistakes.extend(CompiledHandler::errors(&spec.handler).iter().map(ToString::to_string));
    }
    match check_parts(spec, composes) {
        Ok(()) => {}
        Err(SpecError::Composition(errors)) => mistakes.extend(errors.0.iter().map(ToString::to_string)),
        Err(error) => mistakes.push(error.to_string()),
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(schema: &Value, handler: &Value) -> ResourceDefinitionSpec {
        serde_json::from_value(json!({
            "group": "ml.example.com", "names": { "kind": "MLModel", "plural": "mlmodels" },
            "versions": [
                { "name": "v1", "storage": true, "schema": { "openAPIV3Schema": schema } },
                { "name": "v2", "schema": { "openAPIV3Schema": schema } },
            ],
            "handler": handler,
        }))
        .unwrap()
    }

    /// The author can correct all errors at once.
    #[test]
    fn mistakes_in_schemas_and_handler_are_told_together() {
        let handler = json!({ "mode": "process", "executorType": "t", "functionName": "f",
            "status": { "a": "${output[", "b": "${outptu}", "c": "${output[0]}" } });
        let schema = json!({ "type": "object", "properties": { "spec": { "type": "text" } } });
        let told = mistakes(&spec(&schema, &handler), &ComposedKinds::default());
        let beginnings: Vec<&str> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(
            beginnings,
            [
                "spec.versions[0].schema.openAPIV3Schema.properties.spec.type",
                "spec.versions[1].schema.openAPIV3Schema.properties.spec.type",
                "spec.handler.status.a",
                "spec.handler.status.b",
            ]
        );
    }

    #[test]
    fn mistakes_in_templates_are_told_one_by_one() {
        let handler = json!({ "mode": "compose", "resources": [
            { "id": "one", "template": { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "${self.spec.nam}" } } },
            { "id": "two", "template": { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "${one.metadata.nme}" } } },
        ] });
        let schema = json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": {
            "name": { "type": "string" } } } } });
        let told = mistakes(&spec(&schema, &handler), &ComposedKinds::default());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("did you mean \"name\"?"), "{told:?}");
    }
}
