//! Programs as child processes, with their output kept.

use std::{
    fs::{self, File},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::wait::eventually;

/// Signals that tests send.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Ask to end.
    Terminate,
    /// End at once.
    Kill,
    /// Stop, as a machine that hangs does.
    Stop,
    /// Go on after a stop.
    Continue,
}

/// Sends a signal to one process.
pub fn send(process: u32, signal: Signal) {
    let name = match signal {
        Signal::Terminate => "-TERM",
        Signal::Kill => "-KILL",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
    };
    let status = Command::new("kill").args([name, &process.to_string()]).status().expect("kill is installed");
    assert!(status.success(), "failed to send {signal:?} to process {process}");
}

/// A running program; killed when dropped. Its output is printed when the test fails.
pub struct Program {
    name: String,
    child: Child,
    folder: TempDir,
}

impl Program {
    /// Starts one in a folder that goes with it.
    pub fn start(name: &str, mut command: Command, folder: TempDir) -> Self {
        let output = File::create(folder.path().join("output")).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, folder }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// All that it has written.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    /// Waits until it says something.
    pub async fn wait_for(&self, text: &str, limit: Duration) {
        eventually(&format!("{} says {text:?}", self.name), limit, async || {
            self.output().contains(text).then_some(()).ok_or_else(|| self.output())
        })
        .await;
    }

    /// Waits until it has ended.
    pub async fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually(&format!("{} has ended", self.name), limit, async || {
            child.try_wait().map_err(|error| error.to_string())?.ok_or_else(|| "it runs".to_owned())
        })
        .await
    }

    /// The test stops unless it runs.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended with {status}; its output is\n{}", self.name, self.output());
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("──── {} ────\n{}", self.name, self.output());
        }
        // Ended or not: both are fine here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
