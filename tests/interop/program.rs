//! Programs that move requests: ours and that of others, as child processes with their output kept.

use std::{
    fs::{self, File},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{environment, operator::Signal, operator::send, wait::eventually};

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
pub struct Program {
    name: String,
    child: Child,
    folder: TempDir,
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
        eventually(&format!("{name} watches"), LIMIT, async || {
            program.output().contains("watching").then_some(()).ok_or_else(|| program.output())
        })
        .await;
        program
    }

    fn start(name: &str, binary: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{binary} does not start: {error}"));
        Self { name: name.to_owned(), child, folder }
    }

    /// All that it has said.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    /// Waits until it says something.
    pub async fn wait_for(&self, text: &str) {
        eventually(&format!("{} says {text:?}", self.name), LIMIT, async || {
            self.output().contains(text).then_some(()).ok_or_else(|| self.output())
        })
        .await;
    }

    /// Waits until it has ended.
    pub async fn wait_for_end(&mut self) -> ExitStatus {
        self.wait_for_end_within(LIMIT).await
    }

    /// As [`Program::wait_for_end`], with a limit of its own.
    pub async fn wait_for_end_within(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually(&format!("{} has ended", self.name), limit, async || {
            child.try_wait().map_err(|error| error.to_string())?.ok_or_else(|| "it runs".to_owned())
        })
        .await
    }

    /// The test stops unless it runs.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended with {status}", self.name);
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("──── {} ────\n{}", self.name, self.output());
        }
        // Ended or not: both are fine here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
