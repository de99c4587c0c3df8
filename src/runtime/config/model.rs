//! The operator's configuration as data: types and defaults, without reading anything.
//!
//! Pure, so that the deciding stages may take parts of it ([`HostPathPolicy`], [`ServiceAccountPolicy`],
//! [`ExecutorResources`]); the chart's values schema is made from the same types.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the operator, read from the file that `--config` names. Every field has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OperatorConfiguration {
    /// Namespaces whose objects are reconciled; empty means all of them.
    pub watch_namespaces: Vec<String>,
    /// Namespaces in which the operator has the permissions on Secrets; empty means all that are reconciled. `doctor` goes by it.
    pub secret_namespaces: Vec<String>,
    /// Labels that `Colonies` and `ResourceDefinitions` must have to be reconciled; empty means all of them. For
    /// several operators in one cluster, each with `watchNamespaces` of its own.
    pub cluster_selector: BTreeMap<String, String>,
    /// How many objects of one kind are reconciled at the same time, from 1 to 256. More than 32 only adds latency:
    /// 16 to 32 calls in flight already saturate an API server.
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: u16,
    /// Which replica of the operator writes.
    pub leader_election: LeaderElection,
    /// Which directories of a node executors may mount.
    pub host_paths: HostPathPolicy,
    /// Which service accounts executors may run as.
    pub service_accounts: ServiceAccountPolicy,
    /// Requests and limits of an executor's container where its `ExecutorDeployment` names none.
    pub executor_resources: ExecutorResources,
    /// Seconds between two looks at a colony's state, from 1 to 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub colony_poll_seconds: u32,
    /// Seconds between two reads of all mirrored processes, from 1 to 3600: after so long at the latest a change in a
    /// colony stands in status. With 0 there is no polling, and a change without a websocket message is found when an
    /// object is reconciled for another reason.
    #[schemars(range(min = 0, max = 3600))]
    pub process_poll_seconds: u32,
    /// The number of processes to subscribe to by websocket, the newest first, up to 4096; 0 for none. Each takes a
    /// connection. They only make changes known sooner.
    #[schemars(range(min = 0, max = 4096))]
    pub process_subscriptions: u16,
    /// The role of the operator for requests without annotation `colonies.io/roles`: `Director` asks for the next
    /// job, `Worker` has jobs done in a colony.
    pub request_roles: Vec<RequestRole>,
    /// The `ValidatingAdmissionPolicies`, each with a binding of its name, that keep users of defined kinds from borrowing
    /// the operator's rights. While one is missing, no `ResourceDefinition` is `Authorized`. The chart lists its own.
    pub kind_policies: Vec<String>,
    /// Where API servers have objects of users' kinds converted from one version to another.
    pub conversion: Conversion,
    /// Where users read the logs and outputs of their objects.
    pub results: Results,
    /// Executors that are one pod each.
    pub pod_identities: PodIdentitiesSetup,
    /// The gate in the pods of executors that are drained.
    pub gate: GateSetup,
    /// Where probes and metrics are served.
    pub http: Http,
    /// How the operator logs.
    pub logging: Logging,
    /// Where the operator sends traces of work.
    pub traces: Traces,
}

impl Default for OperatorConfiguration {
    fn default() -> Self {
        Self {
            watch_namespaces: Vec::new(),
            secret_namespaces: Vec::new(),
            cluster_selector: BTreeMap::new(),
            concurrency: 16,
            leader_election: LeaderElection::default(),
            host_paths: HostPathPolicy::default(),
            service_accounts: ServiceAccountPolicy::default(),
            executor_resources: ExecutorResources::default(),
            colony_poll_seconds: 10,
            process_poll_seconds: 5,
            process_subscriptions: 256,
            request_roles: vec![RequestRole::Director, RequestRole::Worker],
            kind_policies: Vec::new(),
            conversion: Conversion::default(),
            results: Results::default(),
            pod_identities: PodIdentitiesSetup::default(),
            gate: GateSetup::default(),
            http: Http::default(),
            logging: Logging::default(),
            traces: Traces::default(),
        }
    }
}

/// Leader election on a `coordination.k8s.io` Lease in the operator's own namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaderElection {
    /// Whether to take a lease before writing. Switch it off only where a single replica is certain.
    pub enabled: bool,
    pub lease_name: String,
    /// Seconds that other replicas wait after the last renewal they saw before they take over.
    #[schemars(range(min = 2, max = 3600))]
    pub lease_duration_seconds: u32,
    /// Seconds after its last renewal at which the leader stops writing; less than the lease duration.
    #[schemars(range(min = 1, max = 3600))]
    pub renew_deadline_seconds: u32,
    /// Seconds between two attempts to renew or take the lease; less than the renew deadline.
    #[schemars(range(min = 1, max = 3600))]
    pub retry_period_seconds: u32,
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            enabled: true,
            lease_name: "colonyos-operator".to_owned(),
            lease_duration_seconds: 15,
            renew_deadline_seconds: 10,
            retry_period_seconds: 2,
        }
    }
}

impl LeaderElection {
    /// How long others wait after the last renewal they saw.
    #[must_use]
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_duration_seconds.into())
    }

    /// How long after its last renewal the leader may write.
    #[must_use]
    pub fn renew_deadline(&self) -> Duration {
        Duration::from_secs(self.renew_deadline_seconds.into())
    }

    /// Pause between two attempts.
    #[must_use]
    pub fn retry_period(&self) -> Duration {
        Duration::from_secs(self.retry_period_seconds.into())
    }
}

/// Directories of a node that executors may mount; none unless listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HostPathPolicy {
    /// The directories, each with everything below it.
    pub allowed: Vec<AllowedHostPath>,
}

/// One directory of the nodes that executors may mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedHostPath {
    /// Absolute directory in plain form (no `..`, no `.`, no `//`), such as `/data/models`; what lies below it is
    /// allowed too, whole path components compared.
    pub prefix: String,
    /// Whether it may be mounted for writing; read-only otherwise.
    #[serde(default)]
    pub writable: bool,
}

impl HostPathPolicy {
    /// The entry that allows `path`, the longest prefix winning, or none.
    ///
    /// A path that is not absolute, or holds a `..`, `.` or empty component, is allowed by nothing: a container
    /// runtime would resolve it to some other place than the one compared here.
    #[must_use]
    pub fn entry_for(&self, path: &str) -> Option<&AllowedHostPath> {
        let wanted = plain_components(path)?;
        self.allowed
            .iter()
            .filter(|entry| plain_components(&entry.prefix).is_some_and(|prefix| wanted.starts_with(&prefix)))
            .max_by_key(|entry| entry.prefix.len())
    }
}

/// Components of an absolute path in plain form; `None` for any other. One slash at the end is forgiven.
pub(super) fn plain_components(path: &str) -> Option<Vec<&str>> {
    let inner = path.strip_prefix('/')?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Some(Vec::new());
    }
    let components: Vec<&str> = inner.split('/').collect();
    let plain = components.iter().all(|part| !matches!(*part, "" | "." | "..") && !part.contains('\0'));
    plain.then_some(components)
}

/// Service accounts that executors may run as, besides the unprivileged one of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceAccountPolicy {
    /// Names that an `ExecutorDeployment` may ask for; the account must exist in the namespace of the object.
    pub allowed: Vec<String>,
}

impl ServiceAccountPolicy {
    /// Whether an executor may run as the service account `name`.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == name)
    }
}

/// Requests and limits of an executor's container where its object names none, by resource name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExecutorResources {
    /// What the scheduler reserves.
    pub requests: BTreeMap<String, Quantity>,
    /// What the container is held to.
    pub limits: BTreeMap<String, Quantity>,
}

impl Default for ExecutorResources {
    fn default() -> Self {
        let quantity = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
        Self {
            requests: BTreeMap::from([quantity("cpu", "50m"), quantity("memory", "64Mi")]),
            limits: BTreeMap::from([quantity("memory", "1Gi")]),
        }
    }
}

/// Where probes (`/healthz`, `/readyz`) and `/metrics` are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Http {
    /// IP address and port; port 0 takes a free one and logs it.
    #[schemars(with = "String")]
    pub bind_address: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { bind_address: SocketAddr::from(([0, 0, 0, 0], 8080)) }
    }
}

/// Where API servers have objects of users' kinds converted from one version to another. With neither `serviceName`
/// nor `url`, there is no endpoint, and definitions that declare conversions wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Conversion {
    /// Address and port to listen on, with TLS.
    pub bind_address: SocketAddr,
    /// Service of the operator's own namespace by which API servers reach it, at port 443. The chart sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// URL by which API servers reach it, such as `https://192.0.2.1:9443`, for an operator outside of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Secret of the operator's own namespace in which the operator keeps the certificates that it makes.
    pub secret_name: String,
    /// Seconds for which a certificate is valid, from 10 to 31536000; renewed when two thirds have passed. The authority that
    /// signs it is valid 40 times as long, and is renewed too.
    #[schemars(range(min = 10, max = 31_536_000))]
    pub certificate_seconds: u32,
}

impl Default for Conversion {
    fn default() -> Self {
        Self {
            bind_address: SocketAddr::from(([0, 0, 0, 0], 9443)),
            service_name: None,
            url: None,
            secret_name: "colonyos-operator-conversion".to_owned(),
            certificate_seconds: 90 * 24 * 3600,
        }
    }
}

/// Where users read the logs and outputs of their objects, with the certificate of the conversion endpoint. Without an address,
/// or where that endpoint has none, they are not served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Results {
    /// Address and port to listen on, with TLS. The chart sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub bind_address: Option<SocketAddr>,
}

/// Executors that are one pod each (`identity: PerPod` of an `ExecutorDeployment`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodIdentitiesSetup {
    /// The `MutatingWebhookConfiguration` by which API servers ask the operator, at the endpoint of conversions, for the names
    /// of the executors of new pods. Without it, such pods wait. The chart sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_configuration: Option<String>,
}

/// Traces of work: from its object over the submit and the executor to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Traces {
    /// URL of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://collector.monitoring:4318`; `/v1/traces` is added.
    /// Without it, there are no traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// File with the certificate authority of an `https` endpoint, in PEM form; else those that the web trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Traces {
    /// The endpoint, if there is one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty())
    }
}

/// The gate in the pods of executors that are drained (`drain` of an `ExecutorDeployment`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GateSetup {
    /// Its image: that of the operator. The chart sets it. Pull secrets for it are those of the pods, which `template` names.
    pub image: String,
}

impl Default for GateSetup {
    fn default() -> Self {
        Self { image: concat!("colonyos-operator:", env!("CARGO_PKG_VERSION")).to_owned() }
    }
}

/// How the operator logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Logging {
    /// JSON, one object a line, or text for people.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as `info,kube=debug`. The environment
    /// variable `RUST_LOG` takes precedence.
    pub level: String,
}

impl Default for Logging {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".to_owned() }
    }
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line of text for people.
    Text,
}

/// What the operator is for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::EnumString)]
#[strum(parse_err_ty = String, parse_err_fn = unknown_role)]
pub enum RequestRole {
    /// It asks for the next job.
    Director,
    /// It has jobs done.
    Worker,
}

fn unknown_role(text: &str) -> String {
    format!("{text:?} is no role: give Director, Worker, or both separated by a comma")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(entries: &[(&str, bool)]) -> HostPathPolicy {
        let entry = |(prefix, writable): &(&str, bool)| AllowedHostPath {
            prefix: (*prefix).to_owned(),
            writable: *writable,
        };
        HostPathPolicy { allowed: entries.iter().map(entry).collect() }
    }

    /// A prefix is a directory, not a run of characters, and no spelling of a path gets around it.
    #[test]
    fn host_paths_are_compared_by_whole_components() {
        let policy = policy(&[("/data/models", false), ("/data/models/scratch", true), ("/srv/in/", false)]);
        let cases = [
            ("/data/models", Some(false)),
            ("/data/models/", Some(false)),
            ("/data/models/llama", Some(false)),
            ("/data/models/scratch/a", Some(true)),
            ("/srv/in/x", Some(false)),
            ("/data/models-private", None),
            ("/data", None),
            ("/", None),
            ("", None),
            ("data/models", None),
            ("/data/models/../../etc", None),
            ("/data/./models", None),
            ("/data//models", None),
            ("//data/models", None),
            ("/data/models/a\0b", None),
        ];
        for (path, expected) in cases {
            assert_eq!(policy.entry_for(path).map(|entry| entry.writable), expected, "path {path:?}");
        }
    }

    /// No directory of a node can be mounted by default.
    #[test]
    fn no_host_path_is_allowed_by_default() {
        assert_eq!(HostPathPolicy::default().entry_for("/data/models"), None);
    }
}
