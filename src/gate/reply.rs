//! What the server answers to a call for work.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, request::Parts},
    response::Response,
};

use super::{
    message,
    upstream::{self, Begun, Upstream},
};
use crate::colony::ProcessId;

/// Largest reply that is read before it is passed on; of a larger one, the rest passes in pieces.
const REPLY_MAX: usize = 4 << 20;

/// A reply of the server's to a call for work.
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    first: Bytes,
    /// What follows, if that was not all.
    rest: Option<reqwest::Body>,
}

impl Reply {
    /// Sends a call for work to the server, once.
    pub async fn to(upstream: &Upstream, parts: &Parts, body: Bytes) -> reqwest::Result<Self> {
        let response = upstream.send(parts, body, false).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = reqwest::Body::from(response);
        let (first, is_whole) = upstream::beginning(&mut body, REPLY_MAX).await?;
        Ok(Self { status, headers, first, rest: (!is_whole).then_some(body) })
    }

    /// Whether that was all of it.
    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// What the server says when there is nothing.
    pub fn nothing() -> Self {
        let first = message::nothing().into();
        Self { status: StatusCode::NOT_FOUND, headers: HeaderMap::new(), first, rest: None }
    }

    pub fn is_nothing(&self) -> bool {
        self.rest.is_none() && message::is_nothing(self.status.as_u16(), &self.first)
    }

    pub fn process(&self) -> Option<ProcessId> {
        if self.status.is_success() { message::assigned(&self.first) } else { None }
    }

    /// Whether it brings a process.
    pub fn is_of(&self, process: &ProcessId) -> bool {
        self.process().as_ref() == Some(process)
    }

    pub fn into_response(self) -> Response {
        let body = match self.rest {
            None => Body::from(self.first),
            Some(rest) => Body::new(Begun::new(self.first, rest)),
        };
        upstream::reply(self.status, self.headers, body)
    }
}
