//! Reads the operator's configuration from a file and checks it before anything starts.

pub mod check;
pub mod model;

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

pub use check::Problem;
pub use model::{
    AllowedHostPath, Conversion, ExecutorResources, GateSetup, HostPathPolicy, Http, LeaderElection,
    LogFormat, Logging, OperatorConfiguration, PodIdentitiesSetup, Results, ServiceAccountPolicy, Traces,
};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration file {}: check the path given to --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is no YAML of this shape.
    #[error("failed to understand the configuration file {}: correct the field named below", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Field and place of the mistake.
        source: serde_norway::Error,
    },
    /// Values that cannot be used, each with field, value and remedy.
    #[error("failed to accept the configuration file {}:{}", path.display(), listed(problems))]
    Values {
        /// The file.
        path: PathBuf,
        problems: Vec<Problem>,
    },
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {problem}");
        text
    })
}

/// Reads the configuration from the YAML file `path`; without one, the defaults.
///
/// # Errors
///
/// When the file cannot be read, has unknown fields or wrong types, or holds values that cannot be used.
pub fn load(path: Option<&Path>) -> Result<OperatorConfiguration, ConfigError> {
    let Some(path) = path else { return Ok(OperatorConfiguration::default()) };
    let text =
        fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Reads the configuration from `text`; `path` is named in errors. An empty text is the default configuration.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, path: &Path) -> Result<OperatorConfiguration, ConfigError> {
    let parsed: Option<OperatorConfiguration> = serde_norway::from_str(text)
        .map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
    let configuration = parsed.unwrap_or_default();
    let problems = configuration.problems();
    if problems.is_empty() {
        Ok(configuration)
    } else {
        Err(ConfigError::Values { path: path.to_owned(), problems })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use proptest::prelude::*;

    use super::*;

    /// Almost a configuration, with anything in any place.
    fn almost() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let schema = serde_json::to_value(OperatorConfiguration::default()).unwrap();
        let names: Vec<String> = schema.as_object().unwrap().keys().cloned().collect();
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..6)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        // PROPTEST_CASES asks for more.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_configuration_makes_it_panic(text in "\\PC{0,48}", value in almost(), at: prop::sample::Index, byte in "\\PC") {
            let mut whole = serde_norway::to_string(&OperatorConfiguration::default()).unwrap();
            let starts: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
            whole.insert_str(starts[at.index(starts.len())], &byte);
            for text in [text, value.to_string(), whole] {
                if let Err(error) = parse_text(&text) {
                    prop_assert!(error.to_string().contains("operator.yaml"), "{error}");
                }
            }
        }
    }

    fn parse_text(text: &str) -> Result<OperatorConfiguration, ConfigError> {
        parse(text, Path::new("operator.yaml"))
    }

    /// The chart writes only what a user sets; the rest must come from here.
    #[test]
    fn fields_that_are_absent_have_their_defaults() {
        let configuration = parse_text("leaderElection: {leaseName: mine}\n").unwrap();
        assert_eq!(configuration.leader_election.lease_name, "mine");
        assert_eq!(configuration.leader_election.lease_duration_seconds, 15);
        assert_eq!(configuration.concurrency, 16);
        assert_eq!(parse_text("").unwrap(), OperatorConfiguration::default());
        assert_eq!(parse_text("# nothing set\n").unwrap(), OperatorConfiguration::default());
    }

    #[test]
    fn every_field_survives_being_written_and_read() {
        let mut configuration =
            OperatorConfiguration { watch_namespaces: vec!["blue".to_owned()], ..Default::default() };
        configuration.host_paths.allowed =
            vec![AllowedHostPath { prefix: "/data/models".to_owned(), writable: true }];
        configuration.http.bind_address = "[::1]:9090".parse().unwrap();
        configuration.logging.format = LogFormat::Text;
        let text = serde_norway::to_string(&configuration).unwrap();
        assert_eq!(parse_text(&text).unwrap(), configuration);
    }

    /// A misspelt field must not silently become a default.
    #[test]
    fn an_unknown_field_is_named() {
        for (text, field) in [
            ("leaderElecton: {}", "leaderElecton"),
            ("http: {port: 1}", "port"),
            ("hostPaths: {allowed: [{prefix: /data, writeable: true}]}", "writeable"),
            ("executorResources: {request: {}}", "request"),
        ] {
            let error = parse_text(text).unwrap_err();
            let source = error.source().unwrap().to_string();
            assert!(source.contains(field), "{source:?} names {field}");
        }
    }

    /// One pass shows all that is wrong: field, value, remedy.
    #[test]
    fn all_unusable_values_are_listed_at_once() {
        let error = parse_text(
            "concurrency: 0\n\
             watchNamespaces: [Blue, red, red]\n\
             leaderElection: {leaseDurationSeconds: 10, renewDeadlineSeconds: 10, retryPeriodSeconds: 12}\n\
             hostPaths: {allowed: [{prefix: /var/run}]}\n\
             serviceAccounts: {allowed: [\"not ok\"]}\n\
             executorResources: {limits: {memory: 1 gigabyte}}\n\
             colonyPollSeconds: 0\n",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "concurrency is 0: set a number from 1 to 256",
            "watchNamespaces[0] is \"Blue\": set the name of a namespace",
            "watchNamespaces[2] is \"red\": remove it",
            "leaderElection.renewDeadlineSeconds is 10: set less than leaderElection.leaseDurationSeconds (10)",
            "leaderElection.retryPeriodSeconds is 12: set less than leaderElection.renewDeadlineSeconds (10)",
            "hostPaths.allowed[0].prefix is \"/var/run\": set a directory of your own data",
            "serviceAccounts.allowed[0] is \"not ok\": set the name of an object",
            "executorResources.limits.memory is \"1 gigabyte\": set a quantity",
            "colonyPollSeconds is 0: set a number from 1 to 3600",
        ] {
            assert!(error.contains(expected), "missing {expected:?} in:\n{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named_with_the_flag() {
        let error = load(Some(Path::new("/nonexistent/operator.yaml"))).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/operator.yaml") && error.contains("--config"), "{error}");
    }
}
