//! The side of the ColonyOS server: its calls, and its websockets as bare bytes.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE};
use kube::client::Body;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    Answer, Cut, ProxiedCall, Shared,
    point::{self, About},
    serve_connection,
};

/// How a connection begins that is to become a websocket.
const WEBSOCKET: &[u8] = b"GET /pubsub";
/// The call by which the operator asks for work. One that brings none has changed nothing.
const ASSIGN: &str = "assignprocessmsg";

/// Serves all connections until it is dropped, and they with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            if is_websocket(&stream).await {
                if let Ok(mut server) =
                    TcpStream::connect((shared.colony.host.as_str(), shared.colony.port)).await
                {
                    // Either side may leave.
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                }
                return;
            }
            serve_connection(stream, move |request| answer(request, shared.clone())).await;
        });
    }
}

/// Looks at the first bytes of a connection without taking them.
async fn is_websocket(stream: &TcpStream) -> bool {
    let mut first = [0; WEBSOCKET.len()];
    let mut before = 0;
    loop {
        let count = stream.peek(&mut first).await.unwrap_or_default();
        // No more than before: the client has left, or begins in another way.
        if count == first.len() || count == before || !WEBSOCKET.starts_with(&first[..count]) {
            return first[..count] == *WEBSOCKET;
        }
        before = count;
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Cut> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let request = point::of_colony(&body);
    let call = ColonyCall { path, body, object: request.as_ref().and_then(object) };
    let Some(request) = request else { return call.ask(&shared).await.map(Response::from) };
    if request.point.call == ASSIGN {
        // The server must hear that the operator has left, or it would assign the work to an executor that is gone.
        return shared.pass(&request, &call).await.map(Response::from);
    }
    // In a task of its own: the operator's death ends its connections, but not what it has sent.
    let passing = tokio::spawn(async move {
        let answer = shared.pass(&request, &call).await;
        if let (Ok(answer), Some(label), false) = (&answer, &request.label, request.is_write)
            && answer.status == StatusCode::OK
        {
            shared.journal.looked_up(label);
        }
        answer
    });
    passing.await.map_err(|_| Cut)?.map(Response::from)
}

fn object(request: &point::Request) -> Option<String> {
    match &request.about {
        Some(About::Object(name)) => Some(name.clone()),
        _ => None,
    }
}

/// A call to the ColonyOS server.
struct ColonyCall {
    path: String,
    body: Bytes,
    /// The object whose process it submits.
    object: Option<String>,
}

impl ProxiedCall for ColonyCall {
    async fn ask(&self, shared: &Shared) -> Result<Answer, Cut> {
        let url = format!("http://{}:{}{}", shared.colony.host, shared.colony.port, self.path);
        let response = shared.http.post(url).body(self.body.clone()).send().await.map_err(|_| Cut)?;
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let content_type = kind.unwrap_or_default().to_owned();
        let body = response.bytes().await.map_err(|_| Cut)?;
        if let (Some(object), Some(id)) = (&self.object, point::reply(&body)["processid"].as_str()) {
            shared.journal.learn(id.to_owned(), object.clone());
        }
        Ok(Answer { status, content_type, body })
    }
}
