//! The error of a command.

use std::error::Error;

/// The error of a command.
pub(super) type Failure = Box<dyn Error>;
