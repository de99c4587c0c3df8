//! The forms in which commands print what they have found.

use std::io::Write as _;

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
    /// Prints either the text or the value.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn print(self, text: impl FnOnce() -> String, value: impl FnOnce() -> Value) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        match self {
            Self::Text => write!(stdout, "{}", text())?,
            Self::Json => writeln!(stdout, "{:#}", value())?,
            Self::Yaml => write!(stdout, "{}", serde_norway::to_string(&value())?)?,
        }
        Ok(())
    }
}
