//! Definitions and instances that are anything at all: the API server refuses them, or a condition says what became of
//! them; and whatever they are, the controllers go on.

use std::{fs, path::Path, time::Duration};

use colonyos_operator::api::resource_definition::ResourceDefinition;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    environment::variable,
    kinds,
    namespace::{TestNamespace, in_namespace},
    operator::{Operator, TEST_LABEL, Turn, configuration},
    wait::eventually,
};

/// How many definitions are tried. The benchmark `fuzz` tries many more, without an API server.
const DEFINITIONS: usize = 40;
/// How many instances of each that is served.
const INSTANCES: usize = 3;
/// How long the operator may take for all of them.
const SOON: Duration = Duration::from_mins(2);
/// Definitions of the examples, from which the arbitrary ones are made: far from them nearly all would be refused for the
/// same few reasons.
const MODELS: &[&str] = &["goop", "foo", "database", "application", "ml-model", "ai-job"];

/// An example's definition under a name and a group of its own.
fn model(namespace: &TestNamespace, folder: &str, index: usize) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kinds").join(folder);
    let text = fs::read_to_string(file.join("definition.yaml")).unwrap();
    let mut definition: Value = serde_norway::from_str(&text).unwrap();
    let (group, plural) = (kinds::group(namespace), format!("things{index}"));
    definition["metadata"] =
        json!({ "name": format!("{plural}.{group}"), "labels": { TEST_LABEL: namespace.name } });
    definition["spec"]["group"] = json!(group);
    definition["spec"]["names"] = json!({ "kind": format!("Thing{index}"), "plural": plural });
    definition
}

/// The places in a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in inner {
        let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        places(value, &place, found);
        found.push(place);
    }
}

/// What users should not write, and some do.
fn anything(chance: &mut StdRng) -> Value {
    let all = [
        json!(null),
        json!(true),
        json!(-1),
        json!(i64::MAX),
        json!(0.5),
        json!(""),
        json!("${"),
        json!("${}"),
        json!("${self.spec}"),
        json!("${self.metadata.name}-${self.spec.replicas}"),
        json!("${[1, 2, 3].map(x, [1, 2, 3].map(y, x * y))}"),
        json!("${1 / 0}"),
        json!("${nothing.of.that.name}"),
        json!("${self.spec.all(x, x == x)}"),
        json!("a\u{0}b\u{7f}\u{202e}"),
        json!("x".repeat(5000)),
        json!([]),
        json!({}),
        json!([{}, null, "${self}"]),
        json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
        json!({ "type": "string", "pattern": "(" }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "${self.metadata.name}" } }),
    ];
    all.choose(chance).cloned().unwrap_or_default()
}

/// Changes a few places to anything.
fn disturb(value: &mut Value, root: &str, chance: &mut StdRng) {
    for _ in 0..chance.random_range(1..=3) {
        let mut found = Vec::new();
        places(value.pointer(root).unwrap_or(&Value::Null), root, &mut found);
        // What is bound to the test's namespace stays.
        found.retain(|place| !place.starts_with("/spec/names") && place != "/spec/group");
        if let Some(place) = found.choose(chance)
            && let Some(changed) = value.pointer_mut(place)
        {
            *changed = anything(chance);
        }
    }
}

/// Waits until each definition has a condition `Ready` of its generation; the names of those that are ready.
async fn until_told(definitions: &Api<ResourceDefinition>, names: &[String]) -> Vec<String> {
    let mut ready = Vec::new();
    for name in names {
        let told = eventually(&format!("{name} has a condition"), SOON, async || {
            let object = definitions.get(name).await.map_err(|error| error.to_string())?;
            let status = serde_json::to_value(&object.status).unwrap_or_default();
            let is_current = status["observedGeneration"].as_i64() == object.metadata.generation;
            let told = Some(status.line("Ready")).filter(|told| is_current && !told.is_empty());
            let told = told.filter(|told| !told.contains("/Establishing"));
            told.ok_or_else(|| format!("{:?}: {status}", object.spec))
        })
        .await;
        if told.starts_with("True/") {
            ready.push(name.clone());
        }
    }
    ready
}

/// Creates what the API server takes of some arbitrary instances; the resource and the names.
async fn instances(
    namespace: &TestNamespace,
    plural: &str,
    chance: &mut StdRng,
) -> (Api<DynamicObject>, Vec<String>) {
    let index = plural.trim_start_matches("things");
    let definitions: Api<ResourceDefinition> = Api::all(namespace.kubernetes.calls.clone());
    let group = kinds::group(namespace);
    let definition = definitions.get(&format!("{plural}.{group}")).await.unwrap();
    let version = definition.spec.versions.iter().find(|version| version.storage).unwrap();
    let gvk = GroupVersionKind::gvk(&group, &version.name, &format!("Thing{index}"));
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    let api = Api::namespaced_with(namespace.kubernetes.calls.clone(), &namespace.name, &resource);
    let mut names = Vec::new();
    for number in 0..INSTANCES {
        let mut spec = json!({ "spec": {
            "jobCount": 2, "replicas": 1, "deploymentName": format!("{plural}-{number}"), "version": "16",
            "storage": "1Gi", "components": [{ "kind": "Database", "spec": {} }], "image": "i:1",
            "framework": "pytorch",
        } });
        if number > 0 {
            disturb(&mut spec, "/spec", chance);
        }
        let name = format!("{plural}-{number}");
        let object = DynamicObject::new(&name, &resource).data(spec);
        if api.create(&PostParams::default(), &object).await.is_ok() {
            names.push(name);
        }
    }
    (api, names)
}

#[tokio::test]
async fn arbitrary_definitions_and_instances_end_in_a_condition() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "arbitrary", async |namespace| {
        let given = variable("ARBITRARY_SEED").and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| rand::rng().random());
        println!("seed {seed}: set ARBITRARY_SEED to try it again");
        let mut chance = StdRng::seed_from_u64(seed);
        let turn = Turn::take().await;
        let mut operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        let definitions: Api<ResourceDefinition> = Api::all(namespace.kubernetes.calls.clone());
        let mut names = Vec::new();
        for index in 0..DEFINITIONS {
            let mut definition = model(&namespace, MODELS[index % MODELS.len()], index);
            // The first of each stay as they are: of these, instances are made for sure.
            if index >= MODELS.len() {
                disturb(&mut definition, "/spec", &mut chance);
            }
            // As kubectl sends it: what our own types refuse, the API server may not.
            let resource = ApiResource::erase::<ResourceDefinition>(&());
            let everything: Api<DynamicObject> = Api::all_with(namespace.kubernetes.calls.clone(), &resource);
            if let Ok(object) = serde_json::from_value::<DynamicObject>(definition)
                && let Ok(created) = everything.create(&PostParams::default(), &object).await
            {
                names.push(created.name_any());
            }
        }
        let ready = until_told(&definitions, &names).await;
        println!("{} of {DEFINITIONS} are admitted, {} are ready", names.len(), ready.len());

        let mut count = 0;
        for name in &ready {
            let plural = name.split('.').next().unwrap_or_default();
            let (api, created) = instances(&namespace, plural, &mut chance).await;
            count += created.len();
            for name in created {
                eventually(&format!("{name} has a condition"), SOON, async || {
                    let object = api.get(&name).await.map_err(|error| error.to_string())?;
                    object.condition("Ready").map(drop).ok_or_else(|| format!("{}", object.data))
                })
                .await;
            }
        }
        println!("{count} instances have a condition");
        assert!(count >= MODELS.len() / 2, "only {count} instances were taken");

        // Whatever has gone before: the next kind is served, and its instance made.
        let index = DEFINITIONS + 1;
        let good: ResourceDefinition = serde_json::from_value(model(&namespace, "foo", index)).unwrap();
        definitions.create(&PostParams::default(), &good).await.unwrap();
        assert_eq!(until_told(&definitions, &[good.name_any()]).await.len(), 1, "the good one is ready");
        instances(&namespace, &format!("things{index}"), &mut chance).await;
        let made = format!("things{index}-0");
        eventually("the good one has its Deployment", SOON, async || {
            let deployments: Api<Deployment> = namespace.api();
            let list = deployments.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let names: Vec<String> = list.iter().map(kube::ResourceExt::name_any).collect();
            names.contains(&made).then_some(()).ok_or_else(|| format!("{names:?}"))
        })
        .await;
        operator.wait_until_ready().await;
        assert!(!operator.log().contains("panicked"), "{}", operator.log());
    })
    .await;
}
