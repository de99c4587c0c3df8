use proptest::prelude::*;
use serde_json::json;

use super::*;

fn definition(schema: &Value, handler: &Value) -> ResourceDefinition {
    serde_json::from_value(json!({
        "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition",
        "metadata": { "name": "mlmodels.ml.example.com", "generation": 3 },
        "spec": {
            "group": "ml.example.com",
            "names": { "kind": "MLModel", "plural": "mlmodels", "shortNames": ["mlm"] },
            "versions": [{
                "name": "v1alpha1", "storage": true, "schema": { "openAPIV3Schema": schema },
                "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" },
                "additionalPrinterColumns": [{ "name": "Framework", "type": "string", "jsonPath": ".spec.framework" }],
            }],
            "handler": handler,
        },
    }))
    .unwrap()
}

fn handler() -> Value {
    json!({
        "mode": "process", "executorType": "ml-model-controller", "functionName": "reconcile_ml_model",
        "status": { "endpoint": "${output[0].endpoint}", "replicas": "${output[0].replicas}" },
    })
}

fn with_field(field: &Value) -> Value {
    json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": { "x": field } } } })
}

#[test]
fn a_crd_has_status_scale_columns_and_what_the_operator_says() {
    let wanted = build(&definition(&with_field(&json!({ "type": "integer" })), &handler())).unwrap();
    let crd = serde_json::to_value(&wanted).unwrap();
    let version = &crd["spec"]["versions"][0];
    assert_eq!(version["subresources"]["status"], json!({}));
    assert_eq!(version["subresources"]["scale"]["statusReplicasPath"], ".status.replicas");
    let columns: Vec<&str> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Framework", "Ready", "Paused", "Message", "Age"]);
    let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    assert_eq!(status["replicas"]["type"], "integer", "what /scale reads must be a number");
    assert_eq!(status["endpoint"]["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(status["conditions"]["x-kubernetes-list-map-keys"], json!(["type"]));
    assert_eq!(status["mirror"]["properties"]["label"]["type"], "string");
    assert_eq!(crd["spec"]["names"]["singular"], "mlmodel");
    assert_eq!(crd["spec"]["names"]["listKind"], "MLModelList");
    assert!(crd["metadata"]["ownerReferences"].is_null(), "or the garbage collector would take instances");
    assert!(is_made_for(&wanted, "mlmodels.ml.example.com"));
    assert!(!is_made_for(&wanted, "others.ml.example.com"));
    assert_eq!(accepted_generation(&wanted), Some(3));
}

/// `kubectl explain` knows what expressions give, and an API server keeps no nonsense there; where the schema says nothing itself.
#[test]
fn the_status_of_a_composed_kind_has_types() {
    let template = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" } });
    let other = json!({ "apiVersion": "else.example.com/v1", "kind": "Thing", "metadata": { "name": "a" } });
    let handler = json!({
        "mode": "compose",
        "resources": [{ "id": "web", "template": template }, { "id": "thing", "template": other }],
        "status": { "ready": "${web.status.readyReplicas}", "name": "${web.metadata.name}-x", "else": "${thing.status.a}" },
    });
    let status_of = |schema: &Value| {
        let crd = serde_json::to_value(build(&definition(schema, &handler)).unwrap()).unwrap();
        let version = &crd["spec"]["versions"][0];
        version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"].clone()
    };
    let status = status_of(&with_field(&json!({ "type": "integer" })));
    assert_eq!((&status["ready"]["type"], &status["name"]["type"]), (&json!("integer"), &json!("string")));
    assert_eq!(status["ready"]["description"], "What ${web.status.readyReplicas} gives.");
    assert_eq!(status["else"]["x-kubernetes-preserve-unknown-fields"], true, "nobody knows");
    let mut described = with_field(&json!({ "type": "integer" }));
    described["properties"]["status"] = json!({ "type": "object", "properties": {
        "ready": { "type": "number" }, "name": { "type": "string" }, "else": { "type": "string" } } });
    assert_eq!(status_of(&described)["ready"], json!({ "type": "number" }), "what its author says holds");
}

/// Instances follow the handler in the CRD, not the current definition.
#[test]
fn a_crd_remembers_by_what_instances_are_carried_out() {
    let wanted = definition(&with_field(&json!({ "type": "integer" })), &handler());
    let kind = kind_of(&build(&wanted).unwrap(), false).unwrap();
    assert_eq!(*kind.handler(), wanted.spec.handler);
    assert_eq!(kind.name(), "mlmodels.ml.example.com");
    assert_eq!(kind.terms().resource.api_version, "ml.example.com/v1alpha1");
    let mut broken = build(&wanted).unwrap();
    broken.annotations_mut().insert(HANDLER_ANNOTATION.to_owned(), "{".to_owned());
    assert!(kind_of(&broken, false).unwrap_err().to_string().contains(HANDLER_ANNOTATION));
}

/// A user looks for the mistake where the message points.
#[test]
fn errors_point_at_the_field_of_the_schema() {
    let x = "spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.x";
    for (field, at, remedy) in [
        (json!({}), ".type: missing", "set the type of the field"),
        (json!("string"), ": \"string\"", "a schema must be an object"),
        (json!({ "type": "text" }), ".type: text", "use one of object"),
        (json!({ "type": "string", "maxlength": 3 }), ".maxlength", "is no keyword"),
        (json!({ "type": "string", "maxLength": -3 }), ".maxLength: -3", "whole number"),
        (json!({ "type": "string", "maxLength": 1.5 }), ".maxLength: 1.5", "whole number"),
        (json!({ "type": "array" }), ".items: missing", "elements"),
        (json!({ "type": "array", "items": { "typ": "string" } }), ".items.typ", "is no keyword"),
        (
            json!({ "type": "array", "uniqueItems": true, "items": { "type": "string" } }),
            ".uniqueItems",
            "list-type",
        ),
        (json!({ "$ref": "#/definitions/a" }), "['$ref']", "write the schema inline"),
        (json!({ "type": "string", "const": "a" }), ".const", "enum with one value"),
        (json!({ "type": "string", "enum": [] }), ".enum", "at least one"),
        (json!({ "type": "integer", "exclusiveMinimum": 3 }), ".exclusiveMinimum: 3", "true or false"),
        (json!({ "type": "object", "required": "a" }), ".required", "list of texts"),
        (
            json!({ "type": "object", "additionalProperties": false }),
            ".additionalProperties: false",
            "a schema",
        ),
        (
            json!({ "type": "object", "properties": {}, "additionalProperties": true }),
            ".additionalProperties",
            "excludes properties",
        ),
        (
            json!({ "type": "object", "properties": { "a-b": { "type": "strin" } } }),
            ".properties['a-b'].type: strin",
            "use one of",
        ),
        (json!({ "type": "string", "anyOf": [{ "type": "string" }] }), ".anyOf[0].type", "outside of allOf"),
        (json!({ "type": "string", "x-kubernetes-int-or-string": true }), ".type: string", "remove one"),
    ] {
        let error = build(&definition(&with_field(&field), &handler())).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{x}{at}")) && error.contains(remedy), "{field}: {error}");
    }
    for good in [
        json!({ "x-kubernetes-preserve-unknown-fields": true }),
        json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        json!({ "type": "string", "not": { "enum": ["a"] }, "oneOf": [{ "maxLength": 1 }, { "minLength": 3 }] }),
    ] {
        build(&definition(&with_field(&good), &handler())).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
}

#[test]
fn what_the_operator_keeps_is_not_described_by_others() {
    for (properties, at) in [
        (
            json!({ "status": { "type": "object", "properties": { "mirror": { "type": "string" } } } }),
            "status.properties.mirror",
        ),
        (json!({ "status": { "type": "string" } }), "status.type"),
        (
            json!({ "metadata": { "type": "object", "properties": { "labels": { "type": "object" } } } }),
            "metadata.properties.labels",
        ),
        (json!({ "kind": { "type": "integer" } }), "kind.type"),
    ] {
        let schema = json!({ "type": "object", "properties": properties });
        let error = build(&definition(&schema, &handler())).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("spec.versions[0].schema.openAPIV3Schema.properties.{at}")),
            "{error}"
        );
    }
    let own = json!({ "type": "object", "properties": { "status": { "type": "object", "properties": {
        "conditions": { "type": "array", "items": { "type": "string" } }, "endpoint": { "type": "string" } } } } });
    let crd = serde_json::to_value(build(&definition(&own, &handler())).unwrap()).unwrap();
    let status = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties").unwrap();
    assert_eq!(status["conditions"]["items"]["type"], "object", "conditions are what they are everywhere");
    assert_eq!(status["endpoint"]["type"], "string", "what the user describes stays");
}

#[test]
fn expressions_are_checked_before_anything_uses_them() {
    for (text, expected) in [
        ("${output[0}", "spec.handler.status.endpoint"),
        ("${worker.x}", "worker"),
        ("${output[0].f(}", "endpoint"),
    ] {
        let mut handler = handler();
        handler["status"]["endpoint"] = json!(text);
        let error =
            build(&definition(&with_field(&json!({ "type": "string" })), &handler)).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_executors_put_out_becomes_fields() {
    let mut handler = handler();
    handler["status"]["what"] = json!("${self.metadata.name} in ${schema.spec.replicas}");
    let compiled = CompiledHandler::compile(&serde_json::from_value(handler).unwrap()).unwrap();
    let instance = json!({ "metadata": { "name": "llama" }, "spec": { "replicas": 2 } });
    let bindings = of_process(&instance, &[json!({ "endpoint": "http://x" })], &Map::new(), &[]);
    let (fields, problems) = compiled.fields(&bindings);
    assert_eq!(Value::Object(fields), json!({ "endpoint": "http://x", "what": "llama in 2" }));
    assert_eq!(problems.len(), 1, "replicas has no value: {problems:?}");
    assert!(problems[0].to_string().starts_with("spec.handler.status.replicas"), "{problems:?}");
}

/// A definition must not be able to stop the controller of all definitions.
#[test]
fn huge_schemas_are_refused_and_not_walked() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "type": "array", "items": deep });
    }
    let error = build(&definition(&with_field(&deep), &handler())).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
}

/// Anything that is JSON, with the words of schemas more often than chance would have them.
fn anything() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "default",
        "anyOf",
        "not",
        "additionalProperties",
        "nullable",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        "status",
        "spec",
        "metadata",
        "conditions",
        "maxLength",
        "$ref",
        "object",
        "array",
        "string",
        "integer",
    ])
    .prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "[\\PC]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    // PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A definition may contain any JSON in its schema and any text in its expressions. It ends in a CRD or in a
    /// message that names a field, never in a panic.
    #[test]
    fn any_definition_ends_in_a_crd_or_in_a_message(schema in anything(), expression in "\\PC{0,24}") {
        let mut handler = handler();
        handler["status"]["endpoint"] = json!(format!("${{{expression}"));
        for handler in [handler, self::handler()] {
            for schema in [schema.clone(), json!({ "type": "object", "properties": { "spec": schema } })] {
                match build(&definition(&schema, &handler)) {
                    Ok(crd) => prop_assert!(kind_of(&crd, false).is_ok()),
                    Err(error) => prop_assert!(error.to_string().starts_with("spec."), "{error}"),
                }
            }
        }
        let _ = import(&schema, None);
    }
}
