//! Sends spans to an OpenTelemetry collector: OTLP over HTTP with JSON. Nothing waits for it: spans that cannot be sent are dropped
//! and counted.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use reqwest::{header::CONTENT_TYPE, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{
    causes::explain,
    config::Traces as Settings,
    metrics::{Metrics, SpanResult},
};
use crate::api::names::OPERATOR;

/// How many writes of a status may wait to be told.
const QUEUE: usize = 1024;
/// How many spans a request has at most, about.
const BATCH: usize = 512;
/// How long the collector may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The certificates cannot be read.
    #[error("failed to read traces.caFile {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        source: io::Error,
    },
    /// There is no such client.
    #[error("failed to prepare the connection to traces.endpoint: {why}")]
    Client {
        /// What is wrong.
        why: String,
    },
}

enum Message {
    Spans(Vec<Value>),
    Flush(oneshot::Sender<()>),
}

/// Sends spans, or does nothing if there is no collector.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    queue: Option<mpsc::Sender<Message>>,
    metrics: Option<Metrics>,
}

impl Traces {
    /// Starts to send to the collector of the configuration, if it names one. `cluster` is the UID of the cluster.
    ///
    /// # Errors
    ///
    /// When the certificates of the collector's authority cannot be used.
    pub fn start(settings: &Settings, cluster: &str, metrics: Metrics) -> Result<Self, TracesError> {
        let Some(endpoint) = settings.endpoint() else { return Ok(Self::default()) };
        let (queue, waiting) = mpsc::channel(QUEUE);
        let sender = Sender {
            http: client(settings)?,
            url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            cluster: cluster.to_owned(),
            metrics: metrics.clone(),
            is_failing: false,
        };
        tokio::spawn(sender.run(waiting));
        Ok(Self { queue: Some(queue), metrics: Some(metrics) })
    }

    /// Has spans sent, if there is a collector.
    pub fn tell(&self, spans: impl FnOnce() -> Vec<Value>) {
        let Some(queue) = &self.queue else { return };
        let spans = spans();
        if spans.is_empty() {
            return;
        }
        if let (Err(refused), Some(metrics)) = (queue.try_send(Message::Spans(spans)), &self.metrics)
            && let Message::Spans(spans) = refused.into_inner()
        {
            metrics.count_spans(SpanResult::Dropped, spans.len());
        }
    }

    /// Waits until what was told is sent, or given up.
    pub async fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        let (sender, sent) = oneshot::channel();
        if queue.send(Message::Flush(sender)).await.is_ok() {
            // It is dropped with the task: then there is nothing to wait for.
            let _ = sent.await;
        }
    }
}

fn client(settings: &Settings) -> Result<reqwest::Client, TracesError> {
    let refused = |why: String| TracesError::Client { why };
    let mut roots = RootCertStore::empty();
    match &settings.ca_file {
        None => {
            roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        Some(path) => {
            let pem = fs::read(path).map_err(|source| TracesError::Read { path: path.clone(), source })?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| refused(format!("traces.caFile: {error}")))?;
                roots.add(certificate).map_err(|error| refused(format!("traces.caFile: {error}")))?;
            }
        }
    }
    // Without global state, and with the one provider of cryptography that is built in.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(LIMIT);
    http.redirect(redirect::Policy::none()).build().map_err(|error| refused(explain(&error)))
}

/// The task that sends.
struct Sender {
    http: reqwest::Client,
    url: String,
    cluster: String,
    metrics: Metrics,
    is_failing: bool,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Message>) {
        while let Some(first) = waiting.recv().await {
            let (mut spans, mut flushed, mut next) = (Vec::new(), Vec::new(), Some(first));
            while let Some(message) = next {
                match message {
                    Message::Spans(more) => spans.extend(more),
                    Message::Flush(sender) => flushed.push(sender),
                }
                next = (spans.len() < BATCH).then(|| waiting.try_recv().ok()).flatten();
            }
            if !spans.is_empty() {
                self.send(spans).await;
            }
            for sender in flushed {
                // Who asked may have gone.
                let _ = sender.send(());
            }
        }
    }

    async fn send(&mut self, spans: Vec<Value>) {
        let count = spans.len();
        let body = envelope(&self.cluster, &spans).to_string();
        let sent = self.http.post(&self.url).header(CONTENT_TYPE, "application/json").body(body).send().await;
        let failure = match sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(explain(&error)),
        };
        let result = if failure.is_none() { SpanResult::Sent } else { SpanResult::Dropped };
        self.metrics.count_spans(result, count);
        // Once: a collector that is away for long is no news with each process.
        match (failure, self.is_failing) {
            (Some(why), false) => {
                tracing::warn!("failed to send traces to {}: {why}: check traces.endpoint", self.url);
                self.is_failing = true;
            }
            (None, true) => {
                tracing::info!("traces are sent again");
                self.is_failing = false;
            }
            _ => {}
        }
    }
}

/// A request of OTLP.
fn envelope(cluster: &str, spans: &[Value]) -> Value {
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            attribute("service.name", OPERATOR),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
            attribute("k8s.cluster.uid", cluster),
        ] },
        "scopeSpans": [{ "scope": { "name": OPERATOR }, "spans": spans }],
    }] })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    fn settings(address: SocketAddr) -> Settings {
        Settings { endpoint: Some(format!("http://{address}/")), ca_file: None }
    }

    #[tokio::test]
    async fn without_a_collector_no_span_is_made() {
        let traces = Traces::start(&Settings::default(), "c", Metrics::new().unwrap()).unwrap();
        let asked = std::cell::Cell::new(false);
        traces.tell(|| {
            asked.set(true);
            Vec::new()
        });
        traces.flush().await;
        assert!(!asked.get());
    }

    #[tokio::test]
    async fn what_a_collector_refuses_is_counted_and_holds_nothing_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics = Metrics::new().unwrap();
        let traces = Traces::start(&settings(listener.local_addr().unwrap()), "c", metrics.clone()).unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        traces.tell(|| vec![json!({ "name": "submit" })]);
        traces.flush().await;
        let asked = serving.await.unwrap();
        assert!(asked.starts_with("POST /v1/traces HTTP/1.1"), "{asked}");
        // It has gone.
        traces.tell(|| vec![json!({}), json!({})]);
        traces.flush().await;
        let shown = metrics.encode().unwrap();
        assert!(shown.contains("colonyos_operator_spans_total{result=\"dropped\"} 3"), "{shown}");
    }
}
