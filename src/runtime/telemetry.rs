//! Logs: one line an event on the standard error stream, JSON for machines or text for people.

use std::io;

use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    registry,
    util::TryInitError,
};

use super::config::{LogFormat, Logging};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is none.
    #[error(
        "failed to understand the log filter {filter:?}: set logging.level (or RUST_LOG) to error, warn, info, \
         debug, trace or a filter such as info,kube=debug"
    )]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Something else logs in this process already.
    #[error("failed to start logging")]
    Start {
        /// What is in the way.
        source: TryInitError,
    },
}

/// Starts logging for the whole process. `override_filter`, the value of `RUST_LOG`, wins over the configured level.
///
/// # Errors
///
/// When the filter cannot be understood, or logging was started before.
pub fn start(logging: &Logging, override_filter: Option<&str>) -> Result<(), TelemetryError> {
    let filter = filter(logging, override_filter)?;
    let bodies = filter_fn(|event| !logs_bodies(event.target()));
    // Spans carry the object and its generation; on every line they are what makes one object's story readable.
    let lines = fmt::layer().with_writer(io::stderr);
    let started = match logging.format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(true);
            registry().with(filter).with(bodies).with(lines).try_init()
        }
        LogFormat::Text => registry().with(filter).with(bodies).with(lines.with_target(false)).try_init(),
    };
    started.map_err(|source| TelemetryError::Start { source })
}

/// Whether a module of a library logs what it received: kube's client logs a body that it cannot decode, and tungstenite
/// each message and frame. Bodies hold Secrets, and none is logged at any level.
fn logs_bodies(target: &str) -> bool {
    target == "kube_client::client"
        || target.split("::").next().is_some_and(|name| matches!(name, "tungstenite" | "tokio_tungstenite"))
}

fn filter(logging: &Logging, override_filter: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let filter = override_filter.filter(|filter| !filter.trim().is_empty()).unwrap_or(&logging.level);
    EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a Secret went into the log when a path named one where a namespace was expected.
    #[test]
    fn bodies_of_answers_are_not_logged_at_any_level() {
        for target in
            ["kube_client::client", "tungstenite", "tungstenite::protocol", "tokio_tungstenite::compat"]
        {
            assert!(logs_bodies(target), "{target}");
        }
        for target in ["kube_client::client::builder", "kube_runtime::watcher", "colonyos_operator::act"] {
            assert!(!logs_bodies(target), "{target}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_mistakes_name_both() {
        let logging = Logging { level: "warn".to_owned(), ..Logging::default() };
        assert_eq!(filter(&logging, None).unwrap().to_string(), "warn");
        assert_eq!(filter(&logging, Some(" ")).unwrap().to_string(), "warn");
        assert_eq!(filter(&logging, Some("info,kube=debug")).unwrap().to_string(), "kube=debug,info");
        let error = filter(&logging, Some("kube=loud")).unwrap_err().to_string();
        assert!(error.contains("kube=loud") && error.contains("logging.level"), "{error}");
    }
}
