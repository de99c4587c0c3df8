//! The definition that a colony is to have of a kind whose instances are its blueprints. Pure.

use serde_json::{Map, Value};

use super::{
    super::SpecError,
    translate::{DroppedRule, translate},
};
use crate::{
    api::{
        names::{EXECUTOR_DEPLOYMENT_KIND, blueprint_definition_id},
        resource_definition::{Handler, ResourceDefinition, Untranslatable},
    },
    colony::model::{BlueprintDefinition, DefinitionSpec},
};

/// How many rules that a colony cannot have are named.
const NAMED_RULES: usize = 3;

/// The definition of a kind as a colony is to have it, but for whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ColonyDefinition {
    name: String,
    spec: DefinitionSpec,
    dropped_rules: Vec<DroppedRule>,
}

impl ColonyDefinition {
    /// Translates a definition.
    ///
    /// # Errors
    ///
    /// When it has rules that a colony's definition cannot express, and does not set `KeepHere`; the message names
    /// the field.
    pub fn of(definition: &ResourceDefinition) -> Result<Self, SpecError> {
        let spec = &definition.spec;
        let (names, handler) = (&spec.names, &spec.handler);
        let mut versions = spec.versions.iter().enumerate();
        let stored = versions.find(|(_, version)| version.storage);
        let (index, version) = stored.ok_or(SpecError::Incomplete("spec.versions with storage"))?;
        if names.kind == EXECUTOR_DEPLOYMENT_KIND {
            return Err(SpecError::invalid(
                "spec.names.kind",
                EXECUTOR_DEPLOYMENT_KIND,
                "blueprints of this kind become the operator's own ExecutorDeployments: choose another kind",
            ));
        }
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        let translated = translate(&path, &version.schema.open_api_v3_schema);
        if let Some(first) = translated.dropped_rules.first()
            && handler.blueprint_terms().untranslatable == Untranslatable::Refuse
        {
            let further = match translated.dropped_rules.len() - 1 {
                0 => String::new(),
                further => format!(" ({further} more of the kind)"),
            };
            let remedy = format!(
                "schemas in a colony cannot express this{further}: remove it, or set spec.handler.blueprint.untranslatable to KeepHere to check it in this cluster only"
            );
            return Err(SpecError::invalid(&first.field, &first.value, remedy));
        }
        let mut said = DefinitionSpec {
            group: spec.group.clone(),
            version: version.name.clone(),
            scope: spec.scope.as_str().to_owned(),
            schema: Some(translated.schema),
            ..DefinitionSpec::default()
        };
        said.names.kind.clone_from(&names.kind);
        said.names.plural.clone_from(&names.plural);
        said.names.singular = names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase());
        said.names.list_kind = names.list_kind.clone().unwrap_or_else(|| format!("{}List", names.kind));
        said.handler.executor_type = handler.executor_type.clone().unwrap_or_default();
        said.handler.function = handler.function_name.clone().unwrap_or_default();
        let name = definition.metadata.name.clone().ok_or(SpecError::Incomplete("metadata.name"))?;
        Ok(Self { name, spec: said, dropped_rules: translated.dropped_rules })
    }

    /// The definition in a colony, made by a cluster.
    #[must_use]
    pub fn in_colony(&self, colony: &str, cluster: &str) -> BlueprintDefinition {
        let mut definition = BlueprintDefinition {
            id: blueprint_definition_id(cluster, &self.name),
            kind: "BlueprintDefinition".to_owned(),
            spec: self.spec.clone(),
            ..BlueprintDefinition::default()
        };
        definition.metadata.name.clone_from(&self.name);
        colony.clone_into(&mut definition.metadata.colony);
        definition
    }

    /// The first thing in which a definition of a colony differs, with both values; none if they are equal.
    #[must_use]
    pub fn difference(&self, found: &BlueprintDefinition) -> Option<String> {
        let (ours, theirs) = (&self.spec, &found.spec);
        let texts = [
            ("group", &ours.group, &theirs.group),
            ("version", &ours.version, &theirs.version),
            ("scope", &ours.scope, &theirs.scope),
            ("names.kind", &ours.names.kind, &theirs.names.kind),
            ("names.plural", &ours.names.plural, &theirs.names.plural),
            ("names.singular", &ours.names.singular, &theirs.names.singular),
            ("names.listKind", &ours.names.list_kind, &theirs.names.list_kind),
            ("handler.executorType", &ours.handler.executor_type, &theirs.handler.executor_type),
            ("handler.functionName", &ours.handler.function, &theirs.handler.function),
        ];
        let text = texts.into_iter().find(|(_, ours, theirs)| ours != theirs);
        if let Some((field, ours, theirs)) = text {
            return Some(format!("{field}: {ours:?} here, {theirs:?} in the colony"));
        }
        let spelled = |schema: &Option<Value>| schema.as_ref().map(spelled).unwrap_or_default();
        (spelled(&ours.schema) != spelled(&theirs.schema)).then(|| "the schema".to_owned())
    }

    /// Whether a definition of a colony that differs does no harm: it has the same handler, and takes every spec that
    /// the kind has now. The server ignores its other fields.
    #[must_use]
    pub fn may_lag(&self, found: &BlueprintDefinition) -> bool {
        let (ours, theirs) = (&self.spec, &found.spec);
        ours.names.kind == theirs.names.kind
            && ours.handler.executor_type == theirs.handler.executor_type
            && ours.handler.function == theirs.handler.function
            && match (&theirs.schema, &ours.schema) {
                (Some(theirs), Some(ours)) => admits(theirs, ours),
                (theirs, _) => theirs.is_none(),
            }
    }

    /// What this cluster alone checks, for a person; none if the colony checks everything.
    #[must_use]
    pub fn checked_here(&self) -> Option<String> {
        let fields: Vec<&str> =
            self.dropped_rules.iter().take(NAMED_RULES).map(|one| one.field.as_str()).collect();
        let further = match self.dropped_rules.len().saturating_sub(NAMED_RULES) {
            0 => String::new(),
            further => format!(" and {further} more"),
        };
        (!fields.is_empty()).then(|| format!("{}{further}", fields.join(", ")))
    }
}

/// Whether blueprints of a definition in a colony are handled as the handler declares.
#[must_use]
pub fn is_handled_as(found: &BlueprintDefinition, handler: &Handler) -> bool {
    let theirs = &found.spec.handler;
    Some(&theirs.executor_type) == handler.executor_type.as_ref()
        && Some(&theirs.function) == handler.function_name.as_ref()
}

/// Whether every value that fits the schema `ours` fits `theirs`, as far as the server checks it. A field that only `theirs`
/// describes may be there all the same, where the kind keeps what it does not describe.
fn admits(theirs: &Value, ours: &Value) -> bool {
    let list = |schema: &Value, keyword: &str| {
        schema.get(keyword).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let kind = |schema: &Value| schema.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let fits_type = match (kind(theirs).as_str(), kind(ours).as_str()) {
        // What is to be whole is not looked at.
        ("" | "integer", _) | ("number", "integer") => true,
        (theirs, ours) => theirs == ours,
    };
    let values = list(theirs, "enum");
    let own_values = list(ours, "enum");
    let fits_values =
        values.is_empty() || (!own_values.is_empty() && own_values.iter().all(|one| values.contains(one)));
    let own_required = list(ours, "required");
    let has_required = list(theirs, "required").iter().all(|name| own_required.contains(name));
    let anything = Value::Object(Map::new());
    let field = |name: &str| ours.get("properties").and_then(|fields| fields.get(name)).unwrap_or(&anything);
    let fields = theirs.get("properties").and_then(Value::as_object);
    let fits_fields = fields.into_iter().flatten().all(|(name, theirs)| admits(theirs, field(name)));
    let items = theirs.get("items");
    let fits_items = items.is_none_or(|theirs| admits(theirs, ours.get("items").unwrap_or(&anything)));
    fits_type && fits_values && has_required && fits_fields && fits_items
}

/// JSON as the colony's server gives it back: without what is empty, every number a `float64`.
fn spelled(value: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(fields) => {
            let each = fields.iter().filter(|(name, value)| {
                // A field without a rule is a field; a keyword without a value is none.
                let is_keyword = ["default", "description", "enum", "properties", "required"];
                !(is_empty(value) && is_keyword.contains(&name.as_str()))
            });
            Value::Object(each.map(|(name, value)| (name.clone(), spelled(value))).collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(spelled).collect()),
        Value::Number(number) => Value::from(number.as_f64()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(spec: &Value, untranslatable: &str) -> ResourceDefinition {
        serde_json::from_value(json!({
            "metadata": { "name": "boxes.g.example.com", "generation": 1 },
            "spec": {
                "group": "g.example.com", "names": { "kind": "Box", "plural": "boxes" },
                "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": {
                    "type": "object", "properties": { "spec": spec } } } }],
                "handler": { "mode": "blueprint", "executorType": "box-reconciler", "functionName": "reconcile",
                             "blueprint": { "untranslatable": untranslatable } },
            },
        }))
        .unwrap()
    }

    fn bounded() -> Value {
        json!({ "type": "object", "properties": {
            "size": { "type": "integer", "minimum": 1, "maximum": 9 }, "name": { "type": "string" } } })
    }

    #[test]
    fn what_a_colony_cannot_say_is_refused_with_field_and_remedy() {
        let error = ColonyDefinition::of(&definition(&bounded(), "Refuse")).unwrap_err().to_string();
        let field = "spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.maximum: 9: ";
        assert!(error.starts_with(field), "{error}");
        assert!(error.contains("1 more") && error.contains("untranslatable to KeepHere"), "{error}");
        let kept = ColonyDefinition::of(&definition(&bounded(), "KeepHere")).unwrap();
        assert!(kept.checked_here().unwrap().contains("size.minimum"), "{kept:?}");
        let plain = json!({ "type": "object" });
        assert_eq!(ColonyDefinition::of(&definition(&plain, "Refuse")).unwrap().checked_here(), None);
    }

    #[test]
    fn the_definition_says_who_carries_blueprints_out_and_whose_it_is() {
        let ours = ColonyDefinition::of(&definition(&bounded(), "KeepHere")).unwrap();
        let made = ours.in_colony("dev", "c1");
        assert_eq!(made.id, "k8s:c1/boxes.g.example.com");
        assert_eq!(
            (made.metadata.name.as_str(), made.metadata.colony.as_str()),
            ("boxes.g.example.com", "dev")
        );
        assert_eq!(made.spec.names.list_kind, "BoxList");
        assert_eq!(made.spec.schema.as_ref().unwrap()["properties"]["size"], json!({ "type": "integer" }));
        assert_eq!(ours.difference(&made), None);
        let mut other = made;
        "another".clone_into(&mut other.spec.handler.executor_type);
        assert!(ours.difference(&other).unwrap().contains("handler.executorType"));
    }

    /// The server keeps numbers as floating point and leaves out what is empty: nothing has changed.
    #[test]
    fn what_the_server_spells_otherwise_is_no_difference() {
        let spec = json!({ "type": "object", "required": [], "properties": {
            "ratio": { "type": "number", "default": 1.0 }, "any": { "x-kubernetes-preserve-unknown-fields": true } } });
        let ours = ColonyDefinition::of(&definition(&spec, "Refuse")).unwrap();
        let mut stored = ours.in_colony("dev", "c1");
        stored.spec.schema = Some(json!({ "type": "object", "properties": {
            "ratio": { "type": "number", "default": 1 }, "any": {} } }));
        assert_eq!(ours.difference(&stored), None);
        stored.spec.schema =
            Some(json!({ "type": "object", "properties": { "ratio": { "type": "number" } } }));
        assert!(ours.difference(&stored).is_some());
    }

    /// What the colony checks must never keep out what the API server takes.
    #[test]
    fn a_definition_may_lag_as_long_as_it_takes_what_the_kind_has() {
        let field = |name: &str, schema: Value| json!({ "type": "object", "properties": { name: schema } });
        let text = || json!({ "type": "string" });
        let picked = |values: &[&str]| json!({ "type": "string", "enum": values });
        let lags = |before: &Value, now: &Value| {
            let found = ColonyDefinition::of(&definition(before, "Refuse")).unwrap().in_colony("dev", "c1");
            ColonyDefinition::of(&definition(now, "Refuse")).unwrap().may_lag(&found)
        };
        let mut more = field("a", text());
        more["properties"]["b"] = json!({ "type": "integer" });
        assert!(lags(&field("a", text()), &more), "a field more");
        assert!(
            !lags(&field("a", text()), &json!({ "type": "object" })),
            "it may be kept without being described"
        );
        assert!(!lags(&field("a", text()), &field("a", json!({ "type": "integer" }))), "another type");
        assert!(lags(&field("a", json!({ "type": "number" })), &field("a", json!({ "type": "integer" }))));
        assert!(lags(&field("a", picked(&["x", "y"])), &field("a", picked(&["x"]))));
        assert!(!lags(&field("a", picked(&["x"])), &field("a", picked(&["x", "y"]))), "a value more");
        assert!(!lags(&field("a", picked(&["x"])), &field("a", text())));
        let mut required = field("a", text());
        required["required"] = json!(["a"]);
        assert!(lags(&field("a", text()), &required) && !lags(&required, &field("a", text())));
        let list = |items: Value| field("a", json!({ "type": "array", "items": items }));
        assert!(!lags(&list(text()), &list(json!({ "type": "boolean" }))));
        let ours = ColonyDefinition::of(&definition(&more, "Refuse")).unwrap();
        let mut other = ours.in_colony("dev", "c1");
        "act".clone_into(&mut other.spec.handler.function);
        assert!(!ours.may_lag(&other), "another handler would carry it out");
    }

    #[test]
    fn the_kind_of_fleets_is_taken() {
        let mut taken = definition(&json!({ "type": "object" }), "Refuse");
        EXECUTOR_DEPLOYMENT_KIND.clone_into(&mut taken.spec.names.kind);
        assert!(ColonyDefinition::of(&taken).unwrap_err().to_string().starts_with("spec.names.kind"));
    }
}
