//! What instances of a kind with handler mode `compose` are made of, compiled. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{
    SpecError,
    composition::{Composition, CompositionErrors, Kinds, Source},
};
use crate::{
    api::{
        instance::InstanceKind,
        resource_definition::{
            DefinitionScope, Handler, HandlerMode, MOST_COMPOSED, ObjectKind, ResourceDefinitionSpec,
        },
    },
    snapshot::ComposedKinds,
};

/// Whether the composition of a definition is valid, if it has one.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn check_parts(spec: &ResourceDefinitionSpec, composes: &ComposedKinds) -> Result<(), SpecError> {
    if spec.handler.mode != HandlerMode::Compose {
        return Ok(());
    }
    let invalid =
        |value: String, remedy: &str| Err(SpecError::invalid("spec.handler.resources", value, remedy));
    if let Some(circle) = &composes.circle {
        return invalid(
            circle.clone(),
            "an instance would be a part of itself without end: take one of them out",
        );
    }
    if composes.resources.len() > MOST_COMPOSED {
        let count = format!("{} kinds, those of its parts included", composes.resources.len());
        return invalid(
            count,
            &format!("use at most {MOST_COMPOSED}: the creator of an instance needs permission for each"),
        );
    }
    let mut kinds = Kinds::ours();
    for (kind, schema) in &composes.defined {
        kinds.define(kind.clone(), schema);
    }
    check_composition(spec, &kinds).map(drop)
}

/// Compiles a definition of mode `compose`, against its own schema and those of the kinds that it creates.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn check_composition(spec: &ResourceDefinitionSpec, kinds: &Kinds) -> Result<Composition, SpecError> {
    if spec.scope == DefinitionScope::Cluster {
        let remedy =
            "handler mode compose makes objects in the namespace of the instance: set scope to Namespaced";
        return Err(SpecError::invalid("spec.scope", DefinitionScope::Cluster.as_str(), remedy));
    }
    let Some(version) = spec.versions.iter().find(|version| version.storage) else {
        return Err(SpecError::Incomplete("spec.versions with storage"));
    };
    let kind = ObjectKind::new(format!("{}/{}", spec.group, version.name), spec.names.kind.clone());
    compile(&kind, &version.schema.open_api_v3_schema, &spec.handler, kinds)
        .map_err(|errors| SpecError::Composition(Box::new(errors)))
}

/// Compiles what a kind remembers of its definition, which was checked when it was accepted.
///
/// # Errors
///
/// When it was not, or an earlier version of the operator took what this one does not.
pub fn composition_of(kind: &InstanceKind) -> Result<Composition, CompositionErrors> {
    let resource = &kind.terms().resource;
    let own = ObjectKind::new(resource.api_version.clone(), resource.kind.clone());
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    compile(&own, &anything, kind.handler(), &Kinds::default())
}

/// The schemas of the fields that expressions give the status of instances, with mode `compose`. They follow from the
/// definition alone: other definitions may change at any time, and the CRD with them.
pub(super) fn status_fields(spec: &ResourceDefinitionSpec) -> Map<String, Value> {
    if spec.handler.mode != HandlerMode::Compose {
        return Map::new();
    }
    // A compile error is reported where the definition is checked.
    let schema = check_composition(spec, &Kinds::ours()).map(|composition| composition.status_schema());
    match schema.ok().as_mut().and_then(|schema| schema.get_mut("properties")).map(Value::take) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn compile(
    kind: &ObjectKind,
    schema: &Value,
    handler: &Handler,
    kinds: &Kinds,
) -> Result<Composition, CompositionErrors> {
    let status: &BTreeMap<String, String> = &handler.status;
    let (resources, finished_when) = (&handler.resources, handler.finished_when.as_deref());
    Composition::compile(&Source { kind, schema, resources, status, finished_when }, kinds)
}
