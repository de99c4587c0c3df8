//! `cargo xtask bench`: runs the benchmarks, beside their floors, on servers of their own.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    cluster::{self, Nodes, UpOptions, Which},
    repository,
};

/// How much is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// How many rounds of each.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
}

/// Brings a stack without a real node up, runs the benchmarks against it, and takes it down.
///
/// # Errors
/// When a server does not get ready, or a benchmark fails.
pub fn run(options: &Options) -> Result<()> {
    let which = Which { name: "bench".to_owned(), state: None };
    cluster::up(&which, &UpOptions { nodes: Some(Nodes::Kwok), ..UpOptions::default() })?;
    let result = measure(&which, options);
    let down = cluster::run(cluster::Command::Down { which });
    result.and(down)
}

fn measure(which: &Which, options: &Options) -> Result<()> {
    let variables = cluster::variables(which)?;
    let run = |program: &str, arguments: &[&str]| -> Result<()> {
        let status = Command::new(program)
            .args(arguments)
            .envs(&variables)
            .env("BENCH_ROUNDS", options.rounds.to_string())
            .current_dir(repository::root())
            .status()
            .with_context(|| format!("failed to run {program}"))?;
        if !status.success() {
            bail!("{program} {} ended with {status}", arguments.join(" "));
        }
        Ok(())
    };
    run("kubectl", &["apply", "--server-side", "-f", "crds"])?;
    for bench in ["apply_to_child", "requests"] {
        run("cargo", &["bench", "--package", "colonyos-operator", "--bench", bench])?;
    }
    Ok(())
}
