//! How a call reaches a server: over HTTP, unless a caller brings a way of its own.
//!
//! A [`Transport`] carries one [`Envelope`] to the server and brings back one [`Answer`]. It neither signs nor reads: what a
//! call says and what its answer means is the client's affair, and so is the time limit.

use std::{error::Error as StdError, future::Future, pin::Pin, sync::Arc};

use reqwest::{Url, header::CONTENT_TYPE};
use tokio::sync::Semaphore;

use super::{error::Error, model::Id, sign::PrivateKey, wire};

/// What [`Transport::send`] gives back.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, TransportError>> + Send + 'a>>;

/// Carries calls to a server, each exactly once.
///
/// The client drops the returned future when the call's time is over, and then counts the call as one that may have
/// happened. A transport must not repeat a call by itself: no call of the protocol has a key by which a server would
/// notice.
pub trait Transport: Send + Sync {
    /// Sends one call and waits for the whole answer.
    ///
    /// Resolves to a [`TransportError`] that says whether the server may have carried the call out.
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> Sending<'a>;
}

/// What a server answered, whatever it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body: the JSON text of a reply.
    pub body: Vec<u8>,
}

/// Why there is no answer. The difference decides whether the call may be made again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Nothing was sent, for example because there is no connection. **The call has not been carried out.**
    #[error("the call was not sent")]
    NotSent(#[source] Box<dyn StdError + Send + Sync>),
    /// The call was sent, or may have been, and no answer came. **It may have been carried out.**
    #[error("the connection ended before the answer")]
    NoAnswer(#[source] Box<dyn StdError + Send + Sync>),
    /// The answer is longer than [`Envelope::reply_max`]. **The call has been carried out or refused.**
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
        /// What was read, or the beginning of it.
        beginning: Vec<u8>,
    },
}

/// A call on its way to a server.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    payload_type: &'static str,
    action: &'static str,
    payload: &'a str,
    key: Option<&'a PrivateKey>,
    reply_max: usize,
}

impl<'a> Envelope<'a> {
    pub(super) fn new(
        payload_type: &'static str,
        action: &'static str,
        payload: &'a str,
        key: Option<&'a PrivateKey>,
        reply_max: usize,
    ) -> Self {
        Self { payload_type, action, payload, key, reply_max }
    }

    /// The longest answer that is of use, in bytes: reading may stop after it.
    #[must_use]
    pub fn reply_max(&self) -> usize {
        self.reply_max
    }

    /// The protocol's name of the call.
    #[must_use]
    pub fn payload_type(&self) -> &'static str {
        self.payload_type
    }

    /// The call as JSON in base64, which is what the signature covers.
    #[must_use]
    pub fn payload(&self) -> &'a str {
        self.payload
    }

    /// The identity that makes the call; `None` for a call that needs no signature. For transports that do not sign
    /// because they end in the same process.
    #[must_use]
    pub fn caller(&self) -> Option<&'a Id> {
        self.key.map(PrivateKey::id)
    }

    /// Signs the call: the JSON text that a server of the protocol expects as the body of a POST.
    ///
    /// # Errors
    /// [`Error::Configuration`], when the call cannot be signed.
    pub fn to_json(&self) -> Result<String, Error> {
        wire::sealed(self.payload_type, self.action, self.payload, self.key)
    }
}

/// POST, over pooled connections.
pub(super) struct Http {
    client: reqwest::Client,
    api: Url,
    /// Room for long answers, in `UNIT`s: each that is being read has room for all that it may become.
    room: Arc<Semaphore>,
}

/// Of what the room for long answers is counted.
const UNIT: usize = 1 << 20;
/// All answers together that are being read from one server and are longer than [`SHORT`], in `UNIT`s.
const ROOM: usize = 48;
/// The longest answer that needs no room. Answers that are that short never wait for longer ones.
const SHORT: usize = UNIT;

impl Http {
    pub(super) fn new(client: reqwest::Client, api: Url) -> Self {
        Self { client, api, room: Arc::new(Semaphore::new(ROOM)) }
    }

    async fn post(&self, envelope: Envelope<'_>) -> Result<Answer, TransportError> {
        let body = envelope.to_json().map_err(|error| TransportError::NotSent(Box::new(error)))?;
        let request = self.client.post(self.api.clone()).header(CONTENT_TYPE, "application/json");
        let mut response = request.body(body).send().await.map_err(unsent)?;
        let status = response.status().as_u16();
        let limit = envelope.reply_max;
        let mut body = Vec::new();
        // Decoding follows without a pause, hence on as many answers as there are threads.
        let mut room = None;
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            let length = body.len() + chunk.len();
            if length > limit {
                let beginning = if body.is_empty() { &chunk[..] } else { &body[..] };
                let beginning = beginning.get(..wire::BEGINNING).unwrap_or(beginning).to_vec();
                return Err(TransportError::TooLong { limit, beginning });
            }
            if length > SHORT && room.is_none() {
                let units = u32::try_from(limit.div_ceil(UNIT).min(ROOM)).unwrap_or(u32::MAX);
                room = self.room.acquire_many(units).await.ok();
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

impl Transport for Http {
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> Sending<'a> {
        Box::pin(self.post(envelope))
    }
}

/// An error before the first byte of the answer: there was a connection, or there was none.
fn unsent(error: reqwest::Error) -> TransportError {
    if error.is_connect() || error.is_builder() {
        return TransportError::NotSent(Box::new(error.without_url()));
    }
    unanswered(error)
}

fn unanswered(error: reqwest::Error) -> TransportError {
    TransportError::NoAnswer(Box::new(error.without_url()))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::{
        super::{
            Client, Error, ErrorKind, PrivateKey, ProcessId, ProcessQuery, ProcessState, Server, Timeouts,
            Tls,
        },
        Answer, Envelope, Sending, Transport, TransportError,
    };

    /// Ends every call in its own way, or never.
    struct Ends(fn() -> Option<Result<Answer, TransportError>>);

    impl Transport for Ends {
        fn send<'a>(&'a self, _: Envelope<'a>) -> Sending<'a> {
            Box::pin(async {
                match (self.0)() {
                    Some(end) => end,
                    None => std::future::pending().await,
                }
            })
        }
    }

    #[tokio::test]
    async fn the_end_of_a_call_means_the_same_over_every_transport() {
        let cases: [(fn() -> _, _, _); 5] = [
            (|| Some(Err(TransportError::NotSent("x".into()))), ErrorKind::Unavailable, false),
            (|| Some(Err(TransportError::NoAnswer("x".into()))), ErrorKind::Ambiguous, true),
            (
                || Some(Err(TransportError::TooLong { limit: 1, beginning: Vec::new() })),
                ErrorKind::TooLarge,
                true,
            ),
            (|| Some(Ok(Answer { status: 502, body: b"<html>".to_vec() })), ErrorKind::Ambiguous, true),
            (|| None, ErrorKind::Ambiguous, true),
        ];
        let timeouts = Timeouts { request: Duration::from_millis(20), ..Timeouts::default() };
        for (number, (ends, kind, may_have_happened)) in cases.into_iter().enumerate() {
            let client = Client::over(Arc::new(Ends(ends)), timeouts);
            let session = client.session("dev", PrivateKey::generate().unwrap());
            let error = session.executors().await.unwrap_err();
            assert_eq!(
                (error.kind(), error.may_have_happened()),
                (kind, may_have_happened),
                "{number}: {error}"
            );
        }
    }

    /// A server of one connection that answers with a process whose output is zeros, in as many bytes as `length`; gives how
    /// many of them were taken.
    async fn large(length: usize) -> (super::super::Session, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"}") {
                assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
            }
            // Whole groups of base64.
            let begin = format!("{:<96}", format!(r#"{{"processid":"{ID}","out":["#));
            let begin = STANDARD.encode(begin);
            let begin = format!("{{\"error\":false,\"payload\":\"{begin}");
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{begin}");
            stream.write_all(head.as_bytes()).await.unwrap();
            let (zeros, mut taken) = ("MCww".repeat(16 << 10), 0);
            while taken < length {
                match stream.write(zeros.as_bytes()).await {
                    Ok(written) => taken += written,
                    Err(_) => return taken,
                }
            }
            taken
        });
        let server = Server { host: "127.0.0.1".into(), port, tls: Tls::Insecure };
        let client = Client::new(&server, Timeouts::default()).unwrap();
        (client.session("dev", PrivateKey::generate().unwrap()), serving)
    }

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// What one thing takes, and what a list does: more is not even read.
    #[tokio::test]
    async fn a_reply_is_read_up_to_its_limit_and_its_process_is_named() {
        let id = ProcessId::new(ID);
        for is_list in [false, true] {
            let (session, serving) = large(256 << 20).await;
            let (error, limit) = if is_list {
                (session.processes(&ProcessQuery::new(ProcessState::Running)).await.unwrap_err(), 32 << 20)
            } else {
                (session.process(&id).await.unwrap_err(), 8 << 20)
            };
            let taken = serving.await.unwrap();
            // Besides, there is what the system has taken in.
            assert!((limit..limit + (32 << 20)).contains(&taken), "{taken}");
            assert!(error.to_string().contains(&format!("more than {} MiB", limit >> 20)), "{error}");
            let Error::TooLarge { first, .. } = error else { panic!("{error}") };
            assert_eq!(first.as_deref(), Some(&id));
        }
    }

    /// Everything that a server of the protocol needs is in the envelope, and signing is left to the transport.
    #[tokio::test]
    async fn an_envelope_says_who_calls_and_can_be_signed() {
        struct Checks;
        impl Transport for Checks {
            fn send<'a>(&'a self, envelope: Envelope<'a>) -> Sending<'a> {
                let sealed: serde_json::Value = serde_json::from_str(&envelope.to_json().unwrap()).unwrap();
                let signature = sealed["signature"].as_str().unwrap();
                let signed_by = crate::sign::recover(envelope.payload(), signature);
                assert_eq!(signed_by.as_ref(), envelope.caller());
                assert_eq!(sealed["payloadtype"], envelope.payload_type());
                assert_eq!(sealed["payload"], envelope.payload());
                Box::pin(async { Err(TransportError::NotSent("seen".into())) })
            }
        }
        let client = Client::over(Arc::new(Checks), Timeouts::default());
        let session = client.session("dev", PrivateKey::generate().unwrap());
        session.executors().await.unwrap_err();
        let process = ProcessId::new("x");
        let subscribed = session.subscribe(&process, ProcessState::Running, Duration::from_secs(1));
        assert_eq!(subscribed.await.unwrap_err().kind(), ErrorKind::Configuration, "it needs HTTP");
    }
}
