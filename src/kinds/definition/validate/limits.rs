//! What limits numbers and sizes. Pure.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::violation::{Violation, holds, violation};

/// A number within its limits.
pub(super) fn number(path: &str, schema: &Value, value: &Value) -> Result<(), Violation> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let Some(number) = value.as_f64() else { return Ok(()) };
    let fails = |problem: String| Err(violation(path, format!("{value}: {problem}")));
    if let Some(minimum) = limit("minimum") {
        let is_open = holds(schema, "exclusiveMinimum");
        if number < minimum || (is_open && number <= minimum) {
            return fails(format!("must be {} {minimum}", if is_open { "above" } else { "at least" }));
        }
    }
    if let Some(maximum) = limit("maximum") {
        let is_open = holds(schema, "exclusiveMaximum");
        if number > maximum || (is_open && number >= maximum) {
            return fails(format!("must be {} {maximum}", if is_open { "below" } else { "at most" }));
        }
    }
    if let Some(unit) = limit("multipleOf").filter(|unit| *unit > 0.0) {
        let ratio = number / unit;
        if (ratio - ratio.round()).abs() > f64::EPSILON * ratio.abs().max(1.0) {
            return fails(format!("is no multiple of {unit}"));
        }
    }
    let is_out = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => number < f64::from(i32::MIN) || number > f64::from(i32::MAX),
        Some("int64") => value.as_i64().is_none() && value.as_u64().is_some(),
        _ => false,
    };
    if is_out { fails("is outside of the range of its format".to_owned()) } else { Ok(()) }
}

/// As many as there may be.
pub(super) fn count(
    path: &str,
    schema: &Value,
    keywords: (&str, &str),
    count: usize,
    what: &str,
) -> Result<(), Violation> {
    let limit = |keyword: &str| {
        schema.get(keyword).and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok())
    };
    match (limit(keywords.0), limit(keywords.1)) {
        (Some(least), _) if count < least => {
            Err(violation(path, format!("has {count} {what}, and must have at least {least}")))
        }
        (_, Some(most)) if count > most => {
            Err(violation(path, format!("has {count} {what}, and may have at most {most}")))
        }
        _ => Ok(()),
    }
}

/// That elements of a list are what its type wants: each once, or each with keys of its own.
pub(super) fn distinct(path: &str, schema: &Value, elements: &[Value]) -> Result<(), Violation> {
    let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
    let keys: Vec<Value> = match text("x-kubernetes-list-type") {
        Some("set") => elements.to_vec(),
        Some("map") => {
            let names = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
            let key = |element: &Value| json!(names.iter().map(|name| element.get(name)).collect::<Vec<_>>());
            elements.iter().map(key).collect()
        }
        _ => return Ok(()),
    };
    let mut seen = HashSet::new();
    match keys.iter().position(|key| !seen.insert(key.to_string())) {
        Some(index) => Err(violation(&format!("{path}[{index}]"), "is there twice")),
        None => Ok(()),
    }
}
