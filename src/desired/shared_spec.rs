//! A spec that stands in the cluster and in the colony, in one spelling for both. Pure.

use serde_json::{Map, Value};

use super::hidden::{HIDDEN, hide_alike, hide_variables};
use crate::{
    api::metadata::content_hash,
    kinds::{SpecError, definition::prune_to_schema},
};

/// The spec of an object in normal form, to compare both sides: with defaults filled in, without what only one side
/// knows.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedSpec {
    fields: Map<String, Value>,
    /// Optional fields, with their defaults.
    defaults: Map<String, Value>,
}

impl SharedSpec {
    /// A spec that may omit fields with these values.
    #[must_use]
    pub(super) const fn with_defaults(fields: Map<String, Value>, defaults: Map<String, Value>) -> Self {
        Self { fields, defaults }
    }

    /// The spec of an instance of a defined kind, or of its blueprint. A colony keeps every number as floating point,
    /// and what is null is not there.
    #[must_use]
    pub fn of_instance(spec: &Map<String, Value>) -> Self {
        Self { fields: spelled_fields(spec), defaults: Map::new() }
    }

    /// The spec of the blueprint of an instance, as the API server would store it in the instance.
    ///
    /// # Errors
    ///
    /// When it has a field that the kind does not: it would be lost.
    pub fn of_instance_blueprint(
        spec: &Map<String, Value>,
        schema: Option<&Value>,
    ) -> Result<Self, SpecError> {
        let given = Value::Object(spelled_fields(spec));
        let schema = schema.and_then(|schema| schema.pointer("/properties/spec"));
        let (kept, dropped) = match schema {
            Some(schema) => prune_to_schema("spec", schema, &given),
            None => (given, Vec::new()),
        };
        if let Some(field) = dropped.into_iter().next() {
            let remedy = "the kind has no such field: remove it, or describe it in the ResourceDefinition";
            return Err(SpecError::invalid(field, "a field of the blueprint", remedy));
        }
        Ok(Self::of_instance(kept.as_object().unwrap_or(&Map::new())))
    }

    /// As a colony is told of it that needs no value of a variable: every member reads what it is told.
    #[must_use]
    pub fn without_variables(mut self) -> Self {
        self.change(hide_variables);
        self
    }

    /// With the values hidden that another side hides.
    #[must_use]
    pub fn hidden_like(mut self, other: &Self) -> Self {
        let other = Value::Object(other.fields.clone());
        self.change(|spec| hide_alike(spec, &other));
        self
    }

    fn change(&mut self, change: impl FnOnce(&mut Value)) {
        let mut spec = Value::Object(std::mem::take(&mut self.fields));
        change(&mut spec);
        if let Value::Object(fields) = spec {
            self.fields = fields;
        }
    }

    /// The values, by field.
    #[must_use]
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Its identity. It is kept in status and annotations, so it must not change with a version of the operator that
    /// knows more fields: what has its default is left out.
    #[must_use]
    pub fn hash(&self) -> String {
        let told = self.fields.iter().filter(|(name, value)| self.defaults.get(*name) != Some(*value));
        content_hash(&told.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The spec of the blueprint.
    #[must_use]
    pub fn blueprint_spec(&self) -> Map<String, Value> {
        self.fields.clone()
    }

    /// The first fields in which two differ, with the value of each, for a person.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(
            Some(&Value::Object(self.fields.clone())),
            Some(&Value::Object(other.fields.clone())),
            "spec",
            &mut found,
        );
        found
    }
}

/// A field in which two specs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path of the field.
    pub field: String,
    /// Value on the one side, cut to fit a message.
    pub one: String,
    /// Value on the other.
    pub other: String,
}

fn spelled_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    let given = fields.iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.clone(), spelled(value))).collect()
}

fn spelled(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(spelled_fields(fields)),
        Value::Array(elements) => Value::Array(elements.iter().map(spelled).collect()),
        Value::Number(number) => whole(number.as_f64()).unwrap_or_else(|| value.clone()),
        other => other.clone(),
    }
}

/// A number as JavaScript, Go and API servers write it: without a point where it is whole.
fn whole(number: Option<f64>) -> Option<Value> {
    /// Up to here every whole number is one in floating point.
    const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;
    let number = number?;
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT_INTEGER {
        return format!("{number:.0}").parse::<i64>().ok().map(Value::from);
    }
    Some(Value::from(number))
}

fn compare(one: Option<&Value>, other: Option<&Value>, path: &str, found: &mut Vec<Difference>) {
    match (one, other) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            for name in names {
                compare(one.get(name), other.get(name), &format!("{path}.{name}"), found);
            }
        }
        (one, other) if one == other => {}
        (one, other) => {
            // Values of variables may be secrets in all but name.
            let shown = |value| if path.contains(".env") { HIDDEN.to_owned() } else { short(value) };
            found.push(Difference { field: path.to_owned(), one: shown(one), other: shown(other) });
        }
    }
}

/// A value, cut to fit a message.
pub(super) fn short(value: Option<&Value>) -> String {
    const LONGEST: usize = 80;
    let Some(value) = value else { return "absent".to_owned() };
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let cut: String = text.chars().take(LONGEST).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instance(value: &Value) -> SharedSpec {
        SharedSpec::of_instance(value.as_object().unwrap())
    }

    /// What comes back from the colony has been floating point: it was not edited.
    #[test]
    fn the_same_numbers_spelled_otherwise_are_no_edit() {
        let ours =
            instance(&json!({ "a": 1.0, "b": 9_007_199_254_740_993_i64, "c": 0.5, "d": null, "e": [2.0] }));
        let theirs = instance(&json!({ "a": 1, "b": 9_007_199_254_740_992_i64, "c": 0.5, "e": [2] }));
        assert_eq!(ours, theirs);
        assert_eq!(ours.hash(), theirs.hash());
        assert_eq!(ours.blueprint_spec()["a"].to_string(), "1");
        assert_ne!(instance(&json!({ "a": 1.5 })), instance(&json!({ "a": 1 })));
    }

    /// An API server drops what it does not know: written to it, the field would be missing and written again for ever.
    #[test]
    fn a_field_that_the_kind_does_not_have_is_named() {
        let schema = json!({ "properties": { "spec": { "type": "object", "properties": {
            "size": { "type": "integer", "default": 1 }, "name": { "type": "string" } } } } });
        let of = |spec: &Value| SharedSpec::of_instance_blueprint(spec.as_object().unwrap(), Some(&schema));
        let filled = of(&json!({ "name": "a" })).unwrap();
        assert_eq!(filled, instance(&json!({ "name": "a", "size": 1 })), "the default of the schema");
        let error = of(&json!({ "colour": "red" })).unwrap_err().to_string();
        assert!(error.starts_with("spec.colour: "), "{error}");
    }
}
