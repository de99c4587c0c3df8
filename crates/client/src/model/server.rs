//! Information about a server and a colony.

use serde::Deserialize;

use super::null_is_empty;

/// Public information about a server: enough to know that something answers, and which version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServerInfo {
    /// Its version; servers that were built without one report `dev` or nothing.
    #[serde(rename = "buildversion", default)]
    pub version: String,
    /// When it was built.
    #[serde(rename = "buildtime", default)]
    pub built_at: String,
    /// Where it listens, as it was configured; a proxy in front is not in it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub backends: Vec<Backend>,
}

/// A port that a server reports to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Backend {
    /// The kind of port, for example `http`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The port.
    #[serde(default)]
    pub port: i64,
}

/// Counts over a colony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Statistics {
    /// Executors, removed ones included.
    pub executors: i64,
    /// Executors that may take processes.
    #[serde(rename = "activeexecutors")]
    pub active_executors: i64,
    /// Executors that were removed or held for stale.
    #[serde(rename = "unregisteredexecutors")]
    pub unregistered_executors: i64,
    /// Processes in the queue.
    #[serde(rename = "waitingprocesses")]
    pub waiting: i64,
    /// Processes that an executor has.
    #[serde(rename = "runningprocesses")]
    pub running: i64,
    /// Processes that succeeded.
    #[serde(rename = "successfulprocesses")]
    pub successful: i64,
    /// Processes that failed.
    #[serde(rename = "failedprocesses")]
    pub failed: i64,
    /// Processes that were cancelled.
    #[serde(rename = "cancelledprocesses")]
    pub cancelled: i64,
}
