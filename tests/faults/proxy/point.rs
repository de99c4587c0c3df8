//! What a request is: the point of the operator's work at which a fault can be put, the same in every run.
//!
//! A point is not an index into a trace, which shifts with every race. It says which server is called, how, and what the
//! body says of the purpose: two writes of status that record different states are two points.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::Value;

/// A kind of call with a purpose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// `cluster` or `colony`.
    pub server: &'static str,
    /// Verb and resource with its subresource, or payload type.
    pub call: String,
    /// What tells it from others of the same call; may be empty.
    pub purpose: String,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.server, self.call)?;
        if self.purpose.is_empty() { Ok(()) } else { write!(f, " ({})", self.purpose) }
    }
}

/// One request, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its point.
    pub point: Point,
    /// The object, executor or process that it is about, as far as the request itself says so.
    pub about: Option<About>,
    /// The label of the process that it submits or looks for.
    pub label: Option<String>,
    /// Whether it changes anything.
    pub is_write: bool,
}

/// What a request says that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// An object of this name.
    Object(String),
    /// An executor of this name.
    Executor(String),
    /// A process of this id.
    Process(String),
    /// Processes with this label.
    Label(String),
}

/// A request to the API server.
pub fn of_cluster(method: &Method, path: &str, body: &Value) -> Request {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    // `api/v1` or `apis/group/version`, and the namespace.
    let prefix = if parts.next() == Some("api") { 1 } else { 2 };
    let mut parts = parts.skip(prefix).collect::<Vec<_>>();
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    let resource = parts.first().copied().unwrap_or_default();
    let name = parts.get(1).copied();
    let subresource = parts.get(2).map(|name| format!("/{name}")).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let purpose = match (resource, subresource.as_str()) {
        ("executordeployments", "/status") => status_purpose(body),
        ("executordeployments", _) => match body.pointer("/metadata/finalizers").and_then(Value::as_array) {
            Some(finalizers) if finalizers.is_empty() => "finalizer off".to_owned(),
            Some(_) => "finalizer on".to_owned(),
            None => String::new(),
        },
        ("secrets", _) => {
            let name = name.or(text("/metadata/name")).unwrap_or_default();
            if name.ends_with(IDENTITY) { "executor".to_owned() } else { "operator".to_owned() }
        }
        ("events", _) => text("/regarding/kind").unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let about = match resource {
        "events" => text("/regarding/name"),
        _ => name.or(text("/metadata/name")),
    };
    let about = about.map(|name| About::Object(name.strip_suffix(IDENTITY).unwrap_or(name).to_owned()));
    Request {
        point: Point { server: "cluster", call: format!("{method} {resource}{subresource}"), purpose },
        about,
        label: None,
        is_write: matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE),
    }
}

/// How the Secret of an executor is called after its object.
const IDENTITY: &str = "-executor-identity";

/// The state of the mirrored process that a write of status records, and whether of the first generation.
fn status_purpose(body: &Value) -> String {
    let mirror = |field: &str| body.pointer(&format!("/status/mirror/{field}"));
    let state = mirror("state").and_then(Value::as_str).unwrap_or("nothing submitted");
    let generation = mirror("generation").and_then(Value::as_i64);
    if body.pointer("/metadata/deletionTimestamp").is_some() {
        return format!("{state}, deleting");
    }
    generation.map_or_else(|| state.to_owned(), |number| format!("{state}, {}", generation_word(number)))
}

fn generation_word(generation: i64) -> &'static str {
    if generation > 1 { "later generation" } else { "first generation" }
}

/// A request to the ColonyOS server; none if it cannot be read as one.
pub fn of_colony(body: &[u8]) -> Option<Request> {
    let envelope: Value = serde_json::from_slice(body).ok()?;
    let call = envelope.get("payloadtype")?.as_str()?.to_owned();
    let inner: Value =
        serde_json::from_slice(&STANDARD.decode(envelope.get("payload")?.as_str()?).ok()?).ok()?;
    let text = |pointer: &str| inner.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (purpose, about) = match call.as_str() {
        "submitfuncspecmsg" => {
            let generation = inner.pointer("/spec/kwargs/metadata/generation").and_then(Value::as_i64);
            let object = text("/spec/kwargs/metadata/name").map(|name| About::Object(name.to_owned()));
            (generation_word(generation.unwrap_or_default()), object)
        }
        "getprocessesmsg" => {
            let label = text("/label").map(|label| About::Label(label.to_owned()));
            (if label.is_some() { "by label" } else { "" }, label)
        }
        _ => {
            let executor = text("/executor/executorname").or(text("/executorname"));
            let purpose = match executor {
                Some(name) if name.contains("-operator-") => "operator",
                Some(_) => "executor",
                None => "",
            };
            let process = text("/processid").map(|id| About::Process(id.to_owned()));
            (purpose, executor.map(|name| About::Executor(name.to_owned())).or(process))
        }
    };
    let label = text("/spec/label").or(text("/label")).map(str::to_owned);
    let is_write = !call.starts_with("get") && !call.starts_with("version");
    let point = Point { server: "colony", call, purpose: purpose.to_owned() };
    Some(Request { point, about, label, is_write })
}

/// What the server says in the payload of a reply; null when it cannot be read.
pub fn reply(body: &[u8]) -> Value {
    let read = || {
        let envelope: Value = serde_json::from_slice(body).ok()?;
        serde_json::from_slice(&STANDARD.decode(envelope.get("payload")?.as_str()?).ok()?).ok()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A point that is read wrongly would be one that no fault ever meets.
    #[test]
    fn requests_to_the_cluster_are_told_apart_by_their_purpose() {
        let path = "/apis/compute.colonies.io/v1/namespaces/n/executordeployments/a";
        let said =
            |method: &Method, path: &str, body: Value| of_cluster(method, path, &body).point.to_string();
        let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
        assert_eq!(
            said(&Method::PATCH, path, finalizers(json!(["x"]))),
            "cluster PATCH executordeployments (finalizer on)"
        );
        assert_eq!(
            said(&Method::PATCH, path, finalizers(json!([]))),
            "cluster PATCH executordeployments (finalizer off)"
        );
        let status = json!({"status": {"mirror": {"state": "Intended", "generation": 2}}});
        assert_eq!(
            said(&Method::PUT, &format!("{path}/status"), status),
            "cluster PUT executordeployments/status (Intended, later generation)"
        );
        let secret = json!({"metadata": {"name": "a-executor-identity"}});
        let request = of_cluster(&Method::POST, "/api/v1/namespaces/n/secrets", &secret);
        assert_eq!(request.point.to_string(), "cluster POST secrets (executor)");
        assert_eq!(request.about, Some(About::Object("a".to_owned())));
        assert!(!of_cluster(&Method::GET, "/api/v1/namespaces/kube-system", &Value::Null).is_write);
    }

    #[test]
    fn calls_of_the_colony_are_told_apart_by_their_payload() {
        let call = |kind: &str, inner: Value| {
            let body = json!({"payloadtype": kind, "payload": STANDARD.encode(inner.to_string())});
            of_colony(body.to_string().as_bytes()).unwrap()
        };
        let metadata = json!({"name": "a", "generation": 1});
        let submit = call("submitfuncspecmsg", json!({"spec": {"kwargs": {"metadata": metadata}}}));
        assert_eq!(submit.point.to_string(), "colony submitfuncspecmsg (first generation)");
        assert_eq!((submit.about, submit.is_write), (Some(About::Object("a".to_owned())), true));
        let look_up = call("getprocessesmsg", json!({"label": "k8s:c/u/1"}));
        assert_eq!((look_up.about, look_up.is_write), (Some(About::Label("k8s:c/u/1".to_owned())), false));
        let approve = call("approveexecutormsg", json!({"executorname": "c-operator-abc123"}));
        assert_eq!(approve.point.purpose, "operator");
    }
}
