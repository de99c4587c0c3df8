//! From the schema of a kind to the schema of its blueprints, in the dialect of `ColonyOS` 1.9.12: `type`, `properties`, `items`,
//! `enum`, `description`, `default` and, for the spec itself, `required`. Pure.
//!
//! What comes of it admits everything that the kind's schema admits: a colony that refused what the API server has taken
//! could never be brought in line.

use serde_json::{Map, Value, json};

use super::{
    keyword::{Form, form},
    schema::{shown, step},
    validate::is_judged_format,
};

/// A schema of blueprints, and what was left out of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Translated {
    /// The schema of their specs.
    pub schema: Value,
    /// Rules that it cannot have, in the order of the schema.
    pub dropped_rules: Vec<DroppedRule>,
}

/// A rule that the schemas of a colony cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DroppedRule {
    /// Its path.
    pub field: String,
    /// Its text, truncated for a message.
    pub value: String,
}

/// Keywords that do not restrict objects.
const ANNOTATION_KEYWORDS: [&str; 7] = [
    "description",
    "example",
    "externalDocs",
    "title",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
];

/// Translates the schema of a kind's objects, which stands at `path`.
pub(super) fn translate(path: &str, schema: &Value) -> Translated {
    let mut translator = Translator::default();
    let spec = translator.whole(path, schema);
    Translated { schema: spec, dropped_rules: translator.dropped_rules }
}

#[derive(Default)]
struct Translator {
    dropped_rules: Vec<DroppedRule>,
}

impl Translator {
    /// The object as a whole, of which a blueprint has the spec alone.
    fn whole(&mut self, path: &str, schema: &Value) -> Value {
        let mut spec = json!({ "type": "object" });
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let path = format!("{path}{}", step(keyword));
            match (keyword.as_str(), value) {
                ("type", _) => {}
                ("properties", Value::Object(fields)) => {
                    for (name, field) in fields {
                        let path = format!("{path}{}", step(name));
                        match name.as_str() {
                            "spec" => spec = self.value(&path, field, true),
                            "apiVersion" | "kind" | "status" => {}
                            "metadata" if field.get("properties").is_none() => {}
                            _ => self.drop_rule(&path, field),
                        }
                    }
                }
                ("required", Value::Array(names)) => {
                    let every = ["apiVersion", "kind", "metadata", "spec", "status"];
                    if names.iter().any(|name| !every.iter().any(|every| name == every)) {
                        self.drop_rule(&path, value);
                    }
                }
                _ if is_without_effect(keyword, value) => {}
                _ => self.drop_rule(&path, value),
            }
        }
        spec
    }

    /// A field; `is_spec`: the spec itself, of which alone fields can be required.
    fn value(&mut self, path: &str, schema: &Value, is_spec: bool) -> Value {
        let mut translated = Map::new();
        // A null has no type there.
        let may_be_null = schema.get("nullable") == Some(&Value::Bool(true));
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let path = format!("{path}{}", step(keyword));
            match (keyword.as_str(), value) {
                ("type", _) if may_be_null => {}
                ("type" | "description" | "default", _) => {
                    translated.insert(keyword.clone(), value.clone());
                }
                ("properties", Value::Object(fields)) => {
                    let each = fields.iter().map(|(name, field)| {
                        (name.clone(), self.value(&format!("{path}{}", step(name)), field, false))
                    });
                    let each: Map<String, Value> = each.collect();
                    translated.insert(keyword.clone(), Value::Object(each));
                }
                ("items", Value::Object(_)) => {
                    let items = self.value(&path, value, false);
                    translated.insert(keyword.clone(), items);
                }
                // Values that are no scalars cannot be compared by the server, and crash the comparison.
                ("enum", Value::Array(values)) if values.iter().all(is_scalar) => {
                    translated.insert(keyword.clone(), value.clone());
                }
                ("required", _) if is_spec => {
                    translated.insert(keyword.clone(), value.clone());
                }
                _ if is_without_effect(keyword, value) => {}
                _ => self.drop_rule(&path, value),
            }
        }
        Value::Object(translated)
    }

    fn drop_rule(&mut self, path: &str, value: &Value) {
        self.dropped_rules.push(DroppedRule { field: path.to_owned(), value: shown(Some(value)) });
    }
}

const fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// Whether a keyword allows every value.
fn is_without_effect(keyword: &str, value: &Value) -> bool {
    match (keyword, value) {
        ("format", Value::String(format)) => !is_judged_format(format),
        ("x-kubernetes-list-type", value) => value == "atomic",
        ("additionalProperties", value) => *value == Value::Bool(true),
        ("minItems" | "minLength" | "minProperties", value) => value.as_u64() == Some(0),
        (_, Value::Array(values)) if values.is_empty() => true,
        (keyword, _) if ANNOTATION_KEYWORDS.contains(&keyword) => true,
        (keyword, value) => form(keyword) == Some(Form::Bool) && *value == Value::Bool(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(spec: &Value) -> Value {
        json!({ "type": "object", "properties": { "spec": spec } })
    }

    fn dropped_rules(schema: &Value) -> Vec<String> {
        translate("s", schema).dropped_rules.into_iter().map(|left| left.field).collect()
    }

    #[test]
    fn what_a_colony_can_say_is_said() {
        let spec = json!({
            "type": "object", "required": ["image"], "description": "A container.",
            "properties": {
                "image": { "type": "string", "title": "Image" },
                "replicas": { "type": "integer", "format": "int32", "default": 1 },
                "restart": { "type": "string", "enum": ["always", "never"] },
                "ports": { "type": "array", "x-kubernetes-list-type": "atomic", "items": {
                    "type": "object", "properties": { "host": { "type": "integer" } } } },
                "anything": { "x-kubernetes-preserve-unknown-fields": true },
            },
        });
        let translated = translate("s", &whole(&spec));
        assert_eq!(translated.dropped_rules, []);
        assert_eq!(
            translated.schema,
            json!({
                "type": "object", "required": ["image"], "description": "A container.",
                "properties": {
                    "image": { "type": "string" },
                    "replicas": { "type": "integer", "default": 1 },
                    "restart": { "type": "string", "enum": ["always", "never"] },
                    "ports": { "type": "array", "items": {
                        "type": "object", "properties": { "host": { "type": "integer" } } } },
                    "anything": {},
                },
            })
        );
        assert_eq!(translate("s", &json!({ "type": "object" })).schema, json!({ "type": "object" }));
    }

    /// A rule that is dropped silently may be one that users rely on.
    #[test]
    fn every_rule_that_a_colony_cannot_have_is_named() {
        for rule in [
            json!({ "minimum": 0 }),
            json!({ "pattern": "^a" }),
            json!({ "minLength": 1 }),
            json!({ "format": "ipv4" }),
            json!({ "nullable": true }),
            json!({ "x-kubernetes-validations": [{ "rule": "self != ''" }] }),
            json!({ "x-kubernetes-int-or-string": true }),
            json!({ "additionalProperties": { "type": "string" } }),
            json!({ "required": ["a"] }),
            json!({ "x-kubernetes-list-type": "set" }),
            json!({ "enum": [{ "a": 1 }] }),
            json!({ "anyOf": [{ "minimum": 1 }] }),
        ] {
            let keyword = rule.as_object().unwrap().keys().next().unwrap().clone();
            let schema = whole(&json!({ "type": "object", "properties": { "field": rule } }));
            let path = format!("s.properties.spec.properties.field{}", step(&keyword));
            assert_eq!(dropped_rules(&schema), [path], "{rule}");
        }
        for harmless in [
            json!({ "minLength": 0 }),
            json!({ "nullable": false }),
            json!({ "format": "password" }),
            json!({ "required": [] }),
            json!({ "additionalProperties": true }),
        ] {
            let schema = whole(&json!({ "type": "object", "properties": { "field": harmless } }));
            assert_eq!(dropped_rules(&schema), [] as [&str; 0], "{harmless}");
        }
    }

    #[test]
    fn a_blueprint_has_nothing_beside_its_spec() {
        let schema = json!({
            "type": "object", "required": ["spec", "data"], "description": "A thing.",
            "x-kubernetes-validations": [{ "rule": "has(self.data)" }],
            "properties": {
                "data": { "type": "string" }, "spec": { "type": "object" },
                "metadata": { "type": "object", "properties": { "name": { "maxLength": 8 } } },
                "status": { "type": "object", "properties": { "count": { "minimum": 0 } } },
            },
        });
        let mut found = dropped_rules(&schema);
        found.sort();
        assert_eq!(
            found,
            ["s.properties.data", "s.properties.metadata", "s.required", "s['x-kubernetes-validations']"]
        );
    }

    /// The colony must never refuse what the API server takes.
    #[test]
    fn a_field_that_may_be_null_has_no_type_there() {
        let spec =
            json!({ "type": "object", "properties": { "note": { "type": "string", "nullable": true } } });
        assert_eq!(translate("s", &whole(&spec)).schema["properties"]["note"], json!({}));
    }
}
