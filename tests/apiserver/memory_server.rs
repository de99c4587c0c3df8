//! The API server in memory beside a real one: the same calls to both, and the same answers. What simulations see of a
//! cluster is what is compared here.

use std::{collections::BTreeMap, time::Duration};

use colonyos_fake::ApiServer;
use http::{Method, Request, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Map, Value, json};

use crate::support::{cluster, namespace::in_namespace, wait::eventually};

/// The garbage collector looks for new kinds every 30 s.
const SOON: Duration = Duration::from_secs(90);

/// An answer as both servers have to give it: what differs by nature has names in place of values.
#[derive(Clone, Debug)]
struct Said {
    what: String,
    status: u16,
    body: Value,
}

/// One of the two servers, and what it has said.
struct Side {
    client: kube::Client,
    /// The server in memory, if it is that.
    memory: Option<ApiServer>,
    namespace: String,
    group: String,
    said: Vec<Said>,
    names: BTreeMap<(&'static str, String), String>,
}

impl Side {
    fn new(client: kube::Client, memory: Option<ApiServer>, namespace: &str) -> Self {
        let group = format!("{namespace}.example.com");
        Self {
            client,
            memory,
            namespace: namespace.to_owned(),
            group,
            said: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    fn maps(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    fn models(&self) -> String {
        format!("/apis/{}/v1/namespaces/{}/models", self.group, self.namespace)
    }

    fn map(&self, name: &str, data: &Value) -> Value {
        let metadata = json!({ "name": name, "namespace": self.namespace });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
    }

    fn model(&self, name: &str, spec: &Value) -> Value {
        let metadata = json!({ "name": name, "namespace": self.namespace });
        let api_version = format!("{}/v1", self.group);
        json!({ "apiVersion": api_version, "kind": "Model", "metadata": metadata, "spec": spec })
    }

    /// Makes a call and notes what came of it.
    async fn call(&mut self, method: Method, path: &str, body: &Value) -> Value {
        let (status, body_of) = self.ask(&method, path, body).await;
        let mut shown = body_of.clone();
        self.rename(&mut shown);
        // What a refusal says in words is each server's own.
        if shown["kind"] == "Status" {
            shown = json!({ "status": shown["status"], "reason": shown["reason"] });
        }
        let path = path.replace(&self.group, "GROUP").replace(&self.namespace, "NAMESPACE");
        self.said.push(Said { what: format!("{method} {path}"), status, body: shown });
        body_of
    }

    async fn ask(&self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let content =
            if *method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content);
        let response = self.client.send(request.body(Body::from(bytes)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        // Of a path at which there is nothing the real server says so in plain text.
        (status, serde_json::from_slice(&text).unwrap_or_else(|_| json!({ "kind": "Status" })))
    }

    async fn get(&mut self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).await
    }

    async fn post(&mut self, path: &str, body: &Value) -> Value {
        self.call(Method::POST, path, body).await
    }

    async fn put(&mut self, path: &str, body: &Value) -> Value {
        self.call(Method::PUT, path, body).await
    }

    async fn patch(&mut self, path: &str, body: Value) -> Value {
        self.call(Method::PATCH, path, &body).await
    }

    async fn delete(&mut self, path: &str, body: Value) -> Value {
        self.call(Method::DELETE, path, &body).await
    }

    /// Waits for what the cluster's own controllers do.
    async fn until(&self, what: &str, path: &str, is_reached: impl Fn(u16, &Value) -> bool) {
        eventually(what, SOON, async || {
            if let Some(memory) = &self.memory {
                memory.run_controllers();
            }
            let (status, body) = self.ask(&Method::GET, path, &Value::Null).await;
            if is_reached(status, &body) { Ok(()) } else { Err(format!("{status}: {body}")) }
        })
        .await;
    }

    /// Waits until the collector has seen an object that was made just now. It goes by what it has seen: an owner's last
    /// dependent may be new to it when the owner is already gone, and is collected then instead of orphaned.
    ///
    /// It sees objects of a kind in their order, so that one without owner, made later, is gone when it knows this one.
    async fn until_collector_knows(&mut self, path: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let mut later = self.map(&format!("after-{name}"), &json!({}));
        later["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "never-there", "uid": "00000000-0000-4000-8000-000000000000",
        }]);
        self.post(folder, &later).await;
        self.until_gone(&format!("{folder}/after-{name}")).await;
    }

    async fn until_gone(&self, path: &str) {
        self.until(&format!("{path} is gone"), path, |status, _| status == 404).await;
    }

    /// Defines the kind of the test.
    async fn define(&self) {
        let (group, name) = (&self.group, format!("models.{}", self.group));
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": { "kind": "Model", "listKind": "ModelList", "plural": "models", "singular": "model" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                        "spec": { "type": "object", "properties": {
                            "size": { "type": "integer", "default": 1 },
                            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                            "map": { "type": "object", "additionalProperties": { "type": "string" } },
                            "list": { "type": "array", "items": { "type": "object", "properties": {
                                "a": { "type": "string" }, "b": { "type": "integer", "default": 2 },
                            } } },
                        } },
                        "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                    } } },
                }],
            },
        });
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let (status, answer) = self.ask(&Method::POST, path, &definition).await;
        assert_eq!(status, 201, "{answer}");
        self.until("the kind is served", &self.models(), |status, _| status == 200).await;
    }

    async fn undefine(&self) {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/models.{}", self.group);
        let (status, answer) = self.ask(&Method::DELETE, &path, &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        self.until_gone(&path).await;
    }

    /// Puts names in the place of what differs by nature: the same value has the same name, in the order in which they came.
    fn rename(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Value::Object(fields) => {
                fields.remove("managedFields");
                fields.remove("selfLink");
                for (key, value) in fields.iter_mut() {
                    match (key.as_str(), &mut *value) {
                        ("uid", Value::String(uid)) => *uid = self.name("uid", uid),
                        ("resourceVersion", Value::String(version)) => {
                            *version = self.name("version", version);
                        }
                        ("creationTimestamp" | "deletionTimestamp" | "lastTransitionTime", time) => {
                            let text = time.as_str().unwrap_or_default();
                            assert!(text.parse::<Timestamp>().is_ok() && !text.contains('.'), "{text}");
                            *time = "time".into();
                        }
                        ("continue", token) => *token = "token".into(),
                        (_, Value::String(text)) => {
                            *text = text.replace(&self.group, "GROUP").replace(&self.namespace, "NAMESPACE");
                        }
                        (_, other) => self.rename(other),
                    }
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, what: &'static str, value: &str) -> String {
        let next = self.names.keys().filter(|(other, _)| *other == what).count() + 1;
        self.names.entry((what, value.to_owned())).or_insert_with(|| format!("{what} {next}")).clone()
    }
}

/// Makes the same calls to both servers and compares what they say.
async fn compare(test: &str, body: impl AsyncFn(&mut Side)) {
    let connection = cluster::connect().await;
    in_namespace(&connection, test, async |namespace| {
        let clock = colonyos_operator::runtime::clock::Clock::system();
        let memory = ApiServer::new(move || clock.now());
        memory.create_namespace(&namespace.name, &json!({}));
        let mut fake = Side::new(memory.client(), Some(memory), &namespace.name);
        let mut real = Side::new(connection.calls.clone(), None, &namespace.name);
        Box::pin(body(&mut real)).await;
        Box::pin(body(&mut fake)).await;
        let whats = |side: &Side| side.said.iter().map(|said| said.what.clone()).collect::<Vec<_>>();
        assert_eq!(whats(&fake), whats(&real), "the same calls");
        for (number, (fake, real)) in fake.said.iter().zip(&real.said).enumerate() {
            let place = format!("answer {number} to {}", real.what);
            assert_eq!(fake.status, real.status, "{place}: in memory {}, really {}", fake.body, real.body);
            same(&fake.body, &real.body, &place);
        }
    })
    .await;
}

/// Of custom kinds both are the same; of others the real one may have filled in more.
#[track_caller]
fn same(fake: &Value, real: &Value, place: &str) {
    let is_custom = real["apiVersion"].as_str().is_some_and(|version| version.starts_with("GROUP"));
    if is_custom {
        assert_eq!(fake, real, "{place}");
        return;
    }
    match (fake, real) {
        (Value::Object(fake), Value::Object(real)) => {
            for (key, value) in fake {
                let there =
                    real.get(key).unwrap_or_else(|| panic!("{place}: really there is no {key}: {real:?}"));
                same(value, there, &format!("{place}.{key}"));
            }
            let server_side = ["finalizers", "deletionTimestamp", "generation", "ownerReferences", "labels"];
            for key in server_side.into_iter().filter(|key| real.contains_key(*key)) {
                assert!(fake.contains_key(key), "{place}: in memory there is no {key}: {fake:?}");
            }
        }
        (Value::Array(fake), Value::Array(real)) => {
            assert_eq!(fake.len(), real.len(), "{place}: {fake:?}, really {real:?}");
            for (number, (fake, real)) in fake.iter().zip(real).enumerate() {
                same(fake, real, &format!("{place}[{number}]"));
            }
        }
        _ => assert_eq!(fake, real, "{place}"),
    }
}

#[tokio::test]
async fn objects_are_created_and_read_alike() {
    compare("memory-create", async |side| {
        side.define().await;
        let (maps, models) = (side.maps(), side.models());
        side.post(&maps, &side.map("a", &json!({ "x": "y" }))).await;
        side.post(&maps, &side.map("a", &json!({}))).await;
        side.post(&maps, &side.map("Not_A_Name", &json!({}))).await;
        side.post(&maps, &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {} })).await;
        side.post(&maps, &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "b" } })).await;
        let versioned = json!({ "name": "b", "resourceVersion": "1" });
        side.post(&maps, &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": versioned })).await;
        let elsewhere = json!({ "name": "b", "namespace": "elsewhere" });
        side.post(&maps, &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": elsewhere })).await;
        side.post(
            "/api/v1/namespaces/there-is-none/configmaps",
            &json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b" },
            }),
        )
        .await;
        side.get(&format!("{maps}/a")).await;
        side.get(&format!("{maps}/none")).await;
        side.get("/apis/there.is.none/v1/things").await;
        let mut model = side.model(
            "m",
            &json!({
                "unknown": 1, "free": { "any": 1 }, "map": { "a": "b" }, "list": [{ "a": "x", "z": 1 }, {}],
            }),
        );
        model["status"] = json!({ "by": "the user" });
        model["metadata"]["generation"] = 7.into();
        model["metadata"]["uid"] = "mine".into();
        side.post(&models, &model).await;
        side.get(&format!("{models}/m/status")).await;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "a": "b" },
            "data": { "a": "eA==", "c": "eA==" },
        });
        let secrets = format!("/api/v1/namespaces/{}/secrets", side.namespace);
        side.post(&secrets, &secret).await;
        side.patch(&format!("{secrets}/s"), json!({ "stringData": { "d": "e" } })).await;
        side.undefine().await;
        side.get(&models).await;
    })
    .await;
}

#[tokio::test]
async fn names_are_made_up_and_lists_cut_alike() {
    compare("memory-lists", async |side| {
        let maps = side.maps();
        let generated = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": "made-" } });
        let (status, made) = side.ask(&Method::POST, &maps, &generated).await;
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(status == 201 && name.starts_with("made-") && name.len() == 10, "{name}");
        side.ask(&Method::DELETE, &format!("{maps}/{name}"), &Value::Null).await;
        for (name, color) in [("a", "red"), ("b", "green"), ("c", "red"), ("d", "blue")] {
            let mut map = side.map(name, &json!({}));
            map["metadata"]["labels"] = json!({ "color": color });
            side.post(&maps, &map).await;
        }
        for query in [
            "labelSelector=color%3Dred",
            "labelSelector=color%21%3Dred%2Ccolor",
            "labelSelector=color%20in%20%28green%2Cblue%29",
            "labelSelector=%21color",
            "fieldSelector=metadata.name%3Db",
            "labelSelector=color&limit=3",
        ] {
            let (_, listed) = side.ask(&Method::GET, &format!("{maps}?{query}"), &Value::Null).await;
            let names = listed["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone());
            let names: Vec<Value> = names.filter(|name| name != "kube-root-ca.crt").collect();
            let metadata = &listed["metadata"];
            let further = (metadata.get("continue").is_some(), metadata.get("remainingItemCount").cloned());
            let body = json!({ "names": names, "further": format!("{further:?}") });
            side.said.push(Said { what: format!("list {query}"), status: 200, body });
            // Only of all objects it is said how many follow.
            if let Some(token) = metadata["continue"].as_str() {
                let path = format!("{maps}?labelSelector=color&limit=3&continue={}", encoded(token));
                let (_, rest) = side.ask(&Method::GET, &path, &Value::Null).await;
                let body = json!({ "names": rest["items"][0]["metadata"]["name"], "version": rest["metadata"]["resourceVersion"] == metadata["resourceVersion"] });
                side.said.push(Said { what: "the rest".to_owned(), status: 200, body });
            }
        }
        side.define().await;
        for name in ["a", "b", "c"] {
            side.post(&side.models(), &side.model(name, &json!({}))).await;
        }
        let (_, listed) = side.ask(&Method::GET, &format!("{}?limit=1", side.models()), &Value::Null).await;
        let body = json!({ "kind": listed["kind"], "left": listed["metadata"]["remainingItemCount"] });
        side.said.push(Said { what: "the first of three".to_owned(), status: 200, body });
        side.undefine().await;
    })
    .await;
}

/// A part of a query.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}

#[tokio::test]
async fn updates_are_taken_and_refused_alike() {
    compare("memory-update", async |side| {
        side.define().await;
        let one = format!("{}/m", side.models());
        let status_of = format!("{one}/status");
        let created = side.post(&side.models(), &side.model("m", &json!({}))).await;
        // What changes nothing is no write.
        side.put(&one, &created).await;
        let mut changed = created.clone();
        changed["spec"]["size"] = 2.into();
        changed["status"] = json!({ "by": "the user" });
        changed["metadata"]["generation"] = 40.into();
        changed["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z".into();
        let second = side.put(&one, &changed).await;
        side.put(&one, &changed).await;
        let mut told = second.clone();
        told["status"] = json!({ "phase": "Ready" });
        told["spec"]["size"] = 99.into();
        told["metadata"]["labels"] = json!({ "not": "here" });
        let third = side.put(&status_of, &told).await;
        side.put(&status_of, &told).await;
        side.patch(&one, json!({ "metadata": { "labels": { "a": "b" } } })).await;
        side.patch(&one, json!({ "metadata": { "labels": { "a": "b" } } })).await;
        side.patch(&one, json!({ "status": { "phase": "Gone" } })).await;
        side.patch(&status_of, json!({ "status": { "phase": null, "more": [1] }, "spec": { "size": 5 } }))
            .await;
        side.patch(&one, json!({ "metadata": { "resourceVersion": "1" }, "spec": { "size": 3 } })).await;
        side.patch(&one, json!({ "metadata": { "uid": "other" }, "spec": { "size": 3 } })).await;
        let uid = third["metadata"]["uid"].clone();
        side.patch(&one, json!({ "metadata": { "uid": uid }, "spec": { "size": 3, "free": { "x": 1 } } }))
            .await;
        side.patch(&one, json!({ "spec": { "size": null, "free": { "x": null, "y": 1 } } })).await;
        let mut others = side.get(&one).await;
        others["metadata"]["uid"] = "other".into();
        others["spec"]["size"] = 8.into();
        side.put(&one, &others).await;
        let mut without = third.clone();
        without["metadata"]["resourceVersion"] = Value::Null;
        side.put(&one, &without).await;
        side.put(&format!("{}/none", side.models()), &side.model("none", &json!({}))).await;
        side.patch(&format!("{}/none", side.models()), json!({ "spec": {} })).await;
        let map = format!("{}/a", side.maps());
        side.post(&side.maps(), &side.map("a", &json!({ "x": "y" }))).await;
        side.put(&map, &side.map("a", &json!({ "x": "z" }))).await;
        side.put(&map, &side.map("b", &json!({ "x": "z" }))).await;
        side.undefine().await;
    })
    .await;
}

#[tokio::test]
async fn the_generation_of_a_workload_counts_its_spec_alike() {
    compare("memory-workload", async |side| {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", side.namespace);
        let labels = json!({ "app": "a" });
        let container = json!({ "name": "c", "image": "example.com/none:1" });
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a", "labels": labels },
            "spec": {
                "replicas": 0, "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            },
        });
        let mut seen = Vec::new();
        let mut note = |answer: Value| {
            seen.push((answer["metadata"]["generation"].clone(), answer["status"].get("replicas").cloned()));
        };
        note(side.ask(&Method::POST, &path, &object).await.1);
        let one = format!("{path}/a");
        note(side.ask(&Method::PATCH, &one, &json!({ "metadata": { "labels": { "b": "c" } } })).await.1);
        note(side.ask(&Method::PATCH, &one, &json!({ "spec": { "paused": true } })).await.1);
        note(side.ask(&Method::PATCH, &one, &json!({ "status": { "replicas": 7 } })).await.1);
        note(
            side.ask(&Method::PATCH, &one, &json!({ "metadata": { "finalizers": ["example.com/hold"] } }))
                .await
                .1,
        );
        note(side.ask(&Method::DELETE, &one, &json!({ "propagationPolicy": "Background" })).await.1);
        let freed = side.ask(&Method::PATCH, &one, &json!({ "metadata": { "finalizers": null } })).await;
        side.until_gone(&one).await;
        let body = json!({ "seen": format!("{seen:?}") });
        side.said.push(Said { what: "generations".to_owned(), status: freed.0, body });
    })
    .await;
}

#[tokio::test]
async fn objects_end_alike() {
    compare("memory-delete", async |side| {
        side.define().await;
        let (maps, models) = (side.maps(), side.models());
        side.post(&maps, &side.map("a", &json!({}))).await;
        side.delete(&format!("{maps}/a"), json!({ "preconditions": { "uid": "other" } })).await;
        side.delete(&format!("{maps}/a"), json!({ "preconditions": { "resourceVersion": "1" } })).await;
        side.delete(&format!("{maps}/a"), json!({ "propagationPolicy": "Background" })).await;
        side.delete(&format!("{maps}/a"), Value::Null).await;
        let one = format!("{models}/m");
        let mut held = side.model("m", &json!({}));
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        side.post(&models, &held).await;
        side.delete(&one, json!({ "propagationPolicy": "Background" })).await;
        side.delete(&one, json!({ "propagationPolicy": "Background" })).await;
        side.patch(&one, json!({ "metadata": { "finalizers": ["example.com/hold", "example.com/more"] } }))
            .await;
        side.patch(&one, json!({ "spec": { "size": 4 } })).await;
        side.patch(&format!("{one}/status"), json!({ "status": { "phase": "Ending" } })).await;
        side.post(&models, &side.model("m", &json!({}))).await;
        side.patch(&one, json!({ "metadata": { "finalizers": [] } })).await;
        side.get(&one).await;
        side.post(&models, &side.model("m", &json!({}))).await;
        side.undefine().await;
    })
    .await;
}

#[tokio::test]
async fn garbage_is_collected_alike() {
    compare("memory-garbage", async |side| {
        side.define().await;
        let (maps, models) = (side.maps(), side.models());
        for policy in ["Background", "Foreground", "Orphan"] {
            let parent = side.post(&models, &side.model("owner", &json!({}))).await;
            let reference = json!([{
                "apiVersion": parent["apiVersion"], "kind": "Model", "name": "owner", "uid": parent["metadata"]["uid"],
                "controller": true, "blockOwnerDeletion": true,
            }]);
            let mut map = side.map("owned", &json!({}));
            map["metadata"]["ownerReferences"] = reference;
            map["metadata"]["finalizers"] = json!(["example.com/hold"]);
            side.post(&maps, &map).await;
            let owned = format!("{maps}/owned");
            side.until_collector_knows(&owned).await;
            let (status, left) =
                side.ask(&Method::DELETE, &format!("{models}/owner"), &json!({ "propagationPolicy": policy })).await;
            let held_by = left["metadata"]["finalizers"].clone();
            side.said.push(Said { what: format!("delete: {policy}"), status, body: json!({ "by": held_by }) });
            if policy == "Orphan" {
                side.until("it is free", &owned, |_, body| body["metadata"].get("ownerReferences").is_none()).await;
                let _ = side.ask(&Method::DELETE, &owned, &Value::Null).await;
            } else {
                let is_ending = |_: u16, body: &Value| body["metadata"].get("deletionTimestamp").is_some();
                side.until("it is being deleted", &owned, is_ending).await;
                let (status, _) = side.ask(&Method::GET, &format!("{models}/owner"), &Value::Null).await;
                side.said.push(Said { what: "the owner".to_owned(), status, body: Value::Null });
            }
            let (status, _) =
                side.ask(&Method::PATCH, &owned, &json!({ "metadata": { "finalizers": null } })).await;
            side.said.push(Said { what: "free what is owned".to_owned(), status, body: Value::Null });
            side.until_gone(&owned).await;
            side.until_gone(&format!("{models}/owner")).await;
        }
        // With its kind an object goes, too, unless it is held.
        let mut held = side.model("held", &json!({}));
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        side.post(&models, &held).await;
        let definition = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/models.{}", side.group);
        let (status, _) = side.ask(&Method::DELETE, &definition, &Value::Null).await;
        side.said.push(Said { what: "delete the kind".to_owned(), status, body: Value::Null });
        let one = format!("{models}/held");
        let is_ending = |_: u16, body: &Value| body["metadata"].get("deletionTimestamp").is_some();
        side.until("it is being deleted", &one, is_ending).await;
        side.get(&one).await;
        side.patch(&one, json!({ "metadata": { "finalizers": [] } })).await;
        side.until_gone(&definition).await;
        side.until_gone(&one).await;
    })
    .await;
}

/// The lines of a watch, until there were `count`.
async fn lines(client: &kube::Client, path: &str, count: usize) -> Vec<Value> {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let mut body = client.send(request).await.unwrap().into_body();
    let mut text = String::new();
    let reading = async {
        while text.matches('\n').count() < count {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap_or_default()).unwrap());
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn changes_are_shown_alike() {
    compare("memory-watch", async |side| {
        side.define().await;
        let models = side.models();
        let (_, listed) = side.ask(&Method::GET, &models, &Value::Null).await;
        let since = listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        side.post(&models, &side.model("a", &json!({}))).await;
        side.patch(&format!("{models}/a"), json!({ "metadata": { "labels": { "is": "seen" } } })).await;
        side.patch(&format!("{models}/a"), json!({ "spec": { "size": 2 } })).await;
        side.patch(&format!("{models}/a"), json!({ "spec": { "size": 2 } })).await;
        side.patch(&format!("{models}/a/status"), json!({ "status": { "phase": "Ready" } })).await;
        side.patch(&format!("{models}/a"), json!({ "metadata": { "labels": null } })).await;
        side.patch(&format!("{models}/a"), json!({ "metadata": { "finalizers": ["example.com/hold"] } }))
            .await;
        side.delete(&format!("{models}/a"), Value::Null).await;
        side.patch(&format!("{models}/a"), json!({ "metadata": { "finalizers": null } })).await;
        for (query, count) in [("", 8), ("&labelSelector=is%3Dseen", 4)] {
            let path = format!("{models}?watch=true&resourceVersion={since}{query}");
            for line in lines(&side.client, &path, count).await {
                let what = format!("{}{query}", line["type"].as_str().unwrap());
                let mut body = line["object"].clone();
                side.rename(&mut body);
                side.said.push(Said { what, status: 200, body });
            }
        }
        side.undefine().await;
    })
    .await;
}

#[tokio::test]
async fn it_is_kept_alike_who_wrote_what() {
    compare("memory-managers", async |side| {
        side.define().await;
        if let Some(memory) = &side.memory {
            memory.keep_managed_fields("models");
        }
        let models = side.models();
        let spec = json!({ "size": 1, "map": { "a": "b", "c": "d" } });
        side.ask(&Method::POST, &format!("{models}?fieldManager=one"), &side.model("m", &spec)).await;
        let one = format!("{models}/m");
        let changes = [
            ("two", "", json!({ "spec": { "size": 2 } })),
            ("three", "", json!({ "spec": { "size": 2 } })),
            ("two", "/status", json!({ "status": { "phase": "Ready" } })),
            ("one", "", json!({ "spec": { "map": { "a": "x" } } })),
            ("two", "", json!({ "spec": { "map": { "a": "y" } } })),
        ];
        for (manager, subresource, patch) in changes {
            let path = format!("{one}{subresource}?fieldManager={manager}");
            let (status, answer) = side.ask(&Method::PATCH, &path, &patch).await;
            let entries = answer["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
            let mut owned: Vec<String> = Vec::new();
            for entry in &entries {
                let place =
                    format!("{} {}", entry["manager"], entry.get("subresource").unwrap_or(&Value::Null));
                for part in ["f:spec", "f:status"] {
                    let fields = entry["fieldsV1"].get(part).and_then(Value::as_object);
                    leaves(fields, &format!("{place} {part}"), &mut owned);
                }
            }
            owned.sort();
            side.said.push(Said { what: format!("write of {manager}"), status, body: json!(owned) });
        }
        side.undefine().await;
    })
    .await;
}

/// The paths of fields that someone owns.
fn leaves(fields: Option<&Map<String, Value>>, path: &str, into: &mut Vec<String>) {
    for (name, below) in fields.into_iter().flatten().filter(|(name, _)| *name != ".") {
        let path = format!("{path} {name}");
        match below.as_object().filter(|below| !below.is_empty()) {
            Some(below) => leaves(Some(below), &path, into),
            None => into.push(path),
        }
    }
}

#[tokio::test]
async fn the_server_says_alike_what_it_serves() {
    compare("memory-discovery", async |side| {
        side.define().await;
        let group = side.group.clone();
        for path in ["/api/v1".to_owned(), "/apis/apps/v1".to_owned(), format!("/apis/{group}/v1")] {
            let (status, listed) = side.ask(&Method::GET, &path, &Value::Null).await;
            let all = listed["resources"].as_array().cloned().unwrap_or_default();
            let ours = ["secrets", "configmaps", "pods", "deployments", "deployments/status", "models", "models/status"];
            let ours = all.iter().filter(|one| ours.iter().any(|name| one["name"] == *name));
            let mut shown: Vec<Value> =
                ours.map(|one| json!([one["name"], one["kind"], one["namespaced"], one["singularName"]])).collect();
            shown.sort_by_key(Value::to_string);
            let what = path.replace(&group, "GROUP");
            side.said.push(Said { what, status, body: json!({ "in": listed["groupVersion"].as_str().map(|text| text.replace(&group, "GROUP")), "are": shown }) });
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": { "verb": "get", "resource": "secrets" } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let (status, answer) = side.ask(&Method::POST, path, &review).await;
        let body = json!(answer["status"]["allowed"]);
        side.said.push(Said { what: "a review".to_owned(), status, body });
        side.undefine().await;
    })
    .await;
}
