//! A program beside an executor, in its pod, through which it reaches the server of its colony. It knows what the executor has in
//! hand, gives it nothing more when it is to drain, and tells when it is drained.
//!
//! ```text
//! executor ── 127.0.0.1 ──▶ gate ──▶ server of the colony
//! kubelet (preStop) ──────▶ gate: begins to drain, answers when drained
//! ```
//!
//! The server has no call to drain an executor, and an executor that is told to stop by a signal may have a call for work under
//! way that wins a process just then ([ADR 26](../../docs/adr/0026-a-gate-drains-each-pod.md)).
//!
//! | module | what |
//! |---|---|
//! | `message` | what calls and replies say; pure |
//! | `state` | what is in hand, and whether more may come; pure |
//! | `upstream`, `reply` | the way to the server, and back |
//! | `shared` | what all requests share |
//! | `asking` | calls for work |
//! | `draining` | a drain, from its begin to its end |
//! | `record` | what is in hand, on disk, for a gate that starts again |

mod asking;
mod draining;
mod message;
mod record;
mod reply;
mod shared;
mod state;
mod upstream;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{self, Request},
    http::{HeaderMap, StatusCode, header::UPGRADE},
    response::Response,
    routing::{any, get},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::{
    api::gate::{DRAIN_PATH, HEALTH_PATH, STARTED_PATH, TOKEN_HEADER},
    colony::{Client, Error, PrivateKey, Server, Timeouts},
    runtime::{
        serving::{self, ConnectionLimits},
        shutdown::Shutdown,
    },
};
use message::Call;
use record::Record;
pub use shared::AtTimeout;
use shared::Inner;
use state::State;
use upstream::{Begun, Upstream};

/// Largest request that is read before it is sent on. Larger ones pass in pieces; those that matter are far smaller, but for
/// outputs.
const SHORT: usize = 64 << 10;
/// How long the executor's connections may be idle: longer than it keeps them for the server itself, which closes them after
/// two minutes.
const EXECUTOR_IDLE: Duration = Duration::from_mins(3);
/// Connections of the executor.
const OF_EXECUTOR: ConnectionLimits = ConnectionLimits { all: 512, of_one_address: 512 };
/// Websockets of the executor.
const TUNNELS: usize = 128;
/// Connections to the port for the kubelet, which every pod of the cluster can reach: many pods would have to agree to keep it
/// from its own.
const OF_KUBELET: ConnectionLimits = ConnectionLimits { all: 1024, of_one_address: 16 };

/// What a gate is told.
#[derive(Debug)]
pub struct Settings {
    /// The server of the colony.
    pub server: Server,
    /// The colony.
    pub colony: String,
    /// The executor's key.
    pub key: PrivateKey,
    /// Where the executor connects to.
    pub listen: SocketAddr,
    /// Where the kubelet connects to.
    pub control: SocketAddr,
    /// What begins a drain must have it.
    pub token: String,
    /// How long a drain may take; without, as long as it takes.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub at_timeout: AtTimeout,
    /// How long an executor that was drained may live on: it is given nothing for so long.
    pub hold: Duration,
    /// How long it is given nothing after a drain whose caller has left.
    pub withdrawal: Duration,
    /// Directory that outlives the gate.
    pub directory: Option<PathBuf>,
}

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The server's address or authority is none.
    #[error("failed to use the server of the colony")]
    Server(#[source] Error),
    /// A port is taken.
    #[error("failed to listen on {address}: no other container of the pod may use this port")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// A gate that listens.
pub struct Gate {
    inner: Arc<Inner>,
    executors: (TcpListener, SocketAddr),
    control: (TcpListener, SocketAddr),
}

impl Gate {
    /// Listens.
    ///
    /// # Errors
    ///
    /// When an address is taken, or that of the server is none.
    pub async fn bind(settings: Settings) -> Result<Self, GateError> {
        let upstream = Upstream::new(&settings.server).map_err(GateError::Server)?;
        let client = Client::new(&settings.server, Timeouts::default()).map_err(GateError::Server)?;
        let session = client.session(&settings.colony, settings.key.clone());
        let (executors, control) = (listen(settings.listen).await?, listen(settings.control).await?);
        let (record, open) = Record::read(settings.directory);
        let inner = Inner {
            state: watch::Sender::new(State::with_open(open)),
            kept: parking_lot::Mutex::default(),
            record,
            upstream,
            session,
            key: settings.key,
            tunnels: Arc::new(Semaphore::new(TUNNELS)),
            token: settings.token,
            timeout: settings.timeout,
            at_timeout: settings.at_timeout,
            hold: settings.hold,
            withdrawal: settings.withdrawal,
        };
        Ok(Self { inner: Arc::new(inner), executors, control })
    }

    /// Where the executor connects to, with the port that was free when port 0 was asked for.
    #[must_use]
    pub fn executor_address(&self) -> SocketAddr {
        self.executors.1
    }

    /// Where the kubelet connects to.
    #[must_use]
    pub fn control_address(&self) -> SocketAddr {
        self.control.1
    }

    /// Serves until `stop` is requested.
    pub async fn run(self, stop: Shutdown) {
        let executors = Router::new().fallback(any(pass)).with_state(self.inner.clone());
        let control = Router::new()
            .route(HEALTH_PATH, get(async || "ok\n"))
            .route(DRAIN_PATH, get(drain))
            .route(STARTED_PATH, get(started))
            .with_state(self.inner);
        let (mut listener, control_listener) = (self.executors.0, self.control.0);
        tracing::info!(executor = %self.executors.1, control = %self.control.1, "serving as gate");
        tokio::join!(
            serving::serve_within(&mut listener, executors, OF_EXECUTOR, EXECUTOR_IDLE, stop.clone()),
            serving::serve(control_listener, control, OF_KUBELET, stop),
        );
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), GateError> {
    let bind = |source| GateError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    Ok((listener, address))
}

/// A request of the executor.
async fn pass(extract::State(gate): extract::State<Arc<Inner>>, request: Request) -> Response {
    if request.headers().contains_key(UPGRADE) {
        let Ok(place) = gate.tunnels.clone().try_acquire_owned() else {
            return upstream::refused(StatusCode::SERVICE_UNAVAILABLE, "there are too many websockets");
        };
        return upstream::tunnel(&gate.upstream, request, place).await;
    }
    let (parts, mut body) = request.into_parts();
    let (first, is_whole) = match upstream::beginning(&mut body, SHORT).await {
        Ok(read) => read,
        Err(error) => return upstream::refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let call = if is_whole { message::read(&first) } else { Call::Other };
    if let Call::Assign(assign) = call {
        return asking::ask(&gate, &parts, assign, first).await;
    }
    let sent = if is_whole {
        gate.upstream.send(&parts, first, false).await
    } else {
        gate.upstream.send(&parts, reqwest::Body::wrap(Begun::new(first, body)), false).await
    };
    let response = match sent {
        Ok(response) => response,
        Err(error) => return upstream::unreachable(error),
    };
    if response.status().is_success() {
        match call {
            Call::Close(process) => gate.change(|state| state.close(&process)),
            // It may have been a close with a large output.
            _ if !is_whole => drop(tokio::spawn(async move { draining::check(&gate).await })),
            _ => {}
        }
    }
    let (status, headers) = (response.status(), response.headers().clone());
    upstream::reply(status, headers, axum::body::Body::new(reqwest::Body::from(response)))
}

/// Begins a drain; the answer comes when it is over.
async fn drain(
    extract::State(gate): extract::State<Arc<Inner>>,
    headers: HeaderMap,
) -> (StatusCode, &'static str) {
    if !is_allowed(&gate, &headers) {
        return (StatusCode::FORBIDDEN, "the token is missing or wrong\n");
    }
    (StatusCode::OK, draining::drain(gate).await)
}

/// The executor has been started.
async fn started(
    extract::State(gate): extract::State<Arc<Inner>>,
    headers: HeaderMap,
) -> (StatusCode, &'static str) {
    if !is_allowed(&gate, &headers) {
        return (StatusCode::FORBIDDEN, "the token is missing or wrong\n");
    }
    gate.change_quietly(State::started);
    (StatusCode::OK, "ok\n")
}

fn is_allowed(gate: &Inner, headers: &HeaderMap) -> bool {
    headers.get(TOKEN_HEADER).is_some_and(|given| given.as_bytes() == gate.token.as_bytes())
}
