//! Logs and outputs through the operator, for users who may not read the key of their colony: the service proxy of the API server
//! leads to the operator, which asks the API server who that is and whether they may.

use std::time::Duration;

use http::{HeaderValue, Request};
use kube::core::ApiResource;
use serde::{Deserialize, de::DeserializeOwned};

use super::Failure;
use crate::{
    api::names::{RESULTS_PORT, RESULTS_TOKEN_HEADER},
    colony::{Log, Process},
    runtime::kubernetes::{CallError, Kubernetes, call},
};

/// How long an answer may take: the operator gives up before.
const LIMIT: Duration = Duration::from_secs(30);
/// How often, and after which pause, it is asked again when it has too much to do.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// The operator, and an object.
pub(super) struct ThroughOperator {
    kubernetes: Kubernetes,
    token: HeaderValue,
    /// Where the parts of the object are.
    path: String,
}

/// Where the operator serves.
pub(super) struct OperatorService<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
}

#[derive(Deserialize)]
struct LogAnswer {
    lines: Vec<Log>,
}

impl ThroughOperator {
    /// The operator behind a Service, for an object; `namespace` is that of the object.
    pub(super) fn new(
        kubernetes: Kubernetes,
        token: HeaderValue,
        service: &OperatorService<'_>,
        (resource, namespace, name): (&ApiResource, Option<&str>, &str),
    ) -> Self {
        let OperatorService { namespace: operator, name: service } = service;
        let proxy = format!("/api/v1/namespaces/{operator}/services/https:{service}:{RESULTS_PORT}/proxy");
        let ApiResource { group, version, plural, .. } = resource;
        let place = namespace.map_or(String::new(), |namespace| format!("namespaces/{namespace}/"));
        let path = format!("{proxy}/apis/{group}/{version}/{place}{plural}/{name}");
        Self { kubernetes, token, path }
    }

    /// The process of the object, or of a node, with its output.
    ///
    /// # Errors
    ///
    /// When the operator refuses or cannot be reached; which of both.
    pub(super) async fn process(&self, node: Option<&str>) -> Result<Process, Failure> {
        self.get("output", node, 0).await
    }

    /// What was written about it after a time, at most 500 lines.
    ///
    /// # Errors
    ///
    /// When the operator refuses or cannot be reached; which of both.
    pub(super) async fn logs(&self, node: Option<&str>, since: i64) -> Result<Vec<Log>, Failure> {
        Ok(self.get::<LogAnswer>("log", node, since).await?.lines)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        part: &str,
        node: Option<&str>,
        since: i64,
    ) -> Result<T, Failure> {
        let node = node.map_or(String::new(), |node| format!("&node={node}"));
        let path = format!("{}/{part}?since={since}{node}", self.path);
        let mut tries = 0;
        let text = loop {
            tries += 1;
            let request = Request::get(&path).header(RESULTS_TOKEN_HEADER, &self.token).body(Vec::new())?;
            match call(LIMIT, self.kubernetes.watches.request_text(request)).await {
                Ok(text) => break text,
                Err(error) if error.is_too_many_requests() && tries < TRIES => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(explained(&error, part).into()),
            }
        };
        Ok(serde_json::from_str(&text)?)
    }
}

fn explained(error: &CallError, part: &str) -> String {
    let message = error.explain(&format!("get the {part} through the operator"));
    // The API server itself refuses, or finds no Service.
    if message.contains("services") && (error.is_forbidden() || error.is_not_found()) {
        return format!(
            "{message}: the operator serves logs and outputs if its chart has results.enabled; name its Service and namespace with --operator-service and --operator-namespace"
        );
    }
    message
}
