//! The command line: what a person or the container's entry point calls.

mod crds;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes a Kubernetes cluster and a `ColonyOS` colony one system.
#[derive(Parser)]
#[command(name = "colonyos-operator", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the custom resource definitions as YAML
    Crds,
}

/// Reads the command line and carries it out.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Crds => crds::print(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
