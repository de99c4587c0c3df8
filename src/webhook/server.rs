//! Serves conversions with TLS: `/convert/<definition>/<hash>` for API servers, `/healthz` for health checks. The
//! certificate can be exchanged while it serves.

use std::{fmt, io, net::SocketAddr, num::NonZero, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::Listener,
};
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{converters::Converters, review};
use crate::runtime::{
    clock::Clock,
    metrics::{ConversionResult, Metrics},
    shutdown::Shutdown,
};

/// Largest request. API servers ask for all objects of a list at once.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// How long a client may take to agree on the encryption.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Clients that may be agreeing on the encryption at the same time.
const HANDSHAKES: usize = 256;
/// Pause after the system could not accept a connection, such as for want of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The certificate that is presented to clients; clones share it.
#[derive(Clone, Default)]
pub(super) struct ServedCertificate(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl ServedCertificate {
    /// Presents another from now on; connections that exist stay.
    pub(super) fn set(&self, key: CertifiedKey) {
        *self.0.write() = Some(Arc::new(key));
    }
}

impl fmt::Debug for ServedCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Presented")
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }
}

#[derive(Clone)]
struct Shared {
    converters: Arc<Converters>,
    /// Conversions that are worked on at the same time: they are nothing but work for processors.
    turns: Arc<Semaphore>,
    metrics: Metrics,
    clock: Clock,
}

/// Serves until the shutdown.
pub(super) async fn serve(
    listener: TcpListener,
    presented: ServedCertificate,
    converters: Arc<Converters>,
    (metrics, clock): (Metrics, Clock),
    stop: Shutdown,
) -> io::Result<()> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(presented));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving conversions");
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let router = Router::new()
        .route("/convert/{definition}/{hash}", post(convert))
        .route("/healthz", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Shared { converters, turns: Arc::new(Semaphore::new(processors)), metrics, clock });
    axum::serve(Encrypted::new(listener, address, TlsAcceptor::from(Arc::new(config))), router)
        .with_graceful_shutdown(async move { stop.requested().await })
        .await
}

async fn convert(
    State(shared): State<Shared>,
    Path((definition, hash)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let began = shared.clock.instant();
    let (metrics, clock) = (shared.metrics.clone(), shared.clock.clone());
    let count = move |result: ConversionResult, objects: usize| {
        metrics.count_conversion(result, objects, clock.instant().saturating_duration_since(began));
    };
    let request = match review::read(&body) {
        Ok(request) => request,
        Err(why) => {
            count(ConversionResult::Invalid, 0);
            return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
        }
    };
    drop(body);
    let converter = shared.converters.find(&definition, &hash).await;
    let Ok(turn) = shared.turns.acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let objects = request.objects.len();
        let (answer, result) = review::answer(request, converter.as_deref().map_err(String::as_str));
        let answer = serde_json::to_vec(&answer);
        count(result, objects);
        answer
    });
    match work.await {
        Ok(Ok(answer)) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Connections with TLS. A client that is slow to agree on it holds up no other.
struct Encrypted {
    agreed: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Encrypted {
    fn new(listener: TcpListener, address: SocketAddr, acceptor: TlsAcceptor) -> Self {
        let (sender, agreed) = mpsc::channel(HANDSHAKES);
        tokio::spawn(async move {
            let turns = Arc::new(Semaphore::new(HANDSHAKES));
            loop {
                let accepted = tokio::select! {
                    () = sender.closed() => return,
                    accepted = listener.accept() => accepted,
                };
                let (stream, peer) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::debug!(%error, "a connection was not accepted");
                        tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                        continue;
                    }
                };
                let Ok(turn) = turns.clone().acquire_owned().await else { return };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let _turn = turn;
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        // The receiver is gone when the server has ended.
                        Ok(Ok(stream)) => drop(sender.send((stream, peer)).await),
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS with a client"),
                        Err(_) => tracing::debug!(%peer, "a client did not agree on TLS in time"),
                    }
                });
            }
        });
        Self { agreed, address }
    }
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.agreed.recv().await {
            Some(agreed) => agreed,
            // The task above ends only with this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
