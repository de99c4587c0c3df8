//! Compares what should be with what is, as JSON. The API server adds defaults to what it is given, so what should be
//! need only be contained in what is. Pure.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Map, Value};

/// Fields of a pod template that no controller fills in: when they are present but not desired, a user added them,
/// and they are removed. Everything else that is there besides is a default of the API server.
const ALL_OURS: [&str; 21] = [
    "activeDeadlineSeconds",
    "affinity",
    "args",
    "command",
    "env",
    "envFrom",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "imagePullSecrets",
    "initContainers",
    "lifecycle",
    "nodeName",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "serviceAccountName",
    "tolerations",
    "volumeMounts",
    "volumes",
];

/// Below these keys strings are quantities, which have many spellings: the API server answers with another than it was
/// given.
const QUANTITIES: [&str; 4] = ["hard", "limits", "requests", "sizeLimit"];

/// How additional fields are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surplus {
    /// Those of [`ALL_OURS`] are a difference.
    Ours,
    /// They are ignored.
    Theirs,
}

/// Paths at which what is differs from what should be; empty when nothing has to be written.
#[must_use]
pub fn differences(desired: &Value, actual: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare(desired, actual, "", false, Surplus::Ours, &mut paths);
    paths
}

/// Paths at which what should be is not contained in what is, whatever there is besides.
#[must_use]
pub fn lacking(desired: &Value, actual: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare(desired, actual, "", false, Surplus::Theirs, &mut paths);
    paths
}

/// The merge patch that brings into what is what is lacking of what should be: nothing else is in it. Lists are written
/// whole.
#[must_use]
pub fn merge_patch(desired: &Map<String, Value>, actual: &Map<String, Value>) -> Map<String, Value> {
    patch(desired, actual, false)
}

fn patch(desired: &Map<String, Value>, actual: &Map<String, Value>, quantity: bool) -> Map<String, Value> {
    let mut patched = Map::new();
    for (key, wanted) in desired {
        let quantity = quantity || QUANTITIES.contains(&key.as_str());
        match (wanted, actual.get(key)) {
            (wanted, None) if is_empty(wanted) => {}
            (Value::Object(wanted), Some(Value::Object(found))) => {
                let inner = patch(wanted, found, quantity);
                if !inner.is_empty() {
                    patched.insert(key.clone(), Value::Object(inner));
                }
            }
            (wanted, Some(found)) => {
                let mut paths = Vec::new();
                compare(wanted, found, "", quantity, Surplus::Theirs, &mut paths);
                if !paths.is_empty() {
                    patched.insert(key.clone(), wanted.clone());
                }
            }
            (wanted, None) => {
                patched.insert(key.clone(), wanted.clone());
            }
        }
    }
    patched
}

fn compare(
    desired: &Value,
    actual: &Value,
    path: &str,
    quantity: bool,
    surplus: Surplus,
    paths: &mut Vec<String>,
) {
    match (desired, actual) {
        (Value::Object(desired), Value::Object(actual)) => {
            for (key, wanted) in desired {
                let path = join(path, key);
                let quantity = quantity || QUANTITIES.contains(&key.as_str());
                match actual.get(key) {
                    Some(found) => compare(wanted, found, &path, quantity, surplus, paths),
                    None if is_empty(wanted) => {}
                    None => paths.push(path),
                }
            }
            if surplus == Surplus::Theirs {
                return;
            }
            let added = actual.iter().filter(|(key, value)| {
                ALL_OURS.contains(&key.as_str()) && !desired.contains_key(*key) && !is_empty(value)
            });
            paths.extend(added.map(|(key, _)| join(path, key)));
            if path.ends_with("nodeSelector") {
                paths.extend(
                    actual.keys().filter(|key| !desired.contains_key(*key)).map(|key| join(path, key)),
                );
            }
        }
        (Value::Array(desired), Value::Array(actual)) if desired.len() == actual.len() => {
            for (index, (wanted, found)) in desired.iter().zip(actual).enumerate() {
                compare(wanted, found, &format!("{path}[{index}]"), quantity, surplus, paths);
            }
        }
        (Value::String(desired), Value::String(actual)) if quantity && same_quantity(desired, actual) => {}
        // The server may write 2.0 as 2.
        (Value::Number(desired), Value::Number(actual)) if desired.as_f64() == actual.as_f64() => {}
        (desired, actual) if desired == actual => {}
        _ => paths.push(path.to_owned()),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What the API server drops or fills in as nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether two spellings mean one quantity: `1000m` and `1`, `1024Mi` and `1Gi`.
fn same_quantity(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match (nano_units(&Quantity(one.to_owned())), nano_units(&Quantity(other.to_owned()))) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// A quantity in billionths of its unit, the finest that the API knows; none if it is not one or too large to hold.
fn nano_units(quantity: &Quantity) -> Option<i128> {
    const NANO: i128 = 1_000_000_000;
    let text = quantity.0.trim();
    let split =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(split)?;
    let scale = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => NANO,
        "k" => NANO * 1_000,
        "M" => NANO * 1_000_000,
        "G" => NANO * 1_000_000_000,
        "T" => NANO * 1_000_000_000_000,
        "P" => NANO * 1_000_000_000_000_000,
        "E" => NANO * 1_000_000_000_000_000_000,
        "Ki" => NANO << 10,
        "Mi" => NANO << 20,
        "Gi" => NANO << 30,
        "Ti" => NANO << 40,
        "Pi" => NANO << 50,
        "Ei" => NANO << 60,
        exponent => {
            let power: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            NANO.checked_mul(10_i128.checked_pow(power)?)?
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut units = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.chars() {
        place /= 10;
        units = units.checked_add(place.checked_mul(i128::from(digit.to_digit(10)?))?)?;
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the API server adds is no reason to write: a write would bring the same defaults back, for ever.
    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let desired = json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "a", "image": "i"}]}}}});
        let actual = json!({"spec": {"replicas": 2, "progressDeadlineSeconds": 600, "template": {"spec": {
            "restartPolicy": "Always", "containers": [{"name": "a", "image": "i", "imagePullPolicy": "IfNotPresent"}]}}}});
        assert_eq!(differences(&desired, &actual), Vec::<String>::new());
    }

    /// Manual additions to a template are removed.
    #[test]
    fn surplus_of_a_stranger_is_a_difference() {
        let desired = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "A"}]}], "nodeSelector": {"x": "y"}}});
        for (actual, path) in [
            (
                json!({"spec": {"containers": [{"name": "a", "env": [{"name": "A"}, {"name": "B"}]}], "nodeSelector": {"x": "y"}}}),
                "spec.containers[0].env",
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "env": [{"name": "A"}], "command": ["sh"]}], "nodeSelector": {"x": "y"}}}),
                "spec.containers[0].command",
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "env": [{"name": "A"}]}], "nodeSelector": {"x": "y", "z": "1"}}}),
                "spec.nodeSelector.z",
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "env": [{"name": "A"}]}], "nodeSelector": {"x": "y"}, "hostNetwork": true}}),
                "spec.hostNetwork",
            ),
        ] {
            assert_eq!(differences(&desired, &actual), [path]);
        }
    }

    #[test]
    fn what_others_add_is_theirs_where_they_may() {
        let desired = json!({"env": [{"name": "A"}], "n": 2.0});
        let actual = json!({"env": [{"name": "A", "value": "x"}], "command": ["sh"], "n": 2});
        assert_eq!(lacking(&desired, &actual), Vec::<String>::new());
        assert_eq!(lacking(&desired, &json!({"env": [], "n": 2})), ["env"]);
    }

    /// A patch with more than the missing fields would revert fields of other managers.
    #[test]
    fn a_patch_has_what_is_lacking_and_nothing_else() {
        let patch = |desired: Value, actual: Value| {
            let (Value::Object(desired), Value::Object(actual)) = (desired, actual) else {
                panic!("objects")
            };
            Value::Object(merge_patch(&desired, &actual))
        };
        let desired = json!({"a": 1, "b": {"c": 2, "d": [1, {"x": 1}], "e": {}}, "limits": {"cpu": "1000m"}, "new": {"f": 1}});
        let actual = json!({"a": 1, "b": {"c": 3, "d": [1, {"x": 1, "y": 2}], "z": 9}, "limits": {"cpu": "1"}, "o": 1});
        assert_eq!(patch(desired.clone(), actual), json!({"b": {"c": 2}, "new": {"f": 1}}));
        assert_eq!(patch(desired.clone(), desired), json!({}));
        assert_eq!(patch(json!({"d": [1, 2]}), json!({"d": [1]})), json!({"d": [1, 2]}));
        assert_eq!(patch(json!({"d": {"a": 1}}), json!({"d": 1})), json!({"d": {"a": 1}}));
    }

    /// The server spells quantities its own way; taking that for drift would write on every pass.
    #[test]
    fn quantities_are_compared_by_value() {
        let resources =
            |cpu: &str, memory: &str| json!({"resources": {"limits": {"cpu": cpu, "memory": memory}}});
        for (one, other) in [
            (("1000m", "1024Mi"), ("1", "1Gi")),
            (("0.5", "1e3"), ("500m", "1k")),
            (("1.5", "1.5Gi"), ("1500m", "1536Mi")),
        ] {
            assert_eq!(
                differences(&resources(one.0, one.1), &resources(other.0, other.1)),
                Vec::<String>::new()
            );
        }
        assert_eq!(differences(&resources("1", "1Gi"), &resources("1", "1G")), ["resources.limits.memory"]);
        assert_eq!(differences(&json!({"image": "1000m"}), &json!({"image": "1"})), ["image"]);
    }
}
