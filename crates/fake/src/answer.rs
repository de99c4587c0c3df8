//! How calls are answered, and what answers are made of.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha3::{Digest as _, Sha3_256};

/// Status and message of a refusal. Status 200 with an empty message stands for an answer without a body, which the real
/// server gives in two places instead of a refusal.
pub(super) type Refusal = (u16, String);

/// An answer: the JSON inside a reply.
pub(super) type Answer = Result<Value, Refusal>;

pub(super) fn refuse<T>(status: u16, message: impl Into<String>) -> Result<T, Refusal> {
    Err((status, message.into()))
}

/// Reads what is inside a call.
pub(super) fn read<T: DeserializeOwned>(inner: &Value) -> Result<T, Refusal> {
    serde_json::from_value(inner.clone()).or_else(|_| refuse(400, "Failed to answer, invalid JSON"))
}

/// The reply of a call without a result.
#[expect(clippy::unnecessary_wraps, reason = "an answer like the others")]
pub(super) fn done() -> Answer {
    Ok(json!({}))
}

/// A list, which Go writes as `null` when nothing was ever put into it.
pub(super) fn list(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::Null } else { Value::Array(items) }
}

/// A time as Go writes it, the year 1 for "never".
pub(super) fn time(at: Option<Timestamp>) -> Value {
    at.map_or_else(|| "0001-01-01T00:00:00Z".into(), |at| at.to_string().into())
}

/// The digest that ids are made of.
pub(super) fn digest(text: &str) -> String {
    hex::encode(Sha3_256::digest(text.as_bytes()))
}
