//! What executors put out, as it may stand in status: bounded, and harmless on a terminal. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::colony::Process;

/// Most bytes of output, written as JSON, that stand in status.
pub(super) const LARGEST_OUTPUT: usize = 16 * 1024;

/// As much output of a process as fits, without control characters; whether that is all.
pub(super) fn bounded(process: &Process) -> (Vec<Value>, bool) {
    let mut left = LARGEST_OUTPUT;
    bounded_by(process, &mut left)
}

/// As [`bounded`], for one of several that share what is `left`.
pub(super) fn bounded_by(process: &Process, left: &mut usize) -> (Vec<Value>, bool) {
    let mut kept = Vec::new();
    for value in &process.output {
        let value = sanitize_value(value);
        let Some(rest) = left.checked_sub(value.to_string().len()) else { return (kept, false) };
        *left = rest;
        kept.push(value);
    }
    (kept, !process.is_cut)
}

/// As many attributes as fit, by their keys, without control characters; whether that is all.
pub(super) fn bounded_attributes(attributes: &BTreeMap<&str, &str>) -> (Map<String, Value>, bool) {
    let mut left = LARGEST_OUTPUT;
    let mut kept = Map::new();
    for (key, value) in attributes {
        let Some(rest) = left.checked_sub(key.len() + value.len()) else { return (kept, false) };
        left = rest;
        kept.insert(sanitize_text(key), Value::String(sanitize_text(value)));
    }
    (kept, true)
}

/// A text that steers no terminal.
fn sanitize_text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c }).collect()
}

/// A value whose texts steer no terminal.
fn sanitize_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(sanitize_text(text)),
        Value::Array(items) => Value::Array(items.iter().map(sanitize_value).collect()),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(name, value)| (sanitize_text(name), sanitize_value(value))).collect(),
        ),
        other => other.clone(),
    }
}
