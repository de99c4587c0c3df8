//! What went wrong with a call, in classes that a caller can act on.
//!
//! The server's status codes are not sufficient (a missing process is 404, 500 or 400 depending on the call, a lost
//! database is 400 or 403), so replies are classified by status and a part of their message. The table is
//! `Error::from_reply`; each line of it has a test, and `tests/colony` provokes the replies on a real server.

use std::{error::Error as StdError, fmt};

use super::model::{InvalidField, Process, ProcessId};

/// The longest message of a server that is kept, in characters.
const MESSAGE_MAX: usize = 512;

/// Parts of messages that come from the network behind the server or from its database, whatever the status.
/// What the call was to change may have been changed.
const BACKEND_PARTS: [&str; 13] = [
    "dial tcp",
    "dial unix",
    "connection refused",
    "connection reset",
    "broken pipe",
    "bad connection",
    "no such host",
    "i/o timeout",
    "unexpected EOF",
    "context deadline exceeded",
    // Returned instead of the database's own error.
    "Failed to resolve colony name",
    "Failed to resolve initiator",
    // PostgreSQL: shutting down, restarting, full, read-only, too many clients, … Errors about a value that the
    // client sent are matched before.
    "pq: ",
];

/// Errors of PostgreSQL, passed on by the server, about a value that it cannot store.
const VALUE_PARTS: [&str; 5] =
    ["pq: invalid ", "pq: value ", "pq: unsupported Unicode", "out of range", "pq: integer out"];

/// Parts of messages about a blueprint that was written, or may have been, before something else went wrong. They
/// quote what went wrong, so they are looked for first.
const HALF_DONE_PARTS: [&str; 3] =
    ["blueprint created but failed", "blueprint updated but failed", "failed to create reconciliation cron"];

/// Parts of messages about a spec or a workflow that the server does not accept. They quote names of ours, so
/// they are looked for early; two of them come with 500.
const REFUSED_PARTS: [&str; 5] = [
    "blueprint validation failed",
    "BlueprintDefinition for kind",
    "Nodename is missing",
    "Duplicate nodename",
    "Failed to submit workflow, invalid dependencies",
];

/// The server's reply when it refused a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What was tried, as in "failed to …".
    pub action: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The server's message: at most 512 characters, and no control characters.
    pub message: String,
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "failed to {}: the server answered {}: {}", self.action, self.status, self.message)
    }
}

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object is not there.
    #[error("{0}")]
    NotFound(Reply),
    /// An object of that name or identity is there already.
    #[error("{0}")]
    AlreadyExists(Reply),
    /// The object is in a state in which this cannot be done: a second cancel, a close of a cancelled
    /// process.
    #[error("{0}")]
    Conflict(Reply),
    /// The key is unknown or not authorized.
    #[error("{0}; check the colony's name, and that the key is that of a member (or the owner) of it")]
    Forbidden(Reply),
    /// The server does not accept what was sent.
    #[error("{0}")]
    Invalid(Reply),
    /// The colony's owner has paused assignments.
    #[error("{0}")]
    Paused(Reply),
    /// Nothing was sent: there is no connection. Nothing has happened.
    #[error("failed to {action}: no connection to the colony server; check its host, port and TLS setting")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// Why there is no connection.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It was sent, and no reply tells its outcome. **It may have happened**: seen on a real server for a submit
    /// answered by 400 while its database went away.
    #[error("failed to {action}, or to learn whether that was done: {detail}")]
    Ambiguous {
        /// What was tried.
        action: &'static str,
        /// What came instead of an answer.
        detail: String,
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// The transport's error, when there was no status.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The server agreed, but its answer cannot be read. **It has happened.**
    #[error("failed to read the server's answer to {action}: {detail}")]
    Decode {
        /// What was tried.
        action: &'static str,
        /// What cannot be read.
        detail: String,
    },
    /// The server agreed, but its answer is larger than what is read. **It has happened.**
    #[error(
        "failed to read the server's answer to {action}: it takes {size}, which is the most that is read; {remedy}"
    )]
    TooLarge {
        /// What was tried.
        action: &'static str,
        /// How much it is, in words.
        size: String,
        /// What to do about it.
        remedy: &'static str,
        /// The process with which the answer begins, if it is one or a list of them.
        first: Option<Box<ProcessId>>,
        /// The process that the answer is, without its output, if that is what is too large.
        cut: Option<Box<Process>>,
    },
    /// A list is as long as the server's lists can be, so what is not in it may exist all the same.
    #[error(
        "failed to {action}: the server lists at most {limit} and there may be more; remove finished processes"
    )]
    Incomplete {
        /// What was tried.
        action: &'static str,
        /// The server's limit.
        limit: u8,
    },
    /// A value that must not be sent. Nothing has happened.
    #[error(transparent)]
    Field(InvalidField),
    /// The client cannot be set up as asked. Nothing has happened.
    #[error("failed to set up the client of the colony server: {0}")]
    Configuration(String),
}

/// The class of an [`Error`], for metrics and reasons: a small closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[expect(missing_docs, reason = "each is explained at the variant of the same name in `Error`")]
#[non_exhaustive]
pub enum ErrorKind {
    NotFound,
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    Paused,
    Unavailable,
    Ambiguous,
    Decode,
    TooLarge,
    Incomplete,
    Field,
    Configuration,
}

impl ErrorKind {
    /// The class as one word, as the variant is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Error {
    /// Classifies a refusal that the server wrote itself.
    pub(super) fn from_reply(action: &'static str, status: u16, message: &str) -> Self {
        let has = |part: &str| message.contains(part);
        let reply = Reply { action, status, message: bounded(message) };
        if HALF_DONE_PARTS.iter().any(|part| has(part)) {
            return Self::unanswered(reply);
        }
        if REFUSED_PARTS.iter().any(|part| has(part)) {
            return Self::Invalid(reply);
        }
        if has("already exists") || has("duplicate key value") || has("not unique") {
            return Self::AlreadyExists(reply);
        }
        if VALUE_PARTS.iter().any(|part| has(part)) {
            return Self::Invalid(reply);
        }
        // Before any status: a server that has lost its database replies with 400, and even with 403.
        if BACKEND_PARTS.iter().any(|part| has(part)) || message == "EOF" {
            return Self::unanswered(reply);
        }
        match status {
            408 | 503 if has("assignments are paused") => Self::Paused(reply),
            409 if has("still exist") => Self::Conflict(reply),
            409 => Self::AlreadyExists(reply),
            // A call for executors or members, made with a key that is neither.
            400 | 500 if has("executor not found") || has("Could not derive InitiatorName") => {
                Self::Forbidden(reply)
            }
            // A workflow that was kept by half: its processes were never made.
            400 if has("Failed to iterate processgraph") => Self::Conflict(reply),
            400 | 500 if has("does not exist") || has("not found") => Self::NotFound(reply),
            400 if has("cannot remove a running") => Self::Conflict(reply),
            400 if has("Tried to ") || has("already assigned") || has("Cannot assign cancelled") => {
                Self::Conflict(reply)
            }
            // Over the websocket, where every refusal is 403.
            403 if has("Invalid process with Id") => Self::NotFound(reply),
            403 if has("is not running") || has("is not assigned") => Self::Conflict(reply),
            400 | 413 | 422 => Self::Invalid(reply),
            401 | 403 => Self::Forbidden(reply),
            404 => Self::NotFound(reply),
            // "addedProcess is nil": the object was written, and could not be read back.
            500 if has("added") => Self::unanswered(reply),
            500 if has("is nil") || has("is <nil>") => Self::NotFound(reply),
            _ => Self::unanswered(reply),
        }
    }

    fn unanswered(reply: Reply) -> Self {
        let Reply { action, status, message } = reply;
        Self::Ambiguous {
            action,
            detail: format!("the server answered {status}: {message}"),
            status: Some(status),
            source: None,
        }
    }

    /// An answer that the server itself did not write, for example of a proxy in front of it.
    pub(super) fn foreign_reply(action: &'static str, status: u16, body: &[u8]) -> Self {
        let text = bounded(&String::from_utf8_lossy(body.get(..2048).unwrap_or(body)));
        let detail = if text.is_empty() {
            format!("the answer ({status}) is empty")
        } else {
            format!("the answer ({status}) is none of a colony server: {text}")
        };
        Self::Ambiguous { action, detail, status: Some(status), source: None }
    }

    pub(super) fn decode(action: &'static str, detail: &str) -> Self {
        Self::Decode { action, detail: bounded(detail) }
    }

    /// Its class.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::AlreadyExists(_) => ErrorKind::AlreadyExists,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Forbidden(_) => ErrorKind::Forbidden,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Paused(_) => ErrorKind::Paused,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Ambiguous { .. } => ErrorKind::Ambiguous,
            Self::Decode { .. } => ErrorKind::Decode,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Incomplete { .. } => ErrorKind::Incomplete,
            Self::Field(_) => ErrorKind::Field,
            Self::Configuration(_) => ErrorKind::Configuration,
        }
    }

    /// The HTTP status, when there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::NotFound(reply)
            | Self::AlreadyExists(reply)
            | Self::Conflict(reply)
            | Self::Forbidden(reply)
            | Self::Invalid(reply)
            | Self::Paused(reply) => Some(reply.status),
            Self::Ambiguous { status, .. } => *status,
            _ => None,
        }
    }

    /// Whether what was tried may have been done all the same. If so, **look before trying again**.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Ambiguous { .. } | Self::Decode { .. } | Self::TooLarge { .. })
    }

    /// Whether the same call may well succeed later without a change.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Ambiguous { .. } | Self::Paused(_))
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Whether an object of that name or identity is there already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists(_))
    }

    /// Whether the object is in a state in which this cannot be done.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the key may not do this.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden(_))
    }

    /// Whether the server does not accept what was sent, or this client refused to send it.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Field(_))
    }

    /// Whether the answer is larger than what is read.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    /// The process that was asked for, if only its input and output are too large: without them, [cut](Process::is_cut) if it has
    /// an output. Where it stands does not depend on what it put out, or is given.
    ///
    /// # Errors
    /// The error itself otherwise.
    pub fn into_known(self, id: &ProcessId) -> Result<Process, Self> {
        match self {
            Self::TooLarge { cut: Some(process), .. }
                if process.id == *id && (process.state.is_final() || !process.is_cut) =>
            {
                Ok(*process)
            }
            error => Err(error),
        }
    }

    /// Whether there was no connection.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether it was sent and not answered.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous { .. })
    }
}

/// A text from elsewhere, made fit for a status or a terminal: one line, no control or direction characters,
/// not too long.
fn bounded(text: &str) -> String {
    let shown = |character: char| match character {
        _ if character.is_control() => ' ',
        // Characters that are not seen, and those that turn the direction of what follows.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => ' ',
        _ => character,
    };
    let mut characters = text.trim().chars().map(shown);
    let mut bounded: String = characters.by_ref().take(MESSAGE_MAX).collect();
    if characters.next().is_some() {
        bounded.pop();
        bounded.push('…');
    }
    bounded
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorKind, MESSAGE_MAX};

    /// The messages are those of a ColonyOS 1.9.12 server.
    const REFUSALS: &[(u16, &str, ErrorKind)] = &[
        (404, "Failed to get process, process not found", ErrorKind::NotFound),
        (404, "Failed to get executor by ID, executor is nil", ErrorKind::NotFound),
        (500, "Failed to get executor, executor is nil", ErrorKind::NotFound),
        (500, "Failed to cancel process, process is nil", ErrorKind::NotFound),
        (500, "Failed to close process as successful, process is nil", ErrorKind::NotFound),
        (500, "Failed to close process as failed, process is nil", ErrorKind::NotFound),
        (500, "Failed to approve executor, executor is nil", ErrorKind::NotFound),
        (500, "Failed to remove executor, executor is nil", ErrorKind::NotFound),
        (400, "Executor with name <e> does not exist", ErrorKind::NotFound),
        (500, "Failed to get logs, process does not exist", ErrorKind::NotFound),
        (400, "Colony with name <c> does not exists", ErrorKind::NotFound),
        (400, "User <u> does not exist", ErrorKind::NotFound),
        (400, "Executor with name <e> in Colony <c> already exists", ErrorKind::AlreadyExists),
        (400, "A user with name <u> already exists in Colony with name <c>", ErrorKind::AlreadyExists),
        (400, "A Colony with name <c> already exists", ErrorKind::AlreadyExists),
        (
            400,
            "Executor not unique, both Name and ExecutorId must be unique within a Colony",
            ErrorKind::AlreadyExists,
        ),
        (409, "blueprint with name 'b' already exists in colony 'c'", ErrorKind::AlreadyExists),
        (500, "pq: duplicate key value violates unique constraint \"x\"", ErrorKind::AlreadyExists),
        (400, "Tried to cancel already cancelled process", ErrorKind::Conflict),
        (400, "Tried to cancel successful process", ErrorKind::Conflict),
        (400, "Tried to set cancelled process as successful", ErrorKind::Conflict),
        (400, "Tried to set failed process as failed", ErrorKind::Conflict),
        (403, "Failed to set output, process is not running", ErrorKind::Conflict),
        (403, "Failed to close process as successful, process is not assigned", ErrorKind::Conflict),
        (
            403,
            "Failed to close process as failed, not allowed to close process as failed",
            ErrorKind::Forbidden,
        ),
        (403, "Access denied, not colony owner", ErrorKind::Forbidden),
        (403, "Access denied, not server owner", ErrorKind::Forbidden),
        (400, "Failed to change executor Id, executor not found", ErrorKind::Forbidden),
        (500, "Could not derive InitiatorName", ErrorKind::Forbidden),
        (400, "Colony with name <c> not found", ErrorKind::NotFound),
        (400, "User with name <u> not found", ErrorKind::NotFound),
        (500, "Failed to get user, user is nil", ErrorKind::NotFound),
        (500, "Failed to remove process, process is nil", ErrorKind::NotFound),
        (404, "Failed to add attribute, process not found", ErrorKind::NotFound),
        (400, "Attribute does not exists", ErrorKind::NotFound),
        (403, "Failed to add attribute, process is not running", ErrorKind::Conflict),
        (
            403,
            "Failed to add attribute, only executor with id <e> is allowed to set attributes",
            ErrorKind::Forbidden,
        ),
        (400, "Failed to remove process, cannot remove a running process", ErrorKind::Conflict),
        (
            400,
            "Failed to remove, cannot remove a process part of a workflow, delete the entire workflow instead",
            ErrorKind::Invalid,
        ),
        (400, "Not possible to remove running processes", ErrorKind::Invalid),
        (500, "Failed to get processgraph, graph is nil", ErrorKind::NotFound),
        (400, "Failed to iterate processgraph, process with ID=p not found", ErrorKind::Conflict),
        (400, "Failed to remove processgraph, cannot remove a running processgraph", ErrorKind::Conflict),
        (500, "Nodename is missing, check function spec for errors", ErrorKind::Invalid),
        (500, "Duplicate nodename: already exists", ErrorKind::Invalid),
        (
            500,
            "Failed to submit workflow, invalid dependencies, are you depending on a nodename that does not exits?",
            ErrorKind::Invalid,
        ),
        (500, "Failed to submit workflow, failed to add process", ErrorKind::Ambiguous),
        (500, "Failed to create processgraph, failed to add processgraph", ErrorKind::Ambiguous),
        (400, "Cron with name <n> in Colony <c> already exists", ErrorKind::AlreadyExists),
        (400, "cron not found", ErrorKind::NotFound),
        (500, "Failed to get cron, cron is nil", ErrorKind::NotFound),
        (400, "Cron interval must be -1 (disabled) or larger than 0", ErrorKind::Invalid),
        (400, "expected exactly 6 fields, found 1: [x]", ErrorKind::Invalid),
        (404, "Blueprint not found", ErrorKind::NotFound),
        (404, "Blueprint definition not found", ErrorKind::NotFound),
        (404, "BlueprintDefinition 'd' not found in namespace 'c'", ErrorKind::NotFound),
        (404, "blueprint 'b' not found in namespace 'c'", ErrorKind::NotFound),
        (
            409,
            "cannot remove BlueprintDefinition 'd': 1 blueprint(s) of kind 'K' still exist",
            ErrorKind::Conflict,
        ),
        (400, "BlueprintDefinition for kind 'K' not found in namespace 'c'", ErrorKind::Invalid),
        (400, "blueprint validation failed: required field 'already exists' is missing", ErrorKind::Invalid),
        (400, "Blueprint has no handler with executor type defined", ErrorKind::Invalid),
        (
            500,
            "failed to create reconciliation cron: Cron with name <reconcile-K> in Colony <c> already exists",
            ErrorKind::Ambiguous,
        ),
        (500, "blueprint created but failed to save audit history: x already exists", ErrorKind::Ambiguous),
        (403, "Invalid process with Id 0", ErrorKind::NotFound),
        (403, "invalid rpcMsg.PayloadType: nonsensemsg", ErrorKind::Forbidden),
        (500, "Failed to assign process, executor not found", ErrorKind::Forbidden),
        (400, "Failed to submit function spec, priority outside range [-50000, 50000]", ErrorKind::Invalid),
        (400, "Invalid timeout value, timeout cannot be zero", ErrorKind::Invalid),
        (408, "Assignment timeout: colony assignments are paused", ErrorKind::Paused),
        (503, "No processes available: colony assignments are paused", ErrorKind::Paused),
        (400, "dial tcp 127.0.0.1:5432: connect: connection refused", ErrorKind::Ambiguous),
        (403, "pq: the database system is shutting down", ErrorKind::Ambiguous),
        (400, "driver: bad connection", ErrorKind::Ambiguous),
        (400, "pq: terminating connection due to administrator command", ErrorKind::Ambiguous),
        (403, "dial tcp 127.0.0.1:5432: connect: connection refused", ErrorKind::Ambiguous),
        (403, "dial tcp: lookup postgres: no such host", ErrorKind::Ambiguous),
        (400, "Failed to resolve colony name", ErrorKind::Ambiguous),
        (400, "pq: sorry, too many clients already", ErrorKind::Ambiguous),
        (400, "pq: cannot execute INSERT in a read-only transaction", ErrorKind::Ambiguous),
        (400, "EOF", ErrorKind::Ambiguous),
        (400, "pq: invalid byte sequence for encoding \"UTF8\": 0x00", ErrorKind::Invalid),
        (400, "pq: value too long for type character varying(64)", ErrorKind::Invalid),
        (500, "Failed to submit process spec, addedProcess is nil", ErrorKind::Ambiguous),
        (500, "Failed to add executor, addedExecutor is nil", ErrorKind::Ambiguous),
        (500, "a message that is not known", ErrorKind::Ambiguous),
        (502, "Bad Gateway", ErrorKind::Ambiguous),
    ];

    #[test]
    fn each_refusal_of_the_server_has_its_class() {
        for &(status, message, kind) in REFUSALS {
            let error = Error::from_reply("try it", status, message);
            assert_eq!(error.kind(), kind, "{status} {message}");
            assert_eq!(error.status(), Some(status), "{message}");
            assert_eq!(error.may_have_happened(), kind == ErrorKind::Ambiguous, "{message}");
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn a_message_from_elsewhere_is_one_bounded_line_without_tricks() {
        let message = format!("first\nsecond\u{1b}[31m\u{202e}{}", "x".repeat(10_000));
        let Error::Invalid(reply) = Error::from_reply("try it", 400, &message) else {
            panic!("400 is Invalid")
        };
        assert_eq!(reply.message.chars().count(), MESSAGE_MAX);
        assert!(
            reply.message.starts_with("first second [31m xxx") && reply.message.ends_with('…'),
            "{}",
            reply.message
        );
    }

    #[test]
    fn an_answer_that_is_not_the_servers_may_hide_anything() {
        let error = Error::foreign_reply("submit a process", 502, b"<html>\n<title>Bad Gateway</title>");
        assert!(error.may_have_happened() && error.is_transient());
        assert_eq!(error.status(), Some(502));
    }
}
