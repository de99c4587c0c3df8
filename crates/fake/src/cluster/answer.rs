//! What the server says, and how it refuses.

use serde_json::{Value, json};

use super::kind::Kind;

/// An answer of one piece.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// A refusal is an answer, too.
pub(super) type Result<T> = std::result::Result<T, Answer>;

pub(super) fn ok(body: Value) -> Answer {
    Answer { status: 200, body }
}

/// A refusal; an empty reason is left out.
pub(super) fn failure(status: u16, reason: &str, message: impl Into<String>, details: &Value) -> Answer {
    let message = message.into();
    let mut body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "details": details, "code": status,
    });
    if let (Value::Object(fields), false) = (&mut body, reason.is_empty()) {
        fields.insert("reason".to_owned(), reason.into());
    }
    Answer { status, body }
}

fn details(kind: &Kind, name: &str) -> Value {
    json!({ "name": name, "group": kind.group, "kind": kind.plural })
}

pub(super) fn not_found(kind: &Kind, name: &str) -> Answer {
    let message = format!("{} {name:?} not found", kind.resource());
    failure(404, "NotFound", message, &details(kind, name))
}

/// The answer to a path at which there is nothing: plain text, the one answer that is no JSON.
pub(super) fn no_such_path() -> Answer {
    Answer { status: 404, body: "404 page not found".into() }
}

pub(super) fn already_exists(kind: &Kind, name: &str) -> Answer {
    let message = format!("{} {name:?} already exists", kind.resource());
    failure(409, "AlreadyExists", message, &details(kind, name))
}

pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Answer {
    let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource());
    failure(409, "Conflict", message, &details(kind, name))
}

/// Why an update of an object is refused that another has changed.
pub(super) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

pub(super) fn invalid(kind: &Kind, name: &str, field: &str, why: &str) -> Answer {
    let message = format!("{}.{} {name:?} is invalid: {field}: {why}", kind.name, kind.group);
    failure(422, "Invalid", message, &details(kind, name))
}

pub(super) fn bad_request(message: impl Into<String>) -> Answer {
    failure(400, "BadRequest", message, &json!({}))
}
