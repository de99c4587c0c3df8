//! `cargo xtask test`: every test there is, on servers of its own, with one line at the end that says how it went.
//!
//! Everything is built once, with the flags of the images, while the servers come up beside it. Rungs that need servers
//! run side by side where they do not see each other, and on stacks of their own where they would. Rungs
//! that need none take what they leave of the processors.

mod checks;
mod harness;
mod lane;
mod report;
mod rung;
mod servers;

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::OnceLock,
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use clap::ValueEnum as _;

use self::{
    harness::Setting,
    lane::Lane,
    report::{Report, Verdict},
    rung::{Needs, Rung},
    servers::Servers,
};
use crate::{
    cargo::{self, Executable},
    cluster::{self, Which},
    repository,
};

/// What to test.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only these rungs; all when not given
    #[arg(long, value_enum)]
    rung: Vec<Rung>,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Leave the servers running, for a look around or a faster next run
    #[arg(long)]
    keep: bool,
    /// Name of the stack of servers; a stack that runs is used and left running
    #[arg(long, value_name = "NAME", default_value = "test")]
    stack: String,
    /// Folder that holds one folder per stack
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs the tests; the last line printed is the count of those that passed and failed.
pub fn run(options: &Options) -> ExitCode {
    let report = Report::default();
    let started = Instant::now();
    let rungs: Vec<Rung> = chosen(options).into_iter().filter(|rung| can_run(*rung, &report)).collect();
    if let Err(error) = test(options, &rungs, &report) {
        let first = rungs.first().copied().unwrap_or(Rung::Checks);
        report.test(first, "(preparation)", Verdict::Failed, &format!("{error:#}"));
    }
    report.preparation("all together", started.elapsed());
    print!("\n{}", report.summary());
    if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(options: &Options) -> Vec<Rung> {
    let all = Rung::value_variants().iter().copied();
    all.filter(|rung| options.rung.is_empty() || options.rung.contains(rung)).collect()
}

/// Whether this machine can run a rung; says loudly when it cannot.
fn can_run(rung: Rung, report: &Report) -> bool {
    let own_cluster = env::var_os("KUBECONFIG").is_none() || env::var_os("COLONIES_STACK_STATE").is_some();
    let reason = if test_target(rung).is_some_and(|target| !target.exists()) {
        format!("there is no tests/{}", rung.name())
    } else if rung.needs().node
        && own_cluster
        && let Some(obstacle) = cluster::real_node_obstacle()
    {
        obstacle.to_owned()
    } else if rung.needs().node && !own_cluster && env::var_os("OPERATOR_IMAGE").is_none() {
        "the cluster of KUBECONFIG needs images that it can pull: name them in OPERATOR_IMAGE and EXECUTOR_IMAGE".to_owned()
    } else {
        return true;
    };
    report.test(rung, "(rung)", Verdict::Skipped, &reason);
    false
}

/// The main file of a rung's own test binary.
fn test_target(rung: Rung) -> Option<PathBuf> {
    let has_own = !matches!(rung, Rung::Checks | Rung::Unit);
    has_own.then(|| repository::root().join("tests").join(rung.name()).join("main.rs"))
}

fn test(options: &Options, rungs: &[Rung], report: &Report) -> Result<()> {
    let which = Which { name: options.stack.clone(), state: options.state.clone() };
    let (beside, with_servers): (Vec<_>, Vec<_>) = rungs.iter().partition(|rung| !rung.needs().servers);
    let beside = beside.as_slice();
    let rounds = lane::spread(&with_servers, &which, !cluster::brings_servers());
    let start = |needs: Needs, which: &Which| timed(report, "servers", || servers::start(needs, which));
    let executables = OnceLock::new();
    thread::scope(|scope| {
        // One after the other: what is missing is built and installed once.
        let started = scope.spawn(|| {
            let tools = servers::start(Needs::of(beside), &which);
            (tools, rounds.iter().flatten().next().map(|lane| start(lane.needs(), &lane.which)))
        });
        let built =
            timed(report, "build", || build(rungs)).map(|built| executables.get_or_init(|| built).as_slice());
        let (tools, mut first) =
            started.join().map_err(|_| anyhow::anyhow!("the servers' thread panicked"))?;
        let programs = built.as_ref().ok().copied();
        let beside = scope.spawn(move || {
            programs.map_or(Ok(()), |built| on_processors(options, beside, built, tools, report))
        });
        let mut results = vec![built.map(drop)];
        // Processors are what most tests with servers lack: more of them at once take as long as one after the other, and
        // each of them longer.
        for round in &rounds {
            let ran: Vec<_> = thread::scope(|scope| {
                let lanes = round.iter().map(|lane| {
                    let servers = first.take().unwrap_or_else(|| start(lane.needs(), &lane.which));
                    scope.spawn(move || on_lane(options, lane, programs, servers, report))
                });
                let lanes: Vec<_> = lanes.collect();
                lanes.into_iter().map(ended).collect()
            });
            results.extend(ran);
        }
        results.push(ended(beside));
        results.into_iter().collect()
    })
}

fn ended(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| anyhow::bail!("a rung's thread panicked"))
}

/// Runs the rungs of a stack, and takes it down.
fn on_lane(
    options: &Options,
    lane: &Lane,
    built: Option<&[Executable]>,
    servers: Result<Servers>,
    report: &Report,
) -> Result<()> {
    let mut servers = servers?;
    let result = built.map_or(Ok(()), |built| with_servers(options, lane, built, &mut servers, report));
    if !options.keep {
        servers::stop(&servers)?;
    }
    result
}

/// The rungs that need servers.
fn with_servers(
    options: &Options,
    lane: &Lane,
    built: &[Executable],
    servers: &mut Servers,
    report: &Report,
) -> Result<()> {
    give_programs(servers, built)?;
    if lane.needs().node && env::var_os("OPERATOR_IMAGE").is_none() {
        timed(report, "images", || servers::give_images(servers, built))?;
    }
    let environment = &servers.environment;
    if let Some(obstacle) = environment.get(servers::DOCKER_OBSTACLE) {
        report.test(Rung::Colony, "(tests with a Docker daemon)", Verdict::Skipped, obstacle);
    }
    thread::scope(|scope| {
        for sequence in Lane::sequences() {
            scope.spawn(move || run_rungs(&sequence, &lane.rungs, built, options, environment, report));
        }
    });
    Ok(())
}

/// The rungs that need no servers, beside those that do and behind them.
fn on_processors(
    options: &Options,
    rungs: &[Rung],
    built: &[Executable],
    tools: Result<Servers>,
    report: &Report,
) -> Result<()> {
    let mut tools = tools?;
    give_programs(&mut tools, built)?;
    run_rungs(&lane::BESIDE, rungs, built, options, &tools.environment, report);
    if rungs.contains(&Rung::Checks) {
        run_checks(program(built, "colonyos-operator"), options, &tools.environment, report);
    }
    Ok(())
}

fn program<'a>(built: &'a [Executable], name: &str) -> Option<&'a Path> {
    built.iter().find(|built| !built.is_test && built.target == name).map(|built| built.path.as_path())
}

/// Names in the environment what tests start.
fn give_programs(servers: &mut Servers, built: &[Executable]) -> Result<()> {
    // It stops and starts servers in the middle of a test.
    let this = env::current_exe().context("failed to find the running program")?;
    let programs = [
        ("OPERATOR_BIN", program(built, "colonyos-operator")),
        ("EXECUTOR_BIN", program(built, "executor")),
        ("XTASK_BIN", Some(this.as_path())),
    ];
    for (name, path) in programs {
        if let Some(path) = path {
            servers.environment.insert(name.to_owned(), path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn run_checks(
    operator: Option<&Path>,
    options: &Options,
    environment: &BTreeMap<String, String>,
    report: &Report,
) {
    let started = Instant::now();
    if let Err(error) = checks::run(operator, options.filter.as_deref(), environment, report) {
        report.test(Rung::Checks, "(rung)", Verdict::Failed, &format!("{error:#}"));
    }
    report.time(Rung::Checks, started.elapsed());
}

/// Runs some of the chosen rungs, one after the other.
fn run_rungs(
    some: &[Rung],
    chosen: &[Rung],
    built: &[Executable],
    options: &Options,
    environment: &BTreeMap<String, String>,
    report: &Report,
) {
    let setting = Setting { filter: options.filter.clone(), environment: environment.clone() };
    for rung in some.iter().copied().filter(|rung| chosen.contains(rung)) {
        let started = Instant::now();
        for executable in built.iter().filter(|executable| rung.owns(executable)) {
            if let Err(error) = harness::run(rung, executable, &setting, report) {
                report.test(
                    rung,
                    &format!("(binary {})", executable.target),
                    Verdict::Failed,
                    &format!("{error:#}"),
                );
            }
        }
        report.time(rung, started.elapsed());
    }
}

/// Builds what the chosen rungs run: their test binaries, the operator, the executor.
fn build(rungs: &[Rung]) -> Result<Vec<Executable>> {
    let mut arguments = vec!["--no-run", "--workspace"];
    if rungs.contains(&Rung::Unit) {
        arguments.extend(["--lib", "--bins"]);
    }
    for rung in rungs.iter().filter(|rung| test_target(**rung).is_some()) {
        arguments.extend(["--test", rung.name()]);
    }
    let has_tests = arguments.len() > 2;
    let mut built = Vec::new();
    if has_tests {
        built = cargo::build("test", &arguments).context("failed to build the tests")?;
    }
    if rungs.iter().any(|rung| rung.runs_programs()) {
        let programs = cargo::build_programs().context("failed to build the programs")?;
        built.extend(programs);
    }
    Ok(built)
}

fn timed<T>(report: &Report, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let result = work();
    report.preparation(name, started.elapsed());
    result
}
