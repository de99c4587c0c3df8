//! What lies between a client and the servers in memory: a test decides what becomes of each call, and sees each that
//! arrives.
//!
//! One [`Network`] is shared by all servers of a simulation, so that one sequence of fates covers the calls to all of them
//! in the order in which they are made.

use std::{collections::VecDeque, fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use colonyos_client::model::Id;

/// What becomes of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out, and the answer comes.
    #[default]
    Done,
    /// There is no connection: nothing is sent.
    Unreachable,
    /// The server answers with this status and message, and carries nothing out.
    Refused {
        /// The HTTP status.
        status: u16,
        message: String,
    },
    /// The connection ends before the call reaches the server. The client cannot tell this from [`Fate::Lost`].
    Dropped,
    /// It is carried out, and the connection ends before the answer.
    Lost,
    /// The connection ends, and the call arrives that much later, when the test calls [`Network::deliver`].
    Late(SignedDuration),
    /// It is carried out, and no answer ever comes: the client's own time limit ends the call.
    Silent,
    /// The client ends before the call leaves; see [`Network::crashed`].
    CrashBefore,
    /// It is carried out, and the client ends before the answer; see [`Network::crashed`].
    CrashAfter,
}

/// A call to one of the servers.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// To the API server.
    Cluster(ClusterCall),
    /// To the ColonyOS server.
    Colony(ColonyCall),
}

/// A call to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterCall {
    /// The verb, as in a Role: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural name of the resource, such as `deployments`; the path for a call that is about no resource.
    pub resource: String,
    /// The subresource, such as `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty for objects of the cluster, and for all namespaces.
    pub namespace: String,
    /// The name; empty for a list. Of a create, the name in the body.
    pub name: String,
    /// What was sent: an object, a patch, or the options of a delete; `null` for none.
    pub body: Value,
}

/// A call to the ColonyOS server.
#[derive(Clone, Debug, PartialEq)]
pub struct ColonyCall {
    /// The protocol's name of the call.
    pub payload_type: &'static str,
    /// Who makes it.
    pub caller: Option<Id>,
    /// The call itself.
    pub inner: Value,
}

impl Payload {
    /// Whether the call may change anything on a server.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::Cluster(call) => call.is_write(),
            Self::Colony(call) => !call.payload_type.starts_with("get"),
        }
    }
}

impl ClusterCall {
    /// Whether the call may change anything. Asking for rights creates nothing.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch") && self.group != "authorization.k8s.io"
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(call) => call.fmt(formatter),
            Self::Colony(call) => formatter.write_str(call.payload_type),
        }
    }
}

impl fmt::Display for ClusterCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, subresource, namespace, name, .. } = self;
        write!(formatter, "{verb} {resource}")?;
        let parts = [(".", group), ("/", subresource), (" ", namespace)];
        for (separator, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
            write!(formatter, "{separator}{part}")?;
        }
        let separator = if namespace.is_empty() { " " } else { "/" };
        if name.is_empty() { Ok(()) } else { write!(formatter, "{separator}{name}") }
    }
}

/// Why a call has no answer of the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing was sent.
    NotSent,
    /// It may have been carried out.
    NoAnswer,
    /// Something answered that carries nothing out.
    Refused { status: u16, message: String },
}

type Judge = Box<dyn FnMut(&Payload) -> Fate + Send>;
type Witness = Box<dyn FnMut(&Payload, u16) + Send>;

/// Between a client and the servers; clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

struct Shared {
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    judge: Mutex<Option<Judge>>,
    witness: Mutex<Option<Witness>>,
    under_way: Mutex<VecDeque<UnderWay>>,
    crashed: watch::Sender<bool>,
}

/// A call that has not arrived yet.
struct UnderWay {
    due: Timestamp,
    call: Payload,
    carry_out: Box<dyn FnOnce() -> u16 + Send>,
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Network").field("under_way", &self.under_way()).finish_non_exhaustive()
    }
}

impl Network {
    /// A network on which every call is done. `clock` tells what time it is, for calls that are late.
    #[must_use]
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            clock: Box::new(clock),
            judge: Mutex::new(None),
            witness: Mutex::new(None),
            under_way: Mutex::default(),
            crashed: watch::Sender::new(false),
        }))
    }

    /// Has `judge` decide what becomes of each call from now on. No server is locked while it runs.
    pub fn decide_by(&self, judge: impl FnMut(&Payload) -> Fate + Send + 'static) {
        *self.0.judge.lock() = Some(Box::new(judge));
    }

    /// Lets every call be done again.
    pub fn decide_nothing(&self) {
        *self.0.judge.lock() = None;
    }

    /// Tells `witness` of each call that a server has answered, late ones too, and the HTTP status of the answer. No server
    /// is locked while it runs, and the client has not seen the answer yet: time that passes here is time that the answer
    /// takes.
    pub fn observe_by(&self, witness: impl FnMut(&Payload, u16) + Send + 'static) {
        *self.0.witness.lock() = Some(Box::new(witness));
    }

    /// How many calls are still to arrive.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.under_way.lock().len()
    }

    /// Has the calls arrive whose time has come, in the order of their times.
    pub fn deliver(&self) {
        let now = (self.0.clock)();
        loop {
            let next = {
                let mut under_way = self.0.under_way.lock();
                let due = under_way.front().is_some_and(|first| first.due <= now);
                if due { under_way.pop_front() } else { None }
            };
            let Some(UnderWay { call, carry_out, .. }) = next else { return };
            let status = carry_out();
            self.tell(&call, status);
        }
    }

    /// Waits until a call ends the client. What makes calls should be dropped then: the call itself never returns.
    pub async fn crashed(&self) {
        // This holds the sender, so that the channel cannot close.
        let _ = self.0.crashed.subscribe().wait_for(|crashed| *crashed).await;
    }

    /// Whether a call has ended the client since this was last asked.
    #[must_use]
    pub fn take_crash(&self) -> bool {
        self.0.crashed.send_replace(false)
    }

    /// Takes a call to its server, or does not. `carry_out` gives the HTTP status and the answer.
    pub(super) async fn carry<A: Send>(
        &self,
        call: Payload,
        carry_out: impl FnOnce() -> (u16, A) + Send + 'static,
    ) -> Result<A, Broken> {
        match self.fate(&call) {
            Fate::Done => Ok(self.carry_out(&call, carry_out)),
            Fate::Unreachable => Err(Broken::NotSent),
            Fate::Refused { status, message } => Err(Broken::Refused { status, message }),
            Fate::Dropped => Err(Broken::NoAnswer),
            Fate::Lost => {
                self.carry_out(&call, carry_out);
                Err(Broken::NoAnswer)
            }
            Fate::Late(by) => {
                self.delay(call, by, carry_out);
                Err(Broken::NoAnswer)
            }
            Fate::Silent => {
                self.carry_out(&call, carry_out);
                std::future::pending().await
            }
            Fate::CrashBefore => {
                self.0.crashed.send_replace(true);
                std::future::pending().await
            }
            Fate::CrashAfter => {
                self.carry_out(&call, carry_out);
                self.0.crashed.send_replace(true);
                std::future::pending().await
            }
        }
    }

    fn fate(&self, call: &Payload) -> Fate {
        // Not locked while the judge runs: it may use the network.
        let Some(mut judge) = self.0.judge.lock().take() else { return Fate::Done };
        let fate = judge(call);
        self.0.judge.lock().get_or_insert(judge);
        fate
    }

    fn carry_out<A>(&self, call: &Payload, carry_out: impl FnOnce() -> (u16, A)) -> A {
        let (status, answer) = carry_out();
        self.tell(call, status);
        answer
    }

    fn tell(&self, call: &Payload, status: u16) {
        let Some(mut witness) = self.0.witness.lock().take() else { return };
        witness(call, status);
        self.0.witness.lock().get_or_insert(witness);
    }

    fn delay<A>(
        &self,
        call: Payload,
        by: SignedDuration,
        carry_out: impl FnOnce() -> (u16, A) + Send + 'static,
    ) {
        let due = (self.0.clock)().saturating_add(by).unwrap_or(Timestamp::MAX);
        let mut under_way = self.0.under_way.lock();
        // Behind what is due at the same time.
        let place = under_way.partition_point(|other| other.due <= due);
        let carry_out = Box::new(move || carry_out().0);
        under_way.insert(place, UnderWay { due, call, carry_out });
    }
}
