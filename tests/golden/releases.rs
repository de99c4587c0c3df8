//! What is stored under the kinds of an earlier release is kept by those of this one, and what this one writes is read by the
//! operator of that release: an upgrade and a rollback leave the newer kinds in the cluster. Folders below `releases` hold kinds as
//! they were.

use std::{fs, path::Path};

use serde_json::Value;

/// Values that this operator writes into a status and an earlier one refuses to read: none, or an entry in CHANGELOG.md.
const NEW_STATUS_VALUES: [&str; 0] = [];

/// Defaults that are others on purpose, each **BREAKING** in CHANGELOG.md.
const NEW_DEFAULTS: [&str; 1] = ["colonies.colonies.io/spec/inbound"];

fn is_documented(path: &str) -> bool {
    NEW_DEFAULTS.iter().any(|known| path.starts_with(known))
}

fn crds(folder: &Path) -> Vec<Value> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| serde_norway::from_str(&fs::read_to_string(file).unwrap()).unwrap()).collect()
}

/// Where a newer schema would lose, refuse or change what fits the earlier one.
fn compare(before: &Value, now: &Value, path: &str, wrong: &mut Vec<String>) {
    let mut say = |what: String| wrong.push(format!("{path}: {what}"));
    for same in ["type", "format", "x-kubernetes-int-or-string", "x-kubernetes-list-type"] {
        if before[same] != now[same] {
            say(format!("{same} was {}, and is {}", before[same], now[same]));
        }
    }
    if before["default"] != now["default"] && !path.contains("/status") && !is_documented(path) {
        say(format!("default was {}, and is {}", before["default"], now["default"]));
    }
    if before["nullable"] == true && now["nullable"] != true {
        say("it could be null".to_owned());
    }
    if before["x-kubernetes-preserve-unknown-fields"] == true
        && now["x-kubernetes-preserve-unknown-fields"] != true
    {
        say("it kept unknown fields".to_owned());
    }
    for (least, is_tighter) in [
        ("maximum", (|before, now| now < before) as fn(f64, f64) -> bool),
        ("maxLength", |before, now| now < before),
        ("maxItems", |before, now| now < before),
        ("maxProperties", |before, now| now < before),
        ("minimum", |before, now| now > before),
        ("minLength", |before, now| now > before),
        ("minItems", |before, now| now > before),
    ] {
        match (before[least].as_f64(), now[least].as_f64()) {
            (Some(before), Some(now)) if is_tighter(before, now) => {
                say(format!("{least} was {before}, and is {now}"));
            }
            (None, Some(now)) => say(format!("{least} is {now}, and was not there")),
            _ => {}
        }
    }
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let (known, wanted) = (list(before, "required"), list(now, "required"));
    for field in wanted.iter().filter(|field| !known.contains(field)) {
        say(format!("{field} is required"));
    }
    let (known, allowed) = (list(before, "enum"), list(now, "enum"));
    for value in known.iter().filter(|value| !allowed.is_empty() && !allowed.contains(value)) {
        say(format!("{value} is no value any more"));
    }
    if path.contains("/status") {
        for value in allowed.iter().filter(|value| !known.contains(value)) {
            let full = format!("{path}: {}", value.as_str().unwrap_or_default());
            if !NEW_STATUS_VALUES.contains(&full.as_str()) {
                say(format!("an earlier operator does not read {value}"));
            }
        }
    }
    for (name, field) in before["properties"].as_object().into_iter().flatten() {
        match now["properties"].get(name) {
            Some(now) => compare(field, now, &format!("{path}/{name}"), wrong),
            None if now["x-kubernetes-preserve-unknown-fields"] == true => {}
            None => wrong.push(format!("{path}/{name}: is gone")),
        }
    }
    for below in ["items", "additionalProperties"] {
        if before[below].is_object() {
            compare(&before[below], &now[below], &format!("{path}/{below}"), wrong);
        }
    }
}

#[test]
fn kinds_keep_what_earlier_releases_have_stored_and_can_be_left_when_one_goes_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let now = crds(&root.join("crds"));
    let mut wrong = Vec::new();
    let mut count = 0;
    for release in fs::read_dir(root.join("tests/golden/releases")).unwrap() {
        for before in crds(&release.unwrap().path()) {
            count += 1;
            let name = before["metadata"]["name"].as_str().unwrap();
            let Some(now) = now.iter().find(|now| now["metadata"]["name"] == before["metadata"]["name"])
            else {
                wrong.push(format!("{name}: is gone"));
                continue;
            };
            assert_eq!(before["spec"]["scope"], now["spec"]["scope"], "{name}");
            for version in before["spec"]["versions"].as_array().unwrap() {
                let versions = now["spec"]["versions"].as_array().unwrap();
                let Some(served) =
                    versions.iter().find(|now| now["name"] == version["name"] && now["served"] == true)
                else {
                    wrong.push(format!("{name}: does not serve {}", version["name"]));
                    continue;
                };
                assert_eq!(version["storage"], served["storage"], "{name}");
                let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
                compare(&schema(version), &schema(served), name, &mut wrong);
            }
        }
    }
    assert!(count >= 8, "{count} kinds");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_would_lose_or_refuse_objects_is_found() {
    let schema = |text: &str| -> Value { serde_norway::from_str(text).unwrap() };
    let before = schema(
        "{type: object, properties: {status: {type: object, properties: {a: {type: string, enum: [x, y]}, b: {type: string, maxLength: 9}}}}}",
    );
    let told = |now: &str| {
        let mut wrong = Vec::new();
        compare(&before, &schema(now), "k", &mut wrong);
        wrong
    };
    let same = "{type: object, properties: {status: {type: object, properties: {a: {type: string, enum: [x, y]}, b: {type: string, maxLength: 9}, c: {type: string}}}}}";
    assert_eq!(told(same), [""; 0]);
    assert_eq!(told(&same.replace("[x, y]", "[x]")), ["k/status/a: \"y\" is no value any more"]);
    assert_eq!(
        told(&same.replace("[x, y]", "[x, y, z]")),
        ["k/status/a: an earlier operator does not read \"z\""]
    );
    assert_eq!(
        told(&same.replace("maxLength: 9", "maxLength: 8")),
        ["k/status/b: maxLength was 9, and is 8"]
    );
    assert_eq!(told(&same.replace("b: {type: string, maxLength: 9}, ", "")), ["k/status/b: is gone"]);
    let required = same.replace("status: {type: object,", "status: {type: object, required: [c],");
    assert_eq!(told(&required), ["k/status: \"c\" is required"]);
}
