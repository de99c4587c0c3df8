//! Notifications, over a websocket, that a process has entered a state.
//!
//! **A hint and nothing more.** The server pushes the process as it stood in its memory: of one that has succeeded
//! neither the output nor the time of its end may be in it, so read it again. It pushes nothing for a process that is
//! cancelled with its workflow, failed by a parent, or put back into the queue when its executor is removed; what
//! happens while the subscription is being set up may be missed; and the server does not report when it takes effect.
//! To wait for a process, read it after subscribing, and poll it from time to time.
//!
//! Each subscription has a connection of its own. The server writes to a connection from as many threads as it has
//! subscriptions, without a lock, and closes all of it when the first of them ends.
//!
//! The connection goes straight to the server, whatever proxy the environment names.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

use super::{
    client::Client,
    error::Error,
    model::{InvalidField, Process, ProcessId, ProcessState},
    session::Session,
    wire::{self, Call, Limited as _, SubscribeProcess},
};

const ACTION: &str = SubscribeProcess::ACTION;
/// The largest push that is read, in bytes.
const PUSH_MAX: usize = Process::LIMIT.bytes;

/// A connection, plain or TLS.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Waits for a process to come into a state; see [the module](self) for what it does not promise. Closes its
/// connection when dropped.
pub struct Subscription {
    /// `None` once it has ended.
    socket: Option<WebSocketStream<Box<dyn Connection>>>,
    deadline: tokio::time::Instant,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Subscription")
            .field("is_open", &self.socket.is_some())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Subscribes to a process entering `state`, with an immediate notification if it is already there, for at most
    /// `limit`, rounded up to whole seconds and at least one. See [`subscription`](super::subscription) for what that
    /// is worth. The server does not check that the key is a member's.
    ///
    /// # Errors
    /// [`Error::Field`] for [`ProcessState::Waiting`]: the server would give such a subscription the signals by which
    /// it wakes executors, and they would sleep on. [`Error::Configuration`] when the client is not one over HTTP.
    /// [`Error::Unavailable`] when there is no connection; [`Error::Ambiguous`] when what answers speaks no
    /// websocket. [`Subscription::next`] reports when the process does not exist.
    pub async fn subscribe(
        &self,
        process: &ProcessId,
        state: ProcessState,
        limit: Duration,
    ) -> Result<Subscription, Error> {
        if state == ProcessState::Waiting {
            let remedy = "ask for another state, this one takes the executors' wake-ups";
            return Err(Error::Field(InvalidField::new("state", state, remedy)));
        }
        let limit = limit.max(Duration::from_secs(1));
        let seconds =
            u32::try_from(limit.as_secs() + u64::from(limit.subsec_nanos() > 0)).unwrap_or(u32::MAX);
        let call = SubscribeProcess {
            colonyname: &self.colony,
            processid: process,
            executortype: "",
            state: state.number(),
            timeout: seconds,
        };
        let text = wire::encode(&call, Some(&self.key))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a module to be published alone; how long to wait follows from what the caller said"
        )]
        let started = Instant::now();
        let subscribing = subscribe(&self.client, text);
        let outcome = tokio::time::timeout(self.client.timeouts().request, subscribing).await;
        let socket = outcome.unwrap_or_else(|_| Err(unavailable(std::io::ErrorKind::TimedOut)));
        self.client.observed(SubscribeProcess::PAYLOAD_TYPE, started, socket.as_ref().err());
        let limit = Duration::from_secs(u64::from(seconds)) + self.client.timeouts().long_poll_margin;
        Ok(Subscription { socket: Some(socket?), deadline: (started + limit).into() })
    }
}

impl Subscription {
    /// Waits for the next push: `None` when it has ended, because its time is over or the connection is closed. The
    /// server may push more than once.
    ///
    /// May be dropped and called again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such process; [`Error::Decode`] when the push cannot be read;
    /// [`Error::TooLarge`] when the process, which has entered the state, is too large to be read. It has ended after an
    /// error.
    pub async fn next(&mut self) -> Result<Option<Process>, Error> {
        while let Some(socket) = &mut self.socket {
            let message = tokio::time::timeout_at(self.deadline, socket.next()).await;
            // Every other end is one: the server closes without saying so.
            let message = match message {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(tungstenite::Error::Capacity(_)))) => {
                    self.socket = None;
                    return Err(Process::LIMIT.exceeded(ACTION, PUSH_MAX, &[]));
                }
                _ => break,
            };
            match message {
                Message::Text(text) => {
                    let pushed = pushed(text.as_bytes());
                    if pushed.is_err() {
                        self.socket = None;
                    }
                    return pushed.map(Some);
                }
                Message::Close(_) => break,
                _ => {}
            }
        }
        self.socket = None;
        Ok(None)
    }
}

/// A push is a reply without an HTTP status.
fn pushed(text: &[u8]) -> Result<Process, Error> {
    wire::decode_push::<SubscribeProcess>(text)
}

async fn subscribe(client: &Client, text: String) -> Result<WebSocketStream<Box<dyn Connection>>, Error> {
    let Some(endpoint) = client.endpoint() else {
        return Err(Error::Configuration(
            "a subscription needs a server that is reached over HTTP".to_owned(),
        ));
    };
    let api = &endpoint.api;
    let (Some(host), Some(port)) = (api.host_str(), api.port_or_known_default()) else {
        return Err(Error::Configuration("the server has no address".to_owned()));
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let connecting = connect(bare, port, endpoint.tls.as_ref());
    let connected = tokio::time::timeout(client.timeouts().connect, connecting).await;
    let connection = connected.unwrap_or_else(|_| Err(unavailable(std::io::ErrorKind::TimedOut)))?;
    let scheme = if endpoint.tls.is_some() { "wss" } else { "ws" };
    let limits = WebSocketConfig::default().max_message_size(Some(PUSH_MAX)).max_frame_size(Some(PUSH_MAX));
    let upgrade =
        client_async_with_config(format!("{scheme}://{host}:{port}/pubsub"), connection, Some(limits)).await;
    let (mut socket, _) = upgrade.map_err(not_upgraded)?;
    socket.send(Message::text(text)).await.map_err(|error| unavailable(error_of(error)))?;
    Ok(socket)
}

async fn connect(
    host: &str,
    port: u16,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Box<dyn Connection>, Error> {
    let stream = TcpStream::connect((host, port)).await.map_err(unavailable)?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| Error::Configuration(format!("{host:?} cannot be in a certificate")))?;
    let stream = tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    Ok(Box::new(stream.map_err(unavailable)?))
}

fn unavailable(error: impl Into<std::io::Error>) -> Error {
    Error::Unavailable { action: ACTION, source: Box::new(error.into()) }
}

fn error_of(error: tungstenite::Error) -> std::io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => std::io::Error::other(other),
    }
}

/// What answered instead of a server that speaks websocket.
fn not_upgraded(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            Error::foreign_reply(ACTION, response.status().as_u16(), body)
        }
        other => unavailable(error_of(other)),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::json;
    use tokio::{io::AsyncReadExt as _, net::TcpListener};
    use tokio_tungstenite::accept_async;

    use super::super::{Client, ErrorKind, PrivateKey, Server, Timeouts, Tls};
    use super::*;

    fn session(port: u16) -> Session {
        let server = Server { host: "127.0.0.1".into(), port, tls: Tls::Insecure };
        let timeouts = Timeouts { request: Duration::from_secs(2), ..Timeouts::default() };
        Client::new(&server, timeouts).unwrap().session("dev", PrivateKey::generate().unwrap())
    }

    fn envelope(payload: &serde_json::Value, error: bool) -> Message {
        let payload = STANDARD.encode(payload.to_string());
        Message::text(json!({"payloadtype": "x", "payload": payload, "error": error}).to_string())
    }

    fn process() -> serde_json::Value {
        json!({
            "processid": "p1", "state": 2, "spec": {}, "submissiontime": "2026-03-01T12:00:00Z",
            "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
        })
    }

    /// A server of one connection, which is given `pushes` and then closed as the real one does it: without a word.
    async fn serving(pushes: Vec<Message>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            let asked = socket.next().await.unwrap().unwrap();
            let asked: serde_json::Value = serde_json::from_str(asked.to_text().unwrap()).unwrap();
            assert_eq!(asked["payloadtype"], "subscribeprocessmsg");
            for push in pushes {
                socket.send(push).await.unwrap();
            }
        });
        port
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn pushes_are_processes_and_a_lost_connection_is_the_end() {
        let port = serving(vec![envelope(&process(), false), envelope(&process(), false)]).await;
        let session = session(port);
        let id = ProcessId::new("p1");
        let mut subscription = session.subscribe(&id, ProcessState::Successful, LIMIT).await.unwrap();
        for _ in 0..2 {
            let pushed = subscription.next().await.unwrap().unwrap();
            assert_eq!((pushed.id, pushed.state), (id.clone(), ProcessState::Successful));
        }
        assert_eq!(subscription.next().await.unwrap(), None);
        assert_eq!(subscription.next().await.unwrap(), None);
    }

    /// A text in base64 that says nothing, larger than what is read of a process.
    #[tokio::test]
    async fn a_push_that_is_too_large_is_an_error_and_the_end() {
        let session = session(serving(vec![Message::text("A".repeat(PUSH_MAX + 1))]).await);
        let id = ProcessId::new("p1");
        let mut subscription = session.subscribe(&id, ProcessState::Successful, LIMIT).await.unwrap();
        let error = subscription.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert_eq!(subscription.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_refusal_is_an_error_and_the_end() {
        let refusal = json!({"status": 403, "message": "Invalid process with Id p1"});
        let session = session(serving(vec![envelope(&refusal, true)]).await);
        let subscription = session.subscribe(&ProcessId::new("p1"), ProcessState::Failed, LIMIT).await;
        let mut subscription = subscription.unwrap();
        assert_eq!(subscription.next().await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(subscription.next().await.unwrap(), None);
    }

    /// The server would hand it what is meant to wake an executor.
    #[tokio::test]
    async fn a_subscription_to_waiting_is_refused() {
        let refused = session(1).subscribe(&ProcessId::new("p"), ProcessState::Waiting, LIMIT).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Field);
    }

    #[tokio::test]
    async fn without_a_websocket_there_is_an_error_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut everything = Vec::new();
            let _ = stream.read_to_end(&mut everything).await;
        });
        let id = ProcessId::new("p");
        let error = session(port).subscribe(&id, ProcessState::Failed, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        silent.await.unwrap();
        let error = session(port).subscribe(&id, ProcessState::Failed, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "there is no listener any more");
    }
}
