//! Logs: one line an event on the standard error stream, JSON for machines or text for people.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    fmt,
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    registry,
    util::TryInitError,
};

use super::config::{LogFormat, Logging};

type Lines<S, W> = fmt::Layer<S, fmt::format::DefaultFields, fmt::format::Format, W>;

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
    let lines = layer(io::stderr, io::stderr().is_terminal());
    let started = match logging.format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(true);
            registry().with(filter).with(bodies).with(lines).try_init()
        }
        LogFormat::Text => registry().with(filter).with(bodies).with(lines.with_target(false)).try_init(),
    };
    started.map_err(|source| TelemetryError::Start { source })
}

/// Colors are for terminals: in a file they are noise, and in a pod's log bytes that a hostile message may hide behind.
fn layer<S, W>(writer: W, is_terminal: bool) -> Lines<S, W>
where
    W: for<'a> MakeWriter<'a> + 'static,
{
    // A line that nothing reads is lost: to complain about it where nothing reads would end the program.
    fmt::layer().with_ansi(is_terminal).with_writer(writer).log_internal_errors(false)
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
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written, for a test to read.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn colors_are_for_terminals_alone() {
        for (is_terminal, has_escapes) in [(false, false), (true, true)] {
            let written = Written::default();
            let to = written.clone();
            let lines = layer(move || to.clone(), is_terminal).with_target(false);
            tracing::subscriber::with_default(registry().with(lines), || tracing::warn!(field = 1, "words"));
            let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            assert!(text.contains("words"), "{text:?}");
            assert_eq!(text.contains('\u{1b}'), has_escapes, "{text:?}");
        }
    }

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
