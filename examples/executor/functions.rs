//! The functions that this executor knows. A process's arguments come from any member of the colony: each is
//! checked.

use std::time::Duration;

use colonyos_operator::colony::SubmittedSpec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The names of the functions, for those who ask for another.
const KNOWN: &str = "echo, fail, sha256, sleep";

/// The longest sleep. An executor that does not ask for work for 600 s is dead to the server, which then
/// gives its process to another.
const SLEEP_MAX: Duration = Duration::from_secs(500);

/// Runs what was asked for: the output, or why it failed.
pub async fn run(spec: &SubmittedSpec) -> Result<Vec<Value>, String> {
    match spec.function.as_str() {
        "echo" => Ok(echo(spec)),
        "fail" => Err(fail(spec)),
        "sha256" => sha256(spec),
        "sleep" => sleep(spec).await,
        unknown => Err(format!("unknown function {unknown:?}: this executor knows {KNOWN}")),
    }
}

/// Its arguments; those by name as one object, last.
fn echo(spec: &SubmittedSpec) -> Vec<Value> {
    let named = (!spec.kwargs.is_empty()).then(|| Value::Object(spec.kwargs.clone()));
    spec.args.iter().cloned().chain(named).collect()
}

/// The message to fail with: the first argument, or `message`.
fn fail(spec: &SubmittedSpec) -> String {
    let message = spec.args.first().or_else(|| spec.kwargs.get("message"));
    message.map_or_else(
        || "failed as it was asked to".to_owned(),
        |message| message.as_str().map_or_else(|| message.to_string(), str::to_owned),
    )
}

/// The SHA-256 digest of each argument, in hexadecimal.
fn sha256(spec: &SubmittedSpec) -> Result<Vec<Value>, String> {
    if spec.args.is_empty() {
        return Err("sha256 needs one or more texts as arguments".to_owned());
    }
    let digest = |argument: &Value| match argument {
        Value::String(text) => Ok(json!(hex::encode(Sha256::digest(text.as_bytes())))),
        other => Err(format!("sha256 takes texts, not {other}")),
    };
    spec.args.iter().map(digest).collect()
}

/// Sleeps for the first argument in seconds, or for `seconds` or `milliseconds`; the milliseconds are the
/// output.
async fn sleep(spec: &SubmittedSpec) -> Result<Vec<Value>, String> {
    let seconds = spec.args.first().or_else(|| spec.kwargs.get("seconds")).and_then(Value::as_f64);
    let milliseconds = spec.kwargs.get("milliseconds").and_then(Value::as_f64).map(|count| count / 1000.0);
    let time = seconds.or(milliseconds).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.filter(|time| *time <= SLEEP_MAX);
    let time = time.ok_or("sleep takes 0 to 500 seconds as its argument, or `seconds` or `milliseconds`")?;
    tokio::time::sleep(time).await;
    Ok(vec![json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))])
}
