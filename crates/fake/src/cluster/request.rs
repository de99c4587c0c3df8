//! Reads what a request asks for: its path, its query and its body.

use http::{HeaderMap, Method, Uri, header::ACCEPT};
use serde_json::Value;

use super::{
    answer::{Result, bad_request, no_such_path},
    selector::Selector,
};
use crate::network::ClusterCall;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Something about resources.
    Resource(Box<ResourceRequest>),
    /// What there is at this path: versions, groups, kinds.
    Discovery(Vec<String>),
}

/// Something about the objects of one kind.
#[derive(Clone, Debug)]
pub(super) struct ResourceRequest {
    pub(super) verb: Verb,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) subresource: String,
    pub(super) namespace: String,
    /// Empty for all objects.
    pub(super) name: String,
    pub(super) query: Query,
    /// Whether only metadata is asked for.
    pub(super) metadata_only: bool,
    pub(super) body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

/// What stands behind the question mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) labels: Selector,
    pub(super) fields: Selector,
    pub(super) limit: Option<usize>,
    pub(super) continue_token: Option<String>,
    pub(super) resource_version: Option<u64>,
    pub(super) manager: String,
    pub(super) is_dry_run: bool,
}

impl Verb {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl Request {
    pub(super) fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Self> {
        let path: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match path.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ if method == Method::GET => {
                return Ok(Self::Discovery(path.into_iter().map(str::to_owned).collect()));
            }
            _ => return Err(no_such_path()),
        };
        let (namespace, rest) = match rest {
            // Namespaces are objects themselves.
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status"]) => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return Err(no_such_path()),
        };
        let query = uri.query().unwrap_or_default();
        let is_watch = pairs(query).any(|(key, value)| key == "watch" && matches!(&*value, "true" | "1"));
        let verb = match (method, name.is_empty()) {
            (&Method::GET, true) => {
                if is_watch {
                    Verb::Watch
                } else {
                    Verb::List
                }
            }
            (&Method::GET, false) => Verb::Get,
            (&Method::POST, true) => Verb::Create,
            (&Method::PUT, false) => Verb::Update,
            (&Method::PATCH, false) => Verb::Patch,
            (&Method::DELETE, false) => Verb::Delete,
            _ => return Err(no_such_path()),
        };
        if verb == Verb::Patch {
            let kind = headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if !matches!(kind, Some("application/merge-patch+json" | "application/json-patch+json")) {
                return Err(bad_request(format!(
                    "this server takes merge patches and JSON patches, not {kind:?}"
                )));
            }
        }
        let body = match body {
            [] => Value::Null,
            body => serde_json::from_slice(body)
                .map_err(|error| bad_request(format!("the body is no JSON: {error}")))?,
        };
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        Ok(Self::Resource(Box::new(ResourceRequest {
            verb,
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            query: Query::read(query)?,
            metadata_only: accept.contains("as=PartialObjectMetadata"),
            body,
        })))
    }

    /// The same in the words of the network.
    pub(super) fn call(&self) -> ClusterCall {
        match self {
            Self::Resource(request) => {
                let given = request.body.pointer("/metadata/name").and_then(Value::as_str);
                let given = given.filter(|_| request.verb == Verb::Create);
                let name = given.unwrap_or(&request.name).to_owned();
                ClusterCall {
                    verb: request.verb.as_str(),
                    group: request.group.clone(),
                    resource: request.plural.clone(),
                    subresource: request.subresource.clone(),
                    namespace: request.namespace.clone(),
                    name,
                    body: request.body.clone(),
                }
            }
            Self::Discovery(path) => ClusterCall {
                verb: "get",
                group: String::new(),
                resource: format!("/{}", path.join("/")),
                subresource: String::new(),
                namespace: String::new(),
                name: String::new(),
                body: Value::Null,
            },
        }
    }
}

impl Query {
    /// Whether no selector is given.
    pub(super) fn selects_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    fn read(text: &str) -> Result<Self> {
        let mut query = Self { manager: "unknown".to_owned(), ..Self::default() };
        for (key, value) in pairs(text) {
            match &*key {
                "labelSelector" => query.labels = Selector::parse(&value)?,
                "fieldSelector" => query.fields = Selector::parse(&value)?,
                "limit" => query.limit = value.parse().ok().filter(|limit| *limit > 0),
                "continue" => query.continue_token = Some(value).filter(|token| !token.is_empty()),
                "resourceVersion" => query.resource_version = value.parse().ok(),
                "fieldManager" => query.manager = value,
                "dryRun" => query.is_dry_run = value == "All",
                _ => {}
            }
        }
        Ok(query)
    }
}

/// Key and value of each part of a query.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(key), decoded(value))
    })
}

/// Takes the percent signs and plus signs out of a part of a query.
fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        plain.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(b'?'),
                _ => b'?',
            },
            other => other,
        });
    }
    String::from_utf8_lossy(&plain).into_owned()
}
