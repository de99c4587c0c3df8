use super::*;

/// What is said of a spec by a schema, without an earlier one.
fn said(schema: &Value, spec: &Value) -> String {
    changed(schema, None, spec)
}

fn changed(schema: &Value, before: Option<&Value>, spec: &Value) -> String {
    let whole = |schema: &Value| json!({ "type": "object", "properties": { "spec": schema } });
    let object = json!({ "apiVersion": "g/v1", "kind": "Thing", "metadata": { "name": "a", "labels": {} },
                         "spec": spec, "status": { "what": "ever" } });
    let (now, before) = (whole(schema), before.map(whole));
    match Validator::default().check(&now, before.as_ref(), &object) {
        Ok(()) => String::new(),
        Err(violation) => violation.to_string(),
    }
}

fn of_field(field: &Value) -> Value {
    json!({ "type": "object", "properties": { "x": field } })
}

/// Each keyword, with a value that fits and one that does not.
#[test]
#[expect(clippy::too_many_lines, reason = "a table with a row for each keyword")]
fn every_keyword_is_judged() {
    let any_of = json!({ "type": "string", "anyOf": [{ "maxLength": 1 }, { "enum": ["long"] }] });
    let one_of = json!({ "type": "integer", "oneOf": [{ "minimum": 1 }, { "maximum": 5 }] });
    let nested = json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "string" } },
                         "anyOf": [{ "required": ["a"] }, { "properties": { "b": { "enum": ["y"] } }, "required": ["b"] }] });
    for (field, good, bad, expected) in [
        (json!({ "type": "string" }), json!("a"), json!(1), "is not of type string"),
        (json!({ "type": "integer" }), json!(1.0), json!(1.5), "is not of type integer"),
        (json!({ "type": "number" }), json!(1.5), json!("1"), "is not of type number"),
        (json!({ "type": "boolean" }), json!(false), json!("false"), "is not of type boolean"),
        (
            json!({ "type": "array", "items": { "type": "string" } }),
            json!(["a"]),
            json!("a"),
            "is not of type array",
        ),
        (
            json!({ "type": "string", "enum": ["a", "b"] }),
            json!("b"),
            json!("c"),
            r#""c": is none of ["a","b"]"#,
        ),
        (json!({ "type": "string", "pattern": "^a+$" }), json!("aa"), json!("ab"), "does not match ^a+$"),
        (json!({ "type": "string", "minLength": 2 }), json!("åå"), json!("å"), "has 1 characters"),
        (json!({ "type": "string", "maxLength": 2 }), json!("åå"), json!("ååå"), "may have at most 2"),
        (json!({ "type": "integer", "minimum": 1 }), json!(1), json!(0), "0: must be at least 1"),
        (
            json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": true }),
            json!(2),
            json!(1),
            "must be above 1",
        ),
        (json!({ "type": "number", "maximum": 1.5 }), json!(1.5), json!(1.6), "1.6: must be at most 1.5"),
        (
            json!({ "type": "integer", "maximum": 3, "exclusiveMaximum": true }),
            json!(2),
            json!(3),
            "must be below 3",
        ),
        (json!({ "type": "number", "multipleOf": 0.1 }), json!(0.3), json!(0.35), "is no multiple of 0.1"),
        (
            json!({ "type": "integer", "format": "int32" }),
            json!(7),
            json!(3_000_000_000_u64),
            "range of its format",
        ),
        (
            json!({ "type": "string", "format": "date-time" }),
            json!("2026-11-26T10:00:00Z"),
            json!("now"),
            "is no date-time",
        ),
        (json!({ "type": "string", "format": "ipv4" }), json!("10.0.0.1"), json!("10.0.0"), "is no ipv4"),
        (json!({ "type": "string", "format": "unheard-of" }), json!("a"), json!(1), "is not of type"),
        (
            json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
            json!(["a"]),
            json!([]),
            "at least 1",
        ),
        (
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": 1 }),
            json!(["a"]),
            json!(["a", "b"]),
            "at most 1",
        ),
        (
            json!({ "type": "array", "items": { "type": "integer", "minimum": 1 } }),
            json!([1]),
            json!([1, 0]),
            "spec.x[1]: 0",
        ),
        (
            json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" }),
            json!(["a", "b"]),
            json!(["a", "a"]),
            "spec.x[1]: is there twice",
        ),
        (
            json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            json!({ "a": "b" }),
            json!({ "a": 1 }),
            "spec.x.a: 1: is not of type string",
        ),
        (
            json!({ "type": "object", "additionalProperties": { "type": "string" }, "maxProperties": 1 }),
            json!({ "a": "b" }),
            json!({ "a": "b", "c": "d" }),
            "may have at most 1",
        ),
        (
            json!({ "type": "object", "additionalProperties": { "type": "string" }, "minProperties": 1 }),
            json!({ "a": "b" }),
            json!({}),
            "at least 1",
        ),
        (
            json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "string" } } }),
            json!({ "a": "b" }),
            json!({}),
            "spec.x.a: missing, and required",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "type": "string" } } }),
            json!({ "a": "b" }),
            json!({ "a-b": 1 }),
            "spec.x['a-b']: would be lost",
        ),
        (json!({ "x-kubernetes-int-or-string": true }), json!("50%"), json!(1.5), "whole number or a text"),
        (
            json!({ "type": "string", "allOf": [{ "minLength": 2 }, { "pattern": "a" }] }),
            json!("ab"),
            json!("bb"),
            "does not match a",
        ),
        (any_of, json!("long"), json!("else"), "fits 0 of the schemas in anyOf"),
        (one_of, json!(7), json!(3), "fits 2 of the schemas in oneOf"),
        (
            json!({ "type": "string", "not": { "enum": ["a"] } }),
            json!("b"),
            json!("a"),
            "fits the schema in not",
        ),
        (nested, json!({ "b": "y" }), json!({ "b": "z" }), "in anyOf"),
    ] {
        assert_eq!(said(&of_field(&field), &json!({ "x": good })), "", "{field}");
        let why = said(&of_field(&field), &json!({ "x": bad }));
        assert!(why.starts_with("spec.x") && why.contains(expected), "{field}: {why}");
    }
}

#[test]
fn lists_that_are_maps_have_each_key_once() {
    let element = json!({ "type": "object", "properties": { "name": { "type": "string" }, "v": { "type": "integer" } } });
    let list = json!({ "type": "array", "items": element, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] });
    assert_eq!(
        said(&of_field(&list), &json!({ "x": [{ "name": "a", "v": 1 }, { "name": "b", "v": 1 }] })),
        ""
    );
    assert!(
        said(&of_field(&list), &json!({ "x": [{ "name": "a", "v": 1 }, { "name": "a", "v": 2 }] }))
            .contains("twice")
    );
}

/// The API server fills in defaults and drops nulls before it judges.
#[test]
fn defaults_and_nulls_are_as_api_servers_have_them() {
    let with = |field: Value| json!({ "type": "object", "required": ["x"], "properties": { "x": field } });
    assert!(said(&with(json!({ "type": "string" })), &json!({})).contains("required"));
    assert_eq!(said(&with(json!({ "type": "string", "default": "a" })), &json!({})), "");
    assert_eq!(said(&with(json!({ "type": "string", "default": "a" })), &json!({ "x": null })), "");
    assert!(said(&with(json!({ "type": "string" })), &json!({ "x": null })).contains("required"), "dropped");
    assert_eq!(said(&with(json!({ "type": "string", "nullable": true })), &json!({ "x": null })), "");
    let deep = json!({ "type": "object", "default": {}, "required": ["y"], "properties": { "y": { "type": "integer", "default": 1 } } });
    assert_eq!(said(&with(deep), &json!({})), "");
    let list = json!({ "type": "array", "items": { "type": "string" } });
    assert!(said(&with(list), &json!({ "x": [null] })).contains("spec.x[0]: null"));
}

#[test]
fn what_is_kept_although_it_is_not_described_is_not_lost() {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                       "properties": { "a": { "type": "object", "properties": {} } } });
    assert_eq!(said(&open, &json!({ "b": { "c": 1 } })), "");
    assert!(
        said(&open, &json!({ "a": { "c": 1 } })).contains("spec.a.c: would be lost"),
        "it is for one level"
    );
    let embedded = json!({ "type": "object", "x-kubernetes-embedded-resource": true,
                           "properties": { "spec": { "type": "object" } } });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": {} });
    assert_eq!(said(&of_field(&embedded), &json!({ "x": pod })), "");
    assert_eq!(
        said(&of_field(&json!({ "x-kubernetes-preserve-unknown-fields": true })), &json!({ "x": [null] })),
        ""
    );
    let free = json!({ "type": "object", "additionalProperties": true });
    assert_eq!(said(&of_field(&free), &json!({ "x": { "a": [1] } })), "");
}

/// An object that does not fit a part of the schema that stays as it is does not break by the change.
#[test]
fn only_what_changes_can_break() {
    let before = json!({ "type": "object", "properties": {
        "x": { "type": "integer", "minimum": 5 }, "y": { "type": "string" } } });
    let mut now = before.clone();
    now["properties"]["y"]["maxLength"] = json!(3);
    assert_eq!(changed(&now, Some(&before), &json!({ "x": 1, "y": "abc" })), "");
    assert!(changed(&now, Some(&before), &json!({ "x": 1, "y": "abcd" })).starts_with("spec.y"));
    assert!(said(&now, &json!({ "x": 1, "y": "abc" })).starts_with("spec.x"), "nothing was before");
}

#[test]
fn rules_are_evaluated_and_told_where_they_cannot_be() {
    let with = |rules: Value| {
        json!({ "type": "object", "x-kubernetes-validations": rules, "properties": {
        "min": { "type": "integer" }, "max": { "type": "integer" } } })
    };
    let ordered = with(json!([{ "rule": "self.min <= self.max", "message": "min is above max" }]));
    assert_eq!(said(&ordered, &json!({ "min": 1, "max": 2 })), "");
    assert_eq!(said(&ordered, &json!({ "min": 3, "max": 2 })), "spec: min is above max");
    let bare = with(json!([{ "rule": "self.max > 2" }]));
    assert!(said(&bare, &json!({ "max": 2 })).contains("does not fit the rule self.max > 2"));
    let change = with(json!([{ "rule": "self.min == oldSelf.min" }]));
    assert_eq!(said(&change, &json!({ "min": 3 })), "", "it is for changes of the object");
    let optional = with(json!([{ "rule": "oldSelf.hasValue()", "optionalOldSelf": true }]));
    assert!(said(&optional, &json!({ "min": 3 })).contains("cannot be checked"));
    let unknown = with(json!([{ "rule": "self.min.isQuantityOfBananas()" }]));
    assert!(said(&unknown, &json!({ "min": 3 })).contains("cannot be checked"));
    let mut wider = unknown.clone();
    wider["properties"]["more"] = json!({ "type": "string" });
    assert_eq!(changed(&wider, Some(&unknown), &json!({ "min": 3 })), "", "it is no part of the change");
}

#[test]
fn a_rule_of_the_whole_object_may_speak_of_its_name() {
    let schema = json!({ "type": "object", "x-kubernetes-validations": [{ "rule": "self.metadata.name.size() < 3" }],
        "properties": { "metadata": { "type": "object", "properties": { "name": { "type": "string", "pattern": "^a" } } } } });
    let named =
        |name: &str| json!({ "apiVersion": "g/v1", "kind": "K", "metadata": { "name": name, "uid": "u" } });
    let check = |name: &str| Validator::default().check(&schema, None, &named(name));
    assert_eq!(check("ab"), Ok(()));
    assert!(check("abc").unwrap_err().problem.contains("size() < 3"));
    assert_eq!(check("b").unwrap_err().field, "metadata.name");
}

/// What a definition's author writes is paid for from one budget, however many objects there are.
#[test]
fn rules_that_cost_too_much_cannot_be_checked() {
    let schema = json!({ "type": "object", "properties": { "spec": { "type": "object",
        "x-kubernetes-validations": [{ "rule": "self.l.all(a, self.l.all(b, self.l.all(c, a + b + c >= 0)))" }],
        "properties": { "l": { "type": "array", "items": { "type": "integer" } } } } } });
    let object = json!({ "spec": { "l": vec![1; 300] } });
    let error = Validator::default().check(&schema, None, &object).unwrap_err();
    assert!(error.problem.contains("cannot be checked"), "{error}");
}
