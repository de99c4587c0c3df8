//! Tests that need no real API server; those that compare with one are in rung `apiserver`.

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    core::{DynamicObject, GroupVersionKind},
    discovery::pinned_kind,
};
use serde_json::{Value, json};

use super::{ApiServer, Place};
use crate::network::{Fate, Network, Payload};

const NOW: &str = "2026-03-01T12:00:00.75Z";

fn server() -> ApiServer {
    ApiServer::new(|| NOW.parse().unwrap())
}

fn config_map(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
    })
}

fn place(name: &str) -> Place<'_> {
    Place { resource: "configmaps", namespace: "default", name }
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "models.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"kind": "Model", "plural": "models"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"properties": {
                    "spec": {"properties": {"size": {"default": 1}}},
                    "status": {"x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}

fn model(name: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Model",
        "metadata": {"name": name, "namespace": "default"}, "spec": {}, "status": {"set": "by the user"},
    })
}

const MODEL: Place<'static> = Place { resource: "models.example.com", namespace: "default", name: "a" };

#[tokio::test]
async fn typed_clients_read_and_write() {
    let server = server();
    let secrets: Api<Secret> = Api::namespaced(server.client(), "default");
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "key"}, "stringData": {"a": "b"},
    }))
    .unwrap();
    let created = secrets.create(&PostParams::default(), &secret).await.unwrap();
    assert_eq!(created.data.as_ref().unwrap()["a"].0, b"b");
    assert_eq!(created.metadata.creation_timestamp.unwrap().0, "2026-03-01T12:00:00Z".parse().unwrap());
    let again = secrets.create(&PostParams::default(), &secret).await.unwrap_err();
    assert!(
        matches!(again, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
    );
    let patch = Patch::Merge(json!({"stringData": {"c": "d"}}));
    let patched = secrets.patch("key", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap().len(), 2);
    assert!(secrets.get_opt("none").await.unwrap().is_none());
    let elsewhere: Api<Secret> = Api::namespaced(server.client(), "nowhere");
    let refused = elsewhere.create(&PostParams::default(), &secret).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 404));
}

#[tokio::test]
async fn lists_come_in_pages_and_by_label() {
    let server = server();
    for name in ["a", "b", "c"] {
        server.create(&config_map(name, json!({"is": if name == "b" { "odd" } else { "even" }}))).unwrap();
    }
    let maps: Api<ConfigMap> = Api::all(server.client());
    let even = maps.list(&ListParams::default().labels("is=even")).await.unwrap();
    assert_eq!(even.items.iter().map(|map| map.name_any()).collect::<Vec<_>>(), ["a", "c"]);
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (2, Some(1)));
    let token = first.metadata.continue_.unwrap();
    let rest = maps.list_metadata(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.iter().map(|map| map.name_any()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(rest.metadata.continue_, None);
}

#[tokio::test]
async fn kinds_are_found_when_they_are_defined() {
    let server = server();
    let client = server.client();
    let kind = GroupVersionKind::gvk("example.com", "v1", "Model");
    assert!(pinned_kind(&client, &kind).await.is_err());
    server.install([definition()]).unwrap();
    let (resource, _) = pinned_kind(&client, &kind).await.unwrap();
    assert_eq!(resource.plural, "models");
    let (resource, _) = pinned_kind(&client, &GroupVersionKind::gvk("", "v1", "Secret")).await.unwrap();
    assert_eq!(resource.plural, "secrets");
    let names = Place {
        resource: "customresourcedefinitions.apiextensions.k8s.io",
        namespace: "",
        name: "models.example.com",
    };
    let status = server.get(names).unwrap()["status"].clone();
    assert_eq!(
        (&status["acceptedNames"]["kind"], &status["storedVersions"]),
        (&json!("Model"), &json!(["v1"]))
    );
    server.create(&model("a")).unwrap();
    server.delete(names).unwrap();
    assert!(server.run_controllers());
    assert!(server.get(MODEL).is_none() && server.get(names).is_none());
    assert!(pinned_kind(&client, &kind).await.is_err());
}

#[tokio::test]
async fn a_watch_shows_what_changes_unless_it_is_held() {
    let server = server();
    server.create(&config_map("a", json!({"is": "seen"}))).unwrap();
    let maps: Api<ConfigMap> = Api::all(server.client());
    let version = server.version().to_string();
    let parameters = WatchParams::default().labels("is=seen");
    let mut events = maps.watch(&parameters, &version).await.unwrap().boxed();
    let mut next = || {
        events.next().now_or_never().flatten().map(|event| match event.unwrap() {
            WatchEvent::Added(map) => format!("added {}", map.name_any()),
            WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
            WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
            other => format!("{other:?}"),
        })
    };
    assert_eq!(next(), None);
    server.create(&config_map("b", json!({}))).unwrap();
    server.create(&config_map("c", json!({"is": "seen"}))).unwrap();
    server.patch(place("a"), &json!({"data": {"x": "y"}})).unwrap();
    // Nothing changes by this.
    server.patch(place("a"), &json!({"data": {"x": "y"}})).unwrap();
    assert_eq!([next(), next(), next()], [Some("added c".into()), Some("modified a".into()), None]);
    server.hold(["configmaps"]);
    server.patch(place("b"), &json!({"metadata": {"labels": {"is": "seen"}}})).unwrap();
    server.patch(place("c"), &json!({"metadata": {"labels": null}})).unwrap();
    server.delete(place("a")).unwrap();
    assert_eq!(next(), None);
    server.release();
    assert_eq!(
        [next(), next(), next(), next()],
        [Some("added b".into()), Some("deleted c".into()), Some("deleted a".into()), None]
    );
    drop(events);
    assert_eq!(server.open_watches(), 0);
}

#[test]
fn the_spec_is_counted_and_status_is_apart() {
    let server = server();
    server.install([definition()]).unwrap();
    let created = server.create(&model("a")).unwrap();
    assert_eq!((&created["spec"], &created["status"]), (&json!({"size": 1}), &Value::Null));
    assert_eq!(created["metadata"]["generation"], 1);
    let labelled =
        server.patch(MODEL, &json!({"metadata": {"labels": {"a": "b"}}, "status": {"x": 1}})).unwrap();
    assert_eq!((&labelled["metadata"]["generation"], &labelled["status"]), (&json!(1), &Value::Null));
    let told = server.patch_status(MODEL, &json!({"spec": {"size": 9}, "status": {"x": 1}})).unwrap();
    assert_eq!((&told["spec"]["size"], &told["status"]), (&json!(1), &json!({"x": 1})));
    let resized = server.patch(MODEL, &json!({"spec": {"size": 2}})).unwrap();
    assert_eq!((&resized["metadata"]["generation"], &resized["status"]), (&json!(2), &json!({"x": 1})));
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"size": 3}});
    assert!(server.patch(MODEL, &stale).unwrap_err().contains("has been modified"));
    let other = json!({"metadata": {"uid": "other"}, "spec": {"size": 3}});
    assert!(server.patch(MODEL, &other).unwrap_err().contains("UID in precondition"));
}

#[test]
fn what_holds_an_object_holds_its_end() {
    let server = server();
    server.create(&config_map("a", json!({}))).unwrap();
    server.patch(place("a"), &json!({"metadata": {"finalizers": ["example.com/hold"]}})).unwrap();
    let left = server.delete(place("a")).unwrap();
    assert_eq!(left["metadata"]["deletionTimestamp"], "2026-03-01T12:00:00Z");
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    assert!(server.patch(place("a"), &more).unwrap_err().contains("no new finalizers"));
    let changed = server.patch(place("a"), &json!({"data": {"a": "b"}})).unwrap();
    assert_eq!(changed["data"]["a"], "b");
    server.patch(place("a"), &json!({"metadata": {"finalizers": []}})).unwrap();
    assert!(server.get(place("a")).is_none());
}

/// Creates a chain of objects, each owned by the one before.
fn chain(server: &ApiServer, names: &[&str], blocks: bool) {
    let mut owner: Option<Value> = None;
    for name in names {
        let mut map = config_map(name, json!({}));
        if let Some(owner) = &owner {
            map["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": blocks,
            }]);
        }
        owner = Some(server.create(&map).unwrap());
    }
}

#[tokio::test]
async fn garbage_goes_as_the_policy_says() {
    let names = |server: &ApiServer| -> Vec<String> {
        let all = server.all("configmaps");
        all.iter().map(|map| map["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let delete = async |server: &ApiServer, policy: DeleteParams| {
        let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
        maps.delete("a", &policy).await.unwrap();
    };
    let server = server();
    chain(&server, &["a", "b", "c"], true);
    assert!(!server.run_controllers(), "everything has its owner");
    delete(&server, DeleteParams::background()).await;
    assert_eq!(names(&server), ["b", "c"]);
    assert!(server.run_controllers());
    assert_eq!(names(&server), Vec::<String>::new());

    chain(&server, &["a", "b", "c"], true);
    delete(&server, DeleteParams::foreground()).await;
    assert_eq!(names(&server), ["a", "b", "c"], "the owner waits for what it owns");
    server.patch(place("c"), &json!({"metadata": {"finalizers": ["example.com/hold"]}})).unwrap();
    server.run_controllers();
    assert_eq!(names(&server), ["a", "b", "c"], "and that for what holds it");
    server.patch(place("c"), &json!({"metadata": {"finalizers": null}})).unwrap();
    server.run_controllers();
    assert_eq!(names(&server), Vec::<String>::new());

    chain(&server, &["a", "b"], true);
    delete(&server, DeleteParams::orphan()).await;
    server.run_controllers();
    assert_eq!(names(&server), ["b"]);
    assert_eq!(server.get(place("b")).unwrap()["metadata"].get("ownerReferences"), None);
}

#[tokio::test]
async fn rights_are_as_the_test_says() {
    let server = server();
    let client = server.client();
    let review = async |verb: &str| {
        let kind = GroupVersionKind::gvk("authorization.k8s.io", "v1", "SelfSubjectAccessReview");
        let resource = kube::core::ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut object = DynamicObject::new("", &resource);
        object.data = json!({"spec": {"resourceAttributes": {"verb": verb}}});
        let answer = api.create(&PostParams::default(), &object).await.unwrap();
        answer.data["status"]["allowed"].as_bool().unwrap()
    };
    assert!(review("delete").await);
    server.grant_by(|spec| spec["resourceAttributes"]["verb"] == "get");
    assert!(review("get").await && !review("delete").await);
}

/// A Deployment, created over a network.
async fn created(server: &ApiServer, network: &Network) -> Result<Deployment, kube::Error> {
    let api: Api<Deployment> = Api::namespaced(server.client_over(network), "default");
    let object = serde_json::from_value(json!({
        "metadata": {"name": "a"},
        "spec": {"selector": {}, "template": {}},
    }))
    .unwrap();
    api.create(&PostParams::default(), &object).await
}

#[tokio::test]
async fn the_network_decides_what_becomes_of_a_call() {
    let refused = Fate::Refused { status: 503, message: "later".to_owned() };
    for (fate, is_done) in [
        (Fate::Unreachable, false),
        (Fate::Dropped, false),
        (refused.clone(), false),
        (Fate::Lost, true),
        (Fate::CrashBefore, false),
        (Fate::CrashAfter, true),
    ] {
        let server = server();
        let network = Network::new(|| NOW.parse().unwrap());
        let decided = fate.clone();
        network.decide_by(move |call| if call.is_write() { decided.clone() } else { Fate::Done });
        let is_crash = matches!(fate, Fate::CrashBefore | Fate::CrashAfter);
        tokio::select! {
            answer = created(&server, &network) => {
                let error = answer.unwrap_err();
                let code = if let kube::Error::Api(status) = &error { Some(status.code) } else { None };
                assert_eq!((is_crash, code), (false, (fate == refused).then_some(503)), "{fate:?}: {error}");
            }
            () = network.crashed() => assert!(is_crash, "{fate:?}"),
        }
        assert_eq!(network.take_crash(), is_crash);
        let place = Place { resource: "deployments.apps", namespace: "default", name: "a" };
        assert_eq!(server.get(place).is_some(), is_done, "{fate:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_late_arrives_when_its_time_has_come() {
    let now = std::sync::Arc::new(parking_lot::Mutex::new(NOW.parse::<jiff::Timestamp>().unwrap()));
    let (server, read) = (server(), now.clone());
    let network = Network::new(move || *read.lock());
    let seen = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let noted = seen.clone();
    network.observe_by(move |call, status| noted.lock().push(format!("{call}: {status}")));
    network.decide_by(|call| match call {
        Payload::Cluster(call) if call.name == "a" => Fate::Late(jiff::SignedDuration::from_secs(5)),
        _ => Fate::Done,
    });
    created(&server, &network).await.unwrap_err();
    network.deliver();
    assert_eq!((network.under_way(), seen.lock().len()), (1, 0));
    *now.lock() += jiff::SignedDuration::from_secs(5);
    network.deliver();
    assert_eq!(network.under_way(), 0);
    assert_eq!(*seen.lock(), ["create deployments.apps default/a: 201"]);
}
