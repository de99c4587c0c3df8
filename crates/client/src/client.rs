//! One client per server: one pool of connections, time limits on every call, nothing ever sent twice.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Url, header::CONTENT_TYPE, redirect};
use rustls::ClientConfig;

use super::{
    error::{Error, ErrorKind},
    model::ServerInfo,
    session::Session,
    sign::PrivateKey,
    tls::Tls,
    wire::{self, Call, GetServerInfo},
};

/// The longest reply that is read, in bytes. A list of 100 ordinary processes has about 200 kB.
const REPLY_MAX: usize = 64 << 20;

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
    /// From the start to the last byte of the answer. Default 10 s.
    pub request: Duration,
    /// What a long-poll gets on top of the time for which it asks the server to wait. Default 5 s.
    pub long_poll_margin: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(10),
            long_poll_margin: Duration::from_secs(5),
        }
    }
}

/// A client of one server. Cheap to clone: clones share the connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    api: Url,
    /// For the connections that are not made by `http`; `None` for plain HTTP.
    tls: Option<Arc<ClientConfig>>,
    timeouts: Timeouts,
    observer: Option<Arc<dyn Observer>>,
}

/// Hears of every call that a client makes, for example to count it.
pub trait Observer: Send + Sync {
    /// A call has ended: the protocol's name of it, how long it took, and what kind of error it ended with, if any. That
    /// there was nothing to assign is a kind of error in the protocol.
    fn called(&self, payload_type: &'static str, took: Duration, error: Option<ErrorKind>);
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("api", &self.api.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of `server`. Connects when it is first used; by way of a proxy, when `HTTP_PROXY`,
    /// `HTTPS_PROXY` and `NO_PROXY` say so.
    ///
    /// # Errors
    /// [`Error::Configuration`], when the host is none or the CA holds no certificate.
    pub fn new(server: &Server, timeouts: Timeouts) -> Result<Self, Error> {
        let api = api_url(server)?;
        let tls = server.tls.configuration()?;
        let http = reqwest::Client::builder()
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
        Ok(Self { http, api, tls, timeouts, observer: None })
    }

    /// The same client, but `observer` hears of every call.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What the server says of itself. Needs no key: shows whether a ColonyOS server answers.
    ///
    /// # Errors
    /// As any call; see [`Error`].
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        self.call(&GetServerInfo {}, None, self.timeouts.request).await
    }

    /// The calls that the holder of `key` can make in `colony`.
    #[must_use]
    pub fn session(&self, colony: &str, key: PrivateKey) -> Session {
        Session::new(self.clone(), colony, key)
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Where calls are sent to.
    pub(super) fn api(&self) -> &Url {
        &self.api
    }

    /// How the way to the server is guarded; `None` for plain HTTP.
    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
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

    /// Tells the observer, if there is one, of a call that has ended.
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
        let body = wire::encode(call, key)?;
        let request =
            self.http.post(self.api.clone()).header(CONTENT_TYPE, "application/json").timeout(limit);
        let mut response = request.body(body).send().await.map_err(|error| unsent(C::ACTION, error))?;
        let status = response.status().as_u16();
        let mut reply = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(C::ACTION, error))? {
            if reply.len() + chunk.len() > REPLY_MAX {
                return Err(Error::decode(C::ACTION, "the answer is longer than 64 MiB"));
            }
            reply.extend_from_slice(&chunk);
        }
        wire::decode::<C>(status, &reply)
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

/// An error before the first byte of the answer: there was a connection, or there was none.
fn unsent(action: &'static str, error: reqwest::Error) -> Error {
    if error.is_connect() || error.is_builder() {
        return Error::Unavailable { action, source: Box::new(error.without_url()) };
    }
    unanswered(action, error)
}

fn unanswered(action: &'static str, error: reqwest::Error) -> Error {
    let detail =
        if error.is_timeout() { "no answer in time" } else { "the connection ended before the answer" };
    let source = Box::new(error.without_url());
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
