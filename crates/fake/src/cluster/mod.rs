//! A Kubernetes API server in memory: what clients of a cluster see of it, for simulations and fast tests.
//!
//! Behind an ordinary [`kube::Client`], watches included, so that controllers run on it as they are. It does nothing by
//! itself: garbage is collected by [`ApiServer::run_controllers`], and no pod ever starts unless a test says so.
//!
//! The suite `memory_server` of rung `apiserver` makes the same calls to this and to a real API server; what both answer
//! alike is what this can be trusted with. Left out: validation (schemas only prune and fill in), server-side apply,
//! strategic merge patches and JSON patches, defaults of built-in kinds, graceful deletion of pods, conversion between
//! versions, pages of one moment, watches that end, quotas and admission.
//!
//! | file | what |
//! |---|---|
//! | `request`, `selector` | what is asked for |
//! | `store`, `write`, `fields`, `schema` | the objects, and the rules of reading and writing them |
//! | `controllers` | what the cluster's own controllers do |
//! | `kind`, `discovery`, `watch`, `answer` | the kinds there are, and what the server says |

mod answer;
mod controllers;
mod discovery;
mod fields;
mod kind;
mod request;
mod schema;
mod selector;
mod store;
#[cfg(test)]
mod tests;
mod watch;
mod write;

use std::{convert::Infallible, fmt, io, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use jiff::Timestamp;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::{
    answer::{Answer, failure, no_such_path},
    request::{Request, ResourceRequest, Verb},
    store::{In, Key, Store},
};
use super::network::{Broken, Network, Payload};

type Boxed = Box<dyn std::error::Error + Send + Sync>;
type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Most rounds of the cluster's controllers before they count as never done.
const ROUNDS: usize = 100;

/// An API server in this process; clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    store: Arc<Mutex<Store>>,
    /// Tells watches that there may be something new.
    changed: Arc<tokio::sync::watch::Sender<u64>>,
}

/// Where an object is: the plural name of its kind with its group, such as `deployments.apps`, its namespace (empty for
/// objects of the cluster) and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Such as `deployments.apps`, or `secrets`.
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = self.store.lock().objects.len();
        formatter.debug_struct("ApiServer").field("objects", &objects).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// A server with the namespaces `default` and `kube-system` and nothing else; `clock` tells what time it is there.
    #[must_use]
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let server = Self {
            store: Arc::new(Mutex::new(Store::new(Arc::new(clock)))),
            changed: Arc::new(tokio::sync::watch::Sender::new(0)),
        };
        for name in ["default", "kube-system"] {
            server.create_namespace(name, &json!({}));
        }
        server
    }

    /// A server of its own that begins with what this one has now; quicker than to begin anew. Watches stay with this one.
    #[must_use]
    pub fn fork(&self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let mut store = self.store.lock().clone();
        store.clock = Arc::new(clock);
        let changed = Arc::new(tokio::sync::watch::Sender::new(store.version));
        Self { store: Arc::new(Mutex::new(store)), changed }
    }

    /// A client that meets no network: for tests themselves, and for watches. Needs a Tokio runtime.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client_with(None)
    }

    /// A client whose calls go through `network`. Needs a Tokio runtime.
    #[must_use]
    pub fn client_over(&self, network: &Network) -> kube::Client {
        self.client_with(Some(network.clone()))
    }

    fn client_with(&self, network: Option<Network>) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let (server, network) = (server.clone(), network.clone());
            async move { server.serve(request, network.as_ref()).await }
        });
        kube::Client::new(service, "default")
    }

    /// Creates a namespace, unless it is there.
    pub fn create_namespace(&self, name: &str, labels: &Value) {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
        });
        // A refusal says that it is there.
        let _ = self.create(&object);
    }

    /// Adds the kinds of these definitions, given as their JSON, or changes them.
    ///
    /// # Errors
    /// What the server says of the first one that it does not take.
    pub fn install(&self, definitions: impl IntoIterator<Item = Value>) -> Result<(), String> {
        for definition in definitions {
            match self.create(&definition) {
                Ok(_) => {}
                Err(message) if message.ends_with("already exists") => {
                    let name =
                        definition.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                    let resource = "customresourcedefinitions.apiextensions.k8s.io";
                    let spec = definition.get("spec").cloned().unwrap_or_default();
                    self.patch(Place { resource, namespace: "", name }, &json!({ "spec": spec }))?;
                }
                Err(message) => return Err(message),
            }
        }
        Ok(())
    }

    /// Creates an object, given as its JSON, as a user does; as it is then stored.
    ///
    /// # Errors
    /// What the server says when it refuses.
    pub fn create(&self, object: &Value) -> Result<Value, String> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let plural = {
            let store = self.store.lock();
            let mut kinds = store.kinds.values();
            kinds
                .find(|kind| kind.group == group && object["kind"] == *kind.kind)
                .map(|kind| kind.plural.clone())
                .ok_or_else(|| format!("no kind {api_version} {}", object["kind"]))?
        };
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let place = Place { resource: &format!("{plural}.{group}"), namespace, name: "" };
        self.ask(Verb::Create, place, version, "", object.clone())
    }

    /// Changes an object by a merge patch, as a user does; as it is then stored.
    ///
    /// # Errors
    /// What the server says when it refuses.
    pub fn patch(&self, place: Place<'_>, patch: &Value) -> Result<Value, String> {
        self.ask(Verb::Patch, place, "", "", patch.clone())
    }

    /// Changes the status of an object by a merge patch, `{"status": …}`, as a controller does.
    ///
    /// # Errors
    /// What the server says when it refuses.
    pub fn patch_status(&self, place: Place<'_>, patch: &Value) -> Result<Value, String> {
        self.ask(Verb::Patch, place, "", "status", patch.clone())
    }

    /// Deletes an object in the background, as a user does.
    ///
    /// # Errors
    /// What the server says when it refuses.
    pub fn delete(&self, place: Place<'_>) -> Result<Value, String> {
        self.ask(Verb::Delete, place, "", "", json!({ "propagationPolicy": "Background" }))
    }

    /// An object as it is stored.
    #[must_use]
    pub fn get(&self, place: Place<'_>) -> Option<Value> {
        self.store.lock().objects.get(&place.key()).map(|object| object.as_ref().clone())
    }

    /// All objects of a kind, by namespace and name. `resource` is as in [`Place`].
    #[must_use]
    pub fn all(&self, resource: &str) -> Vec<Value> {
        let wanted = Place { resource, namespace: "", name: "" }.key();
        let store = self.store.lock();
        let of_kind =
            store.objects.iter().filter(|(key, _)| key.group == wanted.group && key.plural == wanted.plural);
        of_kind.map(|(_, object)| object.as_ref().clone()).collect()
    }

    /// Changes an object without any rule, not even that of generations, under a new version; whether it is there.
    pub fn change(&self, place: Place<'_>, change: impl FnOnce(&mut Value)) -> bool {
        let was_there = self.store.lock().change(&place.key(), change);
        self.tell();
        was_there
    }

    /// The version of the last change of all.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.store.lock().version
    }

    /// Lets the cluster's own controllers run until they have nothing to do: garbage is collected, what is in namespaces and
    /// of definitions that are being deleted ends. Whether there was anything to do.
    pub fn run_controllers(&self) -> bool {
        let mut has_worked = false;
        for _ in 0..ROUNDS {
            if !self.store.lock().run_controllers() {
                break;
            }
            has_worked = true;
        }
        self.tell();
        has_worked
    }

    /// Makes the pods of a Deployment, DaemonSet or Job as the workload wants them, as far as its own status tells; whether
    /// it is there. `place.resource` says which kind it is.
    pub fn make_ready(&self, place: Place<'_>) -> bool {
        self.change(place, |object| {
            let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            let generation = object["metadata"]["generation"].clone();
            object["status"] = match place.resource {
                "daemonsets.apps" => json!({
                    "observedGeneration": generation, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
                    "updatedNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1, "numberMisscheduled": 0,
                }),
                "jobs.batch" => json!({ "active": 1, "ready": 1 }),
                _ => json!({
                    "observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted,
                    "readyReplicas": wanted, "availableReplicas": wanted,
                }),
            };
        })
    }

    /// How many watches are open.
    #[must_use]
    pub fn open_watches(&self) -> usize {
        self.changed.receiver_count()
    }

    /// Has watches show no change of these kinds, given by their plural names, until [`ApiServer::release`].
    pub fn hold<'a>(&self, plurals: impl IntoIterator<Item = &'a str>) {
        self.store.lock().held.extend(plurals.into_iter().map(str::to_owned));
    }

    /// Has watches show everything again.
    pub fn release(&self) {
        self.store.lock().held.clear();
        self.tell();
    }

    /// Has `rights` answer questions about rights: given `spec` of the review, whether it is granted. Without it all are.
    pub fn grant_by(&self, rights: impl Fn(&Value) -> bool + Send + Sync + 'static) {
        self.store.lock().rights = Arc::new(rights);
    }

    /// Has the server keep `metadata.managedFields` of a kind, given by its plural name.
    pub fn keep_managed_fields(&self, plural: &str) {
        self.store.lock().with_managed_fields.insert(plural.to_owned());
    }

    fn tell(&self) {
        let version = self.store.lock().version;
        self.changed.send_replace(version);
    }

    /// Asks the store without the way over HTTP. An empty version is the first one.
    fn ask(
        &self,
        verb: Verb,
        place: Place<'_>,
        version: &str,
        subresource: &str,
        body: Value,
    ) -> Result<Value, String> {
        let Key { group, plural, namespace, name } = place.key();
        let version = if version.is_empty() {
            let store = self.store.lock();
            let kind = store.kinds.get(&(group.clone(), plural.clone()));
            kind.and_then(|kind| kind.versions.first())
                .map(|version| version.name.clone())
                .unwrap_or_default()
        } else {
            version.to_owned()
        };
        let request = ResourceRequest {
            verb,
            group,
            version,
            plural,
            subresource: subresource.to_owned(),
            namespace,
            name,
            query: request::Query { manager: "user".to_owned(), ..request::Query::default() },
            metadata_only: false,
            body,
        };
        let answer = self.answer(&Request::Resource(Box::new(request)));
        if answer.status < 300 {
            Ok(answer.body)
        } else {
            Err(answer.body["message"].as_str().unwrap_or_default().to_owned())
        }
    }

    /// Answers everything but a watch.
    fn answer(&self, request: &Request) -> Answer {
        let answer = {
            let mut store = self.store.lock();
            match request {
                Request::Discovery(path) => store.discover(path),
                Request::Resource(request) => store.answer(request),
            }
        };
        self.tell();
        answer.unwrap_or_else(|refusal| refusal)
    }

    async fn serve(
        &self,
        request: http::Request<Body>,
        network: Option<&Network>,
    ) -> Result<Response, Boxed> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let request = match Request::read(&parts.method, &parts.uri, &parts.headers, &body) {
            Ok(request) => request,
            Err(refusal) => return whole(&refusal),
        };
        let server = self.clone();
        let Some(network) = network else { return server.respond(&request) };
        let call = Payload::Cluster(request.call());
        let carried = network.carry(call, move || {
            let response = server.respond(&request);
            (response.as_ref().map_or(500, |response| response.status().as_u16()), response)
        });
        match carried.await {
            Ok(response) => response,
            Err(Broken::NotSent) => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            Err(Broken::NoAnswer) => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            Err(Broken::Refused { status, message }) => {
                whole(&failure(status, reason(status), message, json!({})))
            }
        }
    }

    fn respond(&self, request: &Request) -> Result<Response, Boxed> {
        match request {
            Request::Resource(watch) if watch.verb == Verb::Watch => self.watch(watch),
            request => whole(&self.answer(request)),
        }
    }

    fn watch(&self, request: &ResourceRequest) -> Result<Response, Boxed> {
        let found = self.store.lock().find(request);
        let (kind, version) = match found {
            Ok(found) => found,
            Err(refusal) => return whole(&refusal),
        };
        let changed = self.changed.subscribe();
        let lines = watch::open(Arc::clone(&self.store), changed, request.clone(), kind, version);
        Ok(http::Response::builder().status(200).body(StreamBody::new(lines).boxed_unsync())?)
    }
}

impl Store {
    fn answer(&mut self, request: &ResourceRequest) -> answer::Result<Answer> {
        if let Some(review) = self.review(request).filter(|_| request.verb == Verb::Create) {
            return Ok(review);
        }
        let (kind, version) = self.find(request)?;
        let of = In { kind: kind.as_ref(), version: &version };
        match request.verb {
            Verb::Get => self.get(request, of),
            Verb::List => Ok(self.list(request, of)),
            Verb::Create => self.create(request, of),
            Verb::Update => self.update(request, of),
            Verb::Patch => self.patch(request, of),
            Verb::Delete => self.delete(request, of),
            Verb::Watch => Err(no_such_path()),
        }
    }
}

impl Place<'_> {
    fn key(&self) -> Key {
        let (plural, group) = self.resource.split_once('.').unwrap_or((self.resource, ""));
        Key {
            group: group.to_owned(),
            plural: plural.to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
        }
    }
}

/// An answer of one piece over HTTP.
fn whole(answer: &Answer) -> Result<Response, Boxed> {
    let body = Full::new(Bytes::from(answer.body.to_string()));
    let response = http::Response::builder().status(answer.status).header("content-type", "application/json");
    Ok(response.body(body.boxed_unsync())?)
}

/// The reason that goes with a status for which nothing else is said.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    }
}
