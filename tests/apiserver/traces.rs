//! Traces of work, as a collector on this machine gets them.

use std::sync::Arc;

use axum::{Router, extract::State, routing::post};
use colonyos_operator::{
    api::{colony_process::ColonyProcess, colony_workflow::ColonyWorkflow, work::WorkState},
    runtime::config::{OperatorConfiguration, Traces},
};
use k8s_openapi::api::core::v1::Secret;
use parking_lot::Mutex;
use rand::Rng as _;
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    operator::{Operator, Signal, configuration},
    stage::{SOON, with_configured_operator},
    wait::eventually,
};

/// What collectors were sent.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Value>>>);

impl Collected {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let served = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, served).await });
        address
    }

    /// The spans of an object, in the order in which they came.
    fn of(&self, name: &str) -> Vec<Value> {
        let requests = self.0.lock();
        let scopes = requests.iter().flat_map(|request| request["resourceSpans"].as_array().unwrap());
        let scopes = scopes.flat_map(|resource| resource["scopeSpans"].as_array().unwrap());
        let spans = scopes.flat_map(|scope| scope["spans"].as_array().unwrap());
        spans.filter(|span| attribute(span, "k8s.object.name") == Some(name)).cloned().collect()
    }

    /// Waits until the trace of an object has its root.
    async fn until_over(&self, name: &str, kind: &str) -> Vec<Value> {
        eventually("the trace is over", SOON, async || {
            let spans = self.of(name);
            if spans.iter().any(|span| span["name"] == kind) { Ok(spans) } else { Err(format!("{spans:?}")) }
        })
        .await
    }
}

async fn take(State(collected): State<Collected>, body: String) -> &'static str {
    collected.0.lock().push(serde_json::from_str(&body).unwrap());
    "{}"
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    let attributes = span["attributes"].as_array()?;
    attributes.iter().find(|attribute| attribute["key"] == key)?["value"]["stringValue"].as_str()
}

fn names(spans: &[Value]) -> Vec<&str> {
    spans.iter().map(|span| span["name"].as_str().unwrap()).collect()
}

/// One trace with one root, of which the others are parts, also with another process of the operator in between.
#[tokio::test]
async fn work_is_one_trace_from_its_object_to_its_end() {
    let connection = connect_with_crds().await;
    let collected = Collected::default();
    let traces = Traces { endpoint: Some(collected.serve().await), ca_file: None };
    let configured = |configuration: &mut OperatorConfiguration| configuration.traces = traces.clone();
    with_configured_operator(&connection, "traces", configured, async |stage| {
        let secret = format!("s-{:032x}", rand::rng().random::<u128>());
        let object = json!({ "metadata": { "name": "store" }, "stringData": { "token": secret } });
        stage.create::<Secret>(object).await.unwrap();
        let object = json!({
            "metadata": { "name": "encode" },
            "spec": { "colony": stage.colony.name, "function": "encode", "args": ["an argument"],
                      "conditions": { "executorType": "encoder" },
                      "env": [{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "store", "key": "token" } } }] },
        });
        let created = stage.create::<ColonyProcess>(object).await.unwrap();
        stage.until_state::<ColonyProcess>("encode", WorkState::Waiting).await;
        eventually("the submit is told", SOON, async || {
            let spans = collected.of("encode");
            if names(&spans) == ["submit"] { Ok(()) } else { Err(format!("{spans:?}")) }
        })
        .await;
        stage.operator.signal(Signal::Kill);
        stage.operator.wait_for_end(SOON).await;
        let namespace = &stage.namespace.name;
        let mut configuration = configuration(namespace);
        configured(&mut configuration);
        stage.operator = Operator::start(configuration, namespace, &stage.turn).await;
        let executor = stage.colony.executor("worker", "encoder").await;
        let process = assigned(&executor).await;
        executor.close_failed(&process.id, &[format!("refused: {secret}")]).await.unwrap();
        stage.until_state::<ColonyProcess>("encode", WorkState::Failed).await;

        let spans = collected.until_over("encode", "ColonyProcess").await;
        assert_eq!(names(&spans), ["submit", "wait", "execute", "close", "ColonyProcess"]);
        let root = spans.last().unwrap();
        for span in &spans {
            assert_eq!(span["traceId"], root["traceId"], "{span}");
            assert!(span == root || span["parentSpanId"] == root["spanId"], "{span}");
            assert_eq!(attribute(span, "k8s.namespace.name"), Some(stage.namespace.name.as_str()));
            assert_eq!(attribute(span, "k8s.object.uid"), created.metadata.uid.as_deref());
        }
        let created_at = created.metadata.creation_timestamp.unwrap().0.as_nanosecond().to_string();
        assert_eq!((&root["parentSpanId"], &root["startTimeUnixNano"]), (&Value::Null, &json!(created_at)));
        assert_eq!(root["status"]["code"], 2);
        assert_eq!(attribute(root, "colonyos.process.id"), Some(process.id.as_str()));
        let executed = &spans[2];
        assert!(attribute(executed, "colonyos.executor.name").unwrap().starts_with("worker"), "{executed}");

        // The id of the first process of a workflow is that of the workflow; each node has its own.
        let node = |name: &str, after: &[&str]| json!({ "name": name, "function": "f", "dependencies": after, "conditions": { "executorType": "encoder" } });
        let graph = json!({ "metadata": { "name": "graph" }, "spec": { "colony": stage.colony.name, "nodes": [node("a", &[]), node("b", &["a"])] } });
        stage.create::<ColonyWorkflow>(graph).await.unwrap();
        for _ in 0..2 {
            let process = assigned(&executor).await;
            executor.close_successful(&process.id, &[json!("out")]).await.unwrap();
        }
        stage.until_state::<ColonyWorkflow>("graph", WorkState::Succeeded).await;
        let spans = collected.until_over("graph", "ColonyWorkflow").await;
        assert_eq!(names(&spans), ["submit", "wait", "execute", "wait", "execute", "close", "ColonyWorkflow"]);

        let told = Value::from(collected.0.lock().clone()).to_string();
        for hidden in [secret.as_str(), "an argument", &stage.colony.owner_key] {
            assert!(!told.contains(hidden), "{hidden} is in a span");
        }
    })
    .await;
}
