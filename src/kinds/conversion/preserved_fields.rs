//! Fields that one version of an object has and another cannot express: kept beside it in an annotation, and put back
//! on the way back unless what is there was changed meanwhile. Pure.
//!
//! ```text
//! old ──convert──▶ new          kept = where old differs from back
//!  ▲                │
//!  └── back ◀──convert
//! ```
//!
//! What is kept is found by converting back at once, so that there is nothing that could be forgotten: anything that
//! a conversion drops, adds or cannot invert is a difference.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::api::metadata::content_hash;

/// What is kept for each version that an object came from.
pub(super) type PreservedFields = BTreeMap<String, Vec<PreservedField>>;

/// A field that comes back different from what it was.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct PreservedField {
    /// Where it stands, as a JSON pointer.
    field: String,
    /// What it was; absent if it was absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// Hash of what comes back instead; absent if nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was: Option<String>,
    /// Elements that come back different, of a list that comes back with as many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    elements: Vec<PreservedElement>,
    /// Entries that come back different, of a list whose entries have keys and come back in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entries: Vec<PreservedEntry>,
}

/// An entry that comes back different from what it was, of a list whose entries have keys: what of it was hidden
/// stays with the entry, wherever it goes and whatever else of it changes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct PreservedEntry {
    /// Its key fields.
    key: Map<String, Value>,
    /// Fields of it that come back different.
    kept: Vec<PreservedField>,
}

/// An element of a list that comes back different from what it was.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct PreservedElement {
    /// Its place.
    at: usize,
    value: Value,
    /// Hash of what comes back instead.
    was: String,
}

/// A field that is there, be it null.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Where an object differs from what comes back. `schema` describes the object, and which lists have keys.
pub(super) fn differences(
    was: &Map<String, Value>,
    back: &Map<String, Value>,
    schema: &Value,
) -> Vec<PreservedField> {
    let mut kept = Vec::new();
    compare_fields("", Some(schema), was, back, &mut kept);
    kept
}

fn compare_fields(
    at: &str,
    schema: Option<&Value>,
    was: &Map<String, Value>,
    back: &Map<String, Value>,
    kept: &mut Vec<PreservedField>,
) {
    for (name, value) in was {
        let field = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        match back.get(name) {
            Some(back) => compare(field, of_field(schema, name), value, back, kept),
            None => {
                kept.push(PreservedField { field, value: Some(value.clone()), ..PreservedField::default() });
            }
        }
    }
    for (name, back) in back.iter().filter(|(name, _)| !was.contains_key(*name)) {
        let field = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        kept.push(PreservedField { field, was: Some(content_hash(back)), ..PreservedField::default() });
    }
}

fn compare(field: String, schema: Option<&Value>, was: &Value, back: &Value, kept: &mut Vec<PreservedField>) {
    match (was, back) {
        (was, back) if was == back => {}
        (Value::Object(was), Value::Object(back)) => compare_fields(&field, schema, was, back, kept),
        (Value::Array(was), Value::Array(back)) if was.len() == back.len() => {
            if let Some(entries) = compare_entries(schema, was, back) {
                kept.push(PreservedField { field, entries, ..PreservedField::default() });
                return;
            }
            let pairs = was.iter().zip(back).enumerate().filter(|(_, (was, back))| was != back);
            let elements = pairs.map(|(at, (was, back))| PreservedElement {
                at,
                value: was.clone(),
                was: content_hash(back),
            });
            kept.push(PreservedField { field, elements: elements.collect(), ..PreservedField::default() });
        }
        (was, back) => {
            let (value, was) = (Some(was.clone()), Some(content_hash(back)));
            kept.push(PreservedField { field, value, was, ..PreservedField::default() });
        }
    }
}

/// The entries that come back different, if the list has keys and each entry comes back with its own in its place.
fn compare_entries(schema: Option<&Value>, was: &[Value], back: &[Value]) -> Option<Vec<PreservedEntry>> {
    let schema = schema.filter(|schema| schema.get("x-kubernetes-list-type") == Some(&Value::from("map")))?;
    let names = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for (was, back) in was.iter().zip(back) {
        let (key, was, back) = (key_of(was, &names)?, was.as_object()?, back.as_object()?);
        let is_same = key.iter().all(|(name, value)| back.get(name) == Some(value));
        if !is_same || !seen.insert(content_hash(&Value::Object(key.clone()))) {
            return None;
        }
        let mut kept = Vec::new();
        compare_fields("", schema.get("items"), was, back, &mut kept);
        if !kept.is_empty() {
            entries.push(PreservedEntry { key, kept });
        }
    }
    Some(entries)
}

/// The key fields of an entry; none if it lacks one.
fn key_of(entry: &Value, names: &[&str]) -> Option<Map<String, Value>> {
    let fields = names.iter().map(|name| Some(((*name).to_owned(), entry.get(name)?.clone())));
    fields.collect::<Option<Map<_, _>>>().filter(|key| !key.is_empty())
}

/// The schema of a field of an object.
fn of_field<'s>(schema: Option<&'s Value>, name: &str) -> Option<&'s Value> {
    let schema = schema?;
    let described = schema.get("properties").and_then(|properties| properties.get(name));
    described.or_else(|| schema.get("additionalProperties"))
}

/// Puts back what was kept, where nothing was changed meanwhile. With `may_make`, a missing object around a field is
/// created again: no client can have removed it.
pub(super) fn restore(
    fields: &mut Map<String, Value>,
    kept: Vec<PreservedField>,
    may_make: impl Fn(&[String]) -> bool,
) {
    for kept in kept {
        let mut names: Vec<String> =
            kept.field.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        let Some(last) = names.pop() else { continue };
        if let Some(around) = around(fields, &names, kept.value.is_some(), &may_make) {
            restore_field(around, last, kept);
        }
    }
}

/// The object with these names.
fn around<'f>(
    fields: &'f mut Map<String, Value>,
    names: &[String],
    is_needed: bool,
    may_make: &impl Fn(&[String]) -> bool,
) -> Option<&'f mut Map<String, Value>> {
    let mut place = fields;
    for (depth, name) in names.iter().enumerate() {
        if !place.contains_key(name) {
            if !is_needed || !may_make(names.get(..=depth)?) {
                return None;
            }
            place.insert(name.clone(), Value::Object(Map::new()));
        }
        place = place.get_mut(name)?.as_object_mut()?;
    }
    Some(place)
}

fn restore_field(around: &mut Map<String, Value>, name: String, kept: PreservedField) {
    if !kept.entries.is_empty() {
        if let Some(Value::Array(elements)) = around.get_mut(&name) {
            put_entries_back(elements, kept.entries);
        }
    } else if kept.elements.is_empty() {
        if around.get(&name).map(content_hash) == kept.was {
            match kept.value {
                Some(value) => drop(around.insert(name, value)),
                None => drop(around.remove(&name)),
            }
        }
    } else if let Some(Value::Array(elements)) = around.get_mut(&name) {
        put_elements_back(elements, kept.elements);
    }
}

/// Each entry is found by its key. An object in it that is not there any more was in sight, or it would be kept as a
/// whole: a client has removed it.
fn put_entries_back(elements: &mut [Value], kept: Vec<PreservedEntry>) {
    for PreservedEntry { key, kept } in kept {
        let mut entries = elements.iter_mut().filter_map(Value::as_object_mut);
        let found = entries.find(|entry| key.iter().all(|(name, value)| entry.get(name) == Some(value)));
        if let Some(entry) = found {
            restore(entry, kept, |_| false);
        }
    }
}

/// Elements that are where they were come first; then those that have been moved, each found by what it is.
fn put_elements_back(elements: &mut [Value], kept: Vec<PreservedElement>) {
    let mut places: Vec<(Option<String>, &mut Value)> =
        elements.iter_mut().map(|element| (Some(content_hash(element)), element)).collect();
    let put = |place: &mut (Option<String>, &mut Value), kept: PreservedElement| {
        place.0 = None;
        *place.1 = kept.value;
    };
    let mut moved = Vec::new();
    for kept in kept {
        match places.get_mut(kept.at) {
            Some(place) if place.0.as_ref() == Some(&kept.was) => put(place, kept),
            _ => moved.push(kept),
        }
    }
    for kept in moved {
        if let Some(place) = places.iter_mut().find(|place| place.0.as_ref() == Some(&kept.was)) {
            put(place, kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// What `kept` makes of an object that was changed meanwhile, as it is after a way through an annotation.
    fn restored(was: &Value, back: &Value, changed: &Value, may_make: bool) -> Value {
        restored_by(&Value::Null, was, back, changed, may_make)
    }

    /// The same, by a schema.
    fn restored_by(schema: &Value, was: &Value, back: &Value, changed: &Value, may_make: bool) -> Value {
        let kept = differences(&fields(was), &fields(back), schema);
        let text = serde_json::to_string(&kept).unwrap();
        let mut changed = fields(changed);
        restore(&mut changed, serde_json::from_str(&text).unwrap(), |_| may_make);
        Value::Object(changed)
    }

    #[test]
    fn what_was_changed_meanwhile_stays_changed() {
        let was = json!({"spec": {"memory": "0.5Gi", "hidden": 1, "gone/x": null}});
        let back = json!({"spec": {"memory": "512Mi", "made": true}});
        assert_eq!(restored(&was, &back, &back, false), was);
        let changed = json!({"spec": {"memory": "1Gi", "made": true, "new": 2}});
        let expected = json!({"spec": {"memory": "1Gi", "hidden": 1, "gone/x": null, "new": 2}});
        assert_eq!(restored(&was, &back, &changed, false), expected);
    }

    #[test]
    fn an_object_that_somebody_may_have_taken_away_stays_away() {
        let was = json!({"spec": {"limits": {"cpu": 1, "gpu": 2}}});
        let back = json!({"spec": {"limits": {"cpu": 1}}});
        let changed = json!({"spec": {}});
        assert_eq!(restored(&was, &back, &changed, false), changed);
        assert_eq!(restored(&was, &back, &changed, true), json!({"spec": {"limits": {"gpu": 2}}}));
    }

    #[test]
    fn elements_are_found_wherever_they_went() {
        let was = json!({"list": [{"n": "a", "x": 1}, {"n": "b"}, {"n": "b", "x": 2}]});
        let back = json!({"list": [{"n": "a"}, {"n": "b"}, {"n": "b"}]});
        assert_eq!(restored(&was, &back, &back, false), was);
        let changed = json!({"list": [{"n": "new"}, {"n": "b"}, {"n": "a"}, {"n": "b"}]});
        let expected = json!({"list": [{"n": "new"}, {"n": "b", "x": 2}, {"n": "a", "x": 1}, {"n": "b"}]});
        assert_eq!(restored(&was, &back, &changed, false), expected);
    }

    /// A schema in which every list has the key `a`, so deep.
    fn keyed(depth: usize) -> Value {
        if depth == 0 {
            return json!({});
        }
        json!({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                "items": keyed(depth - 1), "additionalProperties": keyed(depth - 1) })
    }

    #[test]
    fn what_is_hidden_of_an_entry_stays_with_its_key() {
        let was = json!({ "list": [
            { "a": "x", "n": 1, "hidden": true, "limits": { "cpu": 1, "gpu": 2 } },
            { "a": "y", "n": 2, "hidden": false, "inner": [{ "a": 1, "deep": 1 }, { "a": 2 }] },
            { "a": "z", "n": 3, "hidden": null },
        ]});
        let back = json!({ "list": [
            { "a": "x", "n": 1, "limits": { "cpu": 1 } },
            { "a": "y", "n": 2, "inner": [{ "a": 1 }, { "a": 2 }] },
            { "a": "z", "n": 3 },
        ]});
        let restored = |changed: &Value| restored_by(&keyed(4), &was, &back, changed, false);
        assert_eq!(restored(&back), was);
        // Turned round, edited, one gone, one new, an object taken away.
        let changed = json!({ "list": [
            { "a": "new" },
            { "a": "y", "n": 7, "inner": [{ "a": 3 }, { "a": 1, "m": 0 }] },
            { "a": "x", "n": 1 },
        ]});
        let expected = json!({ "list": [
            { "a": "new" },
            { "a": "y", "n": 7, "hidden": false, "inner": [{ "a": 3 }, { "a": 1, "m": 0, "deep": 1 }] },
            { "a": "x", "n": 1, "hidden": true },
        ]});
        assert_eq!(restored(&changed), expected);
    }

    /// Then elements are found by what they are, as where there are no keys.
    #[test]
    fn keys_that_tell_nothing_apart_are_none() {
        for keys in [[json!(1), json!(1)], [json!(1), Value::Null]] {
            let [first, second] = &keys;
            let mut was = json!({ "list": [{ "a": first, "x": 1 }, { "x": 2 }] });
            let mut back = json!({ "list": [{ "a": first }, {}] });
            if !second.is_null() {
                was["list"][1]["a"] = second.clone();
                back["list"][1]["a"] = second.clone();
            }
            assert_eq!(restored_by(&keyed(3), &was, &back, &back, false), was);
        }
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab/~]{0,2}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever comes back, what was is made of it again.
        #[test]
        fn nothing_is_lost(was in anything(), back in anything()) {
            let (was, back) = (json!({"spec": was}), json!({"spec": back}));
            prop_assert_eq!(&restored(&was, &back, &back, false), &was);
            prop_assert_eq!(&restored_by(&keyed(6), &was, &back, &back, false), &was);
        }
    }
}
