//! `cargo xtask bench`: runs the benchmarks, beside their floors, on servers of their own.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

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
    /// Only these; all when absent.
    #[arg(long, value_enum)]
    only: Vec<Benchmark>,
    /// How many cases of each kind of input `fuzz` tries.
    #[arg(long, default_value_t = 1_000_000)]
    cases: u32,
}

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Benchmark {
    /// From the apply of an `ExecutorDeployment` to its child.
    ApplyToChild,
    /// From a request to a process at an executor, and back.
    Requests,
    /// What a fleet and a process cost, of few and of many.
    Cost,
    /// Many kinds that users made up, with many instances each.
    Kinds,
    /// Arbitrary input for everything that reads what others write: none may make the operator panic or take much memory.
    Fuzz,
}

/// What all of them together may take at a time, in KiB: what one allocates for ever ends here.
const FUZZ_MEMORY_KIB: u32 = 3 << 20;

/// The tests that `fuzz` runs with many more cases than usual.
const FUZZ: &[&str] = &[
    "any_definition_ends_in_a_crd_or_in_a_message",
    "a_definition_is_followed_or_refused",
    "no_object_of_others_makes_it_panic",
    "any_object_is_converted_without_loss_or_refused",
    "no_request_makes_it_panic",
    "no_request_of_a_colony_makes_it_panic",
    "no_blueprint_makes_it_panic",
    "no_configuration_makes_it_panic",
    "no_reply_makes_it_panic",
    "no_beginning_of_a_reply_makes_it_panic",
    "no_text_makes_it_panic",
    "no_expression_makes_it_panic",
];

impl Options {
    fn wants(&self, benchmark: Benchmark) -> bool {
        self.only.is_empty() || self.only.contains(&benchmark)
    }
}

/// Brings a stack without a real node up, runs the benchmarks against it, and takes it down.
///
/// # Errors
/// When a server does not get ready, or a benchmark fails.
pub fn run(options: &Options) -> Result<()> {
    if options.wants(Benchmark::Fuzz) {
        fuzz(options.cases)?;
    }
    if options.only == [Benchmark::Fuzz] {
        return Ok(());
    }
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
    let benches = [
        (Benchmark::ApplyToChild, "apply_to_child"),
        (Benchmark::Requests, "requests"),
        (Benchmark::Cost, "cost"),
        (Benchmark::Kinds, "kinds"),
    ];
    for (_, bench) in benches.into_iter().filter(|(benchmark, _)| options.wants(*benchmark)) {
        run("cargo", &["bench", "--package", "colonyos-operator", "--bench", bench])?;
    }
    Ok(())
}

/// Runs the tests with arbitrary input, as often as asked for and within bounded memory.
fn fuzz(cases: u32) -> Result<()> {
    println!("{cases} cases of each of {}", FUZZ.join(", "));
    let started = std::time::Instant::now();
    let built = crate::cargo::build("test", &["--no-run", "--workspace", "--lib", "--release"])?;
    for harness in built.iter().filter(|built| built.is_test && built.kind == "lib") {
        // A shell, since a process cannot limit itself without unsafe code.
        let status = Command::new("sh")
            .args(["-c", &format!("ulimit -v {FUZZ_MEMORY_KIB} && exec \"$0\" \"$@\"")])
            .arg(&harness.path)
            .arg("--quiet")
            .args(FUZZ)
            .env("PROPTEST_CASES", cases.to_string())
            .current_dir(repository::root())
            .status()
            .with_context(|| format!("failed to run {}", harness.path.display()))?;
        if !status.success() {
            bail!(
                "arbitrary input broke a promise of {}: the smallest that does stands above",
                harness.package
            );
        }
    }
    println!(
        "none panicked or took too much memory, in {:.0} s with the build",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
