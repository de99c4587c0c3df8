//! A proxy between the operator and both its servers, which knows what each request is for and does to it what a test
//! has asked for.
//!
//! The operator reaches it by plain HTTP, on one port for the API server and on one for the ColonyOS server; it adds the
//! credentials of `KUBECONFIG` itself. A write that has come is carried to its server even when the operator dies
//! meanwhile, as bytes are that have left a machine.

mod cluster;
mod colony;
pub mod journal;
pub mod point;
pub mod rule;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use colonyos_operator::{
    colony::Server,
    runtime::{clock::Clock, kubernetes::Kubernetes},
};
use hyper::{
    Response, StatusCode, body::Incoming, header::CONTENT_TYPE, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use self::{
    journal::{Journal, Write},
    point::Request,
    rule::{Fault, Rules},
};
use crate::support::program::{Signal, send};

/// Longer than the operator waits for any answer.
const HANG: Duration = Duration::from_secs(11);
/// Longer than a submit is waited for: the time limit of a call, that of the socket, and a margin.
const AFTER_ALL: Duration = Duration::from_secs(26);
/// How long a request that is to arrive late waits at most for the one who looks for it.
const LATEST: Duration = Duration::from_secs(12);
/// Calls of which one look for a label consists.
const CALLS_OF_A_LOOK_UP: usize = 7;

/// An answer of the ColonyOS server that breaks off in its payload.
const GARBLED: &[u8] = br#"{"payloadtype":"x","payload":"W3sicHJvY2Vzc2lkIjo=","error":false}"#;

/// A running proxy; gone, with all its connections, when dropped.
pub struct Proxy {
    /// Where the API server seems to be.
    pub cluster: SocketAddr,
    /// Where the ColonyOS server seems to be.
    pub colony: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Proxy {
    /// Listens on two free ports.
    pub async fn start(kubernetes: &Kubernetes, colony: &Server) -> Self {
        let shared = Arc::new(Shared {
            journal: Journal::default(),
            rules: Rules::default(),
            victim: AtomicU32::new(0),
            clock: Clock::system(),
            kubernetes: kubernetes.watches.clone(),
            colony: colony.clone(),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .build()
                .unwrap(),
        });
        let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (cluster, colony) = (listen().await, listen().await);
        let addresses = (cluster.local_addr().unwrap(), colony.local_addr().unwrap());
        let tasks = [
            tokio::spawn(cluster::serve(cluster, shared.clone())),
            tokio::spawn(colony::serve(colony, shared.clone())),
        ];
        Self { cluster: addresses.0, colony: addresses.1, shared, tasks }
    }

    /// What has passed.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// What is to happen.
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// The process that is killed when a rule says so.
    pub fn aim_at(&self, process: u32) {
        self.shared.victim.store(process, Ordering::SeqCst);
    }
}

/// What both sides of the proxy share.
struct Shared {
    journal: Journal,
    rules: Rules,
    /// Process id of the operator; 0 when it is dead already.
    victim: AtomicU32,
    clock: Clock,
    kubernetes: kube::Client,
    colony: Server,
    http: reqwest::Client,
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

/// An answer that was read to its end.
struct Answer {
    status: StatusCode,
    content_type: String,
    body: Bytes,
}

/// A call as it came, which can be made as often as one likes.
trait ProxiedCall: Send + Sync {
    /// Makes it.
    fn ask(&self, shared: &Shared) -> impl Future<Output = Result<Answer, Cut>> + Send;
}

impl Shared {
    /// Carries one request to its server and back, unless a rule says otherwise.
    async fn pass(&self, request: &Request, call: &impl ProxiedCall) -> Result<Answer, Cut> {
        let subject = request.about.as_ref().and_then(|about| self.journal.subject(about));
        let subject = subject.as_deref();
        match self.rules.on_request(&request.point, subject, self.clock.instant()) {
            Some(Fault::CrashBefore) => {
                self.kill();
                return Err(Cut);
            }
            Some(Fault::DeliverLate) => {
                self.kill();
                self.wait_until_missed(request).await;
                // No client is there to receive the answer.
                let _ = call.ask(self).await;
                return Err(Cut);
            }
            Some(Fault::Refuse(status)) => return Ok(refusal(status)),
            Some(Fault::Hang) => {
                tokio::time::sleep(HANG).await;
                return Err(Cut);
            }
            Some(Fault::DeliverAfterAll) => {
                tokio::time::sleep(AFTER_ALL).await;
                // The operator has long given it up.
                let _ = call.ask(self).await;
                return Err(Cut);
            }
            _ => {}
        }
        let mut answer = call.ask(self).await?;
        if !answer.status.is_success() {
            return Ok(answer);
        }
        if request.is_write {
            let subject = subject.map(str::to_owned);
            let write = Write { point: request.point.clone(), subject, at: self.clock.instant() };
            self.journal.wrote(write);
        }
        let fault = self.rules.on_reply(&request.point, subject, self.clock.instant());
        match fault {
            Some(Fault::CrashAfter) => {
                self.kill();
                Err(Cut)
            }
            Some(Fault::LoseReply) => Err(Cut),
            Some(Fault::DeliverTwice) => {
                call.ask(self).await?;
                Err(Cut)
            }
            Some(Fault::GarbleReply) => {
                answer.body = Bytes::from_static(GARBLED);
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    /// Waits until the operator's successor has looked for what a submit was to bring about.
    async fn wait_until_missed(&self, request: &Request) {
        let Some(label) = &request.label else { return };
        let missed = self.journal.look_ups(label, CALLS_OF_A_LOOK_UP);
        let _ = tokio::time::timeout(LATEST, missed).await;
    }

    fn kill(&self) {
        let victim = self.victim.swap(0, Ordering::SeqCst);
        if victim != 0 {
            send(victim, Signal::Kill);
        }
    }
}

/// What a server, or something in front of it, says that does not do as it is asked.
fn refusal(status: u16) -> Answer {
    let status = StatusCode::from_u16(status).unwrap();
    let reason = if status == StatusCode::CONFLICT { "Conflict" } else { "InternalError" };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(), "reason": reason,
        "message": "refused by the test",
    });
    Answer { status, content_type: "application/json".to_owned(), body: body.to_string().into() }
}

impl From<Answer> for Response<Body> {
    fn from(answer: Answer) -> Self {
        let response = Response::builder().status(answer.status).header(CONTENT_TYPE, answer.content_type);
        response.body(Body::from(answer.body)).unwrap()
    }
}

/// Serves one connection to its end. An error of `answer` ends it without an answer.
async fn serve_connection<F>(stream: TcpStream, answer: impl Fn(hyper::Request<Incoming>) -> F)
where
    F: Future<Output = Result<Response<Body>, Cut>>,
{
    // It ends when either side leaves, and when a rule cuts it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}
