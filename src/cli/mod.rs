//! The command line: what a person or the container's entry point calls.

mod crds;
mod defined;
mod definitions;
mod doctor;
mod graph;
mod logs;
pub mod plan;
mod process;
mod request;
mod run;
mod subject;

use std::{env, error::Error, process::ExitCode};

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
    /// Run the operator: in a pod by its service account, elsewhere by KUBECONFIG
    Run(run::Arguments),
    /// Print the custom resource definitions as YAML
    Crds,
    /// Take over definitions of kinds that were written for ColonyOS
    Definitions(definitions::Arguments),
    /// Print what would be done for the objects in files, step by step; needs no server. Exit code 1 if something in them is a mistake
    Plan(plan::Arguments),
    /// Print the process that carries an object, with its whole output, its errors and its log
    Process(process::Arguments),
    /// Print a workflow: which node waits for which, where each stands, who runs it and for how long
    Graph(graph::Arguments),
    /// Print what executors wrote about the process that carries an object; --follow goes on until it is over
    Logs(logs::Arguments),
    /// Create RequestStates and decide which job comes next; exit code 0 when all are completed
    Director(request::director::Arguments),
    /// Do the jobs of RequestStates, until SIGTERM
    Worker(request::worker::Arguments),
    /// Check API server, CRDs, permissions, colonies, keys and the kinds of users, and say what to do; exit code 1 if something is amiss
    Doctor(doctor::Arguments),
}

/// Reads the command line and carries it out.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse_from(request::spelling::translate(env::args_os())).command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Crds => crds::print(),
        Command::Definitions(arguments) => definitions::run(&arguments),
        Command::Plan(arguments) => plan::print(&arguments),
        Command::Process(arguments) => process::print(&arguments),
        Command::Graph(arguments) => graph::print(&arguments),
        Command::Logs(arguments) => logs::print(&arguments),
        Command::Director(arguments) => request::director::drive(arguments),
        Command::Worker(arguments) => request::worker::serve(arguments),
        Command::Doctor(arguments) => doctor::print(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Its output has said it all.
        Err(error) if error.is::<doctor::ChecksFailed>() || error.is::<plan::InvalidManifests>() => {
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// What a command ends with when it cannot do what was asked.
type Failure = Box<dyn Error>;
