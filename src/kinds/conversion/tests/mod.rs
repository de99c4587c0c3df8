mod arbitrary;

use std::sync::LazyLock;

use serde_json::json;

use super::{annotation::MAX_PRESERVED_BYTES, *};
use crate::{
    api::{names::PRESERVED_FIELDS_ANNOTATION, resource_definition::ResourceDefinition},
    kinds::definition::build,
};

const GROUP: &str = "run.example.com";
/// Where a version describes its spec.
const SPEC: &str = "/schema/openAPIV3Schema/properties/spec";

/// A list of objects with these fields that are told apart by their names.
fn keyed(fields: &Value) -> Value {
    json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
           "items": {"type": "object", "required": ["name"], "properties": fields}})
}

/// A kind of two versions: fields that are moved, computed, the same, and known to one of them alone.
fn definition(adjust: impl FnOnce(&mut Value)) -> ResourceDefinition {
    let new = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "name": {"type": "string"},
            "size": {"type": "integer"},
            "container": {"type": "object", "properties": {
                "image": {"type": "string"},
                "memoryMi": {"type": "integer"},
                "ports": {"type": "array", "items": {"type": "object", "properties": {
                    "number": {"type": "integer"}, "name": {"type": "string"}}}},
            }},
            "level": {"type": "integer", "default": 3},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "limits": {"type": "object", "properties": {"cpu": {"type": "integer"}, "gpu": {"type": "integer"}}},
            "mounts": keyed(&json!({
                "name": {"type": "string"}, "path": {"type": "string"}, "mode": {"type": "string"},
                "limits": {"type": "object", "properties": {"size": {"type": "integer"}, "files": {"type": "integer"}}},
            })),
        }},
        "status": {"type": "object", "properties": {"address": {"type": "string"}, "only": {"type": "string"}}},
    }});
    let old = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "name": {"type": "string"},
            "size": {"type": "integer"},
            "image": {"type": "string"},
            "memory": {"type": "string"},
            "ports": {"type": "array", "items": {"type": "object", "properties": {"number": {"type": "integer"}}}},
            "verbose": {"type": "boolean", "default": false},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "limits": {"type": "object", "properties": {"cpu": {"type": "integer"}}},
            "mounts": keyed(&json!({
                "name": {"type": "string"}, "path": {"type": "string"},
                "limits": {"type": "object", "properties": {"size": {"type": "integer"}}},
            })),
        }},
        "status": {"type": "object", "properties": {"endpoint": {"type": "string"}}},
    }});
    let other = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "title": {"type": "string"}, "odd": {"type": "string"}}}}});
    let mut whole = json!({
        "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition",
        "metadata": {"name": format!("jobs.{GROUP}"), "generation": 1},
        "spec": {
            "group": GROUP, "names": {"kind": "Job", "plural": "jobs"},
            "versions": [
                {"name": "v1", "storage": true, "schema": {"openAPIV3Schema": new}},
                {"name": "v1alpha1", "schema": {"openAPIV3Schema": old}, "conversion": {
                    "moves": [
                        {"from": "spec.image", "to": "spec.container.image"},
                        {"from": "spec.ports", "to": "spec.container.ports"},
                        {"from": "status.endpoint", "to": "status.address"},
                    ],
                    "toStorage": {"spec.container.memoryMi": "${int(self.spec.memory.replace('Mi', ''))}"},
                    "fromStorage": {"spec.memory": "${self.spec.container.memoryMi}Mi"},
                }},
                {"name": "v1alpha2", "schema": {"openAPIV3Schema": other}, "conversion": {
                    "moves": [{"from": "spec.title", "to": "spec.name"}]}},
            ],
            "handler": {"mode": "process", "executorType": "t", "functionName": "f"},
        },
    });
    adjust(&mut whole);
    serde_json::from_value(whole).unwrap()
}

fn converter() -> &'static Converter {
    static CONVERTER: LazyLock<Converter> =
        LazyLock::new(|| Converter::of(&build(&definition(|_| {})).unwrap()).unwrap().unwrap());
    &CONVERTER
}

fn object(version: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("{GROUP}/{version}"), "kind": "Job",
           "metadata": {"name": "a", "labels": {"x": "y"}, "managedFields": [{"manager": "m"}]}, "spec": spec})
}

fn to(object: &Value, version: &str) -> Value {
    converter()
        .convert(object, &format!("{GROUP}/{version}"))
        .unwrap_or_else(|error| panic!("{object}: {error}"))
}

#[test]
fn fields_are_moved_computed_and_carried_in_both_directions() {
    let old = object(
        "v1alpha1",
        &json!({"name": "n", "image": "i", "memory": "512Mi", "ports": [{"number": 1}], "verbose": false, "labels": {"k": "v"}}),
    );
    let new = to(&old, "v1");
    assert_eq!(
        new["spec"],
        json!({"name": "n", "level": 3, "labels": {"k": "v"},
               "container": {"image": "i", "memoryMi": 512, "ports": [{"number": 1}]}})
    );
    assert_eq!((&new["apiVersion"], &new["kind"]), (&json!(format!("{GROUP}/v1")), &json!("Job")));
    let mut metadata = new["metadata"].clone();
    metadata.as_object_mut().unwrap().remove("annotations");
    assert_eq!(metadata, old["metadata"]);
    assert_eq!(to(&new, "v1alpha1"), old);
}

#[test]
fn status_is_converted_too() {
    let mut old = object("v1alpha1", &json!({"verbose": false}));
    old["status"] = json!({"endpoint": "http://x", "observedGeneration": 3, "conditions": []});
    let new = to(&old, "v1");
    assert_eq!(new["status"], json!({"address": "http://x", "observedGeneration": 3, "conditions": []}));
    assert_eq!(to(&new, "v1alpha1"), old);
}

/// A write through the old version changes the fields that it has, and preserves all others.
#[test]
fn a_write_through_the_old_version_keeps_what_is_new() {
    let new = object(
        "v1",
        &json!({"level": 9, "container": {"image": "i", "memoryMi": 512,
               "ports": [{"number": 1, "name": "http"}, {"number": 2, "name": "grpc"}]},
               "limits": {"cpu": 1, "gpu": 2}}),
    );
    let mut old = to(&new, "v1alpha1");
    assert_eq!(old["spec"]["ports"], json!([{"number": 1}, {"number": 2}]));
    old["spec"]["image"] = json!("other");
    old["spec"]["ports"] = json!([{"number": 3}, {"number": 2}]);
    let written = to(&old, "v1");
    assert_eq!(
        written["spec"]["container"],
        json!({"image": "other", "memoryMi": 512, "ports": [{"number": 3}, {"number": 2, "name": "grpc"}]})
    );
    assert_eq!(
        (&written["spec"]["level"], &written["spec"]["limits"]),
        (&json!(9), &json!({"cpu": 1, "gpu": 2}))
    );

    // Who sees the old version can take the limits away, and with them what is in them.
    for name in ["image", "memory", "ports", "limits"] {
        old["spec"].as_object_mut().unwrap().remove(name);
    }
    assert_eq!(to(&old, "v1")["spec"], json!({"level": 9}), "nothing is left of what was in sight");
}

/// Where entries have keys, one that is edited keeps what is hidden of it.
#[test]
fn an_edited_entry_keeps_what_is_hidden_of_it() {
    let mounts = json!([
        {"name": "data", "path": "/data", "mode": "rw", "limits": {"size": 1, "files": 9}},
        {"name": "tmp", "path": "/tmp", "mode": "ro"},
    ]);
    let new = object("v1", &json!({"level": 3, "mounts": mounts}));
    let mut old = to(&new, "v1alpha1");
    let shown =
        json!([{"name": "data", "path": "/data", "limits": {"size": 1}}, {"name": "tmp", "path": "/tmp"}]);
    assert_eq!(old["spec"]["mounts"], shown);
    old["spec"]["mounts"] = json!([
        {"name": "tmp", "path": "/scratch"},
        {"name": "more", "path": "/more"},
        {"name": "data", "path": "/data", "limits": {"size": 2}},
    ]);
    let expected = json!([
        {"name": "tmp", "path": "/scratch", "mode": "ro"},
        {"name": "more", "path": "/more"},
        {"name": "data", "path": "/data", "mode": "rw", "limits": {"size": 2, "files": 9}},
    ]);
    assert_eq!(to(&old, "v1")["spec"]["mounts"], expected);
}

/// What cannot be inverted comes back as it was, unless the other version has changed it.
#[test]
fn what_was_written_comes_back_as_it_was_written() {
    let old = object("v1alpha1", &json!({"memory": "0512Mi", "verbose": true}));
    let mut new = to(&old, "v1");
    assert_eq!(new["spec"]["container"]["memoryMi"], 512);
    assert_eq!(to(&new, "v1alpha1"), old);
    new["spec"]["container"]["memoryMi"] = json!(1024);
    assert_eq!(to(&new, "v1alpha1")["spec"], json!({"memory": "1024Mi", "verbose": true}));
}

#[test]
fn two_old_versions_are_converted_through_the_stored_one() {
    let old = object("v1alpha1", &json!({"name": "n", "image": "i", "verbose": true}));
    let other = to(&old, "v1alpha2");
    assert_eq!(other["spec"], json!({"title": "n"}));
    assert_eq!(to(&other, "v1alpha1"), old);
    let mut other = other;
    other["spec"] = json!({"title": "m", "odd": "x"});
    let back = to(&other, "v1alpha1");
    assert_eq!(back["spec"], json!({"name": "m", "image": "i", "verbose": true}));
    assert_eq!(to(&back, "v1alpha2")["spec"], other["spec"]);
}

#[test]
fn what_cannot_be_converted_says_field_value_and_remedy() {
    let bad = object("v1alpha1", &json!({"memory": "much"}));
    let error = converter().convert(&bad, &format!("{GROUP}/v1")).unwrap_err().to_string();
    assert!(
        error.starts_with("spec.container.memoryMi: ") && error.contains(r#"spec.memory is "much""#),
        "{error}"
    );
    assert!(error.contains("toStorage"), "{error}");
    let error = converter().convert(&bad, "run.example.com/v7").unwrap_err().to_string();
    assert!(error.contains("v7") && error.contains("v1alpha1"), "{error}");

    let large = "x".repeat(MAX_PRESERVED_BYTES);
    let error = converter()
        .convert(
            &object("v1", &json!({"container": {"ports": [{"name": large}]}})),
            &format!("{GROUP}/v1alpha1"),
        )
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be expressed in v1alpha1"), "{error}");

    // An invalid annotation is refused when it is written, and does not prevent reads.
    let mut broken = object("v1alpha1", &json!({"image": "i"}));
    broken["metadata"]["annotations"] = json!({PRESERVED_FIELDS_ANNOTATION: "{"});
    let error = converter().convert(&broken, &format!("{GROUP}/v1")).unwrap_err().to_string();
    assert!(error.contains(PRESERVED_FIELDS_ANNOTATION), "{error}");
    broken["apiVersion"] = json!(format!("{GROUP}/v1"));
    assert!(converter().convert(&broken, &format!("{GROUP}/v1alpha1")).is_ok());
}

/// A path, an expression or a type that cannot be is refused where it stands.
#[test]
fn a_conversion_that_cannot_be_followed_is_refused_with_its_field() {
    let refused = |pointer: &str, value: Value| {
        let built = build(&definition(|whole| {
            *whole.pointer_mut(&format!("/spec/versions/1{pointer}")).unwrap() = value;
        }));
        built.expect_err("it is refused").to_string()
    };
    let moved = |from: &str, to: &str| refused("/conversion/moves/0", json!({"from": from, "to": to}));
    for (error, expected) in [
        (
            moved("spec.picture", "spec.container.image"),
            "spec.versions[1].conversion.moves[0].from: spec.picture: is no field of v1alpha1",
        ),
        (
            moved("spec.image", "spec.picture"),
            "spec.versions[1].conversion.moves[0].to: spec.picture: is no field of v1",
        ),
        (
            moved("spec..image", "spec.container.image"),
            "spec.versions[1].conversion.moves[0].from: spec..image: write names",
        ),
        (moved("spec.image", "metadata.name"), "moves[0].to: metadata.name: apiVersion, kind and metadata"),
        (moved("spec.image", "status.conditions"), "moves[0].to: status.conditions: the operator manages"),
        (moved("spec.image", "spec.container.memoryMi"), "one is string and the other int"),
        (moved("spec.image", "spec.container.ports"), "one is string and the other list"),
        (moved("spec.image", "spec.container"), "one is string and the other map"),
        (
            refused("/conversion/moves/1", json!({"from": "spec.name", "to": "spec.container.image"})),
            "moves[1].to: spec.container.image: spec.versions[1].conversion.moves[0].to writes the same field",
        ),
        (
            refused("/conversion/moves/1", json!({"from": "spec.image", "to": "spec.name"})),
            "moves[1].from: spec.image: spec.versions[1].conversion.moves[0].from writes the same field",
        ),
        (
            refused("/conversion/toStorage", json!({"spec.container": "${{}}"})),
            "writes the same field, or one around or within it",
        ),
        (
            refused("/conversion/toStorage", json!({"spec.container.memoryMi": "${self.spec.memory}"})),
            "spec.versions[1].conversion.toStorage['spec.container.memoryMi']",
        ),
        (
            refused("/conversion/toStorage", json!({"spec.container.memoryMi": "${int(self.spec.memry)}"})),
            "memry",
        ),
        (refused("/conversion/toStorage", json!({"spec.container.memoryMi": "${int(other)}"})), "other"),
        (
            refused("/conversion/fromStorage", json!({"spec.memry": "${self.spec.name}"})),
            "spec.versions[1].conversion.fromStorage['spec.memry']: spec.memry: is no field of v1alpha1",
        ),
        (
            refused(&format!("{SPEC}/properties/size"), json!({"type": "string"})),
            "spec.versions[1].conversion: spec.size: one is string and the other int (v1alpha1 and v1): convert it in toStorage and fromStorage",
        ),
        (
            refused(
                SPEC,
                json!({"type": "object", "required": ["verbosity"], "properties": {
                "image": {"type": "string"}, "ports": {"type": "array", "items": {"type": "object"}}, "memory": {"type": "string"}}}),
            ),
            "spec.versions[1].conversion: spec.verbosity: is required in v1alpha1, and nothing of v1 gives it",
        ),
    ] {
        assert!(error.contains(expected), "{error}\nlacks {expected}");
    }
    let fine = build(&definition(|whole| {
        let version = &mut whole["spec"]["versions"][1];
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"] =
            json!({"type": "string"});
        version["conversion"]["toStorage"]["spec.size"] = json!("${int(self.spec.size)}");
        version["conversion"]["fromStorage"]["spec.size"] = json!("${string(self.spec.size)}");
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"] = json!(["image", "verbose"]);
    }));
    assert!(fine.is_ok(), "{fine:?}");
}
