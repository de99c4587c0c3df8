//! Logs and whole outputs of objects for users who may not read the key of their colony. A user comes through the service
//! proxy of the API server with a bearer token. Who that is and whether they may is asked of the API server
//! (`TokenReview`, `SubjectAccessReview`); the process must bear the label that the operator gave it for that very object.
//! Every replica serves; reads only. See ADR 22.

mod access;
mod place;
mod recorded;
mod refusal;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{
        HeaderMap,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use kube::{
    Api, Client as KubernetesClient,
    core::{ApiResource, DynamicObject},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use self::{
    access::{permitted, user},
    place::{Part, Place},
    recorded::Recorded,
    refusal::Refusal,
};
use super::server::{ServedCertificate, serve_encrypted};
use crate::{
    api::{
        colony::Colony,
        kind::Kind,
        names::RESULTS_TOKEN_HEADER,
        resource_definition::{DefinitionScope, HandlerMode, ResourceDefinition},
    },
    colony::{Client, Id, Log, LogQuery, Process, ProcessId, Server, Session},
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, CallError, call},
        serving::ConnectionLimits,
        shutdown::Shutdown,
    },
    snapshot::Belonging,
    watch::colony::{ColonyReader, member},
};

/// Connections: nearly all come from API servers.
const CONNECTIONS: ConnectionLimits = ConnectionLimits { all: 128, of_one_address: 64 };
/// Tokens that are reviewed at the same time.
const REVIEWS: usize = 8;
/// Results that are read at the same time: each may take 64 MiB until it is sent.
const READS: usize = 4;
/// Requests of one user at the same time.
const OF_ONE_USER: usize = 4;
/// How long a request may wait for its turn, and how long all of it may take.
const TURN: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(25);
/// Lines of a log in one answer.
const LINES: u16 = 500;
/// How colonies write that something has not happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What the endpoint stands on.
pub(super) struct ResultsSetup {
    pub client: KubernetesClient,
    /// The operator's own namespace.
    pub namespace: String,
    /// What the cluster is called in labels of processes.
    pub cluster: String,
    pub clock: Clock,
}

struct Shared {
    setup: ResultsSetup,
    reviews: Semaphore,
    reads: Semaphore,
    /// Requests that are answered, by user.
    users: Mutex<HashMap<String, usize>>,
    /// Clients of colonies, whose connections are kept.
    servers: Mutex<BTreeMap<String, (Server, Client)>>,
}

/// What a request may add to its path.
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    /// The node of a workflow.
    node: Option<String>,
    /// Of a log, only what was written after that time, in nanoseconds since 1970.
    since: i64,
}

impl Question {
    /// From the query of a request. Names of nodes need no escapes.
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut question = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "node" => question.node = Some(value.to_owned()),
                "since" => {
                    let why = "since is no number of nanoseconds since 1970";
                    question.since = value.parse().map_err(|_| Refusal::invalid(why))?;
                }
                _ => {}
            }
        }
        Ok(question)
    }
}

/// Serves until the shutdown.
pub(super) async fn serve(
    listener: TcpListener,
    presented: ServedCertificate,
    setup: ResultsSetup,
    stop: Shutdown,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "serving logs and outputs");
    serve_encrypted(listener, presented, router(setup), CONNECTIONS, stop).await
}

fn router(setup: ResultsSetup) -> Router {
    let shared = Shared {
        setup,
        reviews: Semaphore::new(REVIEWS),
        reads: Semaphore::new(READS),
        users: Mutex::default(),
        servers: Mutex::default(),
    };
    Router::new()
        .route("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}/{part}", get(of_namespace))
        .route("/apis/{group}/{version}/{plural}/{name}/{part}", get(of_cluster))
        .route("/healthz", get(async || "ok\n"))
        .with_state(Arc::new(shared))
}

type Words = (String, String, String, String, String, String);

async fn of_namespace(
    State(shared): State<Arc<Shared>>,
    Path((group, version, namespace, plural, name, part)): Path<Words>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place::new([group, version, plural, name, part], Some(namespace));
    answer(&shared, place, query.as_deref().unwrap_or_default(), &headers).await
}

async fn of_cluster(
    State(shared): State<Arc<Shared>>,
    Path(words): Path<(String, String, String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place::new(words.into(), None);
    answer(&shared, place, query.as_deref().unwrap_or_default(), &headers).await
}

async fn answer(
    shared: &Shared,
    place: Result<Place, Refusal>,
    query: &str,
    headers: &HeaderMap,
) -> Response {
    let answered = async { shared.answer(&place?, &Question::read(query)?, headers).await };
    match tokio::time::timeout(LIMIT, answered).await {
        Ok(Ok(result)) => ([(CONTENT_TYPE, "application/json")], result.to_string()).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => Refusal::unavailable("the colony did not answer in time").into_response(),
    }
}

/// The bearer token of a request. API servers take `Authorization` away before they pass a request on.
fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = |name: &str| headers.get(name)?.to_str().ok();
    let authorization = || bearer(AUTHORIZATION.as_str())?.strip_prefix("Bearer ");
    bearer(RESULTS_TOKEN_HEADER).or_else(authorization)
}

/// One request of a user, until it is dropped.
struct Counted<'a>(&'a Mutex<HashMap<String, usize>>, String);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut users = self.0.lock();
        if let Some(count) = users.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.1);
            }
        }
    }
}

impl Shared {
    async fn answer(
        &self,
        place: &Place,
        question: &Question,
        headers: &HeaderMap,
    ) -> Result<Value, Refusal> {
        let Some(token) = token(headers) else {
            let message = format!("give a bearer token in the header {RESULTS_TOKEN_HEADER}");
            return Err(Refusal::unknown_user(&message));
        };
        let client = &self.setup.client;
        let review = turn(&self.reviews).await?;
        let user = user(client, token).await?;
        let _counted = self.count(user.username.clone().unwrap_or_default())?;
        permitted(client, &user, place).await?;
        drop(review);
        let _turn = turn(&self.reads).await?;
        let object = self.object(place).await?;
        let id =
            ProcessId::new(object.process(question.node.as_deref()).map_err(|why| Refusal::not_found(&why))?);
        let member = self.member(object.colony().map_err(|why| Refusal::not_found(&why))?).await?;
        let process = member.process(&id).await.map_err(|error| colony_refuses(&error))?;
        if !Belonging::new(&self.setup.cluster, &object.metadata).has_submitted(&process) {
            // Status, or an annotation, may name the process of another object.
            return Err(Refusal::forbidden(
                "the operator has not submitted this process for this object: only those with the key of the colony can read it",
            ));
        }
        match place.part {
            Part::Output => Ok(output(&process)),
            Part::Log => {
                let query = LogQuery::new(id).since(question.since).limit(LINES);
                let lines = member.logs(&query).await.map_err(|error| colony_refuses(&error))?;
                Ok(log(&process, &lines))
            }
        }
    }

    fn count(&self, user: String) -> Result<Counted<'_>, Refusal> {
        let mut users = self.users.lock();
        let count = users.entry(user.clone()).or_default();
        if *count >= OF_ONE_USER {
            return Err(Refusal::too_many("the user has too many requests at the same time: try again"));
        }
        *count += 1;
        Ok(Counted(&self.users, user))
    }

    /// The object, if it is of a kind that processes carry: nothing else is read for a user.
    async fn object(&self, place: &Place) -> Result<Recorded, Refusal> {
        let is_namespaced = self.kind(place).await?;
        if is_namespaced != place.namespace.is_some() {
            return Err(Refusal::not_found("the kind is not served there"));
        }
        let resource = ApiResource {
            group: place.group.clone(),
            version: place.version.clone(),
            api_version: format!("{}/{}", place.group, place.version),
            kind: String::new(),
            plural: place.plural.clone(),
        };
        let client = self.setup.client.clone();
        let api: Api<DynamicObject> = match &place.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let what = format!("get {} {}", place.plural, place.name);
        let found = call(CALL_TIME_LIMIT, api.get(&place.name)).await;
        let found = found.map_err(|error| unread(&error, &what))?;
        let value = serde_json::to_value(found).map_err(|error| Refusal::unavailable(&error.to_string()))?;
        serde_json::from_value(value)
            .map_err(|error| Refusal::unavailable(&format!("{what}: its status cannot be read: {error}")))
    }

    /// Whether objects of the kind are in namespaces.
    async fn kind(&self, place: &Place) -> Result<bool, Refusal> {
        let is_meant = |resource: &ApiResource| {
            resource.group == place.group
                && resource.plural == place.plural
                && resource.version == place.version
        };
        if let Some((kind, own)) = Kind::own().find(|(_, own)| is_meant(&(own.resource)())) {
            return match kind.info().process_condition {
                Some(_) => Ok((own.definition)().spec.scope == DefinitionScope::Namespaced.as_str()),
                None => Err(Refusal::not_found(&format!("no process carries a {}", kind.name()))),
            };
        }
        let name = format!("{}.{}", place.plural, place.group);
        let definitions = Api::<ResourceDefinition>::all(self.setup.client.clone());
        let found = call(CALL_TIME_LIMIT, definitions.get(&name)).await;
        let found = found.map_err(|error| unread(&error, &format!("get ResourceDefinition {name}")))?;
        match found.spec.handler.mode {
            HandlerMode::Process => Ok(found.spec.scope == DefinitionScope::Namespaced),
            _ => Err(Refusal::not_found(&format!("no process carries a {}", found.spec.names.kind))),
        }
    }

    async fn member(&self, name: &str) -> Result<Session, Refusal> {
        let ResultsSetup { client, namespace, clock, .. } = &self.setup;
        let colonies = Api::<Colony>::all(client.clone());
        let found = call(CALL_TIME_LIMIT, colonies.get(name)).await;
        let colony = found.map_err(|error| unread(&error, &format!("get Colony {name}")))?;
        let reader = ColonyReader { kubernetes: client, namespace, cluster: "", clock, metrics: None };
        let mut known = self.servers.lock().get(name).cloned();
        let member = member(&colony, &reader, &mut known).await.map_err(|why| Refusal::unavailable(&why))?;
        if let Some(known) = known {
            self.servers.lock().insert(name.to_owned(), known);
        }
        Ok(member)
    }
}

/// A turn, if one is free soon.
async fn turn(turns: &Semaphore) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
    match tokio::time::timeout(TURN, turns.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(Refusal::too_many("the operator answers too many requests at the same time: try again")),
    }
}

fn unread(error: &CallError, what: &str) -> Refusal {
    let message = error.explain(what);
    if error.is_not_found() { Refusal::not_found(&message) } else { Refusal::unavailable(&message) }
}

fn colony_refuses(error: &crate::colony::Error) -> Refusal {
    let message = error.to_string();
    if error.is_not_found() { Refusal::not_found(&message) } else { Refusal::unavailable(&message) }
}

/// What a process gave back, as the server words it. Its arguments and its environment stay out: they may come from Secrets.
fn output(process: &Process) -> Value {
    let mut described = description(process);
    described["out"] = json!(process.output);
    described["errors"] = json!(process.errors);
    described
}

fn log(process: &Process, lines: &[Log]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({ "processid": line.process, "executorname": line.executor, "message": line.message,
                    "timestamp": line.written_at })
        })
        .collect();
    json!({ "process": description(process), "lines": lines })
}

fn description(process: &Process) -> Value {
    let time =
        |moment: Option<Timestamp>| moment.map_or_else(|| NEVER.to_owned(), |moment| moment.to_string());
    json!({
        "processid": process.id,
        "state": process.state.number(),
        "assignedexecutorid": process.assigned_executor.as_ref().map_or("", Id::as_str),
        "submissiontime": time(Some(process.submitted_at)),
        "starttime": time(process.started_at),
        "endtime": time(process.ended_at),
        "retries": process.retries,
        "spec": {
            "funcname": process.spec.function,
            "nodename": process.spec.node_name,
            "label": process.spec.label,
            "conditions": { "executortype": process.spec.conditions.executor_type },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An endpoint that reaches no API server.
    fn shared() -> Shared {
        crate::runtime::kubernetes::install_crypto_provider();
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let setup = ResultsSetup {
            client: KubernetesClient::try_from(nowhere).unwrap(),
            namespace: "ns".to_owned(),
            cluster: "c".to_owned(),
            clock: Clock::system(),
        };
        Shared {
            setup,
            reviews: Semaphore::new(REVIEWS),
            reads: Semaphore::new(READS),
            users: Mutex::default(),
            servers: Mutex::default(),
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_is_where_the_service_proxy_leaves_it() {
        assert_eq!(token(&headers(&[(RESULTS_TOKEN_HEADER, "a"), ("authorization", "Bearer b")])), Some("a"));
        assert_eq!(token(&headers(&[("authorization", "Bearer b")])), Some("b"));
        assert_eq!(token(&headers(&[("authorization", "Basic b")])), None);
        assert_eq!(token(&headers(&[])), None);
    }

    #[test]
    fn a_question_names_a_node_and_a_moment() {
        let read = |query: &str| Question::read(query);
        assert_eq!(read("since=7&node=join").unwrap(), Question { node: Some("join".to_owned()), since: 7 });
        assert_eq!(read("").unwrap(), Question::default());
        assert!(read("since=yesterday").is_err());
    }

    /// One user cannot take all turns.
    #[tokio::test]
    async fn a_user_has_a_few_requests_at_the_same_time() {
        let shared = shared();
        let count = |user: &str| shared.count(user.to_owned());
        let held: Vec<Counted<'_>> = (0..OF_ONE_USER).map(|_| count("a").unwrap()).collect();
        assert!(count("a").is_err() && count("b").is_ok());
        drop(held);
        assert!(count("a").is_ok());
        assert!(shared.users.lock().is_empty(), "no user is remembered");
    }

    /// What asks for nothing that there is costs no call to the API server.
    #[tokio::test]
    async fn without_a_token_nothing_is_asked() {
        let shared = shared();
        let place = || {
            let words = ["colonies.io", "v1", "colonyprocesses", "a", "log"].map(str::to_owned);
            Place::new(words, Some("ns".to_owned()))
        };
        let refused = answer(&shared, place(), "", &HeaderMap::new()).await;
        assert_eq!(refused.status(), http::StatusCode::UNAUTHORIZED);
        let invalid = answer(&shared, place(), "since=x", &HeaderMap::new()).await;
        assert_eq!(invalid.status(), http::StatusCode::BAD_REQUEST);
        let unknown = answer(&shared, place(), "", &headers(&[(RESULTS_TOKEN_HEADER, "a")])).await;
        assert_eq!(unknown.status(), http::StatusCode::SERVICE_UNAVAILABLE, "no API server says whose it is");
        let large = "x".repeat(17 * 1024);
        let large = answer(&shared, place(), "", &headers(&[(RESULTS_TOKEN_HEADER, &large)])).await;
        assert_eq!(large.status(), http::StatusCode::UNAUTHORIZED);
    }
}
