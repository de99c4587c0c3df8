//! The only reader of environment variables.

use std::{env, fs};

/// What the operator takes from its environment; everything else comes from the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Name of the pod (`POD_NAME`), else of the host.
    pub host: String,
    /// The operator's own namespace (`POD_NAMESPACE`), where its lease and the colonies' credentials are; `None`
    /// outside a pod, where the namespace of the kubeconfig's context takes its place.
    pub namespace: Option<String>,
    /// Log filter (`RUST_LOG`), which wins over the configured one.
    pub log_filter: Option<String>,
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    pub fn read() -> Self {
        let host = variable("POD_NAME")
            .or_else(|| variable("HOSTNAME"))
            .or_else(|| fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned()))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "unknown-host".to_owned());
        Self { host, namespace: variable("POD_NAMESPACE"), log_filter: variable("RUST_LOG") }
    }
}

/// The value of an environment variable; `None` when it is not set, empty or not UTF-8.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lease's holder must name a machine even where no variable does.
    #[test]
    fn a_host_is_always_named() {
        assert!(!Environment::read().host.is_empty());
        assert_eq!(variable("COLONYOS_OPERATOR_TEST_UNSET"), None);
    }
}
