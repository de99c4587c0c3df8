//! Checks of a configuration that report field, value and remedy; pure.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::namespace::NamespaceName;

use super::model::{Conversion, LeaderElection, OperatorConfiguration, plain_components};

/// Directories that give full access to the node when mounted: no prefix may be one of them or lie above one.
const NODE_DIRECTORIES: [&str; 8] =
    ["/boot", "/dev", "/etc", "/proc", "/root", "/sys", "/var/lib/kubelet", "/var/run"];

/// Sockets and state of container runtimes live below these; no prefix may be one of them, above or below.
const RUNTIME_DIRECTORIES: [&str; 5] =
    ["/run", "/var/run", "/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet"];

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field in the file, such as `hostPaths.allowed[0].prefix`.
    pub field: String,
    /// The value as it was read.
    pub value: String,
    /// What to write instead, and why.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}: {}", self.field, self.value, self.remedy)
    }
}

impl OperatorConfiguration {
    /// Every problem with the values, in the order of the fields; empty when the configuration can be used.
    ///
    /// The log filter is left to the place that parses it.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        problems.namespaces("watchNamespaces", &self.watch_namespaces);
        problems.namespaces("secretNamespaces", &self.secret_namespaces);
        problems.labels("clusterSelector", &self.cluster_selector);
        problems.range("concurrency", self.concurrency.into(), 1, 256);
        self.leader_election.check(&mut problems);
        for (index, entry) in self.host_paths.allowed.iter().enumerate() {
            problems.host_path_prefix(&format!("hostPaths.allowed[{index}].prefix"), &entry.prefix);
        }
        for (index, name) in self.service_accounts.allowed.iter().enumerate() {
            problems.object_name(&format!("serviceAccounts.allowed[{index}]"), name);
        }
        problems.quantities("executorResources.requests", &self.executor_resources.requests);
        problems.quantities("executorResources.limits", &self.executor_resources.limits);
        problems.range("colonyPollSeconds", self.colony_poll_seconds, 1, 3600);
        problems.range("processPollSeconds", self.process_poll_seconds, 0, 3600);
        problems.range("processSubscriptions", self.process_subscriptions.into(), 0, 4096);
        for (index, name) in self.kind_policies.iter().enumerate() {
            problems.object_name(&format!("kindPolicies[{index}]"), name);
        }
        self.conversion.check(&mut problems);
        if let Some(name) = &self.pod_identities.webhook_configuration {
            problems.object_name("podIdentities.webhookConfiguration", name);
        }
        if let Some(endpoint) = self.traces.endpoint() {
            problems.http_url("traces.endpoint", endpoint);
        }
        problems.image("gate.image", &self.gate.image);
        problems.into_list()
    }
}

impl LeaderElection {
    fn check(&self, problems: &mut Problems) {
        problems.object_name("leaderElection.leaseName", &self.lease_name);
        problems.range("leaderElection.leaseDurationSeconds", self.lease_duration_seconds, 2, 3600);
        problems.range("leaderElection.renewDeadlineSeconds", self.renew_deadline_seconds, 1, 3600);
        problems.range("leaderElection.retryPeriodSeconds", self.retry_period_seconds, 1, 3600);
        problems.less(
            ("leaderElection.renewDeadlineSeconds", self.renew_deadline_seconds),
            ("leaderElection.leaseDurationSeconds", self.lease_duration_seconds),
            "or two replicas may write at the same time",
        );
        problems.less(
            ("leaderElection.retryPeriodSeconds", self.retry_period_seconds),
            ("leaderElection.renewDeadlineSeconds", self.renew_deadline_seconds),
            "or the lease is lost before it is renewed",
        );
    }
}

impl Conversion {
    fn check(&self, problems: &mut Problems) {
        if let Some(name) = &self.service_name {
            problems.object_name("conversion.serviceName", name);
        }
        if let Some(url) = &self.url {
            problems.https_base("conversion.url", url);
        }
        if self.service_name.is_some() && self.url.is_some() {
            problems.both("conversion.url", "conversion.serviceName");
        }
        problems.object_name("conversion.secretName", &self.secret_name);
        problems.range("conversion.certificateSeconds", self.certificate_seconds, 10, 31_536_000);
    }
}

/// Collects problems while a configuration is walked through.
#[derive(Debug, Default)]
struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    fn image(&mut self, field: &str, image: &str) {
        if image.is_empty() || image.chars().any(char::is_whitespace) {
            let remedy = "name an image, such as registry.example.com/colonyos-operator:1.0";
            self.add(field, format!("{image:?}"), remedy);
        }
    }

    fn into_list(self) -> Vec<Problem> {
        self.list
    }

    fn add(&mut self, field: &str, value: impl fmt::Display, remedy: impl Into<String>) {
        self.list.push(Problem { field: field.to_owned(), value: value.to_string(), remedy: remedy.into() });
    }

    fn range(&mut self, field: &str, value: u32, least: u32, most: u32) {
        if !(least..=most).contains(&value) {
            self.add(field, value, format!("set a number from {least} to {most}"));
        }
    }

    fn less(&mut self, small: (&str, u32), large: (&str, u32), why: &str) {
        if small.1 >= large.1 {
            self.add(small.0, small.1, format!("set less than {} ({}), {why}", large.0, large.1));
        }
    }

    fn namespaces(&mut self, field: &str, names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            if NamespaceName::parse(name).is_none() {
                self.add(
                    &format!("{field}[{index}]"),
                    format!("{name:?}"),
                    "set the name of a namespace: lower-case letters, digits and '-', at most 63",
                );
            } else if names.get(..index).is_some_and(|before| before.contains(name)) {
                self.add(&format!("{field}[{index}]"), format!("{name:?}"), "remove it, it is listed before");
            }
        }
    }

    fn labels(&mut self, field: &str, labels: &BTreeMap<String, String>) {
        for (key, value) in labels {
            let name = key.split_once('/').map_or(key.as_str(), |(_, name)| name);
            if key.len() > 253 || name.is_empty() || !is_label_value(name) || key.contains([',', '=']) {
                let remedy = "set the key of a label: a name of at most 63 letters, digits, '-', '_' and '.', after a domain and '/' if it has one";
                self.add(&format!("{field}.{key}"), format!("{key:?}"), remedy);
            } else if !is_label_value(value) {
                let remedy = "set the value of a label: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";
                self.add(&format!("{field}.{key}"), format!("{value:?}"), remedy);
            }
        }
    }

    fn object_name(&mut self, field: &str, name: &str) {
        if name.len() > 253 || !name.split('.').all(|label| NamespaceName::parse(label).is_some()) {
            self.add(
                field,
                format!("{name:?}"),
                "set the name of an object: lower-case letters, digits, '-' and '.', at most 253",
            );
        }
    }

    /// An URL with nothing but a host and perhaps a port.
    fn https_base(&mut self, field: &str, url: &str) {
        let authority = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        let is_plain = authority.and_then(|authority| authority.parse::<http::uri::Authority>().ok());
        if is_plain.is_none_or(|authority| authority.as_str().contains('@')) {
            let remedy = "set https://, a host and perhaps a port, such as https://192.0.2.1:9443";
            self.add(field, format!("{url:?}"), remedy);
        }
    }

    /// An URL with a host and perhaps a port and a path.
    fn http_url(&mut self, field: &str, url: &str) {
        let parsed = url.parse::<http::Uri>().ok();
        let is_usable = parsed.as_ref().is_some_and(|parsed| {
            let has_scheme = parsed.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
            let has_user = parsed.authority().is_none_or(|authority| authority.as_str().contains('@'));
            has_scheme && !has_user && parsed.query().is_none()
        });
        if !is_usable {
            let remedy = "set http:// or https://, a host and perhaps a port, such as http://collector.monitoring:4318";
            self.add(field, format!("{url:?}"), remedy);
        }
    }

    fn both(&mut self, field: &str, other: &str) {
        self.add(field, "set", format!("remove it, or {other}: only one of them may be set"));
    }

    fn host_path_prefix(&mut self, field: &str, prefix: &str) {
        let shown = format!("{prefix:?}");
        let Some(components) = plain_components(prefix) else {
            return self.add(field, shown, "set an absolute directory without '..', '.' or '//'");
        };
        if components.is_empty() {
            return self.add(field, shown, "set a directory below '/': the root of a node is never mounted");
        }
        let above = |directory: &&str| {
            plain_components(directory).is_some_and(|inner| inner.starts_with(&components))
        };
        let below = |directory: &&str| {
            plain_components(directory).is_some_and(|outer| components.starts_with(&outer))
        };
        let directory = NODE_DIRECTORIES
            .iter()
            .find(|directory| above(directory) || below(directory))
            .or_else(|| RUNTIME_DIRECTORIES.iter().find(|directory| above(directory) || below(directory)));
        if let Some(directory) = directory {
            let remedy =
                format!("set a directory of your own data: this one would open the node's {directory}");
            self.add(field, shown, remedy);
        }
    }

    fn quantities(&mut self, field: &str, quantities: &BTreeMap<String, Quantity>) {
        for (name, quantity) in quantities {
            if !is_quantity(&quantity.0) {
                self.add(
                    &format!("{field}.{name}"),
                    format!("{:?}", quantity.0),
                    "set a quantity such as 500m, 2, 64Mi or 1Gi",
                );
            }
        }
    }
}

/// The value of a label, which may be empty.
fn is_label_value(value: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    value.len() <= 63
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && is_end(value.bytes().next())
        && is_end(value.bytes().last())
}

/// A resource quantity that is not negative: decimal number, then a suffix of the SI or binary kind or an exponent
/// (`resource.Quantity` of apimachinery).
fn is_quantity(text: &str) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let is_number = number.bytes().any(|byte| byte.is_ascii_digit())
        && number.bytes().filter(|byte| *byte == b'.').count() <= 1;
    let is_exponent = suffix
        .strip_prefix(['e', 'E'])
        .map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
        .is_some_and(|exponent| !exponent.is_empty() && exponent.bytes().all(|byte| byte.is_ascii_digit()));
    let is_unit = matches!(
        suffix,
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei"
    );
    is_number && (is_unit || is_exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_has_no_problem() {
        assert_eq!(OperatorConfiguration::default().problems(), []);
    }

    #[test]
    fn quantities_are_read_as_the_api_server_reads_them() {
        for good in ["0", "2", "50m", "1.5", "64Mi", "1Gi", "1e3", "5E-1", "1E", ".5", "1."] {
            assert!(is_quantity(good), "{good} is a quantity");
        }
        for bad in ["", "-1", "1 Gi", "1gb", "Gi", ".", "1..2", "1e", "1e+"] {
            assert!(!is_quantity(bad), "{bad} is none");
        }
    }

    #[test]
    fn a_selector_that_no_api_server_takes_is_refused() {
        let found = |key: &str, value: &str| {
            let mut problems = Problems::default();
            problems.labels("s", &BTreeMap::from([(key.to_owned(), value.to_owned())]));
            problems.list.len()
        };
        for (key, value) in [("team", "a"), ("example.com/team", ""), ("a.b/c_d", "x.y-z")] {
            assert_eq!(found(key, value), 0, "{key}={value}");
        }
        for (key, value) in [("", "a"), ("a=b", "c"), ("a/", "b"), ("a", "-b"), ("a", "b,c"), ("a b", "c")] {
            assert_eq!(found(key, value), 1, "{key}={value}");
        }
    }

    /// An administrator's slip must not hand the node to every user of the custom resource.
    #[test]
    fn prefixes_that_open_the_node_are_refused() {
        for bad in [
            "/",
            "/run",
            "/run/containerd",
            "/var",
            "/var/lib",
            "/var/run/docker.sock",
            "/etc/ssl",
            "/var/lib/kubelet/pods",
            "/var/lib/docker",
            "relative",
            "/a/../b",
            "",
        ] {
            let mut problems = Problems::default();
            problems.host_path_prefix("prefix", bad);
            assert_eq!(problems.list.len(), 1, "{bad:?} must be refused");
        }
        for good in ["/data/models", "/data/", "/var/lib/models", "/mnt/scratch", "/srv/etc"] {
            let mut problems = Problems::default();
            problems.host_path_prefix("prefix", good);
            assert_eq!(problems.list, [], "{good:?} is a directory of data");
        }
    }
}
