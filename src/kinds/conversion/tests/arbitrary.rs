//! Arbitrary objects, expressions and paths.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::Converter, GROUP, build, converter, definition, object};

fn text() -> impl Strategy<Value = Value> {
    prop_oneof!["[a-c]{0,3}".prop_map(Value::from), Just(json!("512Mi")), Just(json!("0007Mi"))]
}

/// An object with these fields, each there or not.
fn fields(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let each: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| prop::option::of(value).prop_map(move |value| value.map(|value| (name, value))))
        .collect();
    each.prop_map(|fields| {
        Value::Object(fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect())
    })
    .boxed()
}

fn number() -> BoxedStrategy<Value> {
    (-3..2000_i64).prop_map(Value::from).boxed()
}

fn list(element: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::vec(element, 0..4).prop_map(Value::from).boxed()
}

/// Entries whose names may be missing, or the same.
fn mount(more: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let always = vec![("name", text().boxed()), ("path", text().boxed())];
    list(fields(always.into_iter().chain(more).collect()))
}

fn old() -> BoxedStrategy<Value> {
    let spec = fields(vec![
        ("name", text().boxed()),
        ("image", text().boxed()),
        ("memory", (0..3000).prop_map(|size| json!(format!("{size:04}Mi"))).boxed()),
        ("ports", list(fields(vec![("number", number())]))),
        ("verbose", any::<bool>().prop_map(Value::from).boxed()),
        (
            "labels",
            prop::collection::btree_map("[a./]{1,3}", "[x]{0,2}", 0..3).prop_map(|map| json!(map)).boxed(),
        ),
        ("limits", fields(vec![("cpu", number())])),
        ("mounts", mount(vec![("limits", fields(vec![("size", number())]))])),
    ]);
    let status = fields(vec![("endpoint", text().boxed())]);
    fields(vec![("spec", spec), ("status", status)])
}

fn new() -> BoxedStrategy<Value> {
    let port = fields(vec![("number", number()), ("name", text().boxed())]);
    let spec = fields(vec![
        ("name", text().boxed()),
        ("container", fields(vec![("image", text().boxed()), ("memoryMi", number()), ("ports", list(port))])),
        ("level", number()),
        ("limits", fields(vec![("cpu", number()), ("gpu", number())])),
        (
            "mounts",
            mount(vec![
                ("mode", text().boxed()),
                ("limits", fields(vec![("size", number()), ("files", number())])),
            ]),
        ),
    ]);
    let status = fields(vec![("address", text().boxed()), ("only", text().boxed())]);
    fields(vec![("spec", spec), ("status", status)])
}

/// What a client does to an entry in the old version.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Edit {
    Leave,
    Change,
    Remove,
}

/// Entries by their names, each with what a client does to it.
fn edited() -> impl Strategy<Value = Vec<(Value, Edit)>> {
    let hidden = fields(vec![("mode", text().boxed()), ("path", text().boxed())]);
    let limits = prop::option::of(fields(vec![("size", number()), ("files", number())]));
    let edit = prop::sample::select(vec![Edit::Leave, Edit::Change, Edit::Remove]);
    prop::collection::btree_map("[a-e]", (hidden, limits, edit), 0..5).prop_map(|entries| {
        let entry = |(name, (mut entry, limits, edit)): (String, (Value, Option<Value>, Edit))| {
            entry["name"] = json!(name);
            if let Some(limits) = limits {
                entry["limits"] = limits;
            }
            (entry, edit)
        };
        entries.into_iter().map(entry).collect()
    })
}

fn anything() -> impl Strategy<Value = Value> {
    let word =
        prop::sample::select(vec!["spec", "status", "image", "memory", "container", "ports", "limits", "x"]);
    let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), text(), Just(json!(1.5))];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn versioned(version: &str, content: &Value) -> Value {
    let mut whole = object(version, &Value::Null);
    let fields = whole.as_object_mut().unwrap();
    fields.remove("spec");
    fields.extend(content.as_object().cloned().unwrap_or_default());
    for name in ["apiVersion", "kind", "metadata"] {
        let own = object(version, &Value::Null)[name].clone();
        fields.insert(name.to_owned(), own);
    }
    whole
}

proptest! {
    // PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_way_through_the_new_version_loses_nothing(content in old()) {
        let old = versioned("v1alpha1", &content);
        let converter = converter();
        let new = converter.convert(&old, &format!("{GROUP}/v1")).unwrap();
        prop_assert_eq!(&converter.convert(&new, &format!("{GROUP}/v1alpha1")).unwrap(), &old);
        let other = converter.convert(&old, &format!("{GROUP}/v1alpha2")).unwrap();
        prop_assert_eq!(&converter.convert(&other, &format!("{GROUP}/v1alpha1")).unwrap(), &old);
    }

    #[test]
    fn the_way_through_an_old_version_loses_nothing(content in new(), version in prop::sample::select(vec!["v1alpha1", "v1alpha2"])) {
        let new = versioned("v1", &content);
        let converter = converter();
        let old = converter.convert(&new, &format!("{GROUP}/{version}")).unwrap();
        let back = converter.convert(&old, &format!("{GROUP}/v1")).unwrap();
        prop_assert_eq!(&back, &new);
        // What is stored stays as it is if it is only read and written again.
        let again = converter.convert(&back, &format!("{GROUP}/{version}")).unwrap();
        prop_assert_eq!(again, old);
    }

    /// Whatever a client does to entries with keys in the old version: each that stays has what is hidden of it.
    #[test]
    fn entries_keep_what_is_hidden_whatever_is_done_to_them(entries in edited(), turned in any::<bool>(), added in any::<bool>()) {
        let before: Vec<Value> = entries.iter().map(|(entry, _)| entry.clone()).collect();
        let new = versioned("v1", &json!({"spec": {"mounts": before}}));
        let converter = converter();
        let mut old = converter.convert(&new, &format!("{GROUP}/v1alpha1")).unwrap();
        let (mut shown, mut expected) = (Vec::new(), Vec::new());
        for (entry, edit) in &entries {
            let list = old["spec"]["mounts"].as_array().unwrap();
            let mut seen = list.iter().find(|seen| seen["name"] == entry["name"]).unwrap().clone();
            prop_assert!(seen.get("mode").is_none() && seen["limits"].get("files").is_none());
            let mut entry = entry.clone();
            if *edit == Edit::Change {
                for entry in [&mut seen, &mut entry] {
                    entry["path"] = json!("/elsewhere");
                    if entry.get("limits").is_some() {
                        entry["limits"]["size"] = json!(4711);
                    }
                }
            }
            if *edit != Edit::Remove {
                shown.push(seen);
                expected.push(entry);
            }
        }
        if added {
            shown.push(json!({"name": "new", "path": "/new"}));
            expected.push(json!({"name": "new", "path": "/new"}));
        }
        if turned {
            shown.reverse();
            expected.reverse();
        }
        old["spec"]["mounts"] = json!(shown);
        let written = converter.convert(&old, &format!("{GROUP}/v1")).unwrap();
        prop_assert_eq!(&written["spec"]["mounts"], &json!(expected));
    }

    /// Whatever is stored or sent: it is converted without loss, or refused with a field; never a panic.
    #[test]
    fn any_object_is_converted_without_loss_or_refused(content in anything(), from in prop::sample::select(vec!["v1", "v1alpha1", "v1alpha2"])) {
        let object = versioned(from, &content);
        let converter = converter();
        for version in ["v1", "v1alpha1", "v1alpha2"] {
            match converter.convert(&object, &format!("{GROUP}/{version}")) {
                Ok(converted) => {
                    if let Ok(back) = converter.convert(&converted, &format!("{GROUP}/{from}")) {
                        prop_assert_eq!(&back, &object);
                    } else {
                        prop_assert!(from != "v1" && version != "v1", "it was converted back before");
                    }
                }
                Err(error) => prop_assert!(error.to_string().contains(": "), "{error}"),
            }
        }
    }
}

proptest! {
    // Each builds a CRD, which takes a while.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Whatever stands in an expression or a path, the definition is built or refused, and objects are converted or refused.
    #[test]
    fn any_conversion_is_built_or_refused(expression in "[\\PC]{0,12}|self\\.spec(\\.[a-z]{1,6})?[+*]?[0-9]{0,3}", from in "[a-z.\\[\\]']{0,12}") {
        let built = build(&definition(|whole| {
            let conversion = &mut whole["spec"]["versions"][1]["conversion"];
            conversion["fromStorage"] = json!({"spec.memory": format!("${{{expression}}}")});
            conversion["moves"][0]["from"] = json!(from);
        }));
        match built {
            Ok(crd) => {
                let converter = Converter::of(&crd).unwrap().unwrap();
                let _ = converter.convert(&object("v1", &json!({"level": 1})), &format!("{GROUP}/v1alpha1"));
            }
            Err(error) => prop_assert!(error.to_string().starts_with("spec.versions[1].conversion"), "{error}"),
        }
    }
}
