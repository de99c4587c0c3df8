//! Serves conversions with TLS: `/convert/<definition>/<hash>` for API servers, `/healthz` for health checks. The
//! certificate can be exchanged while it serves.

use std::{fmt, io, net::SocketAddr, num::NonZero, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
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
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{converters::Converters, pods, review};
use crate::{
    act::pod_executor_end,
    colony,
    runtime::{
        clock::Clock,
        metrics::{ConversionResult, Metrics},
        serving::{self, Clients, ConnectionLimits},
        shutdown::Shutdown,
    },
};

/// Largest request, in bytes. An API server asks for all objects of a list at once, of which each has at most 1.5 MiB; it
/// names no bound for all of them. This is room for 10,000 objects of 3 KiB; clients that list more do it in pages.
const BODY_MAX: usize = 32 << 20;
/// Largest review of a pod, in bytes: API servers store no object of more than 1.5 MiB.
const POD_MAX: usize = 4 << 20;
/// The most memory that the values of a request may take, roughly: `[0,0,…` takes thirty times its text.
const VALUES_MAX: usize = 192 << 20;
/// What all requests may take together, of both, in `UNIT`s.
const BODIES: usize = 64 << 10;
const VALUES: usize = 256 << 10;
const UNIT: usize = 1 << 10;
/// Largest body that needs no room, so that single objects never wait for lists.
const SHORT: usize = 256 << 10;
/// How long a request may take until it is read. API servers wait 30 s for the answer.
const READING: Duration = Duration::from_secs(10);
/// API servers keep connections; other clients have no business here.
const CONNECTIONS: ConnectionLimits = ConnectionLimits { all: 256, of_one_address: 64 };
/// How long a client may take to agree on the encryption.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Clients that may be agreeing on the encryption at the same time, and with the same address.
const HANDSHAKES: ConnectionLimits = ConnectionLimits { all: 256, of_one_address: 64 };
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
    /// Room for bodies and for their values.
    bodies: Arc<Semaphore>,
    values: Arc<Semaphore>,
    /// How long a request may take until it is read.
    reading: Duration,
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
    tracing::info!(address = %listener.local_addr()?, "serving conversions");
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let router = router(Shared {
        converters,
        turns: Arc::new(Semaphore::new(processors)),
        bodies: Arc::new(Semaphore::new(BODIES)),
        values: Arc::new(Semaphore::new(VALUES)),
        reading: READING,
        metrics,
        clock,
    });
    serve_encrypted(listener, presented, router, CONNECTIONS, stop).await
}

/// Serves a router with TLS until the shutdown.
pub(super) async fn serve_encrypted(
    listener: TcpListener,
    presented: ServedCertificate,
    router: Router,
    limits: ConnectionLimits,
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
    let listener = Encrypted::new(listener, address, TlsAcceptor::from(Arc::new(config)));
    serving::serve(listener, router, limits, stop).await;
    Ok(())
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/convert/{definition}/{hash}", post(convert))
        .route("/pods", post(name_executor))
        .route("/healthz", get(async || "ok\n"))
        .with_state(shared)
}

/// Why a request is not looked at.
type Refused = (StatusCode, String);

/// So many bytes of what all requests share.
async fn room(of: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Refused> {
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
    let acquired = of.clone().acquire_many_owned(units).await;
    acquired.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

impl Shared {
    /// Reads a body, with the room that it and its values take until they are dropped.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<(Bytes, impl Send + use<>), Refused> {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let Some(length) = length.filter(|length: &usize| *length <= BODY_MAX) else {
            let (status, why) = match length {
                Some(length) => (StatusCode::PAYLOAD_TOO_LARGE, format!("the request has {length} bytes")),
                None => (StatusCode::LENGTH_REQUIRED, "the request has no Content-Length".to_owned()),
            };
            return Err((
                status,
                format!("{why}, and at most {BODY_MAX} are read: list the objects in smaller pages"),
            ));
        };
        let reading = async {
            let body_room = if length > SHORT { Some(room(&self.bodies, length).await?) } else { None };
            let body = axum::body::to_bytes(body, length).await;
            let body = body.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
            let weight = colony::weight(&body);
            if weight > VALUES_MAX {
                let why = format!(
                    "the values of the request take more than {VALUES_MAX} bytes of memory: list the objects in smaller pages"
                );
                return Err((StatusCode::PAYLOAD_TOO_LARGE, why));
            }
            let values_room = room(&self.values, weight).await?;
            Ok((body, (body_room, values_room)))
        };
        let read = tokio::time::timeout(self.reading, reading).await;
        read.unwrap_or_else(|_| {
            Err((StatusCode::REQUEST_TIMEOUT, "the request did not come in time".to_owned()))
        })
    }
}

/// Whether an API server can have been told to ask for this: a name of a CRD, and the hash of what converts.
fn is_asked_by_api_servers(definition: &str, hash: &str) -> bool {
    let is_name = |name: &str| {
        name.len() <= 63
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.is_empty()
    };
    definition.len() <= 253
        && definition.split('.').all(is_name)
        && hash.len() <= 64
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

async fn convert(
    State(shared): State<Shared>,
    Path((definition, hash)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let began = shared.clock.instant();
    let (metrics, clock) = (shared.metrics.clone(), shared.clock.clone());
    let count = move |result: ConversionResult, objects: usize| {
        metrics.count_conversion(result, objects, clock.instant().saturating_duration_since(began));
    };
    let refused = |(status, why): Refused| (status, format!("{why}\n")).into_response();
    if !is_asked_by_api_servers(&definition, &hash) {
        count(ConversionResult::Invalid, 0);
        return refused((StatusCode::NOT_FOUND, "there is no such kind".to_owned()));
    }
    let (body, room) = match shared.read(&headers, body).await {
        Ok(read) => read,
        Err(why) => {
            count(ConversionResult::Invalid, 0);
            return refused(why);
        }
    };
    let converter = shared.converters.find(&definition, &hash).await;
    let Ok(turn) = shared.turns.acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let work = tokio::task::spawn_blocking(move || {
        let _held = (turn, room);
        let request = match review::read(&body) {
            Ok(request) => request,
            Err(why) => {
                count(ConversionResult::Invalid, 0);
                return Err((StatusCode::BAD_REQUEST, why));
            }
        };
        drop(body);
        let objects = request.objects.len();
        let (answer, result) = review::answer(request, converter.as_deref().map_err(String::as_str));
        let answer = serde_json::to_vec(&answer);
        count(result, objects);
        answer.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    });
    match work.await {
        Ok(Ok(answer)) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Ok(Err(why)) => refused(why),
        Err(error) => refused((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// Names the executor of a new pod.
async fn name_executor(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let refused = |(status, why): Refused| (status, format!("{why}\n")).into_response();
    let (body, _room) = match shared.read(&headers, body).await {
        Ok(read) => read,
        Err(why) => return refused(why),
    };
    if body.len() > POD_MAX {
        return refused((StatusCode::PAYLOAD_TOO_LARGE, format!("a pod has at most {POD_MAX} bytes")));
    }
    let answer = pods::answer(&body, &pod_executor_end())
        .and_then(|answer| serde_json::to_vec(&answer).map_err(|error| error.to_string()));
    match answer {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(why) => refused((StatusCode::BAD_REQUEST, why)),
    }
}

/// Connections with TLS. A client that is slow to agree on it holds up no other.
struct Encrypted {
    agreed: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Encrypted {
    fn new(listener: TcpListener, address: SocketAddr, acceptor: TlsAcceptor) -> Self {
        let (sender, agreed) = mpsc::channel(HANDSHAKES.all);
        tokio::spawn(async move {
            let turns = Arc::new(Semaphore::new(HANDSHAKES.all));
            let clients = Clients::default();
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
                let Some(client) = clients.enter(peer.ip(), HANDSHAKES.of_one_address) else { continue };
                let Ok(turn) = turns.clone().acquire_owned().await else { return };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let _held = (turn, client);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATH: &str = "/convert/things.g.example.com/0123456789abcdef";

    /// An endpoint without TLS, that reaches no API server.
    async fn endpoint() -> (SocketAddr, Shared) {
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = kube::Client::try_from(nowhere).unwrap();
        let shared = Shared {
            converters: Arc::new(Converters::new(client)),
            turns: Arc::new(Semaphore::new(1)),
            bodies: Arc::new(Semaphore::new(BODIES)),
            values: Arc::new(Semaphore::new(VALUES)),
            reading: Duration::from_millis(500),
            metrics: Metrics::new().unwrap(),
            clock: Clock::system(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serving::serve(listener, router(shared.clone()), CONNECTIONS, Shutdown::default()));
        (address, shared)
    }

    /// The status line and the body with which a request is answered.
    async fn answer(address: SocketAddr, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST {head}\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may have answered before all of it is there.
        let _ = stream.write_all(body).await;
        let mut answer = vec![0; 64 * 1024];
        let mut length = 0;
        while let Ok(read @ 1..) = stream.read(&mut answer[length..]).await {
            length += read;
        }
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// A client that reaches the port can send anything: it costs the sender more than the operator.
    #[tokio::test]
    async fn what_is_too_much_is_refused_before_it_is_parsed() {
        let (address, shared) = endpoint().await;
        let zeros = [&b"["[..], "0,".repeat(4 << 20).as_bytes(), b"0]"].concat();
        let maps = [&b"["[..], "{},".repeat(1 << 20).as_bytes(), b"0]"].concat();
        let with_length = |length: usize| format!("{PATH} HTTP/1.1\r\ncontent-length: {length}");
        for (head, body, status, says) in [
            (with_length(BODY_MAX + 1), &b""[..], "413", "at most 33554432 are read"),
            (format!("{PATH} HTTP/1.1\r\ntransfer-encoding: chunked"), b"0\r\n\r\n", "411", "Content-Length"),
            (with_length(zeros.len()), &zeros, "413", "memory"),
            (with_length(maps.len()), &maps, "413", "memory"),
            (with_length(10), b"{", "408", "in time"),
            (with_length(4), b"[[[[", "400", "no ConversionReview"),
            (with_length(1000), "[".repeat(1000).as_bytes(), "400", "no ConversionReview"),
            (
                "/convert/..%2F..%2Fapi/00 HTTP/1.1\r\ncontent-length: 0".to_owned(),
                b"",
                "404",
                "no such kind",
            ),
            ("/convert/a.b/0%2F0 HTTP/1.1\r\ncontent-length: 0".to_owned(), b"", "404", "no such kind"),
        ] {
            let answer = answer(address, &head, body).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(says),
                "{head}: {answer}"
            );
        }
        assert_eq!(shared.bodies.available_permits(), BODIES, "all room is given back");
        assert_eq!(shared.values.available_permits(), VALUES);
    }
}
