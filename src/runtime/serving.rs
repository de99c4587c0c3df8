//! Serves HTTP within bounds: how many connections there are, of all clients and of one, and how long a client may take to say
//! what it wants. A port that needs no key is open to every pod of a cluster.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::shutdown::Shutdown;

/// How long the headers of a request may take, from when they are waited for: also how long a connection may be idle.
const HEADERS: Duration = Duration::from_secs(30);
/// Most bytes of the headers of a request.
const HEADERS_MAX: usize = 32 * 1024;
/// How long requests that are being answered may take after the shutdown.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// All together: others wait until one ends.
    pub all: usize,
    /// From one address: others are closed at once.
    pub of_one_address: usize,
}

/// Connections by the address of the client.
#[derive(Clone, Default)]
pub struct Clients(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of a client, until it is dropped.
pub struct ClientConnection {
    clients: Clients,
    address: IpAddr,
}

impl Clients {
    /// Counts a connection; none if the client has as many as one may.
    #[must_use]
    pub fn enter(&self, address: IpAddr, most: usize) -> Option<ClientConnection> {
        let mut clients = self.0.lock();
        let count = clients.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(ClientConnection { clients: self.clone(), address })
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        let mut clients = self.clients.0.lock();
        if let Some(count) = clients.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.address);
            }
        }
    }
}

/// Serves until the shutdown.
pub async fn serve<L>(mut listener: L, router: Router, limits: ConnectionLimits, stop: Shutdown)
where
    L: Listener<Addr = SocketAddr>,
{
    serve_within(&mut listener, router, limits, HEADERS, stop).await;
}

/// As [`serve`], with another bound on how long the headers of a request may take.
pub async fn serve_within<L>(
    listener: &mut L,
    router: Router,
    limits: ConnectionLimits,
    headers: Duration,
    stop: Shutdown,
) where
    L: Listener<Addr = SocketAddr>,
{
    let (places, clients) = (Arc::new(Semaphore::new(limits.all)), Clients::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((place, listener.accept().await))
        };
        let (place, (stream, peer)) = tokio::select! {
            () = stop.requested() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(_) => break,
            },
        };
        let Some(client) = clients.enter(peer.ip(), limits.of_one_address) else {
            tracing::debug!(%peer, "has too many connections");
            continue;
        };
        connections.spawn(connection(stream, router.clone(), headers, (place, client), stop.clone()));
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, ended).await.is_err() {
        tracing::debug!("connections were closed before they ended");
    }
}

async fn connection<S>(
    stream: S,
    router: Router,
    headers: Duration,
    _held: (OwnedSemaphorePermit, ClientConnection),
    stop: Shutdown,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(headers).max_buf_size(HEADERS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // For those who answer with a websocket.
    let connection = connection.with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn served(
        limits: ConnectionLimits,
        headers: Duration,
    ) -> (SocketAddr, Shutdown, impl Future<Output = ()>) {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Shutdown::default());
        let (router, stopped) = (Router::new().route("/", get(async || "ok\n")), stop.clone());
        let task = tokio::spawn(async move {
            serve_within(&mut listener, router, limits, headers, stopped).await;
        });
        (address, stop, async move { task.await.unwrap() })
    }

    /// The first bytes of an answer; none when the connection has ended.
    async fn answered(stream: &mut TcpStream) -> Option<Vec<u8>> {
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap_or(0);
        answer.truncate(read);
        (read > 0).then_some(answer)
    }

    /// One who sends headers for ever, a letter at a time, would hold a connection for ever.
    #[tokio::test]
    async fn a_client_that_does_not_say_what_it_wants_is_left() {
        let limits = ConnectionLimits { all: 8, of_one_address: 8 };
        let (address, stop, ended) = served(limits, SHORT).await;
        for beginning in [&b""[..], b"GET / HTTP/1.1\r\nx: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(beginning).await.unwrap();
            let mut rest = Vec::new();
            let read = tokio::time::timeout(50 * SHORT, stream.read_to_end(&mut rest)).await;
            assert!(read.is_ok(), "it is still open");
            assert!(!rest.starts_with(b"HTTP/1.1 200"));
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(16 * HEADERS_MAX));
        // It may be closed before all of it is sent.
        let _ = stream.write_all(long.as_bytes()).await;
        let answer = answered(&mut stream).await.unwrap_or_default();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        stop.request();
        ended.await;
    }

    #[tokio::test]
    async fn one_client_has_so_many_connections_and_the_next_gets_its_place() {
        let limits = ConnectionLimits { all: 8, of_one_address: 2 };
        let (address, stop, ended) = served(limits, HEADERS).await;
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(REQUEST).await.unwrap();
            assert!(answered(&mut stream).await.is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200")));
            held.push(stream);
        }
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert_eq!(answered(&mut refused).await, None);
        drop(held);
        let served = async {
            loop {
                let mut stream = TcpStream::connect(address).await.unwrap();
                if stream.write_all(REQUEST).await.is_ok() && answered(&mut stream).await.is_some() {
                    break;
                }
            }
        };
        tokio::time::timeout(50 * SHORT, served).await.unwrap();
        stop.request();
        ended.await;
    }

    #[tokio::test]
    async fn all_clients_together_have_so_many_connections() {
        let limits = ConnectionLimits { all: 1, of_one_address: 8 };
        let (address, stop, ended) = served(limits, HEADERS).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        assert!(answered(&mut first).await.is_some());
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        assert!(tokio::time::timeout(SHORT, answered(&mut second)).await.is_err(), "there is no place");
        drop(first);
        assert!(answered(&mut second).await.is_some());
        stop.request();
        ended.await;
    }
}
