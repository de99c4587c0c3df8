//! The side of the API server: any request, with the credentials of `KUBECONFIG`, and watches as they come.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{ACCEPT, CONTENT_TYPE},
};
use kube::client::Body;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use super::{Answer, Cut, ProxiedCall, Shared, point, serve_connection};

/// Serves all connections until it is dropped, and they with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(serve_connection(stream, move |request| answer(request, shared.clone())));
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let call = ClusterCall {
        method: head.method,
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: [ACCEPT, CONTENT_TYPE]
            .into_iter()
            .filter_map(|name| Some((name.clone(), head.headers.get(name)?.clone())))
            .collect(),
        body,
    };
    let said: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let request = point::of_cluster(&call.method, head.uri.path(), &said);
    if !request.is_write {
        let response = call.send(&shared).await?;
        let (mut head, body) = response.into_parts();
        let kept = head.headers.remove(CONTENT_TYPE);
        head.headers.clear();
        head.headers.extend(kept.map(|kind| (CONTENT_TYPE, kind)));
        return Ok(Response::from_parts(head, body));
    }
    shared.journal.learn_status(&said);
    // In a task of its own: the operator's death ends its connections, but not what it has sent.
    let passing = tokio::spawn(async move { shared.pass(&request, &call).await });
    passing.await.map_err(|_| Cut)?.map(Response::from)
}

/// A request to the API server.
struct ClusterCall {
    method: Method,
    path: String,
    headers: Vec<(hyper::header::HeaderName, hyper::header::HeaderValue)>,
    body: Bytes,
}

impl ClusterCall {
    async fn send(&self, shared: &Shared) -> Result<Response<Body>, Cut> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body.clone())).unwrap();
        shared.kubernetes.send(request).await.map_err(|_| Cut)
    }
}

impl ProxiedCall for ClusterCall {
    async fn ask(&self, shared: &Shared) -> Result<Answer, Cut> {
        let (head, body) = self.send(shared).await?.into_parts();
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let body = body.collect_bytes().await.map_err(|_| Cut)?;
        Ok(Answer { status: head.status, content_type: kind.to_owned(), body })
    }
}
