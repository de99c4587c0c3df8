//! Running other programs to their end, with what they said in the error.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Runs `command` and returns what it printed.
///
/// # Errors
/// When it cannot be run or fails; the message has what it wrote to standard error.
pub fn output(command: &mut Command) -> Result<String> {
    finish(command, None)
}

/// Runs `command` with `input` on its standard input.
///
/// # Errors
/// As for [`output`].
pub fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    finish(command, Some(input))
}

fn finish(command: &mut Command, input: Option<&str>) -> Result<String> {
    let program = command.get_program().display().to_string();
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to run {program}"))?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(input.as_bytes()).with_context(|| format!("failed to write to {program}"))?;
    }
    let done = child.wait_with_output().with_context(|| format!("failed to wait for {program}"))?;
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        let first = command.get_args().next().map(|argument| argument.display().to_string());
        let errors = String::from_utf8_lossy(&done.stderr);
        let said = if errors.trim().is_empty() { printed.trim() } else { errors.trim() };
        bail!("failed to run {program} {}: {said}", first.unwrap_or_default());
    }
    Ok(printed)
}

/// Whether `command` runs and succeeds; what it says is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
