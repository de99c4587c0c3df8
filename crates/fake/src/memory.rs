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
    answer::refuse,
    front,
    network::{Broken, ColonyCall, Network, ServerCall},
    server::ColonyServer,
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
        let carried = self.network.carry(ServerCall::Colony(call), move || {
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

#[cfg(test)]
mod tests {
    use colonyos_client::{ErrorKind, FunctionSpec, PrivateKey, Session};
    use jiff::SignedDuration;
    use serde_json::json;

    use super::{super::network::Fate, *};

    const NOW: &str = "2026-03-01T12:00:00Z";

    /// A server with a colony and a member of it.
    fn stage(network: &Network) -> (InMemory, Session) {
        let [owner, member] = [1, 2].map(|number| PrivateKey::from_hex(&format!("{number:064x}")).unwrap());
        let server = ColonyServer::new(owner.id().clone(), 7);
        let memory = InMemory::new(server, network, || NOW.parse().unwrap());
        let id = owner.id();
        memory
            .call(id, "addcolonymsg", json!({"colony": {"colonyid": id.as_str(), "name": "hive"}}))
            .unwrap();
        let user = json!({"colonyname": "hive", "userid": member.id().as_str(), "name": "ops"});
        memory.call(id, "addusermsg", json!({ "user": user })).unwrap();
        let session = memory.client().session("hive", member);
        (memory, session)
    }

    fn network() -> Network {
        Network::new(|| NOW.parse().unwrap())
    }

    #[tokio::test]
    async fn a_client_calls_as_who_it_is() {
        let (memory, member) = stage(&network());
        let spec = FunctionSpec::new("hive", "cli", "echo").unwrap();
        let submitted = member.submit(&spec).await.unwrap();
        assert_eq!(member.process(&submitted.id).await.unwrap().id, submitted.id);
        let stranger = memory.client().session("hive", PrivateKey::generate().unwrap());
        assert_eq!(stranger.submit(&spec).await.unwrap_err().kind(), ErrorKind::Forbidden);
        assert_eq!(memory.client().server_info().await.unwrap().version, "fake");
    }

    #[tokio::test]
    async fn what_the_network_does_to_a_call_is_what_the_client_knows() {
        let refused = Fate::Refused { status: 403, message: "no".to_owned() };
        for (fate, kind, may_have_happened, submitted) in [
            (Fate::Unreachable, ErrorKind::Unavailable, false, 0),
            (refused, ErrorKind::Forbidden, false, 0),
            (Fate::Dropped, ErrorKind::Ambiguous, true, 0),
            (Fate::Lost, ErrorKind::Ambiguous, true, 1),
            (Fate::Late(SignedDuration::ZERO), ErrorKind::Ambiguous, true, 1),
        ] {
            let network = network();
            let (memory, member) = stage(&network);
            let decided = fate.clone();
            network.decide_by(move |call| if call.is_write() { decided.clone() } else { Fate::Done });
            let spec = FunctionSpec::new("hive", "cli", "echo").unwrap();
            let error = member.submit(&spec).await.unwrap_err();
            assert_eq!((error.kind(), error.may_have_happened()), (kind, may_have_happened), "{fate:?}");
            network.deliver();
            let listed = json!({"colonyname": "hive", "count": 100, "state": 0});
            let listed = memory.call(member.id(), "getprocessesmsg", listed).unwrap();
            assert_eq!(listed.as_array().map_or(0, Vec::len), submitted, "{fate:?}");
        }
    }
}
