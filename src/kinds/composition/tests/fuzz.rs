//! Arbitrary definitions and instances: whatever they are, they are followed or refused, within bounds.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Expressions that mean something often enough to get beyond the first check.
fn expression() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "self.spec.n",
        "self.spec.text",
        "self.spec.list",
        "self.spec.map",
        "self.spec.wrong",
        "self.metadata.name",
        "self.metadata",
        "schema.spec.flag",
        "a.status.x",
        "b.metadata.name",
        "b.spec",
        "c.status.ready",
        "a[0].metadata.name",
        "a",
        "b",
        "i",
        "j",
        "range(self.spec.n)",
        "range(1000)",
        "self.spec.list.map(x, x)",
        "a.filter(x, x.status.ok == 1)",
        "has(b.status)",
        "'text'",
        "1",
        "0",
        "true",
        "null",
        "['x', 'y']",
        "[1, 2]",
        "[[], []]",
        "{'k': 'v'}",
        "self.spec.nothing +",
        "unknown",
        "",
    ]);
    (piece.clone(), prop::sample::select(vec!["", "", "", " + ", " == ", " && ", ".map(y, ", "/"]), piece)
        .prop_map(|(left, operator, right)| match operator {
            "" => left.to_owned(),
            ".map(y, " => format!("{left}.map(y, {right})"),
            _ => format!("{left}{operator}{right}"),
        })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => expression().prop_map(|expression| format!("${{{expression}}}")),
        2 => (expression(), "[a-z-]{0,4}").prop_map(|(expression, text)| format!("{text}${{{expression}}}")),
        1 => "[a-z]{1,8}",
        1 => "\\PC{0,12}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::String),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn template() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("apps/v1", "Deployment"),
        ("batch/v1", "Job"),
        ("x.example.com/v1", "Anything"),
        ("colonies.io/v1", "ColonyProcess"),
        ("test.example.com/v1", "Thing"),
        ("", ""),
    ]);
    (
        kind,
        text(),
        prop::option::of(value()),
        prop::option::weighted(0.3, value()),
        prop::option::weighted(0.2, value()),
    )
        .prop_map(|((api_version, kind), name, spec, data, metadata)| {
            let mut template = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
            for (name, value) in [("spec", spec), ("data", data), ("metadata", metadata)] {
                if let Some(value) = value {
                    template[name] = value;
                }
            }
            template
        })
}

fn resource() -> impl Strategy<Value = Value> {
    let conditions = || prop::collection::vec(text(), 0..2);
    (
        prop::sample::select(vec!["a", "b", "c", "self", "A"]),
        template(),
        prop::collection::btree_map(prop::sample::select(vec!["i", "j", "a"]), text(), 0..2),
        conditions(),
        conditions(),
    )
        .prop_map(|(id, template, for_each, include_when, ready_when)| {
            json!({"id": id, "template": template, "forEach": for_each, "includeWhen": include_when, "readyWhen": ready_when})
        })
}

fn definition() -> impl Strategy<Value = Definition> {
    (
        prop::collection::vec(resource(), 1..4),
        prop::collection::btree_map("[a-z]{1,3}", text(), 0..3),
        prop::option::of(text()),
        value(),
    )
        .prop_map(|(resources, status, finished_when, schema)| {
            let properties = json!({
                "n": {"type": "integer"}, "text": {"type": "string"}, "flag": {"type": "boolean"},
                "list": {"type": "array", "items": {"type": "string"}},
                "map": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            });
            let mut definition = Definition::new(&properties, "{}");
            definition.resources = serde_json::from_value(Value::Array(resources)).unwrap();
            definition.status = status;
            definition.finished_when = finished_when;
            definition.schema["properties"]["other"] = schema;
            definition
        })
}

fn spec() -> impl Strategy<Value = Value> {
    (
        prop::option::of(-1_i64..1_500),
        prop::option::of("[a-z]{0,4}"),
        prop::option::of(prop::collection::vec("[a-z]{0,3}", 0..4)),
        value(),
        any::<bool>(),
    )
        .prop_map(|(n, text, list, map, flag)| {
            let mut spec = json!({"map": map, "flag": flag});
            for (name, value) in [("n", json!(n)), ("text", json!(text)), ("list", json!(list))] {
                if !value.is_null() {
                    spec[name] = value;
                }
            }
            spec
        })
}

/// How often, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 400;

fn config() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    // The default is what the environment says, or proptest's own 256.
    if default.cases == 256 { ProptestConfig { cases: CASES, ..default } } else { default }
}

proptest! {
    #![proptest_config(config())]

    /// Followed or refused, the same each time, and on the way to what is wanted nothing goes back.
    #[test]
    fn a_definition_is_followed_or_refused(definition in definition(), spec in spec(), status in value()) {
        match definition.compile() {
            Err(errors) => {
                prop_assert!(!errors.0.is_empty());
                prop_assert!(errors.to_string().len() < 32 << 10);
            }
            Ok(composition) => {
                let instance = instance(&spec);
                let mut world = TestCluster::default();
                for _ in 0..4 {
                    let desired = composition.desired(&instance, &world.0, &BTreeSet::new());
                    prop_assert_eq!(&desired, &composition.desired(&instance, &world.0, &BTreeSet::new()));
                    let Ok(desired) = desired else { break };
                    prop_assert!(desired.count() <= MAX_OBJECTS);
                    prop_assert_eq!(desired.resources.len(), definition.resources.len());
                    world.obey(&desired, |_| status.clone());
                }
            }
        }
    }

    /// Objects may be anything at all: they are written by others.
    #[test]
    fn no_object_of_others_makes_it_panic(found in prop::collection::vec(value(), 0..3), spec in spec()) {
        let handler = r#"
resources:
  - {id: a, template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}}
  - {id: b, template: {apiVersion: batch/v1, kind: Job, metadata: {name: "${string(a.status.x)}"}}}
status: {x: "${a.status}", y: "${b.metadata.name.size()}"}
finishedWhen: "${b.status.done == true}"
"#;
        let composition = Definition::new(&json!({}), handler).compiled();
        let instance = instance(&spec);
        let own = found.iter().map(|status| json!({
            "metadata": {"name": "a", "ownerReferences": [{"controller": true, "uid": "u-1"}], "generation": status},
            "spec": status, "status": {"x": status, "conditions": status}}));
        let objects = own.chain(found.iter().cloned()).collect();
        let children = Children::from([(ObjectKind::new("apps/v1", "Deployment"), Observed::Known(objects))]);
        let _ = composition.desired(&instance, &children, &BTreeSet::new());
    }
}
