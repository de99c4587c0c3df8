//! A relay in front of the real server that misbehaves on demand: it can speak TLS, lose or withhold replies,
//! and go away and come back.

use std::sync::Arc;

use colonyos_operator::colony::Server;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, rustls};

/// What becomes of the server's replies.
#[derive(Clone, Copy)]
pub enum Replies {
    Pass,
    /// The connection is closed in place of a reply.
    Lose,
    /// The connection stays open, and nothing comes.
    Withhold,
}

/// A relay. Gone, with all its connections, when dropped.
pub struct Relay {
    pub port: u16,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    pub async fn plain(server: &Server, replies: Replies) -> Self {
        Self::start(server, 0, replies, None).await
    }

    /// A plain relay at a port that was a relay's before.
    pub async fn again(server: &Server, port: u16) -> Self {
        Self::start(server, port, Replies::Pass, None).await
    }

    pub async fn tls(server: &Server, configuration: rustls::ServerConfig) -> Self {
        Self::start(server, 0, Replies::Pass, Some(TlsAcceptor::from(Arc::new(configuration)))).await
    }

    async fn start(server: &Server, port: u16, replies: Replies, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = (server.host.clone(), server.port);
        let task = tokio::spawn(async move {
            // Dropped with the task, and with it every connection.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (upstream, tls) = (upstream.clone(), tls.clone());
                connections.spawn(async move {
                    // Errors are what this is for: a client that leaves, or does not trust the certificate.
                    if let Some(tls) = tls {
                        if let Ok(stream) = tls.accept(stream).await {
                            relay(stream, upstream, replies).await;
                        }
                    } else {
                        relay(stream, upstream, replies).await;
                    }
                });
            }
        });
        Self { port, task }
    }
}

async fn relay(stream: impl AsyncRead + AsyncWrite + Unpin, upstream: (String, u16), replies: Replies) {
    let mut upstream = TcpStream::connect(upstream).await.expect("the server is there");
    let mut stream = stream;
    if matches!(replies, Replies::Pass) {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
        return;
    }
    let (mut from_client, _to_client) = tokio::io::split(stream);
    let (mut from_server, mut to_server) = upstream.split();
    let mut first = [0; 1];
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => { let _ = to_server.shutdown().await; }
        // The server has done its work as soon as it begins to answer.
        _ = from_server.read(&mut first) => {}
    }
    if matches!(replies, Replies::Withhold) {
        std::future::pending::<()>().await;
    }
}
