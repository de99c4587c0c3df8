//! Commands as a person types them.

use colonyos_operator::colony::Tls;
use tokio::process::Command;

use crate::stage::Stage;

/// Runs a command; what it prints, or why it failed.
pub async fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(program, arguments, command).await
}

async fn finish(program: &str, arguments: &[&str], mut command: Command) -> Result<String, String> {
    let output = command
        .output()
        .await
        .map_err(|error| format!("failed to start {program}: {error}; is it on the PATH?"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stderr, output.stdout].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err(format!("{program} {} ended with {}: {}", arguments.join(" "), output.status, said.join("\n")))
}

/// Runs kubectl, which has to succeed.
pub async fn kubectl(arguments: &[&str]) -> String {
    output("kubectl", arguments).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs the colony's own tool as a person of the stage's colony, with the owner's key and a user's; it has to succeed.
pub async fn colonies(stage: &Stage, arguments: &[&str]) -> String {
    let tls = if stage.server.tls == Tls::Insecure { "false" } else { "true" };
    let mut command = Command::new("colonies");
    command
        .args(arguments)
        .env("COLONIES_SERVER_HOST", &stage.server.host)
        .env("COLONIES_SERVER_PORT", stage.server.port.to_string())
        .env("COLONIES_TLS", tls)
        .env("COLONIES_COLONY_NAME", &stage.colony)
        .env("COLONIES_COLONY_PRVKEY", &stage.keys["the colony's owner"])
        .env("COLONIES_PRVKEY", &stage.keys["a user"]);
    finish("colonies", arguments, command).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs Helm, which has to succeed.
pub async fn helm(arguments: &[&str]) -> String {
    output("helm", arguments).await.unwrap_or_else(|error| panic!("{error}"))
}
