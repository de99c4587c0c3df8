//! Whether an object fits the schema of its kind, as the API server would judge it after it has filled defaults in. Pure.
//!
//! Only differences from an earlier schema are checked: what an object breaks already, it does not break by a change.
//! A field that is not described any more counts, since API servers drop it.

mod format;
mod limits;
mod violation;

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::schema::{shown, step};
use crate::{
    expression::{BUDGET, Budget, Condition, Variables},
    kinds::schema::with_defaults,
};

pub(super) use format::is_judged as is_judged_format;
use limits::{count, distinct, number};
pub use violation::Violation;
use violation::{holds, violation};

/// What all rules together may cost over all objects, in the unit of [`BUDGET`]: some tenths of a second. What is not
/// reached by then cannot be checked.
const RULES_BUDGET: u64 = 20 * BUDGET;
const RULE_VARIABLES: [&str; 2] = ["self", "oldSelf"];
/// What every object has, whatever its schema describes.
const EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// A schema, and the one that objects fitted before.
#[derive(Clone, Copy)]
struct Change<'s> {
    now: &'s Value,
    before: Option<&'s Value>,
}

impl<'s> Change<'s> {
    fn new(now: &'s Value, before: Option<&'s Value>) -> Self {
        Self { now, before }
    }

    fn within(self, now: &'s Value, keys: &[&str]) -> Self {
        let before = self.before.and_then(|before| keys.iter().try_fold(before, |value, key| value.get(key)));
        Self::new(now, before)
    }
}

/// Checks objects against schemas. Keeps what it compiled, and what is left to spend on rules.
#[derive(Debug)]
pub struct Validator {
    patterns: HashMap<String, Result<Regex, String>>,
    rules: HashMap<String, Result<Condition, String>>,
    budget: Budget,
}

impl Default for Validator {
    fn default() -> Self {
        Self { patterns: HashMap::new(), rules: HashMap::new(), budget: Budget::new(RULES_BUDGET) }
    }
}

impl Validator {
    /// Whether an object fits a schema that its kind has from now on, where it differs from the one of before. Status is not
    /// looked at: it is the operator's, which leaves out what does not fit.
    ///
    /// # Errors
    ///
    /// The first field that does not match, or that cannot be checked.
    pub fn check(&mut self, schema: &Value, before: Option<&Value>, object: &Value) -> Result<(), Violation> {
        if before == Some(schema) {
            return Ok(());
        }
        let mut schema = schema.clone();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("status");
            // Names alone can be restricted, and the API server describes the rest.
            if let Some(metadata) = properties.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert(PRESERVE.to_owned(), json!(true));
                metadata.insert("type".to_owned(), json!("object"));
            }
        }
        let mut object = with_defaults(&schema, object);
        if let Value::Object(fields) = &mut object {
            fields.remove("status");
        }
        self.described("", Change::new(&schema, before), &object, true)
    }

    /// A value and its structural schema. `has_metadata`: it is an object of an API by itself.
    fn described(
        &mut self,
        path: &str,
        change: Change<'_>,
        value: &Value,
        has_metadata: bool,
    ) -> Result<(), Violation> {
        let schema = change.now;
        if change.before == Some(schema) {
            return Ok(());
        }
        if value.is_null() {
            let may_be = schema.get("type").is_none() && !holds(schema, INT_OR_STRING);
            return if may_be || holds(schema, "nullable") {
                Ok(())
            } else {
                Err(violation(path, "null: give a value"))
            };
        }
        if holds(schema, INT_OR_STRING) && !value.is_string() && !is_integer(value) {
            return Err(violation(path, format!("{}: give a whole number or a text", shown(Some(value)))));
        }
        self.restricted(path, schema, value)?;
        match value {
            Value::Object(fields) => self.fields(path, change, fields, has_metadata)?,
            Value::Array(elements) => {
                if let Some(items) = schema.get("items") {
                    for (index, element) in elements.iter().enumerate() {
                        let path = format!("{path}[{index}]");
                        self.described(&path, change.within(items, &["items"]), element, is_embedded(items))?;
                    }
                }
                distinct(path, schema, elements)?;
            }
            _ => {}
        }
        self.rules(path, change, value)
    }

    fn fields(
        &mut self,
        path: &str,
        change: Change<'_>,
        fields: &Map<String, Value>,
        has_metadata: bool,
    ) -> Result<(), Violation> {
        let schema = change.now;
        let others = schema.get("additionalProperties");
        for (name, value) in fields {
            let path = within(path, name);
            if let Some(described) = schema.get("properties").and_then(|described| described.get(name)) {
                let change = change.within(described, &["properties", name]);
                self.described(&path, change, value, is_embedded(described))?;
            } else if let Some(others) = others {
                if others.is_object() {
                    let change = change.within(others, &["additionalProperties"]);
                    self.described(&path, change, value, is_embedded(others))?;
                }
            } else if !(holds(schema, PRESERVE) || (has_metadata && EVERY_OBJECT.contains(&name.as_str()))) {
                return Err(violation(&path, "would be lost: the schema does not describe it"));
            }
        }
        Ok(())
    }

    /// What restricts a value, within `allOf` and the like too.
    fn restricted(&mut self, path: &str, schema: &Value, value: &Value) -> Result<(), Violation> {
        if let Some(kind) = schema.get("type").and_then(Value::as_str).filter(|kind| !is_of_type(value, kind))
        {
            return Err(violation(path, format!("{}: is not of type {kind}", shown(Some(value)))));
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.iter().any(|one| is_same(one, value))
        {
            let allowed = shown(Some(&Value::from(allowed.clone())));
            return Err(violation(path, format!("{}: is none of {allowed}", shown(Some(value)))));
        }
        match value {
            Value::String(text) => self.text(path, schema, text)?,
            Value::Number(_) => number(path, schema, value)?,
            Value::Array(elements) => {
                count(path, schema, ("minItems", "maxItems"), elements.len(), "elements")?;
            }
            Value::Object(fields) => {
                count(path, schema, ("minProperties", "maxProperties"), fields.len(), "fields")?;
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                let mut missing =
                    required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
                if let Some(name) = missing.next() {
                    return Err(violation(&within(path, name), "missing, and required"));
                }
            }
            _ => {}
        }
        self.combined(path, schema, value)
    }

    fn text(&mut self, path: &str, schema: &Value, text: &str) -> Result<(), Violation> {
        count(path, schema, ("minLength", "maxLength"), text.chars().count(), "characters")?;
        let value = || shown(Some(&Value::from(text)));
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            let compile = || Regex::new(pattern).map_err(|error| error.to_string());
            match self.patterns.entry(pattern.to_owned()).or_insert_with(compile) {
                Ok(compiled) if compiled.is_match(text) => {}
                Ok(_) => return Err(violation(path, format!("{}: does not match {pattern}", value()))),
                Err(_) => return Err(violation(path, format!("pattern {pattern} cannot be checked"))),
            }
        }
        match schema.get("format").and_then(Value::as_str).map(|format| (format, format::fits(format, text)))
        {
            Some((format, Some(false))) => Err(violation(path, format!("{}: is no {format}", value()))),
            Some((format, None)) => Err(violation(path, format!("format {format} cannot be checked"))),
            _ => Ok(()),
        }
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`.
    fn combined(&mut self, path: &str, schema: &Value, value: &Value) -> Result<(), Violation> {
        let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array);
        for one in list("allOf").into_iter().flatten() {
            self.restriction(path, one, value)?;
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(all) = list(keyword).filter(|all| !all.is_empty()) else { continue };
            let fitting = all.iter().filter(|one| self.restriction(path, one, value).is_ok()).count();
            if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                let problem = format!("{}: fits {fitting} of the schemas in {keyword}", shown(Some(value)));
                return Err(violation(path, problem));
            }
        }
        match schema.get("not") {
            Some(not) if self.restriction(path, not, value).is_ok() => {
                Err(violation(path, format!("{}: fits the schema in not", shown(Some(value)))))
            }
            _ => Ok(()),
        }
    }

    /// A schema within `allOf` and the like.
    fn restriction(&mut self, path: &str, schema: &Value, value: &Value) -> Result<(), Violation> {
        self.restricted(path, schema, value)?;
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(value) = value.get(name) {
                self.restriction(&within(path, name), schema, value)?;
            }
        }
        if let (Some(schema), Some(elements)) = (schema.get("items"), value.as_array()) {
            for (index, element) in elements.iter().enumerate() {
                self.restriction(&format!("{path}[{index}]"), schema, element)?;
            }
        }
        Ok(())
    }

    /// `x-kubernetes-validations`. One that speaks of what the object was before is for changes of it alone.
    fn rules(&mut self, path: &str, change: Change<'_>, value: &Value) -> Result<(), Violation> {
        let list =
            |schema: &'_ Value| schema.get(RULES).and_then(Value::as_array).cloned().unwrap_or_default();
        let before = change.before.map(list).unwrap_or_default();
        for rule in list(change.now) {
            let Some(text) = rule.get("rule").and_then(Value::as_str) else { continue };
            let outcome = self.rule(text, &rule, value);
            let problem = match outcome {
                Ok(true) => continue,
                Ok(false) => rule.get("message").and_then(Value::as_str).map_or_else(
                    || format!("{}: does not fit the rule {text}", shown(Some(value))),
                    str::to_owned,
                ),
                // It has not changed.
                Err(_) if before.contains(&rule) => continue,
                Err(why) => format!("the rule {text} cannot be checked: {why}"),
            };
            return Err(violation(path, problem));
        }
        Ok(())
    }

    fn rule(&mut self, text: &str, rule: &Value, value: &Value) -> Result<bool, String> {
        let compile = || Condition::parse(RULES, text, &RULE_VARIABLES).map_err(|error| error.problem);
        let condition =
            self.rules.entry(text.to_owned()).or_insert_with(compile).as_ref().map_err(Clone::clone)?;
        if condition.references().variables().any(|name| name == "oldSelf") {
            let holds = rule.get("optionalOldSelf") != Some(&json!(true));
            return if holds { Ok(true) } else { Err("it speaks of oldSelf".to_owned()) };
        }
        let mut variables = Variables::default();
        variables.bind("self", value);
        condition.holds_with(&variables, &mut self.budget).map_err(|error| error.problem)
    }
}

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const RULES: &str = "x-kubernetes-validations";

fn is_embedded(schema: &Value) -> bool {
    holds(schema, "x-kubernetes-embedded-resource")
}

/// The path of a field of what is at a path.
fn within(path: &str, name: &str) -> String {
    let step = step(name);
    if path.is_empty() { step.trim_start_matches('.').to_owned() } else { format!("{path}{step}") }
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => is_integer(value),
        _ => false,
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// Whether two values are the same: 1 and 1.0 are.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && other.is_number() && one.as_f64() == other.as_f64())
}

#[cfg(test)]
mod tests;
