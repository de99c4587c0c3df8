//! What the colony would be given: functions, executors, limits, and the shape of arguments.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::Failure;
use crate::{api::names::CONTROLLER_EXECUTOR_TYPE, colony::FunctionSpec, diff::ColonyStep};

/// Describes a submit. What the operator gives itself to do, its steps say.
pub(super) fn describe(text: &mut String, step: &ColonyStep) -> Result<(), Failure> {
    match step {
        ColonyStep::Submit(process) if process.spec.executor_type() == CONTROLLER_EXECUTOR_TYPE => Ok(()),
        ColonyStep::Submit(process) => call(text, &process.spec),
        ColonyStep::SubmitWorkflow(workflow) => workflow.spec.nodes().iter().try_for_each(|node| {
            let after = node.dependencies();
            let after =
                if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
            writeln!(text, "    node        {}{after}", node.node_name_str())?;
            call(text, node)
        }),
        _ => Ok(()),
    }
}

fn call(text: &mut String, spec: &FunctionSpec) -> Result<(), Failure> {
    let sent = serde_json::to_value(spec)?;
    let seconds = |name: &str| match sent.get(name).and_then(Value::as_i64) {
        Some(seconds) if seconds >= 0 => format!("{seconds} s at most"),
        _ => "for ever".to_owned(),
    };
    let number = |name: &str| sent.get(name).and_then(Value::as_i64).unwrap_or_default();
    let conditions = sent.get("conditions").cloned().unwrap_or_default();
    let wanted = conditions.get("executornames").and_then(Value::as_array).into_iter().flatten();
    let wanted: Vec<&str> = wanted.filter_map(Value::as_str).collect();
    let by_name = if wanted.is_empty() { String::new() } else { format!(", named {}", wanted.join(" or ")) };
    let location = spec.location_str().map(|name| format!(", at {name}")).unwrap_or_default();
    writeln!(text, "    function    {}", spec.function())?;
    writeln!(
        text,
        "    executors   of type {}{by_name}{location}, in colony {}",
        spec.executor_type(),
        spec.colony()
    )?;
    writeln!(
        text,
        "    limits      waits {}, runs {}, {} retries, priority {}",
        seconds("maxwaittime"),
        seconds("maxexectime"),
        number("maxretries"),
        number("priority")
    )?;
    if let Some(args) = sent.get("args").and_then(Value::as_array).filter(|args| !args.is_empty()) {
        writeln!(text, "    args        {}", shape(&Value::Array(args.clone())))?;
    }
    for (name, value) in spec.kwargs() {
        writeln!(text, "    kwargs      {name}: {}", shape(value))?;
    }
    Ok(())
}

/// What a value looks like, without what it holds.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(number) if number.is_f64() => "number".to_owned(),
        Value::Number(_) => "integer".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(elements) => {
            let mut shapes: Vec<String> = elements.iter().map(shape).collect();
            shapes.dedup();
            format!("[{}]", shapes.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}: {}", shape(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Arguments may be confidential: their shape is printed, their values are not.
    #[test]
    fn a_value_is_told_by_its_shape() {
        let value =
            json!({"image": "secret", "sizes": [1, 2, 2.5], "on": true, "none": null, "nested": {"a": {}}});
        assert_eq!(
            shape(&value),
            "{image: string, nested: {a: {}}, none: null, on: boolean, sizes: [integer, number]}"
        );
    }
}
