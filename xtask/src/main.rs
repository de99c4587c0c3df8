//! The commands of this repository, so that people and CI call the same ones.
//!
//! Every command stands in a module of its own; this file only reads the command line.

mod bench;
mod book;
mod cargo;
mod check;
mod cluster;
#[cfg(test)]
mod contributing;
mod demo;
mod folders;
mod generate;
mod images;
mod layers;
mod packages;
mod release;
mod repository;
mod sizes;
mod source;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// One variant per command, in alphabetical order; its doc comment is its help text.
#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, as ratios to what a raw client takes, on servers of their own.
    Bench(bench::Options),
    /// Make the site of the documentation in `target/book`, with mdbook; --check checks its links alone.
    Book(book::Options),
    /// Format, imports, sizes, clippy and dependency rules: what needs no cluster.
    Check(check::Options),
    /// A real cluster and a real colony on this machine, for development, the demo and the tests.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// A ColonyOS server with its PostgreSQL, and with --docker a Docker daemon, on this machine, without a cluster.
    #[command(subcommand)]
    Colony(cluster::ColonyCommand),
    /// Show the product's main job on real servers, from nothing; leaves them running.
    Demo(demo::Options),
    /// Write the files that follow from the types and the charts.
    Generate(generate::Options),
    /// Build the container images of the operator and the example executor and give them to a stack.
    Images(images::Options),
    /// Fail when a module of the operator imports what its place in the flow forbids.
    Layers,
    /// Build the operator as it is released, with its bill of materials.
    Release(release::Options),
    /// Fail when a source file has grown too long to be read in one go.
    Sizes,
    /// Run the tests, on servers of their own; ends with the line `N passed, N failed`.
    Test(test::Options),
    /// Fail when a generated file differs from what is committed.
    VerifyGenerated(generate::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Book(options) => book::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Cluster(command) => cluster::run(command),
        Command::Colony(command) => cluster::run_colony(command),
        Command::Demo(options) => demo::run(&options),
        Command::Generate(options) => generate::run(&options),
        Command::Images(options) => images::run(&options),
        Command::Layers => layers::run(),
        Command::Release(options) => release::run(&options),
        Command::Sizes => sizes::run(),
        // Ends with its count of tests instead of an error.
        Command::Test(options) => return test::run(&options),
        Command::VerifyGenerated(options) => generate::verify(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
