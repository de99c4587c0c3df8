//! What the API server lets in and what it refuses, with which words.

use colonyos_operator::api::{colony::Colony, executor_deployment::ExecutorDeployment};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource as _,
    api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::{TESTER, connect_with_crds},
    namespace::in_namespace,
};

/// A manifest that users of ColonyOS have.
const MANIFEST: &str = include_str!("manifests/executor-deployment.yaml");

/// Sets the field at `pointer`; a null removes it.
pub(super) fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(key)
    } else {
        parent.insert(key.to_owned(), value)
    };
}

fn executor_deployment(changes: &[(&str, Value)]) -> Value {
    let mut object = json!({
        "apiVersion": "compute.colonies.io/v1",
        "kind": "ExecutorDeployment",
        "metadata": { "name": "encoders" },
        "spec": {
            "executorType": "video-encoder",
            "image": "registry.example.com/encoder:1.4.2",
            "config": { "env": {}, "volumes": [] },
        },
    });
    for (pointer, value) in changes {
        set(&mut object, pointer, value.clone());
    }
    object
}

fn colony(changes: &[(&str, Value)]) -> Value {
    let mut object = json!({
        "apiVersion": "colonies.io/v1",
        "kind": "Colony",
        "metadata": { "name": "admission-test" },
        "spec": {
            "server": { "host": "colonies.example.com" },
            "colonyName": "blue",
            "credentialsSecretName": "colony-blue",
        },
    });
    for (pointer, value) in changes {
        set(&mut object, pointer, value.clone());
    }
    object
}

/// Asks the server whether it would take `object`; nothing is kept. The error is the server's message.
pub(super) async fn admit(api: &Api<DynamicObject>, object: Value) -> Result<DynamicObject, String> {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&parameters, &object).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 422 => status.message.clone(),
        other => panic!("neither taken nor refused as invalid: {other}"),
    })
}

/// Every refusal must name the field and, where there is one, the value, and say what to do instead.
pub(super) async fn assert_refused(api: &Api<DynamicObject>, cases: Vec<(&str, Value, &[&str])>) {
    let mut failures = Vec::new();
    for (name, object, expected) in cases {
        match admit(api, object).await {
            Ok(_) => failures.push(format!("{name}: is let in")),
            Err(message) => {
                let missing: Vec<_> = expected.iter().filter(|text| !message.contains(**text)).collect();
                if !missing.is_empty() {
                    failures.push(format!("{name}: says {message:?}, without {missing:?}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Users have such manifests; not a character of them may have to change.
#[tokio::test]
async fn the_manifest_of_a_colonyos_user_applies_unchanged() {
    let kubernetes = connect_with_crds().await;
    let object: DynamicObject = serde_norway::from_str(MANIFEST).unwrap();
    let namespace = object.metadata.namespace.clone().unwrap();
    let namespaces: Api<Namespace> = Api::all(kubernetes.calls.clone());
    let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
    let created =
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await;
    assert!(
        created.is_ok() || matches!(&created, Err(kube::Error::Api(status)) if status.code == 409),
        "{created:?}"
    );
    let api: Api<ExecutorDeployment> = Api::namespaced(kubernetes.calls.clone(), &namespace);
    let parameters = PatchParams::apply(TESTER).validation_strict().dry_run();
    let sent: Value = serde_norway::from_str(MANIFEST).unwrap();
    let taken = api.patch("ml-training-executors", &parameters, &Patch::Apply(&sent)).await.unwrap();
    assert_eq!(taken.spec.replicas, 3);
    let seen = serde_json::to_value(&taken).unwrap();
    assert_eq!(seen["spec"]["config"], sent["spec"]["config"], "nothing of the configuration is dropped");
    assert_eq!(seen["spec"]["runtime"], "docker");
}

/// The least that a person must write, and everything else by default from the schema.
#[tokio::test]
async fn what_is_left_out_has_a_default() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "defaults", async |namespace| {
        let api = Api::namespaced_with(
            namespace.kubernetes.calls.clone(),
            &namespace.name,
            &ApiResource::erase::<ExecutorDeployment>(&()),
        );
        let taken = admit(&api, executor_deployment(&[("/spec/config", Value::Null)])).await.unwrap();
        let spec = &taken.data["spec"];
        for (field, expected) in [
            ("runtime", json!("kubernetes")),
            ("workload", json!("Deployment")),
            ("replicas", json!(1)),
            ("suspend", json!(false)),
        ] {
            assert_eq!(spec[field], expected, "default of {field}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_bad_executor_deployment_is_refused_with_field_value_and_remedy() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "refused", async |namespace| {
        let api = Api::namespaced_with(
            namespace.kubernetes.calls.clone(),
            &namespace.name,
            &ApiResource::erase::<ExecutorDeployment>(&()),
        );
        let with = |pointer: &str, value: Value| executor_deployment(&[(pointer, value)]);
        let volumes = |volumes: Value| with("/spec/config/volumes", volumes);
        let env = |name: &str| with("/spec/config/env", json!({ name: "x" }));
        assert_refused(
            &api,
            vec![
                ("negative replicas", with("/spec/replicas", json!(-1)), &["replicas", "-1", "0 or more"]),
                ("empty image", with("/spec/image", json!("")), &["image", "name one"]),
                ("image with a blank", with("/spec/image", json!("a b")), &["image", "a b", "name one"]),
                ("no image", with("/spec/image", Value::Null), &["spec.image", "Required"]),
                (
                    "executor type with a colon",
                    with("/spec/executorType", json!("a:b")),
                    &["executorType", "a:b", "use letters"],
                ),
                (
                    "empty executor type",
                    with("/spec/executorType", json!("")),
                    &["executorType", "use letters"],
                ),
                (
                    "DaemonSet with replicas",
                    executor_deployment(&[
                        ("/spec/workload", json!("DaemonSet")),
                        ("/spec/replicas", json!(3)),
                    ]),
                    &["replicas", "3", "remove replicas"],
                ),
                (
                    "two volumes with one target",
                    volumes(json!([
                        { "source": "emptyDir", "target": "/a" },
                        { "source": "secret/s", "target": "/b" },
                        { "source": "configMap/c", "target": "/b" },
                    ])),
                    &["target", "/b", "used twice", "of its own"],
                ),
                (
                    "target that is not absolute",
                    volumes(json!([{ "source": "emptyDir", "target": "models" }])),
                    &["target", "models", "begin it with"],
                ),
                (
                    "source that is none",
                    volumes(json!([{ "source": "models", "target": "/models" }])),
                    &["source", "models", "emptyDir"],
                ),
                (
                    "volume without a source",
                    volumes(json!([{ "target": "/models" }])),
                    &["volumes", "/models", "exactly one"],
                ),
                (
                    "volume with two sources",
                    volumes(json!([{ "target": "/models", "secret": "a", "configMap": "b" }])),
                    &["volumes", "/models", "exactly one"],
                ),
                ("environment name with a blank", env("A B"), &["env", "A B", "use letters"]),
                ("environment name with =", env("A=B"), &["env", "A=B", "use letters"]),
                ("environment name that begins with a digit", env("1A"), &["env", "1A", "use letters"]),
                ("empty environment name", env(""), &["env", "use letters"]),
                (
                    "a key in the environment",
                    env("COLONIES_PRVKEY"),
                    &["env", "COLONIES_PRVKEY", "remove it"],
                ),
                (
                    "unknown workload",
                    with("/spec/workload", json!("StatefulSet")),
                    &["workload", "StatefulSet", "Deployment"],
                ),
                (
                    "unknown runtime",
                    with("/spec/runtime", json!("podman")),
                    &["runtime", "podman", "kubernetes"],
                ),
                (
                    "name that leaves no room for pods",
                    with("/metadata/name", json!("e".repeat(53))),
                    &["metadata.name", "52", "shorten it"],
                ),
                (
                    "quantity that is none",
                    with("/spec/resources", json!({ "limits": { "memory": "1 gigabyte" } })),
                    &["resources.limits", "1 gigabyte"],
                ),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_bad_drain_is_refused_with_field_value_and_remedy() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "refused-drain", async |namespace| {
        let client = namespace.kubernetes.calls.clone();
        let kind = ApiResource::erase::<ExecutorDeployment>(&());
        let api = Api::namespaced_with(client, &namespace.name, &kind);
        let with = |pointer: &str, value: Value| executor_deployment(&[(pointer, value)]);
        let cases: Vec<(&str, Value, &[&str])> = vec![
            (
                "drain that takes no time",
                with("/spec/drain", json!({"timeout": "0s"})),
                &["drain.timeout", "0s", "1s to 720h"],
            ),
            (
                "drain that takes too long",
                with("/spec/drain", json!({"timeout": "721h"})),
                &["drain.timeout", "721h", "policy Wait"],
            ),
            (
                "unknown policy of a drain",
                with("/spec/drain", json!({"policy": "Kill"})),
                &["drain.policy", "Kill", "Requeue"],
            ),
            (
                "drain of another runtime",
                executor_deployment(&[("/spec/drain", json!({})), ("/spec/runtime", json!("docker"))]),
                &["drain", "runtime kubernetes"],
            ),
        ];
        assert_refused(&api, cases).await;
    })
    .await;
}

#[tokio::test]
async fn a_bad_colony_is_refused_with_field_and_remedy() {
    let kubernetes = connect_with_crds().await;
    let api = Api::all_with(kubernetes.calls.clone(), &ApiResource::erase::<Colony>(&()));
    let with = |pointer: &str, value: Value| colony(&[(pointer, value)]);
    admit(&api, colony(&[])).await.expect("the unchanged object is taken");
    assert_refused(
        &api,
        vec![
            ("empty host", with("/spec/server/host", json!("")), &["host", "give it without scheme"]),
            (
                "host with scheme",
                with("/spec/server/host", json!("http://x")),
                &["host", "give it without scheme"],
            ),
            (
                "port 0",
                with("/spec/server/port", json!(0)),
                &["spec.server.port", "0", "greater than or equal to 1"],
            ),
            ("no name", with("/spec/colonyName", json!("")), &["colonyName", "give the colony's name"]),
            (
                "no credentials",
                with("/spec/credentialsSecretName", json!("")),
                &["credentialsSecretName", "name a Secret"],
            ),
            (
                "authority for plain HTTP",
                with("/spec/server", json!({ "host": "x", "insecure": true, "caSecretName": "ca" })),
                &["insecure", "caSecretName", "exclude each other"],
            ),
            (
                "selector missing",
                with("/spec/allowedNamespaces", json!({ "from": "Selector" })),
                &["allowedNamespaces", "selector"],
            ),
        ],
    )
    .await;
}

/// A colony that changes its name would leave every mirrored object bound to processes of another colony.
#[tokio::test]
async fn the_colonys_name_stays() {
    let kubernetes = connect_with_crds().await;
    let api: Api<Colony> = Api::all(kubernetes.calls.clone());
    let suffix: u32 = rand::random_range(0..u32::MAX);
    let name = format!("immutable-{suffix:08x}");
    let object = colony(&[("/metadata/name", json!(name))]);
    let object: Colony = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": { "colonyName": "red" } }));
    let result = api.patch(&name, &PatchParams::default(), &patch).await;
    api.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
    match result {
        Err(kube::Error::Api(status)) => {
            assert!(status.message.contains("cannot change"), "{}", status.message);
        }
        other => panic!("{} must stay as it is: {other:?}", Colony::kind(&())),
    }
}
