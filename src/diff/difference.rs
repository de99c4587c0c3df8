//! Compares what should be with what is, as JSON. The API server adds defaults to what it is given, so what should be
//! need only be contained in what is. What it drops or spells its own way shows as a difference here: whether it is one is
//! known from its answers, in [`super::admission`]. Pure.

use std::fmt;

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
pub enum Surplus {
    /// Those of [`ALL_OURS`] are a difference.
    Ours,
    /// They are ignored.
    Theirs,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<'v> {
    path: Vec<Segment>,
    /// What should be there; none if nothing should.
    pub wanted: Option<&'v Value>,
    /// What is there; none if nothing is.
    pub found: Option<&'v Value>,
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.path.iter().enumerate() {
            match segment {
                Segment::Key(key) if place == 0 => write!(f, "{key}")?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Difference<'_> {
    /// Has `wanted` want here what is found.
    pub fn accept(&self, wanted: &mut Value) {
        let Some((last, way)) = self.path.split_last() else { return };
        let mut place = wanted;
        for segment in way {
            let inner = match segment {
                Segment::Key(key) => place.get_mut(key),
                Segment::Index(index) => place.get_mut(*index),
            };
            let Some(inner) = inner else { return };
            place = inner;
        }
        match (last, place, self.found) {
            (Segment::Key(key), Value::Object(object), Some(found)) => {
                object.insert(key.clone(), found.clone());
            }
            (Segment::Key(key), Value::Object(object), None) => drop(object.remove(key)),
            (Segment::Index(index), Value::Array(items), Some(found)) => {
                if let Some(item) = items.get_mut(*index) {
                    *item = found.clone();
                }
            }
            _ => {}
        }
    }

    /// Whether the API server says the same in other words: it drops what is empty, fills in what was left to it, and has
    /// spellings of its own.
    #[must_use]
    pub fn is_reworded(&self) -> bool {
        match (self.wanted, self.found) {
            (Some(wanted), None) => is_zero(wanted),
            (Some(wanted), Some(_)) if is_empty(wanted) => true,
            (Some(Value::String(wanted)), Some(Value::String(found))) => {
                same_quantity(wanted, found) || is_folded(wanted, found)
            }
            (Some(Value::Number(number)), Some(Value::String(text)))
            | (Some(Value::String(text)), Some(Value::Number(number))) => {
                same_quantity(&number.to_string(), text)
            }
            _ => false,
        }
    }
}

/// What differs, where `surplus` is treated so.
#[must_use]
pub fn compared<'v>(desired: &'v Value, actual: &'v Value, surplus: Surplus) -> Vec<Difference<'v>> {
    let mut found = Vec::new();
    compare(desired, actual, &mut Vec::new(), false, surplus, &mut found);
    found
}

/// Paths at which what is differs from what should be; empty when nothing has to be written.
#[must_use]
pub fn differences(desired: &Value, actual: &Value) -> Vec<String> {
    compared(desired, actual, Surplus::Ours).iter().map(ToString::to_string).collect()
}

/// Paths at which what should be is not contained in what is, whatever there is besides.
#[must_use]
pub fn lacking(desired: &Value, actual: &Value) -> Vec<String> {
    compared(desired, actual, Surplus::Theirs).iter().map(ToString::to_string).collect()
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
            (Value::Null, None) => {}
            (Value::Object(wanted), Some(Value::Object(found))) => {
                let inner = patch(wanted, found, quantity);
                if !inner.is_empty() {
                    patched.insert(key.clone(), Value::Object(inner));
                }
            }
            (wanted, Some(found)) => {
                let mut differences = Vec::new();
                compare(wanted, found, &mut Vec::new(), quantity, Surplus::Theirs, &mut differences);
                if !differences.is_empty() {
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

fn compare<'v>(
    desired: &'v Value,
    actual: &'v Value,
    path: &mut Vec<Segment>,
    quantity: bool,
    surplus: Surplus,
    differences: &mut Vec<Difference<'v>>,
) {
    match (desired, actual) {
        (Value::Object(desired), Value::Object(actual)) => {
            for (key, wanted) in desired {
                let quantity = quantity || QUANTITIES.contains(&key.as_str());
                path.push(Segment::Key(key.clone()));
                match actual.get(key) {
                    Some(found) => compare(wanted, found, path, quantity, surplus, differences),
                    None if wanted.is_null() => {}
                    None => {
                        differences.push(Difference {
                            path: path.clone(),
                            wanted: Some(wanted),
                            found: None,
                        });
                    }
                }
                path.pop();
            }
            if surplus == Surplus::Theirs {
                return;
            }
            let is_selector = matches!(path.last(), Some(Segment::Key(key)) if key == "nodeSelector");
            let added = actual.iter().filter(|(key, value)| {
                let is_ours = is_selector || ALL_OURS.contains(&key.as_str()) && !is_empty(value);
                is_ours && !desired.contains_key(*key)
            });
            differences.extend(added.map(|(key, found)| {
                let path = path.iter().cloned().chain([Segment::Key(key.clone())]).collect();
                Difference { path, wanted: None, found: Some(found) }
            }));
        }
        (Value::Array(desired), Value::Array(actual)) if desired.len() == actual.len() => {
            for (index, (wanted, found)) in desired.iter().zip(actual).enumerate() {
                path.push(Segment::Index(index));
                compare(wanted, found, path, quantity, surplus, differences);
                path.pop();
            }
        }
        (Value::String(desired), Value::String(actual)) if quantity && same_quantity(desired, actual) => {}
        // The server may write 2.0 as 2.
        (Value::Number(desired), Value::Number(actual)) if desired.as_f64() == actual.as_f64() => {}
        (desired, actual) if desired == actual => {}
        (desired, actual) => {
            differences.push(Difference { path: path.clone(), wanted: Some(desired), found: Some(actual) });
        }
    }
}

/// Nothing in any type, which the API server may fill in.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What the API server drops, unless absence means something else.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(holds) => !holds,
        Value::Number(number) => number.as_f64() == Some(0.0),
        value => is_empty(value),
    }
}

/// Whether a text is another one in lines, as base64 may be written.
fn is_folded(one: &str, other: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
    one.contains('\n') && !other.contains('\n') && letters(one) == letters(other)
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

    /// An empty text can be a value, as in a ConfigMap: whether it is, the API server says.
    #[test]
    fn what_is_empty_or_nothing_is_wanted_all_the_same() {
        let wanted = json!({"data": {"a": ""}, "off": false, "none": 0, "list": [], "nothing": null});
        assert_eq!(lacking(&wanted, &json!({"data": {}})), ["data.a", "list", "none", "off"]);
        let Value::Object(wanted) = wanted else { panic!("an object") };
        let patch = merge_patch(&wanted, &Map::new());
        assert_eq!(Value::Object(patch), json!({"data": {"a": ""}, "off": false, "none": 0, "list": []}));
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
        assert_eq!(patch(desired.clone(), actual), json!({"b": {"c": 2, "e": {}}, "new": {"f": 1}}));
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
