//! HTTP and websocket in front of a [`ColonyServer`]: what a client sees, signatures and waiting included.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle, time::Instant};

use colonyos_client::{
    Tls,
    client::Server,
    model::Id,
    sign::{self, PrivateKey},
};

use super::{
    answer::Answer,
    server::{ColonyServer, Event},
};

/// How often the loop of the server turns.
const TURN: Duration = Duration::from_secs(1);

/// Events that a slow follower may be behind.
const EVENT_BUFFER_SIZE: usize = 1024;

/// A server on a port of this machine. Gone, with all its connections, when dropped.
#[derive(Debug)]
pub struct FakeServer {
    shared: Shared,
    port: u16,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
struct Shared {
    core: Arc<Mutex<ColonyServer>>,
    events: broadcast::Sender<Event>,
}

/// What is signed, and by whom.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    signature: String,
    #[serde(default)]
    payloadtype: String,
    #[serde(default)]
    payload: String,
}

impl Envelope {
    fn caller(&self) -> Option<Id> {
        sign::recover(&self.payload, &self.signature)
    }

    fn inner(&self) -> Value {
        let text = STANDARD.decode(&self.payload).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl FakeServer {
    /// Starts an empty server that belongs to the holder of `owner`.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub async fn start(owner: &PrivateKey) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let core = ColonyServer::new(owner.id().clone(), u64::from(port)).remembering_events();
        let shared =
            Shared { core: Arc::new(Mutex::new(core)), events: broadcast::Sender::new(EVENT_BUFFER_SIZE) };
        let router = Router::new()
            .route("/api", post(api))
            .route("/pubsub", get(pubsub))
            .route("/health", get(|| async {}))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let serving = tokio::spawn(async move {
            // Ends only with the task.
            let _ = axum::serve(listener, router).await;
        });
        let turning = tokio::spawn(turn(shared.clone()));
        Ok(Self { shared, port, tasks: vec![serving, turning] })
    }

    #[must_use]
    pub fn address(&self) -> Server {
        Server { host: "127.0.0.1".to_owned(), port: self.port, tls: Tls::Insecure }
    }

    /// Looks into it, or changes it without a call.
    pub fn with<T>(&self, look: impl FnOnce(&mut ColonyServer) -> T) -> T {
        let result = look(&mut self.shared.lock());
        self.shared.publish();
        result
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ColonyServer> {
        // A call that panicked has changed what it had changed, as on a real server.
        self.core.lock()
    }

    /// Notifies subscribers and waiting executors of events.
    fn publish(&self) {
        for event in self.lock().take_events() {
            // There may be no receiver.
            let _ = self.events.send(event);
        }
    }

    async fn answer(&self, envelope: &Envelope) -> Answer {
        let (caller, inner) = (envelope.caller(), envelope.inner());
        if envelope.payloadtype == "assignprocessmsg"
            && let Some(caller) = &caller
            && inner.get("msgtype").and_then(Value::as_str) == Some("assignprocessmsg")
        {
            return self.assign(caller, &inner).await;
        }
        let answer = self.lock().handle(now(), caller.as_ref(), &envelope.payloadtype, &inner);
        self.publish();
        answer
    }

    /// Waits as the real server does. Who may ask is looked at once, at the beginning.
    async fn assign(&self, caller: &Id, inner: &Value) -> Answer {
        let asking = self.lock().begin_assign(caller.as_str(), inner)?;
        let patience = Duration::from_secs(u64::try_from(asking.timeout).unwrap_or_default());
        let deadline = Instant::now() + patience;
        let mut events = self.events.subscribe();
        loop {
            let answer = self.lock().try_assign(now(), &asking);
            self.publish();
            if answer.is_ok() {
                return answer;
            }
            // A pause ends without an event, and so does the work of an executor that is removed.
            let pause = tokio::time::timeout(Duration::from_millis(50), events.recv());
            if tokio::time::timeout_at(deadline, pause).await.is_err() {
                return answer;
            }
        }
    }
}

async fn turn(shared: Shared) {
    loop {
        tokio::time::sleep(TURN).await;
        shared.lock().tick(now());
        shared.publish();
    }
}

/// The one place where this server asks for the time.
#[expect(clippy::disallowed_methods, reason = "a server has a clock; the core is told the time")]
fn now() -> Timestamp {
    Timestamp::now()
}

pub(super) fn reply(payload_type: &str, answer: Answer) -> (u16, String) {
    let (status, payload, is_error) = match answer {
        Ok(payload) => (200, payload, false),
        Err((200, _)) => return (200, String::new()),
        Err((status, message)) => (status, json!({"status": status, "message": message}), true),
    };
    let payload = STANDARD.encode(payload.to_string());
    let envelope = json!({"payloadtype": payload_type, "payload": payload, "error": is_error});
    (status, envelope.to_string())
}

async fn api(State(shared): State<Shared>, body: Bytes) -> Response {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&body) else {
        let refusal = Err((400, "invalid JSON".to_owned()));
        return respond(reply("error", refusal));
    };
    let answer = shared.answer(&envelope).await;
    respond(reply(&envelope.payloadtype, answer))
}

fn respond((status, body): (u16, String)) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, body).into_response()
}

async fn pubsub(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| follow(shared, socket))
}

/// One subscription: as the real server has it, the connection is closed without a word when its time is over.
async fn follow(shared: Shared, mut socket: WebSocket) {
    #[derive(Deserialize)]
    struct Payload {
        processid: String,
        state: u8,
        timeout: u64,
    }
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return };
    let Ok(envelope) = serde_json::from_str::<Envelope>(&text) else { return };
    if envelope.payloadtype != "subscribeprocessmsg" || envelope.caller().is_none() {
        return;
    }
    let Ok(call) = serde_json::from_value::<Payload>(envelope.inner()) else { return };
    let mut events = shared.events.subscribe();
    let found = shared.lock().process(&call.processid).map(|process| (process.state, process.to_json()));
    let first = match found {
        None => Some(Err((403, format!("Invalid process with Id {}", call.processid)))),
        Some((state, process)) => (state == call.state).then_some(Ok(process)),
    };
    let mut pushes: Vec<_> = first.into_iter().collect();
    let deadline = Instant::now() + Duration::from_secs(call.timeout);
    loop {
        for push in pushes.drain(..) {
            let (_, text) = reply("subscribeprocessmsg", push);
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => return,
            // The real server takes further subscriptions here; no client of ours sends any.
            message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
            event = events.recv() => {
                let of_interest =
                    event.ok().filter(|event| event.id == call.processid && event.state == call.state);
                pushes.extend(of_interest.map(|event| Ok(event.process)));
            }
        }
    }
}
