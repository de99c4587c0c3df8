//! Hides the values of variables from a colony, whose members can read everything there, where the colony does not need them. Pure.

use serde_json::Value;

/// What stands in the place of a value.
pub(super) const HIDDEN: &str = "(not shown)";

/// Hides the values of variables of a fleet: those of `config.env`, and those of containers in its template.
pub(super) fn hide_variables(spec: &mut Value) {
    let plain = spec.pointer_mut("/config/env").and_then(Value::as_object_mut);
    for value in plain.into_iter().flat_map(|env| env.values_mut()) {
        *value = Value::from(HIDDEN);
    }
    for group in ["containers", "initContainers"] {
        let containers = spec.pointer_mut(&format!("/template/spec/{group}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let variables = container.get_mut("env").and_then(Value::as_array_mut);
            for variable in variables.into_iter().flatten() {
                if let Some(value) = variable.get_mut("value").filter(|value| value.is_string()) {
                    *value = Value::from(HIDDEN);
                }
            }
        }
    }
}

/// Hides in `one` what `other` hides.
pub(super) fn hide_alike(one: &mut Value, other: &Value) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (name, value) in one {
                if let Some(other) = other.get(name) {
                    hide_alike(value, other);
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            for (value, other) in one.iter_mut().zip(other) {
                hide_alike(value, other);
            }
        }
        (one @ Value::String(_), other) if is_hidden(other) => *one = other.clone(),
        _ => {}
    }
}

/// Puts the values of `before` where `spec` hides them; what it hides and `before` has not is removed.
pub(super) fn restore(spec: &mut Value, before: &Value) {
    match spec {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let known = before.get(name).unwrap_or(&Value::Null);
                if is_hidden(value) {
                    *value = known.clone();
                    return known.is_string();
                }
                restore(value, known);
                true
            });
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                restore(element, before.get(index).unwrap_or(&Value::Null));
            }
        }
        _ => {}
    }
}

/// The first variable of `config.env` whose value is hidden.
pub(super) fn hidden_variable(spec: &Value) -> Option<&str> {
    let env = spec.pointer("/config/env")?.as_object()?;
    env.iter().find(|(_, value)| is_hidden(value)).map(|(name, _)| name.as_str())
}

fn is_hidden(value: &Value) -> bool {
    value == HIDDEN
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: &str, literal: &str) -> Value {
        json!({"image": "i", "config": {"env": {"A": value, "B": value}}, "template": {"spec": {
            "containers": [{"name": "c", "env": [{"name": "C", "value": literal},
                {"name": "D", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}],
            "initContainers": [{"name": "i", "env": [{"name": "E", "value": literal}]}, {"name": "j"}]}}})
    }

    #[test]
    fn no_value_of_a_variable_is_left_and_nothing_else_changes() {
        let mut hidden = spec("one", "two");
        hide_variables(&mut hidden);
        assert_eq!(hidden, spec(HIDDEN, HIDDEN));
        for mut plain in
            [json!({}), json!({"config": null}), json!({"template": {"spec": {"containers": 1}}})]
        {
            let before = plain.clone();
            hide_variables(&mut plain);
            assert_eq!(plain, before);
        }
    }

    #[test]
    fn what_the_other_side_hides_is_no_difference_and_is_not_lost() {
        let mut ours = spec("one", "two");
        hide_alike(&mut ours, &spec(HIDDEN, "other"));
        assert_eq!(ours, spec(HIDDEN, "two"));
        let mut theirs = spec(HIDDEN, HIDDEN);
        restore(&mut theirs, &spec("one", "two"));
        assert_eq!(theirs, spec("one", "two"));
        let mut theirs = json!({"config": {"env": {"A": HIDDEN, "B": "new", "C": HIDDEN}}});
        restore(&mut theirs, &json!({"config": {"env": {"A": "1", "B": "2"}}}));
        assert_eq!(theirs, json!({"config": {"env": {"A": "1", "B": "new"}}}));
        let mut theirs = json!({"config": {"env": {"A": HIDDEN}}});
        restore(&mut theirs, &Value::Null);
        assert_eq!(theirs, json!({"config": {"env": {}}}));
    }
}
