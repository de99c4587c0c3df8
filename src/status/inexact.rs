//! Whole numbers that a colony changes: its server keeps every number as one in floating point. Pure.

use serde_json::Value;

use crate::api::{condition::Reason, function::FunctionCall};

/// Up to here every whole number is one in floating point.
const MOST: u64 = 1 << 53;

/// The first argument of a call, which stands at `path`, that arrives as another number.
pub(super) fn inexact(call: &FunctionCall, path: &str) -> Option<(Reason, String)> {
    let of_args = call.args.iter().enumerate().map(|(at, value)| (format!("{path}.args[{at}]"), value));
    let of_kwargs = call.kwargs.iter().map(|(name, value)| (format!("{path}.kwargs.{name}"), value));
    let (field, number) = of_args.chain(of_kwargs).find_map(|(field, value)| found(field, value))?;
    let message = format!(
        "{field}: {number}: is beyond 2^53, and the executor gets it rounded, since the colony keeps numbers in floating point: write it as text, in quotes"
    );
    Some((Reason::IntegerInexact, message))
}

fn found(field: String, value: &Value) -> Option<(String, String)> {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            magnitude.filter(|magnitude| *magnitude > MOST).map(|_| (field, number.to_string()))
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| found(format!("{field}[{at}]"), item))
        }
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| found(format!("{field}.{name}"), value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_that_a_colony_rounds_is_named() {
        let told = |args: Value, kwargs: Value| {
            let call = json!({ "function": "f", "args": args, "kwargs": kwargs, "conditions": { "executorType": "t" } });
            let (reason, message) = inexact(&serde_json::from_value(call).unwrap(), "spec")?;
            assert_eq!(reason, Reason::IntegerInexact);
            Some(message)
        };
        assert_eq!(told(json!([9_007_199_254_740_992_i64, 1.5, 1e21, "9007199254740993"]), json!({})), None);
        let message = told(json!([1, 9_007_199_254_740_993_i64]), json!({})).unwrap();
        assert!(message.starts_with("spec.args[1]: 9007199254740993: is beyond 2^53"), "{message}");
        let message = told(json!([]), json!({ "a": { "seeds": [-9_007_199_254_740_993_i64] } })).unwrap();
        assert!(message.starts_with("spec.kwargs.a.seeds[0]: -9007199254740993: "), "{message}");
    }
}
