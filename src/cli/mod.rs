//! The command line: what a person or the container's entry point calls.

mod cancel;
mod colony;
mod colony_server;
mod completion;
mod connection;
mod crds;
mod create;
mod defined;
mod definitions;
mod discovered;
mod doctor;
#[cfg(test)]
mod documented;
pub mod explain;
mod failure;
mod gate;
mod get;
mod graph;
mod logs;
mod output;
pub mod plan;
mod process;
mod reconciler;
mod request;
mod rerun;
mod result;
mod run;
mod served;
mod subject;
mod table;
pub mod texts;
mod through_operator;
mod trigger;
mod uninstall;
mod verify;

use std::{env, ffi::OsStr, path::Path, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::Failure;
use output::complain;

/// Makes a Kubernetes cluster and a `ColonyOS` colony one system.
#[derive(Parser)]
#[command(name = "colonyos-operator", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator, with the service account of its pod or with KUBECONFIG
    Run(run::Arguments),
    /// Print the custom resource definitions as YAML
    Crds,
    /// Import definitions that were written for ColonyOS
    Definitions(definitions::Arguments),
    /// Add definitions and instances of files to a colony, without a cluster
    Colony(colony::Arguments),
    /// Print the steps that the operator would take for manifests; needs no server. Exit code 1 if a manifest is
    /// invalid
    Plan(plan::Arguments),
    /// Print a table of the objects of a namespace: where each stands, why, and what it waits for
    Get(get::Arguments),
    /// Print the process of an object, with its whole output, its errors and its log
    Process(process::Arguments),
    /// Print why an object is as it is: what is wished, what was done for it, what it waits for, what was decided last, and
    /// what would change it
    Explain(explain::Arguments),
    /// Print the graph of a workflow, with the state, executor and duration of each node
    Graph(graph::Arguments),
    /// Print the log of the process of an object; --follow continues until it has ended
    Logs(logs::Arguments),
    /// Print the output of the process of an object, raw and whole
    Output(result::Arguments),
    /// Cancel the work of an object and keep the object: sets spec.cancel of a `ColonyProcess` or `ColonyWorkflow`,
    /// or state CANCELLED of a `RequestState`; the operator cancels what is in the colony
    Cancel(cancel::Arguments),
    /// Run a finished `ColonyProcess`, `ColonyWorkflow` or `RequestState` again: creates an object of the same spec,
    /// NAME-rerun-1 and so on, whose annotation colonies.io/rerun-of names the first
    Rerun(rerun::Arguments),
    /// Create a run of a `ColonyCron` now, also while it is suspended; concurrencyPolicy Forbid and Replace wait for the run
    /// before
    Trigger(trigger::Arguments),
    /// Create RequestStates and decide which job comes next; exit code 0 when all are completed
    Director(request::director::Arguments),
    /// Run the jobs of RequestStates, until SIGTERM
    Worker(request::worker::Arguments),
    /// Carry out blueprints of kind ExecutorDeployment as containers or as plain processes, without Kubernetes, until SIGTERM
    Reconciler(Box<reconciler::Arguments>),
    /// Check API server, CRDs, permissions, colonies, keys and user-defined kinds, with remedies; exit code 1 if a
    /// check fails
    Doctor(doctor::Arguments),
    /// Compare objects, executors and Secrets with what colonies have of them; --fix takes away what no object wants.
    /// Exit code 1 if something does not fit together
    Verify(verify::Arguments),
    /// Delete what the operator looks after, in the order in which nothing is left behind; --plan prints it and deletes nothing
    Uninstall(uninstall::Arguments),
    /// Stand between an executor and the server of its colony, in its pod; for the operator alone
    #[command(hide = true)]
    Gate(gate::Arguments),
    /// Print a script that completes commands and options in a shell
    Completion(completion::Arguments),
}

/// Under this name, kubectl takes the program as `kubectl colony`.
const PLUGIN: &str = "kubectl-colony";

/// The command line of a program that is called like this, and under which name it is installed.
fn command_line(program: Option<&OsStr>) -> (clap::Command, &'static str) {
    let command = Arguments::command();
    match program.map(Path::new).and_then(Path::file_name) {
        Some(name) if name == PLUGIN => {
            (command.bin_name("kubectl colony").display_name("kubectl-colony"), PLUGIN)
        }
        _ => (command, "colonyos-operator"),
    }
}

/// Parses the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let words = request::spelling::translate(env::args_os());
    let (command, name) = command_line(words.first().map(AsRef::as_ref));
    let matches = command.get_matches_from(words);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Crds => crds::print(),
        Command::Definitions(arguments) => definitions::run(&arguments),
        Command::Colony(arguments) => colony::run(&arguments),
        Command::Plan(arguments) => plan::print(&arguments),
        Command::Get(arguments) => get::print(&arguments),
        Command::Process(arguments) => process::print(&arguments),
        Command::Explain(arguments) => explain::print(&arguments),
        Command::Graph(arguments) => graph::print(&arguments),
        Command::Logs(arguments) => logs::print(&arguments),
        Command::Output(arguments) => result::print(&arguments),
        Command::Cancel(arguments) => cancel::run(&arguments),
        Command::Rerun(arguments) => rerun::run(&arguments),
        Command::Trigger(arguments) => trigger::run(&arguments),
        Command::Completion(arguments) => completion::print(&arguments, Arguments::command(), name),
        Command::Director(arguments) => request::director::drive(arguments),
        Command::Worker(arguments) => request::worker::serve(arguments),
        Command::Reconciler(arguments) => reconciler::run(&arguments),
        Command::Gate(arguments) => gate::serve(arguments),
        Command::Doctor(arguments) => doctor::print(&arguments),
        Command::Verify(arguments) => verify::print(&arguments),
        Command::Uninstall(arguments) => uninstall::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Its output is complete.
        Err(error)
            if error.is::<doctor::ChecksFailed>()
                || error.is::<plan::InvalidManifests>()
                || error.is::<verify::Differences>() =>
        {
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(format_args!("error: {error}"));
            let mut source = error.source();
            while let Some(cause) = source {
                complain(format_args!("  because: {cause}"));
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Those that ask no cluster.
    const WITHOUT_CLUSTER: [&str; 7] =
        ["colony", "completion", "crds", "definitions", "gate", "plan", "reconciler"];
    /// Those that serve, and show nothing.
    const SERVING: [&str; 3] = ["director", "run", "worker"];

    #[test]
    fn every_command_that_asks_a_cluster_takes_the_same_options() {
        let command = Arguments::command();
        command.clone().debug_assert();
        let mut asked = 0;
        for command in command.get_subcommands() {
            let name = command.get_name();
            let options: BTreeSet<(&str, Option<char>)> = command
                .get_arguments()
                .filter_map(|argument| Some((argument.get_long()?, argument.get_short())))
                .collect();
            let has = |option: &(&str, Option<char>)| options.contains(option);
            if WITHOUT_CLUSTER.contains(&name) {
                assert!(!has(&("context", None)), "{name}: {options:?}");
                continue;
            }
            asked += 1;
            let cluster = [("kubeconfig", None), ("context", None), ("namespace", Some('n'))];
            assert!(cluster.iter().all(has), "{name}: {options:?}");
            assert_eq!(has(&("output", Some('o'))), !SERVING.contains(&name), "{name}: {options:?}");
        }
        assert!(asked > 12, "{asked}");
    }

    #[test]
    fn the_page_about_the_commands_has_each() {
        let page = include_str!("../../docs/cli.md");
        let headings = page.lines().filter(|line| line.starts_with("### ") || line.starts_with("| `"));
        let told = headings.collect::<Vec<_>>().join("\n");
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            assert!(told.contains(&format!("`{name}`")), "docs/cli.md lacks {name}");
        }
    }

    #[test]
    fn the_program_is_called_as_kubectl_calls_it() {
        let usage = |program: &str, words: &[&str]| {
            let (command, name) = command_line(Some(program.as_ref()));
            let words = [program].into_iter().chain(words.iter().copied());
            (command.try_get_matches_from(words).unwrap_err().to_string(), name)
        };
        let (plugin, name) = usage("/usr/local/bin/kubectl-colony", &["explain", "--help"]);
        assert!(plugin.contains("Usage: kubectl colony explain"), "{plugin}");
        assert_eq!(name, "kubectl-colony");
        let (plain, name) = usage("/usr/local/bin/colonyos-operator", &["explain", "--help"]);
        assert!(plain.contains("Usage: colonyos-operator explain"), "{plain}");
        assert_eq!(name, "colonyos-operator");
    }
}
