//! One client per server: one pool of connections, or a transport of the caller's own; time limits on every call, nothing
//! ever sent twice.

use std::{
    error::Error as StdError,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Url, redirect};
use rustls::ClientConfig;

use super::{
    error::{Error, ErrorKind},
    model::ServerInfo,
    sign::PrivateKey,
    tls::Tls,
    transport::{Envelope, Http, Transport, TransportError},
    wire::{self, Call, GetServerInfo, Limited as _, ReplyLimit},
};

/// Idle connections are dropped before the server does it after 120 s: a call on a connection that the server
/// is just closing would end without an answer.
const IDLE: Duration = Duration::from_mins(1);

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its host: a name or an address, without scheme and port.
    pub host: String,
    /// Its port; 50080 unless it was set otherwise.
    pub port: u16,
    /// How the way to it is guarded.
    pub tls: Tls,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection. Default 3 s.
    pub connect: Duration,
    /// From the start, the connection included, to the last byte of the answer. Default 10 s.
    pub request: Duration,
    /// For how long what was sent may stay unacknowledged before the connection is given up. Without a limit of its own, the
    /// system goes on sending what a call has left behind when the call is given up. Linux, Android and Fuchsia alone have
    /// such a limit (`TCP_USER_TIMEOUT`). Default 4 s.
    pub unacknowledged: Duration,
    /// What a long-poll gets on top of the time for which it asks the server to wait. Default 5 s.
    pub long_poll_margin: Duration,
}

impl Timeouts {
    /// Those that are used unless others are given.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(3),
        request: Duration::from_secs(10),
        unacknowledged: Duration::from_secs(4),
        long_poll_margin: Duration::from_secs(5),
    };

    /// How long after its start the request of a call that was given up may still reach the server. What holds it on its way,
    /// and a server that has read it and is slow to do it, can take longer.
    #[must_use]
    pub const fn latest_arrival(&self) -> Duration {
        self.request.saturating_add(self.unacknowledged)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A client of one server. Cheap to clone: clones share the connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    /// Where connections go that are not the transport's; `None` when it is not HTTP.
    endpoint: Option<Endpoint>,
    timeouts: Timeouts,
    observer: Option<Arc<dyn Observer>>,
}

/// Where a server that speaks HTTP is.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// Where calls are sent to.
    pub(super) api: Url,
    /// How the way to it is guarded; `None` for plain HTTP.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Hears of every call that a client makes, for example to count it.
pub trait Observer: Send + Sync {
    /// A call has ended: the protocol's name of it, how long it took, and what kind of error it ended with, if any. That
    /// there was nothing to assign is a kind of error in the protocol.
    fn called(&self, payload_type: &'static str, took: Duration, error: Option<ErrorKind>);
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let api = self.endpoint.as_ref().map(|endpoint| endpoint.api.as_str());
        f.debug_struct("Client").field("api", &api).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of `server`. Connects when it is first used; by way of a proxy, as `HTTP_PROXY`, `HTTPS_PROXY` and
    /// `NO_PROXY` configure.
    ///
    /// # Errors
    /// [`Error::Configuration`], when the host is none or the CA holds no certificate.
    pub fn new(server: &Server, timeouts: Timeouts) -> Result<Self, Error> {
        let api = api_url(server)?;
        let tls = server.tls.configuration()?;
        let http = reqwest::Client::builder();
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
        let http = http.tcp_user_timeout(timeouts.unacknowledged);
        let http = http
            .tls_backend_preconfigured(tls.clone())
            .connect_timeout(timeouts.connect)
            .pool_idle_timeout(IDLE)
            .tcp_keepalive(Duration::from_secs(15))
            // A signed call is for this server alone, and is made once.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| Error::Configuration(error.without_url().to_string()))?;
        let tls = (server.tls != Tls::Insecure).then(|| Arc::new(tls));
        let transport = Arc::new(Http::new(http, api.clone()));
        Ok(Self { transport, endpoint: Some(Endpoint { api, tls }), timeouts, observer: None })
    }

    /// A client whose calls are carried by `transport`, for example to a server in the same process.
    ///
    /// Time limits and the classes of errors are the same as over HTTP. Subscriptions need HTTP: with such a client
    /// [`Session::subscribe`](crate::Session::subscribe) always fails.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use colonyos_client::{
    ///     Client, ErrorKind, Timeouts,
    ///     transport::{Envelope, Sending, Transport, TransportError},
    /// };
    ///
    /// struct Unplugged;
    ///
    /// impl Transport for Unplugged {
    ///     fn send<'a>(&'a self, _: Envelope<'a>) -> Sending<'a> {
    ///         Box::pin(async { Err(TransportError::NotSent("the cable is out".into())) })
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let client = Client::over(Arc::new(Unplugged), Timeouts::default());
    /// let error = client.server_info().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unavailable);
    /// assert!(!error.may_have_happened());
    /// # });
    /// ```
    #[must_use]
    pub fn over(transport: Arc<dyn Transport>, timeouts: Timeouts) -> Self {
        Self { transport, endpoint: None, timeouts, observer: None }
    }

    /// The same client, but `observer` hears of every call.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Version and build information of the server. Needs no key: shows whether a ColonyOS server answers.
    ///
    /// # Errors
    /// As any call; see [`Error`].
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        self.call(&GetServerInfo {}, None, self.timeouts.request).await
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Where the server is, when it is reached over HTTP.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Makes a call and waits at most `limit` for all of its answer.
    pub(super) async fn call<C: Call>(
        &self,
        call: &C,
        key: Option<&PrivateKey>,
        limit: Duration,
    ) -> Result<C::Reply, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a module to be published alone; it measures and decides nothing by it"
        )]
        let started = Instant::now();
        let result = self.send(call, key, limit).await;
        self.observed(C::PAYLOAD_TYPE, started, result.as_ref().err());
        result
    }

    /// Reports a finished call to the observer, if one is set.
    pub(super) fn observed(&self, payload_type: &'static str, started: Instant, error: Option<&Error>) {
        if let Some(observer) = &self.observer {
            observer.called(payload_type, started.elapsed(), error.map(Error::kind));
        }
    }

    async fn send<C: Call>(
        &self,
        call: &C,
        key: Option<&PrivateKey>,
        limit: Duration,
    ) -> Result<C::Reply, Error> {
        let payload = wire::payload(call)?;
        let reading = C::Reply::LIMIT;
        let envelope = Envelope::new(C::PAYLOAD_TYPE, C::ACTION, &payload, key, reading.bytes);
        let answer = tokio::time::timeout(limit, self.transport.send(envelope)).await;
        let answer =
            answer.map_err(|elapsed| unanswered(C::ACTION, "no answer in time", Box::new(elapsed)))?;
        let answer = answer.map_err(|error| failed(C::ACTION, reading, error))?;
        wire::decode::<C>(answer.status, &answer.body)
    }
}

fn api_url(server: &Server) -> Result<Url, Error> {
    let Server { host, port, tls } = server;
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-._:[]".contains(character);
    let refuse = || {
        let host: String = host.chars().filter(|character| !character.is_control()).take(80).collect();
        Error::Configuration(format!(
            "{host:?} is no host: give a name or an address, without scheme and port"
        ))
    };
    if host.is_empty() || !host.chars().all(allowed) {
        return Err(refuse());
    }
    let is_bare_v6 = host.contains(':') && !host.starts_with('[');
    let host_in_url = if is_bare_v6 { format!("[{host}]") } else { host.clone() };
    let url = Url::parse(&format!("{}://{host_in_url}:{port}/api", tls.scheme())).map_err(|_| refuse())?;
    Ok(url)
}

fn failed(action: &'static str, reading: ReplyLimit, error: TransportError) -> Error {
    match error {
        TransportError::NotSent(source) => match source.downcast::<Error>() {
            // The call cannot be signed: no fault of the server's.
            Ok(error) => *error,
            Err(source) => Error::Unavailable { action, source },
        },
        TransportError::NoAnswer(source) => {
            unanswered(action, "the connection ended before the answer", source)
        }
        TransportError::TooLong { limit, beginning } => reading.exceeded(action, limit, &beginning),
    }
}

fn unanswered(action: &'static str, detail: &str, source: Box<dyn StdError + Send + Sync>) -> Error {
    Error::Ambiguous { action, detail: detail.to_owned(), status: None, source: Some(source) }
}

#[cfg(test)]
mod tests {
    use super::super::{Error, ErrorKind};
    use super::{Client, Server, Timeouts, Tls, api_url};

    fn server(host: &str, tls: Tls) -> Server {
        Server { host: host.to_owned(), port: 50080, tls }
    }

    #[test]
    fn hosts_become_urls_and_nothing_else_does() {
        let url = |host: &str, tls| api_url(&server(host, tls)).map(|url| url.to_string());
        assert_eq!(url("colony.example", Tls::Webpki).unwrap(), "https://colony.example:50080/api");
        assert_eq!(url("127.0.0.1", Tls::Insecure).unwrap(), "http://127.0.0.1:50080/api");
        assert_eq!(url("::1", Tls::Insecure).unwrap(), "http://[::1]:50080/api");
        assert_eq!(url("[::1]", Tls::Insecure).unwrap(), "http://[::1]:50080/api");
        for bad in ["", "http://x", "x/y", "user@x", "x y", "x:80:", "x?y", "x#y"] {
            assert!(matches!(url(bad, Tls::Insecure), Err(Error::Configuration(_))), "{bad}");
        }
    }

    /// No provider of cryptography is installed globally, and there is no CA bundle to be found.
    #[test]
    fn a_client_needs_nothing_from_its_surroundings() {
        for tls in [Tls::Insecure, Tls::Webpki] {
            assert!(Client::new(&server("localhost", tls), Timeouts::default()).is_ok());
        }
    }

    #[tokio::test]
    async fn without_a_connection_nothing_has_happened() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let server = Server { host: "127.0.0.1".into(), port, tls: Tls::Insecure };
        let error = Client::new(&server, Timeouts::default()).unwrap().server_info().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!error.may_have_happened());
    }
}
