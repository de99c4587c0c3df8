//! Lines that executors write about their processes.

use serde::Deserialize;

use super::ProcessId;

/// One line in a process's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Log {
    /// The process it is about.
    #[serde(rename = "processid")]
    pub process: ProcessId,
    /// The executor that wrote it.
    #[serde(rename = "executorname", default)]
    pub executor: String,
    /// The line.
    pub message: String,
    /// When the server took it, in nanoseconds since 1970.
    #[serde(rename = "timestamp")]
    pub written_at: i64,
}

/// Which lines of a process's log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    pub(in super::super) process: ProcessId,
    pub(in super::super) since: i64,
    pub(in super::super) limit: u16,
    pub(in super::super) is_latest: bool,
}

impl LogQuery {
    /// The first 500 lines about `process`.
    #[must_use]
    pub fn new(process: ProcessId) -> Self {
        Self { process, since: 0, limit: 500, is_latest: false }
    }

    /// Only what was written after that time, in nanoseconds since 1970.
    #[must_use]
    pub fn since(mut self, nanoseconds: i64) -> Self {
        self.since = nanoseconds;
        self
    }

    /// The last line alone.
    #[must_use]
    pub fn latest(self) -> Self {
        Self { limit: 1, is_latest: true, ..self }
    }

    /// At most that many lines, within 1 to 500.
    #[must_use]
    pub fn limit(mut self, lines: u16) -> Self {
        self.limit = lines.clamp(1, 500);
        self
    }
}
