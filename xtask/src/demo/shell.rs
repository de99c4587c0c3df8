//! Runs commands as a person would, with the environment of the stack, and shows them.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use super::NAMESPACE;
use crate::repository;

/// Where commands run, and how much is shown of them.
pub struct Shell {
    pub variables: BTreeMap<String, String>,
    /// Whether what is prepared is shown as it was typed: it is of interest once.
    pub is_first: bool,
}

impl Shell {
    /// Prints what is about to be done, does it, and lets its output through.
    pub fn step(&self, what: &str, command: &str) -> Result<()> {
        title(what, command);
        let status = self.command(command).status().context("failed to run sh")?;
        if status.success() { Ok(()) } else { Err(failed(what)) }
    }

    /// Does what has to be done for what follows. Its output is shown if it fails, and the command in the first run.
    pub fn prepare(&self, what: &str, command: &str) -> Result<()> {
        if self.is_first {
            title(what, command);
        }
        let begun = Instant::now();
        let output = self.command(command).output().context("failed to run sh")?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            print!("{}", said.concat());
            return Err(failed(what));
        }
        done(if self.is_first { "done" } else { what }, begun);
        Ok(())
    }

    fn command(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .envs(&self.variables)
            .current_dir(repository::root())
            .stdin(Stdio::null());
        shell
    }
}

fn failed(what: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "this step failed: {what}\n  look at: kubectl --namespace {NAMESPACE} logs deployment/colonyos-operator\n  \
         and at: kubectl describe colony,executordeployment"
    )
}

/// What a command is for, and the command.
pub fn title(what: &str, command: &str) {
    let [bold, green, plain] = styles();
    println!("\n{bold}── {what}{plain}\n{green}$ {command}{plain}");
    // What the command itself prints goes past this process's buffer.
    let _ = io::stdout().flush();
}

/// A line for what was done, with its time.
pub fn done(what: &str, begun: Instant) {
    let [_, green, plain] = styles();
    println!("{green}✓{plain} {what} ({:.1} s)", begun.elapsed().as_secs_f32());
}

/// Bold, green and neither, on a terminal that shows them.
fn styles() -> [&'static str; 3] {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !is_plain { ["\x1b[1m", "\x1b[32m", "\x1b[0m"] } else { [""; 3] }
}

/// Whether a command of the shell succeeds.
pub fn succeeds(variables: &BTreeMap<String, String>, command: &str) -> Result<bool> {
    let shell = Shell { variables: variables.clone(), is_first: false };
    match shell.command(command).output() {
        Ok(output) => Ok(output.status.success()),
        Err(error) => bail!("failed to run sh: {error}"),
    }
}
