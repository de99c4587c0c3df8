//! Programs that move requests: ours and that of others, as child processes with their output kept.

use std::{
    ops::{Deref, DerefMut},
    process::{Command, ExitStatus},
    time::Duration,
};

use crate::support::{environment, program};

/// How long a program may take; three times what the slowest pair takes.
const LIMIT: Duration = Duration::from_secs(45);

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// This operator's.
    Ours,
    /// Written against client-go, by others.
    Other,
}

/// A running program; killed when dropped. Its output is printed when the test fails.
pub struct Program(program::Program);

impl Deref for Program {
    type Target = program::Program;

    fn deref(&self) -> &program::Program {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut program::Program {
        &mut self.0
    }
}

impl Program {
    /// Starts one of ours.
    pub fn ours(name: &str, arguments: &[&str]) -> Self {
        let built = env!("CARGO_BIN_EXE_colonyos-operator");
        let binary = environment::variable("OPERATOR_BIN").unwrap_or_else(|| built.to_owned());
        Self::start(name, &binary, arguments)
    }

    /// Starts one of others, by its own spelling of flags.
    pub async fn other(name: &str, mode: &str, namespace: &str) -> Self {
        let binary = environment::variable("REQUESTS_IN_GO_BIN").expect(
            "REQUESTS_IN_GO_BIN is not set: run `cargo xtask test --rung interop`, which builds the program",
        );
        let kubeconfig = environment::variable("KUBECONFIG").unwrap();
        let flags =
            [format!("-mode={mode}"), format!("-namespace={namespace}"), format!("-kubeconfig={kubeconfig}")];
        let program = Self::start(name, &binary, &flags.each_ref().map(String::as_str));
        program.wait_for("watching").await;
        program
    }

    fn start(name: &str, binary: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary);
        command.args(arguments);
        Self(program::Program::start(name, command, tempfile::tempdir().unwrap()))
    }

    /// Waits until it says something.
    pub async fn wait_for(&self, text: &str) {
        self.0.wait_for(text, LIMIT).await;
    }

    /// Waits until it has ended.
    pub async fn wait_for_end(&mut self) -> ExitStatus {
        self.0.wait_for_end(LIMIT).await
    }

    /// As [`Program::wait_for_end`], with a limit of its own.
    pub async fn wait_for_end_within(&mut self, limit: Duration) -> ExitStatus {
        self.0.wait_for_end(limit).await
    }
}
