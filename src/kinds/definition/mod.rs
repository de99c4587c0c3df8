//! From a `ResourceDefinition` to the CRD that it wants, or why it cannot have one; and from a CRD back to the kind that
//! its instances are of. Pure.

mod blueprint;
mod composed;
mod converted;
mod handler;
mod import;
mod keyword;
mod mistakes;
mod own_status;
mod prune_to_schema;
mod schema;
mod translate;
mod validate;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceConversion, CustomResourceDefinition,
    CustomResourceDefinitionNames, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
    CustomResourceSubresourceScale, CustomResourceSubresourceStatus, CustomResourceSubresources,
    CustomResourceValidation,
};
use kube::{ResourceExt as _, core::ObjectMeta};
use serde_json::{Map, Value};

pub use blueprint::{ColonyDefinition, is_handled_as};
pub use composed::{check_composition, check_parts, composition_of};
pub use converted::{conversion_path, converted_at, redirected};
pub use handler::{CompiledHandler, of_blueprint, of_process};
pub use import::{DEFAULT_GROUP, Imported, import};
pub use mistakes::mistakes;
pub use prune_to_schema::prune_to_schema;
pub use validate::{Validator, Violation};

use super::{
    SpecError,
    conversion::{Conversions, Converter},
};
use crate::{
    api::{
        instance::{AcceptedHandler, InstanceKind},
        metadata::content_hash,
        names::{
            ACCEPTED_GENERATION_ANNOTATION, APP_MANAGED_BY_LABEL, CONTENT_HASH_ANNOTATION,
            CONVERSIONS_ANNOTATION, DEFINITION_ANNOTATION, HANDLER_ANNOTATION, OPERATOR,
        },
        resource_definition::{
            DefinitionVersion, Handler, HandlerMode, PrinterColumn, ResourceDefinition,
            ResourceDefinitionSpec,
        },
    },
    snapshot::DefinitionSnapshot,
};

/// Strategy of CRDs whose objects are converted by the operator.
const WEBHOOK: &str = "Webhook";

/// The CRD that a definition wants. Of one that declares conversions it is still open who converts.
///
/// # Errors
///
/// When a schema is not structural, an expression is none, or the handler is invalid; the message names the field.
pub fn build(definition: &ResourceDefinition) -> Result<CustomResourceDefinition, SpecError> {
    let spec = &definition.spec;
    let handler = &spec.handler;
    let composed = composed::status_fields(spec);
    let versions = spec.versions.iter().enumerate();
    let versions = versions.map(|(index, version)| build_version(index, version, handler, &composed));
    let versions = versions.collect::<Result<Vec<_>, _>>()?;
    let conversions = Converter::declared(spec);
    if let Some(conversions) = &conversions {
        Converter::check(spec, &versions, conversions)?;
    }
    match handler.mode {
        HandlerMode::Process => drop(CompiledHandler::compile(handler)?),
        HandlerMode::Blueprint => {
            CompiledHandler::compile(handler)?;
            ColonyDefinition::of(definition)?;
        }
        HandlerMode::Compose => {}
    }
    let spec = CustomResourceDefinitionSpec {
        conversion: Some(CustomResourceConversion {
            strategy: if conversions.is_some() { WEBHOOK } else { "None" }.to_owned(),
            webhook: None,
        }),
        group: spec.group.clone(),
        names: build_names(spec),
        preserve_unknown_fields: None,
        scope: spec.scope.as_str().to_owned(),
        versions,
    };
    let metadata = build_metadata(definition, &spec, conversions.as_ref())?;
    Ok(CustomResourceDefinition { metadata, spec, status: None })
}

/// Metadata of the CRD: the mark of the operator, and the handler of its instances. Deliberately no owner reference:
/// the garbage collector would delete it, and every instance with it, in the foreground of a deletion.
fn build_metadata(
    definition: &ResourceDefinition,
    spec: &CustomResourceDefinitionSpec,
    conversions: Option<&Conversions>,
) -> Result<ObjectMeta, SpecError> {
    let unwritable = |error: serde_json::Error| {
        SpecError::invalid("spec", error.to_string(), "report this: it is the operator's mistake")
    };
    let name = definition.metadata.name.clone().ok_or(SpecError::Incomplete("metadata.name"))?;
    let generation = definition.metadata.generation.ok_or(SpecError::Incomplete("metadata.generation"))?;
    let accepted = AcceptedHandler {
        handler: definition.spec.handler.clone(),
        deletion_policy: definition.spec.deletion_policy,
    };
    let accepted = serde_json::to_string(&accepted).map_err(unwritable)?;
    let conversions = conversions.map(serde_json::to_string).transpose().map_err(unwritable)?;
    let content = serde_json::to_value(spec).map_err(unwritable)?;
    let hash = match &conversions {
        Some(conversions) => content_hash(&Value::from(vec![content, Value::from(conversions.as_str())])),
        None => content_hash(&content),
    };
    let mut annotations = vec![
        (DEFINITION_ANNOTATION, name.clone()),
        (HANDLER_ANNOTATION, accepted),
        (ACCEPTED_GENERATION_ANNOTATION, generation.to_string()),
        (CONTENT_HASH_ANNOTATION, hash),
    ];
    annotations.extend(conversions.map(|conversions| (CONVERSIONS_ANNOTATION, conversions)));
    let owned = |(key, value): (&str, String)| (key.to_owned(), value);
    Ok(ObjectMeta {
        name: Some(name),
        labels: Some(BTreeMap::from([(APP_MANAGED_BY_LABEL.to_owned(), OPERATOR.to_owned())])),
        annotations: Some(annotations.into_iter().map(owned).collect()),
        ..ObjectMeta::default()
    })
}

fn build_names(spec: &ResourceDefinitionSpec) -> CustomResourceDefinitionNames {
    let names = &spec.names;
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    CustomResourceDefinitionNames {
        categories: some(&names.categories),
        kind: names.kind.clone(),
        list_kind: Some(names.list_kind.clone().unwrap_or_else(|| format!("{}List", names.kind))),
        plural: names.plural.clone(),
        short_names: some(&names.short_names),
        singular: Some(names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase())),
    }
}

fn build_version(
    index: usize,
    version: &DefinitionVersion,
    handler: &Handler,
    composed: &Map<String, Value>,
) -> Result<CustomResourceDefinitionVersion, SpecError> {
    let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
    let schema = schema::build(&path, version, handler, composed)?;
    let scale = version.scale.as_ref().map(|scale| CustomResourceSubresourceScale {
        label_selector_path: scale.label_selector_path.clone(),
        spec_replicas_path: scale.spec_replicas_path.clone(),
        status_replicas_path: scale.status_replicas_path.clone(),
    });
    Ok(CustomResourceDefinitionVersion {
        additional_printer_columns: Some(build_columns(&version.additional_printer_columns)),
        deprecated: version.deprecated.then_some(true),
        deprecation_warning: version.deprecation_warning.clone(),
        name: version.name.clone(),
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(schema) }),
        selectable_fields: None,
        served: version.served,
        storage: version.storage,
        subresources: Some(CustomResourceSubresources {
            scale,
            status: Some(CustomResourceSubresourceStatus(Value::Object(Map::new()))),
        }),
    })
}

/// The columns of the kind, then whether it is ready or paused, how old it is and why it is so, unless the kind has columns of these
/// names.
fn build_columns(columns: &[PrinterColumn]) -> Vec<CustomResourceColumnDefinition> {
    let own = |name: &str, type_: &str, json_path: &str| PrinterColumn {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        ..PrinterColumn::default()
    };
    let ready = own("Ready", "string", ".status.conditions[?(@.type=='Ready')].status");
    let paused = own("Paused", "string", ".status.conditions[?(@.type=='Paused')].status");
    let age = own("Age", "date", ".metadata.creationTimestamp");
    let message = own("Message", "string", ".status.conditions[?(@.type=='Ready')].message");
    let message = PrinterColumn { priority: Some(1), ..message };
    let is_free =
        |own: &PrinterColumn| columns.iter().all(|column| !column.name.eq_ignore_ascii_case(&own.name));
    let added = [ready, paused, message, age].into_iter().filter(is_free);
    columns
        .iter()
        .cloned()
        .chain(added)
        .map(|column| CustomResourceColumnDefinition {
            description: column.description,
            format: column.format,
            json_path: column.json_path,
            name: column.name,
            // The API server leaves out what is 0.
            priority: column.priority.filter(|priority| *priority != 0),
            type_: column.type_,
        })
        .collect()
}

/// Whether a CRD was made for the definition of that name.
#[must_use]
pub fn is_made_for(crd: &CustomResourceDefinition, definition: &str) -> bool {
    let mark = crd.annotations().get(DEFINITION_ANNOTATION);
    let manager = crd.labels().get(APP_MANAGED_BY_LABEL);
    mark.is_some_and(|mark| mark == definition) && manager.is_some_and(|manager| manager == OPERATOR)
}

/// Generation of the definition from which a CRD was last made.
#[must_use]
pub fn accepted_generation(crd: &CustomResourceDefinition) -> Option<i64> {
    crd.annotations().get(ACCEPTED_GENERATION_ANNOTATION)?.parse().ok()
}

/// Hash of the kind that a CRD defines: names, versions with their schemas, and handler.
#[must_use]
pub fn revision_hash(crd: &CustomResourceDefinition) -> String {
    let said = |name: &str| crd.annotations().get(name).map(String::as_str).unwrap_or_default();
    content_hash(&Value::from(vec![said(CONTENT_HASH_ANNOTATION), said(HANDLER_ANNOTATION)]))
}

/// The kind that the instances of a CRD are of, as the CRD remembers it.
///
/// # Errors
///
/// When its annotation cannot be read, since another client changed it; the next write of the CRD puts it right.
pub fn kind_of(crd: &CustomResourceDefinition, is_released: bool) -> Result<InstanceKind, SpecError> {
    let text = crd.annotations().get(HANDLER_ANNOTATION).map(String::as_str).unwrap_or_default();
    let accepted: AcceptedHandler = serde_json::from_str(text).map_err(|error| {
        SpecError::invalid(
            format!("metadata.annotations['{HANDLER_ANNOTATION}'] of the CustomResourceDefinition"),
            error.to_string(),
            "leave it to the operator",
        )
    })?;
    InstanceKind::of(crd, accepted, is_released).ok_or(SpecError::Incomplete("storage version"))
}

/// Whether a CRD of the definition's name belongs to another owner.
#[must_use]
pub fn is_foreign(snapshot: &DefinitionSnapshot, crd: &CustomResourceDefinition) -> bool {
    !is_made_for(crd, &snapshot.object.name_any())
}

/// Whether the API server serves the kind of a CRD.
#[must_use]
pub fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut established = conditions.filter(|condition| condition.type_ == "Established");
    established.any(|condition| condition.status == "True")
}

/// Whether rights are known to be missing.
#[must_use]
pub fn lacks_rights(snapshot: &DefinitionSnapshot) -> bool {
    let is_missing = snapshot.missing_rights.known().is_some_and(|missing| !missing.is_empty());
    is_missing || !snapshot.composes.missing.is_empty()
}

#[cfg(test)]
mod tests;
