//! `colonyos-operator explain KIND/NAME`: the whole chain of an object: what is wished, what was done and is to be done for it, what
//! it waits for, what was decided last, and what would change it.
//!
//! Reads only, with the permissions of its user: the object, its Colony, its flow or its definition, and its Events. What may not be
//! read is said, and hides none of the rest.

mod chain;
pub(super) mod facts;
mod read;
mod remedy;
mod steps;
mod text;
mod wish;

use clap::Args;
use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::{Failure, connection::Connection, output::Output, served::kind_and_name};
use crate::runtime::clock::Clock;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The object, such as `colonyprocess/NAME`, `executordeployment/NAME`, or one of a kind that a `ResourceDefinition`
    /// defines, such as `mlmodel/NAME`
    #[arg(value_name = "KIND/NAME")]
    object: String,
    #[command(flatten)]
    connection: Connection,
    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints why an object is as it is.
///
/// # Errors
///
/// When the object cannot be read.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let (kind, name) = kind_and_name(&arguments.object)?;
    let facts = Runtime::new()?.block_on(read::read(kind, name, &arguments.connection))?;
    let now = Clock::system().now();
    let explanation = chain::explain(&facts, now);
    arguments.output.print(|| text::text_of(&explanation, now), || serde_json::json!(explanation))
}

/// The same for objects in a stream of YAML documents: the first of them, with what the others say of it.
///
/// # Errors
///
/// When the first is no object of a known kind.
pub fn render(documents: &str, now: Timestamp) -> Result<String, Failure> {
    let facts = facts::Facts::of_documents(documents)?;
    Ok(text::text_of(&chain::explain(&facts, now), now))
}
