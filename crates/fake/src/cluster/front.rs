//! The server as clients use it: behind an ordinary [`kube::Client`], over a network or past it.

use std::{convert::Infallible, io, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::{Value, json};

use super::{
    answer::{Answer, failure},
    request::{Request, ResourceRequest, Verb},
    server::ApiServer,
    watch,
};
use crate::network::{Broken, Network, ServerCall};

type Boxed = Box<dyn std::error::Error + Send + Sync>;
type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

impl ApiServer {
    /// A client that meets no network: for tests themselves, and for watches. Needs a Tokio runtime.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client_with(None)
    }

    /// A client whose calls go through `network`. Needs a Tokio runtime.
    #[must_use]
    pub fn client_over(&self, network: &Network) -> kube::Client {
        self.client_with(Some(network.clone()))
    }

    fn client_with(&self, network: Option<Network>) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let (server, network) = (server.clone(), network.clone());
            async move { server.serve(request, network.as_ref()).await }
        });
        kube::Client::new(service, "default")
    }

    async fn serve(
        &self,
        request: http::Request<Body>,
        network: Option<&Network>,
    ) -> Result<Response, Boxed> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let request = match Request::read(&parts.method, &parts.uri, &parts.headers, &body) {
            Ok(request) => request,
            Err(refusal) => return whole(&refusal),
        };
        let server = self.clone();
        let Some(network) = network else { return server.respond(&request) };
        let call = ServerCall::Cluster(request.call());
        let carried = network.carry(call, move || {
            let response = server.respond(&request);
            (response.as_ref().map_or(500, |response| response.status().as_u16()), response)
        });
        match carried.await {
            Ok(response) => response,
            Err(Broken::NotSent) => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            Err(Broken::NoAnswer) => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            Err(Broken::Refused { status, message }) => {
                whole(&failure(status, reason(status), message, &json!({})))
            }
        }
    }

    fn respond(&self, request: &Request) -> Result<Response, Boxed> {
        match request {
            Request::Resource(watch) if watch.verb == Verb::Watch => self.watch(watch),
            request => whole(&self.answer(request)),
        }
    }

    fn watch(&self, request: &ResourceRequest) -> Result<Response, Boxed> {
        let found = self.store.lock().find(request);
        let (kind, version) = match found {
            Ok(found) => found,
            Err(refusal) => return whole(&refusal),
        };
        let lines = watch::open(Arc::clone(&self.store), &self.bell, request.clone(), kind, version);
        Ok(http::Response::builder().status(200).body(StreamBody::new(lines).boxed_unsync())?)
    }
}

/// An answer of one piece over HTTP.
fn whole(answer: &Answer) -> Result<Response, Boxed> {
    let (kind, text) = match &answer.body {
        Value::String(text) => ("text/plain", text.clone()),
        body => ("application/json", body.to_string()),
    };
    let response = http::Response::builder().status(answer.status).header("content-type", kind);
    Ok(response.body(Full::new(Bytes::from(text)).boxed_unsync())?)
}

/// The reason that goes with a status for which nothing else is said.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    }
}
