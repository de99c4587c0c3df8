//! The forms in which commands print what they have found, and how they write it.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write as _},
    ops::ControlFlow::{self, Break, Continue},
};

use clap::ValueEnum;
use serde_json::Value;

use super::Failure;

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Aligned lines for people
    Text,
    /// One JSON object
    Json,
    /// One YAML document
    Yaml,
}

impl Output {
    /// Prints either the text or the value. What a command has found does not depend on whether all of it is read.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn print(self, text: impl FnOnce() -> String, value: impl FnOnce() -> Value) -> Result<(), Failure> {
        let text = match self {
            Self::Text => text(),
            Self::Json => format!("{:#}\n", value()),
            Self::Yaml => serde_norway::to_string(&value())?,
        };
        print(&text)
    }
}

/// Writes to standard output all that a command has to say.
///
/// # Errors
///
/// When it cannot be written.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes()).map(|_| ())
}

/// Writes to standard output at once. `Break` when it is no longer read, as before `| head -1`: that is no error.
///
/// # Errors
///
/// When it cannot be written.
pub(super) fn write(bytes: &[u8]) -> Result<ControlFlow<()>, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Break(())),
        Err(error) => Err(format!("failed to write to standard output: {error}").into()),
    }
}

/// Writes a line to standard error, if that is still read: `eprintln!` would panic.
pub(super) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
