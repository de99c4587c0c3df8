//! Serves `/metrics`, `/healthz` (the process lives) and `/readyz` (it can do its work).
//!
//! Live and ready differ: whatever is missing outside the process, such as a CRD, makes it unready and never makes the
//! kubelet restart it.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::RwLock;
use tokio::net::TcpListener;

use super::{
    metrics::{self, Metrics},
    serving::{self, ConnectionLimits},
    shutdown::Shutdown,
};

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("failed to listen on {address}: set http.bindAddress to a free address and port")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The kubelet and some scrapers ask, now and then.
const CONNECTIONS: ConnectionLimits = ConnectionLimits { all: 64, of_one_address: 16 };

/// What must be there before the operator is ready; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    missing: Arc<RwLock<BTreeMap<&'static str, Option<String>>>>,
}

/// One thing that must be there.
#[derive(Clone, Debug)]
pub struct Check {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a check called `name`; until it is first set it counts as missing.
    #[must_use]
    pub fn check(&self, name: &'static str) -> Check {
        let check = Check { name, readiness: self.clone() };
        check.set(Some("not known yet".to_owned()));
        check
    }

    /// One line `name: what is missing and what to do` for each check that is not met.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let checks = self.missing.read();
        checks.iter().filter_map(|(name, missing)| Some(format!("{name}: {}", missing.as_ref()?))).collect()
    }
}

impl Check {
    /// The thing is there.
    pub fn met(&self) {
        self.set(None);
    }

    /// The thing is missing; `what` names it and how to get it, in one line.
    pub fn missing(&self, what: impl Into<String>) {
        self.set(Some(what.into()));
    }

    fn set(&self, state: Option<String>) {
        let mut checks = self.readiness.missing.write();
        let before = checks.insert(self.name, state.clone()).flatten();
        drop(checks);
        match state {
            Some(what) if before.as_ref() != Some(&what) => {
                tracing::info!(check = self.name, what, "not ready");
            }
            None if before.is_some() => {
                tracing::info!(check = self.name, "ready");
            }
            _ => {}
        }
    }
}

/// A server that listens already.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

#[derive(Clone)]
struct Shown {
    metrics: Metrics,
    readiness: Readiness,
}

impl Server {
    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// When the address is taken or not of this machine.
    pub async fn bind(
        address: SocketAddr,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<Self, HttpError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| HttpError::Bind { address, source })?;
        let address = listener.local_addr().map_err(|source| HttpError::Bind { address, source })?;
        let router = Router::new()
            .route("/metrics", get(show_metrics))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(show_readiness))
            .with_state(Shown { metrics, readiness });
        Ok(Self { listener, address, router })
    }

    /// The address listened on, with the port that was free when port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is requested.
    pub async fn run(self, stop: Shutdown) {
        tracing::info!(address = %self.address, "serving probes and metrics");
        serving::serve(self.listener, self.router, CONNECTIONS, stop).await;
    }
}

async fn show_metrics(State(shown): State<Shown>) -> Response {
    match shown.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "metrics are not shown");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn show_readiness(State(shown): State<Shown>) -> Response {
    let missing = shown.readiness.missing();
    if missing.is_empty() {
        "ok\n".into_response()
    } else {
        let lines: String = missing.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    async fn get_path(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// A missing CRD must show in `/readyz`, by name and remedy, and must not touch `/healthz`.
    #[tokio::test]
    async fn unready_is_not_dead() {
        let (readiness, stop) = (Readiness::default(), Shutdown::default());
        let crds = readiness.check("crds");
        let cache = readiness.check("cache");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(loopback, Metrics::new().unwrap(), readiness.clone()).await.unwrap();
        let address = server.address();
        let serving = tokio::spawn(server.run(stop.clone()));

        crds.missing("executordeployments.compute.colonies.io not installed: helm install …");
        let answer = get_path(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.contains("crds: executordeployments.compute.colonies.io not installed: helm"),
            "{answer}"
        );
        assert!(answer.contains("cache: not known yet"), "{answer}");
        assert!(get_path(address, "/healthz").await.starts_with("HTTP/1.1 200"));

        crds.met();
        cache.met();
        assert!(get_path(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let metrics = get_path(address, "/metrics").await;
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("colonyos_operator_build_info"), "{metrics}");

        stop.request();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_field_to_change() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = Server::bind(address, Metrics::new().unwrap(), Readiness::default()).await.unwrap_err();
        assert!(error.to_string().contains("http.bindAddress"), "{error}");
    }
}
