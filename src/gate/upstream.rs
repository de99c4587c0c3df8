//! The way from the gate to the server: requests and replies pass as they are, in pieces.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{
            CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
            TRANSFER_ENCODING, UPGRADE,
        },
        request::Parts,
    },
    response::Response,
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::message;
use crate::colony::{Error, Server};

/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long sent bytes may stay unacknowledged, and pauses between two signs of life of a connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long an unused connection is kept: the server closes them after two minutes.
const IDLE: Duration = Duration::from_secs(90);
/// Headers that are about one connection.
const OF_CONNECTION: [HeaderName; 7] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// The server behind the gate.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    client: reqwest::Client,
    base: String,
}

impl Upstream {
    pub fn new(server: &Server) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(server.tls.configuration()?)
            .connect_timeout(CONNECT)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .tcp_keepalive(KEEP_ALIVE)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| Error::Configuration(error.without_url().to_string()))?;
        Ok(Self { client, base: format!("{}://{}:{}", server.tls.scheme(), server.host, server.port) })
    }

    /// Sends a request on, once; with `is_upgrade`, with the headers that ask for a websocket.
    pub async fn send(
        &self,
        parts: &Parts,
        body: impl Into<reqwest::Body>,
        is_upgrade: bool,
    ) -> reqwest::Result<reqwest::Response> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        headers.remove(HOST);
        headers.remove(CONTENT_LENGTH);
        if !is_upgrade {
            without_connection(&mut headers);
        }
        let request = self.client.request(parts.method.clone(), format!("{}{path}", self.base));
        request.headers(headers).body(body).send().await
    }
}

fn without_connection(headers: &mut HeaderMap) {
    for name in OF_CONNECTION {
        headers.remove(name);
    }
}

/// A reply with a body of any kind.
pub(super) fn reply(status: StatusCode, mut headers: HeaderMap, body: Body) -> Response {
    without_connection(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The reply of the gate itself: the server gave none.
pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    let body = message::refusal(status.as_u16(), why);
    reply(status, HeaderMap::new(), Body::from(body))
}

/// The reply when the server cannot be reached, or does not answer.
pub(super) fn unreachable(error: reqwest::Error) -> Response {
    let error = error.without_url();
    let why = std::iter::successors(std::error::Error::source(&error), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    tracing::warn!(why, "the server did not answer");
    refused(StatusCode::BAD_GATEWAY, &format!("the server of the colony did not answer: {why}"))
}

/// A body of which the beginning was read already.
pub(super) struct Begun<B> {
    first: Option<Bytes>,
    // Behind a lock, since a body that is sent must be `Sync`; there is only one who reads it.
    rest: Mutex<B>,
}

impl<B> Begun<B> {
    pub fn new(first: Bytes, rest: B) -> Self {
        Self { first: (!first.is_empty()).then_some(first), rest: Mutex::new(rest) }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Begun<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        match this.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(this.rest.get_mut()).poll_frame(context),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| u64::try_from(first.len()).unwrap_or_default());
        let rest = self.rest.lock().size_hint();
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(first + rest),
            None => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.lock().is_end_stream()
    }
}

/// The beginning of a body, up to about `limit` bytes, and whether that is all of it.
pub(super) async fn beginning<B>(body: &mut B, limit: usize) -> Result<(Bytes, bool), B::Error>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut read = Vec::new();
    while read.len() <= limit {
        let next = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match next.transpose()? {
            Some(frame) => read.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            None => return Ok((read.into(), true)),
        }
    }
    Ok((read.into(), false))
}

/// Connects an executor with the server for as long as both like, as websockets do.
pub(super) async fn tunnel(
    upstream: &Upstream,
    mut request: Request,
    place: OwnedSemaphorePermit,
) -> Response {
    let from_client = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let response = match upstream.send(&parts, "", true).await {
        Ok(response) => response,
        Err(error) => return unreachable(error),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return reply(status, headers, Body::new(reqwest::Body::from(response)));
    }
    tokio::spawn(async move {
        let (Ok(client), Ok(mut server)) = (from_client.await, response.upgrade().await) else { return };
        let mut client = hyper_util::rt::TokioIo::new(client);
        // The server ends subscriptions without a word.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        drop(place);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
