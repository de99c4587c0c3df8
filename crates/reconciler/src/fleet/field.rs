//! Fields of a spec, by their type. Pure.

use serde_json::{Map, Value};

use super::kind::ENTRIES_MAX;
use crate::name::quoted;

/// A value as a refusal quotes it.
pub(super) fn quoted_value(value: &Value) -> String {
    value.as_str().map_or_else(|| quoted(value), quoted)
}

/// A text; empty when there is none.
pub(super) fn text(spec: &Map<String, Value>, name: &str, reasons: &mut Vec<String>) -> String {
    match spec.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => {
            reasons.push(format!("spec.{name}: {}: give a text", quoted_value(other)));
            String::new()
        }
    }
}

/// A list of texts, or one text.
pub(super) fn texts(spec: &Map<String, Value>, name: &str, reasons: &mut Vec<String>) -> Vec<String> {
    let list = match spec.get(name) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::String(text)) => return vec![text.clone()],
        Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => list,
        Some(other) => {
            reasons.push(format!(
                "spec.{name}: {}: give a list of at most {ENTRIES_MAX} texts",
                quoted_value(other)
            ));
            return Vec::new();
        }
    };
    let words: Option<Vec<String>> = list
        .iter()
        .map(|word| word.as_str().filter(|word| !word.contains('\0')).map(str::to_owned))
        .collect();
    words.unwrap_or_else(|| {
        reasons.push(format!("spec.{name}: give a list of texts without NUL"));
        Vec::new()
    })
}

/// A whole number from 0 to `most`.
pub(super) fn whole(
    spec: &Map<String, Value>,
    name: &str,
    default: u32,
    most: u32,
    reasons: &mut Vec<String>,
) -> u32 {
    let value = match spec.get(name) {
        None | Some(Value::Null) => return default,
        Some(value) => value,
    };
    // A server written in Go may give 3 back as 3.0.
    let number = value.as_u64().or_else(|| {
        let float =
            value.as_f64().filter(|float| float.fract() == 0.0 && (0.0..=f64::from(most)).contains(float))?;
        float.to_string().parse().ok()
    });
    let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most);
    number.unwrap_or_else(|| {
        reasons.push(format!("spec.{name}: {}: give a whole number from 0 to {most}", quoted_value(value)));
        default
    })
}
