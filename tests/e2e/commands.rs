//! Commands as a person types them.

use tokio::process::Command;

/// Runs a command; what it prints, or why it failed.
pub async fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .await
        .map_err(|error| format!("failed to start {program}: {error}; is it on the PATH?"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {} ended with {}: {said}", arguments.join(" "), output.status))
}

/// Runs kubectl, which has to succeed.
pub async fn kubectl(arguments: &[&str]) -> String {
    output("kubectl", arguments).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs Helm, which has to succeed.
pub async fn helm(arguments: &[&str]) -> String {
    output("helm", arguments).await.unwrap_or_else(|error| panic!("{error}"))
}
