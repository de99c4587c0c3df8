//! Connects to the API server: one client for watches, one for calls.
//!
//! kube's defaults suit neither: it has no time limit for an answer, and it repeats every request, POST included, up to
//! 15 times for minutes. Here a call has a time limit and is never repeated behind our back, and a watch that died
//! without a word is noticed within [`WATCH_SECONDS`].

use std::{future::ready, path::Path, time::Duration};

use http::{
    HeaderValue,
    header::{AUTHORIZATION, USER_AGENT},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{BoxError, Layer as _, ServiceExt as _};

/// Time limit of one call, from sending the request to the end of the answer.
pub const CALL_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Time limit for opening a connection.
const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Seconds after which the server ends a watch and it is opened again; a connection that died in silence is given up
/// a few seconds later. Give it to `kube::runtime::watcher::Config::timeout`, whose default is 290.
pub const WATCH_SECONDS: u32 = 60;

/// How the operator introduces itself to the API server.
const USER_AGENT_TEXT: &str = concat!("colonyos-operator/", env!("CARGO_PKG_VERSION"));

/// Why there is no connection to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor the configuration of a pod is there.
    #[error(
        "failed to find an API server: set KUBECONFIG to a kubeconfig file, or run in a pod with a service account"
    )]
    Configuration {
        /// What was looked at.
        source: kube::config::InferConfigError,
    },
    /// The kubeconfig file that was named cannot be used.
    #[error(
        "failed to use the kubeconfig {file}: check that it exists and that the context names a cluster and a user"
    )]
    Kubeconfig {
        file: String,
        /// What is wrong with it.
        source: Box<kube::config::KubeconfigError>,
    },
    /// The configuration cannot be used.
    #[error(
        "failed to prepare the connection to the API server {server}: check certificates and user in the kubeconfig"
    )]
    Client {
        /// Address of the server.
        server: String,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

/// Why a call to the API server gave no result. What that means for a write is for `act::failure`.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server refused, or could not be reached.
    #[error("failed to get a result from the API server")]
    Failed {
        /// What happened.
        source: Box<kube::Error>,
    },
    /// No answer in time; what became of a write is not known.
    #[error("failed to get an answer from the API server within {limit:?}")]
    TimedOut {
        /// The time it was given.
        limit: Duration,
    },
}

impl From<kube::Error> for CallError {
    fn from(source: kube::Error) -> Self {
        Self::Failed { source: Box::new(source) }
    }
}

impl CallError {
    /// For a person: the attempted call, such as `get Secret x`, and the server's reply.
    #[must_use]
    pub fn explain(&self, what: &str) -> String {
        match self {
            Self::TimedOut { .. } => format!("failed to {what}: {self}"),
            Self::Failed { source } => match source.as_ref() {
                kube::Error::Api(status) => format!("failed to {what}: {}", status.message),
                other => format!("failed to {what}: {other}"),
            },
        }
    }

    /// The continue token that the server returns for a list whose beginning has expired.
    #[must_use]
    pub fn continue_token(&self) -> Option<String> {
        let Self::Failed { source } = self else { return None };
        let kube::Error::Api(status) = source.as_ref() else { return None };
        status.metadata.as_ref()?.continue_.clone().filter(|token| !token.is_empty())
    }

    /// Whether the server has no such object, or does not serve its kind.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status_code() == Some(404)
    }

    /// Whether the credentials lack the permission.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.status_code() == Some(403)
    }

    /// Whether the object has changed, or its name is taken.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status_code() == Some(409)
    }

    /// Whether the beginning of a list has expired.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.status_code() == Some(410)
    }

    /// Whether the server failed, or asked to be called later.
    #[must_use]
    pub fn is_server_failure(&self) -> bool {
        matches!(self.status_code(), Some(429 | 500..=599))
    }

    /// Whether the server has too much to do and asks to be called later.
    #[must_use]
    pub fn is_too_many_requests(&self) -> bool {
        self.status_code() == Some(429)
    }

    /// The HTTP status code of the server's answer, if it answered.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        match self {
            Self::Failed { source } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::TimedOut { .. } => None,
        }
    }
}

/// Whether a write with a precondition came too late: the object has changed or is gone, or its name is taken.
#[must_use]
pub fn is_overtaken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

/// The connection to one API server.
#[derive(Clone)]
pub struct Kubernetes {
    /// For watches and the lists that start them: no limit on how long an answer may go on.
    pub watches: Client,
    /// For everything else: time limits, no retries.
    pub calls: Client,
    /// Namespace of the operator itself: that of its pod, or of the kubeconfig's context.
    pub namespace: String,
    /// Address of the API server, for messages.
    pub server: String,
}

/// Connects by `KUBECONFIG`, `~/.kube/config` or the service account of the pod, in this order.
///
/// Sends nothing yet: whether the server answers shows at the first call.
///
/// # Errors
///
/// When there is no configuration, or its certificates cannot be used.
pub async fn connect() -> Result<Kubernetes, ConnectError> {
    connect_by(None, None).await
}

/// Connects by a kubeconfig file, else that of `KUBECONFIG` or `~/.kube/config`, and by one of its contexts, else its current
/// one. Given neither, like [`connect`].
///
/// # Errors
///
/// When the file cannot be read or used.
pub async fn connect_by(file: Option<&Path>, context: Option<&str>) -> Result<Kubernetes, ConnectError> {
    connect_with(configuration_by(file, context).await?)
}

/// The bearer token by which [`connect_by`] with the same arguments authenticates; none for a client certificate, or
/// where it impersonates another user.
///
/// # Errors
///
/// When there is no usable configuration, or the program that it names gives no token.
pub async fn token_by(
    file: Option<&Path>,
    context: Option<&str>,
) -> Result<Option<HeaderValue>, ConnectError> {
    let config = configuration_by(file, context).await?;
    if config.auth_info.impersonate.is_some() {
        return Ok(None);
    }
    let server = config.cluster_url.to_string();
    let failed = |source| ConnectError::Client { server: server.clone(), source: Box::new(source) };
    let Some(layer) = config.auth_layer().map_err(failed)? else { return Ok(None) };
    // kube shows its token to requests alone.
    let shown = tower::service_fn(|request: http::Request<Body>| {
        let header = request.headers().get(AUTHORIZATION).cloned();
        ready(Ok::<_, BoxError>(http::Response::new(header)))
    });
    let answer = layer.layer(shown).oneshot(http::Request::new(Body::empty())).await;
    let header = answer.map_err(|source| failed(kube::Error::Service(source)))?.into_body();
    let token = header.as_ref().and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
    let mut token = token.and_then(|token| HeaderValue::from_str(token).ok());
    if let Some(token) = &mut token {
        token.set_sensitive(true);
    }
    Ok(token)
}

async fn configuration_by(file: Option<&Path>, context: Option<&str>) -> Result<Config, ConnectError> {
    if file.is_none() && context.is_none() {
        return Config::infer().await.map_err(|source| ConnectError::Configuration { source });
    }
    let failed = |source| ConnectError::Kubeconfig {
        file: file
            .map_or_else(|| "of KUBECONFIG or ~/.kube/config".to_owned(), |file| file.display().to_string()),
        source: Box::new(source),
    };
    let kubeconfig = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from).map_err(failed)?;
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)
}

/// Connects by `config`, whose time limits and retry policy are replaced.
///
/// # Errors
///
/// When its certificates cannot be used.
pub fn connect_with(mut config: Config) -> Result<Kubernetes, ConnectError> {
    install_crypto_provider();
    config.headers.push((USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT)));
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIME_LIMIT);
    config.write_timeout = Some(CALL_TIME_LIMIT);
    let server = config.cluster_url.to_string();
    let namespace = config.default_namespace.clone();
    let client = |config: Config| {
        Client::try_from(config)
            .map_err(|source| ConnectError::Client { server: server.clone(), source: Box::new(source) })
    };
    config.read_timeout = None;
    let watches = client(config.clone())?;
    config.read_timeout = Some(CALL_TIME_LIMIT);
    // Without it, the time a pooled connection lay idle would count against the next answer.
    config.reset_reader_on_write = true;
    let calls = client(config)?;
    Ok(Kubernetes { watches, calls, namespace, server })
}

/// Chooses `ring` as the process's TLS cryptography; more often has no effect.
///
/// Both kube and the ColonyOS client use rustls, which panics at the first connection when no provider is installed.
pub fn install_crypto_provider() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Executes one call within `limit`. It knows nothing of leadership: who writes gives a call no more time than that lasts.
///
/// # Errors
///
/// When the call fails or the time is over; a write may then have been done all the same.
pub async fn call<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(source.into()),
        Err(_) => Err(CallError::TimedOut { limit }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{Api, api::PostParams};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers every request on any connection with `answer`, or never; counts requests and keeps the first.
    async fn serve(answer: Option<&'static str>) -> (Kubernetes, Arc<AtomicUsize>, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, first) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        tokio::spawn({
            let (count, first) = (count.clone(), first.clone());
            async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let (count, first) = (count.clone(), first.clone());
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 65_536];
                        loop {
                            let read = stream.read(&mut buffer).await.unwrap_or(0);
                            if read == 0 {
                                return;
                            }
                            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                                *first.lock().unwrap() =
                                    String::from_utf8_lossy(&buffer[..read]).into_owned();
                            }
                            if let Some(answer) = answer {
                                stream.write_all(answer.as_bytes()).await.unwrap();
                            }
                        }
                    });
                }
            }
        });
        let config = Config::new(format!("http://{address}").parse().unwrap());
        (connect_with(config).unwrap(), count, first)
    }

    /// kube's default would repeat this POST 15 times: a create must reach the server once.
    #[tokio::test]
    async fn a_call_that_is_refused_for_now_is_not_repeated() {
        let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n";
        let (kubernetes, count, first) = serve(Some(busy)).await;
        let api: Api<ConfigMap> = Api::namespaced(kubernetes.calls, "default");
        let result = call(CALL_TIME_LIMIT, api.create(&PostParams::default(), &ConfigMap::default())).await;
        assert!(matches!(result, Err(CallError::Failed { .. })), "{result:?}");
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let request = first.lock().unwrap().to_lowercase();
        assert!(request.contains("user-agent: colonyos-operator/"), "{request}");
    }

    /// kube's default would wait for ever.
    #[tokio::test]
    async fn a_call_without_an_answer_ends_in_time() {
        let (kubernetes, ..) = serve(None).await;
        let api: Api<ConfigMap> = Api::namespaced(kubernetes.calls, "default");
        let limit = Duration::from_millis(50);
        let result = call(limit, api.get("any")).await;
        assert!(matches!(result, Err(CallError::TimedOut { limit: said }) if said == limit), "{result:?}");
    }
}
