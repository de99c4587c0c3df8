//! A [`ColonyServer`] as the client's transport: no socket, no signature, no time but the test's.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use colonyos_client::{
    Client, Timeouts,
    model::Id,
    transport::{Answer, Envelope, Sending, Transport, TransportError},
};

use super::{
    front,
    network::{Broken, Call, ColonyCall, Network},
    server::{ColonyServer, refuse},
};

/// A ColonyOS server in this process; clones are the same server.
///
/// Calls are not signed and signatures not checked, which would take most of the time of a simulation: the caller is who
/// the client says. [`FakeServer`](super::FakeServer), on which the conformance suite runs, does both. An executor that asks
/// for work is answered at once, whatever it says about waiting.
#[derive(Clone)]
pub struct InMemory {
    core: Arc<Mutex<ColonyServer>>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    network: Network,
}

impl fmt::Debug for InMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InMemory").field("network", &self.network).finish_non_exhaustive()
    }
}

impl InMemory {
    /// Puts `server` behind `network`; `clock` tells what time it is there.
    #[must_use]
    pub fn new(
        server: ColonyServer,
        network: &Network,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self { core: Arc::new(Mutex::new(server)), clock: Arc::new(clock), network: network.clone() }
    }

    /// A client of this server.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::over(Arc::new(self.clone()), Timeouts::default())
    }

    /// Looks into the server, or changes it behind its clients' backs.
    pub fn with<T>(&self, look: impl FnOnce(&mut ColonyServer) -> T) -> T {
        look(&mut self.core.lock())
    }

    /// One turn of the server's loop; the real one has one each second.
    pub fn tick(&self) {
        let now = (self.clock)();
        self.core.lock().tick(now);
    }

    /// Makes a call that meets no network, as `caller`, with the protocol's own field names in `inner`.
    ///
    /// # Errors
    /// The HTTP status and the message of a refusal.
    pub fn call(&self, caller: &Id, payload_type: &str, mut inner: Value) -> Result<Value, (u16, String)> {
        if let Some(fields) = inner.as_object_mut() {
            fields.insert("msgtype".to_owned(), payload_type.into());
        }
        let now = (self.clock)();
        self.core.lock().handle(now, Some(caller), payload_type, &inner)
    }

    async fn carry(&self, envelope: Envelope<'_>) -> Result<Answer, TransportError> {
        let text = STANDARD.decode(envelope.payload()).unwrap_or_default();
        let inner: Value = serde_json::from_slice(&text).unwrap_or_default();
        let payload_type = envelope.payload_type();
        let caller = envelope.caller().cloned();
        let call = ColonyCall { payload_type, caller: caller.clone(), inner: inner.clone() };
        let (core, clock) = (Arc::clone(&self.core), Arc::clone(&self.clock));
        let carried = self.network.carry(Call::Colony(call), move || {
            let now = clock();
            let answer = core.lock().handle(now, caller.as_ref(), payload_type, &inner);
            let (status, body) = front::reply(payload_type, answer);
            (status, Answer { status, body: body.into_bytes() })
        });
        carried.await.or_else(|broken| match broken {
            Broken::NotSent => Err(TransportError::NotSent("there is no connection".into())),
            Broken::NoAnswer => Err(TransportError::NoAnswer("the connection has ended".into())),
            Broken::Refused { status, message } => {
                let (status, body) = front::reply(payload_type, refuse(status, message));
                Ok(Answer { status, body: body.into_bytes() })
            }
        })
    }
}

impl Transport for InMemory {
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> Sending<'a> {
        Box::pin(self.carry(envelope))
    }
}
