//! From a definition as ColonyOS and the systems before it write it to a `ResourceDefinition`. Pure.
//!
//! There a schema is of the spec alone, in a dialect in which types may be left out and fields that are not described are
//! kept; both stay so.

use serde_json::{Map, Value, json};

use super::{super::SpecError, build};
use crate::api::{
    kind::Kind,
    names::{COMPUTE_GROUP, CONTROLLER_EXECUTOR_TYPE, EXECUTOR_DEPLOYMENT_KIND, RECONCILER_EXECUTOR_TYPE},
    policy::DeletionPolicy,
    resource_definition::{
        DefinitionNames, DefinitionScope, DefinitionVersion, Handler, ResourceDefinition,
        ResourceDefinitionSpec, VersionSchema,
    },
};

/// The group of what names none.
pub const DEFAULT_GROUP: &str = "kinds.colonies.io";

/// What definitions have been called.
const KINDS: [&str; 4] =
    ["BlueprintDefinition", "CustomResourceDefinition", "ResourceDefinition", "ServiceDefinition"];

/// A definition that was taken over.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    pub definition: ResourceDefinition,
    /// What a person should know: what was left out, and what has to be changed before it is admitted.
    pub notes: Vec<String>,
}

/// Takes a definition over. `group` takes precedence over the file.
///
/// # Errors
///
/// When it is none, lacks what cannot be guessed, or has a schema that cannot be kept; the message names the field of the
/// file.
pub fn import(file: &Value, group: Option<&str>) -> Result<Imported, SpecError> {
    let mut notes = Vec::new();
    let kind = text(file, "kind")?.unwrap_or_default();
    if !KINDS.contains(&kind) {
        let remedy = format!("is no definition: give one of kind {}", KINDS.join(", "));
        return Err(SpecError::invalid("kind", format!("\"{kind}\""), remedy));
    }
    if text(file, "apiVersion")?.is_some_and(|version| version.starts_with("apiextensions.k8s.io/")) {
        let remedy = "is a CRD of Kubernetes: write a ResourceDefinition with its group, names and versions";
        return Err(SpecError::invalid("apiVersion", text(file, "apiVersion")?.unwrap_or_default(), remedy));
    }
    let spec = object(file, "spec")?;
    unknown("spec", spec, &["group", "version", "scope", "names", "schema", "handler"], &mut notes);
    let names = names(file, &mut notes)?;
    let group = match (group, text(file, "spec.group")?) {
        (Some(group), _) | (None, Some(group)) => group.to_owned(),
        (None, None) => {
            notes.push(format!("spec.group: missing: {DEFAULT_GROUP} was taken; --group names another"));
            DEFAULT_GROUP.to_owned()
        }
    };
    if Kind::is_own_group(&group) {
        notes.push(format!(
            "spec.group: {group}: is the group of the operator's own kinds and will be refused: give another with --group"
        ));
    }
    if names.kind == EXECUTOR_DEPLOYMENT_KIND {
        notes.push(format!(
            "spec.names.kind: {EXECUTOR_DEPLOYMENT_KIND}: the operator has this kind: apply its objects as {COMPUTE_GROUP}/v1, without any definition"
        ));
    }
    let scope = text(file, "spec.scope")?.unwrap_or("Namespaced");
    let scope = scope
        .parse::<DefinitionScope>()
        .map_err(|_| SpecError::invalid("spec.scope", scope, "give Namespaced or Cluster"))?;
    let version = DefinitionVersion {
        name: text(file, "spec.version")?.unwrap_or("v1").to_owned(),
        served: true,
        storage: true,
        schema: VersionSchema {
            open_api_v3_schema: json!({
                "type": "object", "properties": { "spec": schema("spec.schema", spec.get("schema"), true)? },
            }),
        },
        ..DefinitionVersion::default()
    };
    let name = format!("{}.{group}", names.plural);
    let handler = handler(file, &mut notes)?;
    let spec = ResourceDefinitionSpec {
        group,
        names,
        scope,
        versions: vec![version],
        handler,
        deletion_policy: DeletionPolicy::Delete,
    };
    let mut definition = ResourceDefinition::new(&name, spec);
    definition.metadata.generation = Some(1);
    build(&definition).map_err(of_file)?;
    definition.metadata.generation = None;
    Ok(Imported { definition, notes })
}

/// An error about the result, as one about the file.
fn of_file(error: SpecError) -> SpecError {
    const SCHEMA: &str = "spec.versions[0].schema.openAPIV3Schema.properties.spec";
    match error {
        SpecError::Invalid { field, value, remedy } => match field.strip_prefix(SCHEMA) {
            Some(rest) => SpecError::invalid(format!("spec.schema{rest}"), value, remedy),
            None => SpecError::Invalid { field, value, remedy },
        },
        other => other,
    }
}

fn names(file: &Value, notes: &mut Vec<String>) -> Result<DefinitionNames, SpecError> {
    let found = object(file, "spec.names")?;
    unknown("spec.names", found, &["kind", "listKind", "singular", "plural", "shortNames"], notes);
    let missing =
        || SpecError::invalid("spec.names.kind", "missing", "set the name of the kind, such as MLModel");
    let kind = text(file, "spec.names.kind")?.ok_or_else(missing)?.to_owned();
    let short_names = match found.get("shortNames") {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => serde_json::from_value(list.clone()).map_err(|_| {
            SpecError::invalid("spec.names.shortNames", list.to_string(), "give a list of texts")
        })?,
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(DefinitionNames {
        plural: text(file, "spec.names.plural")?.map_or_else(|| plural(&kind), str::to_owned),
        singular: owned(text(file, "spec.names.singular")?),
        list_kind: owned(text(file, "spec.names.listKind")?),
        short_names,
        categories: Vec::new(),
        kind,
    })
}

/// The plural that Kubernetes' own tools would guess.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| kind.ends_with(end));
    if ends(&["s", "x", "z", "ch", "sh"]) {
        format!("{kind}es")
    } else if kind.ends_with('y') && !ends(&["ay", "ey", "oy", "uy"]) {
        format!("{}ies", kind.trim_end_matches('y'))
    } else {
        format!("{kind}s")
    }
}

fn handler(file: &Value, notes: &mut Vec<String>) -> Result<Handler, SpecError> {
    let found = object(file, "spec.handler")?;
    unknown("spec.handler", found, &["executorType", "functionName"], notes);
    let needed = |field: &str| {
        let path = format!("spec.handler.{field}");
        let found = text(file, &path)?.map(str::to_owned);
        found
            .map(Some)
            .ok_or_else(|| SpecError::invalid(path, "missing", "set the executors that handle instances"))
    };
    let executor_type = needed("executorType")?;
    if let Some(own) = executor_type
        .as_deref()
        .filter(|own| [CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE].contains(own))
    {
        notes.push(format!(
            "spec.handler.executorType: {own}: is the operator itself and will be refused: name executors of your own"
        ));
    }
    Ok(Handler { executor_type, function_name: needed("functionName")?, ..Handler::default() })
}

/// The schema of the spec, structural: what has no type takes anything, and what is not described is kept.
fn schema(path: &str, schema: Option<&Value>, is_spec: bool) -> Result<Value, SpecError> {
    const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
    let mut fields = match schema {
        None | Some(Value::Null) if is_spec => Map::from_iter([("type".to_owned(), json!("object"))]),
        Some(Value::Object(fields)) => fields.clone(),
        other => {
            let shown = other.map_or_else(|| "missing".to_owned(), Value::to_string);
            return Err(SpecError::invalid(
                path,
                shown,
                "a schema must be an object, such as {\"type\": \"string\"}",
            ));
        }
    };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(inner) = fields.remove("properties").filter(|inner| !inner.is_null()) {
        let path = format!("{path}.properties");
        let Value::Object(inner) = &inner else {
            return Err(SpecError::invalid(
                path,
                inner.to_string(),
                "give an object with a schema for each field",
            ));
        };
        let each = inner.iter().map(|(name, inner)| {
            Ok((name.clone(), self::schema(&format!("{path}.{name}"), Some(inner), false)?))
        });
        fields.insert("properties".to_owned(), Value::Object(each.collect::<Result<_, SpecError>>()?));
    }
    if kind == "array" {
        let items = fields.remove("items").filter(|items| !items.is_null()).unwrap_or_else(|| json!({}));
        fields.insert("items".to_owned(), self::schema(&format!("{path}.items"), Some(&items), false)?);
    }
    let is_open = kind.is_empty() || (kind == "object" && !fields.contains_key("additionalProperties"));
    if is_open {
        fields.insert(PRESERVE.to_owned(), json!(true));
    }
    Ok(Value::Object(fields))
}

/// The text at a path; none if there is none, or an empty one, as Go writes what is not set.
fn text<'a>(file: &'a Value, path: &str) -> Result<Option<&'a str>, SpecError> {
    match at(file, path) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(SpecError::invalid(path, other.to_string(), "give a text")),
    }
}

fn object<'a>(file: &'a Value, path: &str) -> Result<&'a Map<String, Value>, SpecError> {
    let found = at(file, path);
    let shown = || found.map_or_else(|| "missing".to_owned(), Value::to_string);
    found.and_then(Value::as_object).ok_or_else(|| SpecError::invalid(path, shown(), "give an object"))
}

fn at<'a>(file: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(file, |value, step| value.get(step))
}

/// Notes the fields that are not taken over.
fn unknown(path: &str, fields: &Map<String, Value>, known: &[&str], notes: &mut Vec<String>) {
    let others = fields.keys().filter(|field| !known.contains(&field.as_str()));
    notes.extend(others.map(|field| match field.as_str() {
        "reconcileInterval" => {
            format!("{path}.{field}: ignored: each change of an instance runs once")
        }
        _ => format!("{path}.{field}: left out: there is nothing like it here"),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users have such a file; not a character of it may have to change.
    #[test]
    fn the_old_form_is_taken_over() {
        let file = include_str!("../../../examples/blueprint-definition-old-form.json");
        let imported = import(&serde_json::from_str(file).unwrap(), Some("old.example.com")).unwrap();
        let spec = &imported.definition.spec;
        assert_eq!(imported.definition.metadata.name.as_deref(), Some("executordeployments.old.example.com"));
        assert_eq!(spec.handler.function_name.as_deref(), Some("reconcile_executor_deployment"));
        assert_eq!(
            imported.notes.len(),
            2,
            "that the operator has the kind, and is the handler: {:?}",
            imported.notes
        );
        let without = import(&serde_json::from_str(file).unwrap(), None).unwrap();
        assert_eq!(without.definition.spec.group, DEFAULT_GROUP);
        assert!(without.notes.iter().any(|note| note.contains("--group")), "{:?}", without.notes);
    }

    fn definition(schema: &Value) -> Value {
        json!({
            "kind": "BlueprintDefinition", "metadata": { "name": "database", "colonyname": "dev" },
            "spec": {
                "group": "data.example.com", "version": "v1", "scope": "Namespaced",
                "names": { "kind": "Database", "listKind": "", "singular": "", "plural": "" },
                "schema": schema,
                "handler": { "executorType": "database-reconciler", "functionName": "reconcile", "reconcileInterval": 60 },
            },
        })
    }

    #[test]
    fn a_definition_of_colonyos_keeps_what_its_schema_keeps() {
        let schema = json!({
            "type": "object", "required": ["engine"],
            "properties": {
                "engine": { "type": "string", "enum": ["postgresql", "mysql"] },
                "anything": {}, "tags": { "type": "array" },
                "backup": { "type": "object", "properties": { "hours": { "type": "number" } } },
            },
        });
        let imported = import(&definition(&schema), None).unwrap();
        assert_eq!(
            imported.notes,
            ["spec.handler.reconcileInterval: ignored: each change of an instance runs once"]
        );
        let spec = &imported.definition.spec.versions[0].schema.open_api_v3_schema["properties"]["spec"];
        assert_eq!(spec["required"], json!(["engine"]));
        for open in [
            "/x-kubernetes-preserve-unknown-fields",
            "/properties/anything/x-kubernetes-preserve-unknown-fields",
            "/properties/tags/items/x-kubernetes-preserve-unknown-fields",
            "/properties/backup/x-kubernetes-preserve-unknown-fields",
        ] {
            assert_eq!(spec.pointer(open), Some(&json!(true)), "{open} in {spec}");
        }
        assert_eq!(imported.definition.spec.names.plural, "databases");
        for (kind, expected) in [("Policy", "policies"), ("Gateway", "gateways"), ("Class", "classes")] {
            assert_eq!(plural(kind), expected);
        }
    }

    #[test]
    fn errors_name_the_field_of_the_file() {
        let whole = definition(&json!({ "type": "object", "properties": { "size": { "type": "int" } } }));
        let error = import(&whole, None).unwrap_err().to_string();
        assert!(error.starts_with("spec.schema.properties.size.type: int"), "{error}");
        for (at, value, expected) in [
            ("/kind", json!("Deployment"), "kind: \"Deployment\""),
            ("/spec/names/kind", json!(""), "spec.names.kind: missing"),
            ("/spec/names/kind", json!(7), "spec.names.kind: 7"),
            ("/spec/handler/functionName", Value::Null, "spec.handler.functionName: missing"),
            ("/spec/handler", json!([]), "spec.handler: []"),
            ("/spec/scope", json!("Galaxy"), "spec.scope: Galaxy"),
            ("/spec/schema", json!("text"), "spec.schema: \"text\""),
            ("/spec/schema", json!({ "properties": [] }), "spec.schema.properties: []"),
        ] {
            let mut file = definition(&Value::Null);
            *file.pointer_mut(at).unwrap() = value;
            let error = import(&file, None).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{at}: {error}");
        }
    }
}
