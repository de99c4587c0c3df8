//! Submits a process, waits until it has ended, and prints its output.
//!
//! ```text
//! COLONIES_SERVER_HOST=localhost COLONIES_COLONY_NAME=dev COLONIES_PRVKEY=… submit EXECUTOR_TYPE FUNCTION [ARGUMENT…]
//! ```

use std::{env, error::Error, process::ExitCode, time::Duration};

use colonyos_client::{
    Client, FunctionSpec, PrivateKey, Process, ProcessState, Server, Session, Timeouts, Tls,
};

/// How often the process is read. A subscription would tell sooner, and may miss the end.
const INTERVAL: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(process) if process.state == ProcessState::Successful => {
            println!("{}", serde_json::Value::Array(process.output));
            ExitCode::SUCCESS
        }
        Ok(process) => {
            eprintln!("process {} is {}: {}", process.id, process.state, process.errors.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own")]
async fn run() -> Result<Process, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(executor_type), Some(function)) = (arguments.next(), arguments.next()) else {
        return Err("usage: submit EXECUTOR_TYPE FUNCTION [ARGUMENT…]".into());
    };
    let host = env::var("COLONIES_SERVER_HOST").unwrap_or_else(|_| "localhost".to_owned());
    let port = env::var("COLONIES_SERVER_PORT").map_or(Ok(50080), |port| port.parse())?;
    let colony = env::var("COLONIES_COLONY_NAME").unwrap_or_else(|_| "dev".to_owned());
    let key = env::var("COLONIES_PRVKEY").map_err(|_| "set COLONIES_PRVKEY to the key of a member")?;

    let client = Client::new(&Server { host, port, tls: Tls::Insecure }, Timeouts::default())?;
    let member = client.session(&colony, PrivateKey::from_hex(&key)?);
    let spec = FunctionSpec::new(&colony, &executor_type, &function)?;
    finished(&member, arguments.fold(spec, FunctionSpec::arg)).await
}

/// Submits a process, and reads it until it has ended.
///
/// # Errors
/// When the server refuses, or is not there for the submit.
pub async fn finished(member: &Session, spec: FunctionSpec) -> Result<Process, Box<dyn Error>> {
    let mut process = submit(member, spec).await?;
    while !process.state.is_final() {
        tokio::time::sleep(INTERVAL).await;
        process = match member.process(&process.id).await {
            Ok(process) => process,
            Err(error) if error.is_transient() => {
                eprintln!("{error}");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
    }
    Ok(process)
}

/// Submits once. If the reply is lost, the process is looked up when no request can arrive any more.
async fn submit(member: &Session, spec: FunctionSpec) -> Result<Process, Box<dyn Error>> {
    // A label that no other process has.
    let label = format!("submit-{}", PrivateKey::generate()?.id());
    let lost = match member.submit(&spec.label(&label)?).await {
        Ok(process) => return Ok(process),
        Err(error) if error.may_have_happened() => error,
        Err(error) => return Err(error.into()),
    };
    eprintln!("{lost}");
    tokio::time::sleep(Timeouts::DEFAULT.latest_arrival()).await;
    let mut found = member.processes_labelled(&label).await?;
    if found.is_empty() { Err(lost.into()) } else { Ok(found.swap_remove(0)) }
}
