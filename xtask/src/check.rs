//! `cargo xtask check`: what needs no cluster and says within two minutes whether a change may be shown to others.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{book, cargo, folders, layers, repository, sizes};

/// The release of cargo-deny that reads `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

/// What to do about cargo-deny.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Make only these checks
    #[arg(long, value_name = "CHECK", value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    only: Vec<String>,
    /// Build cargo-deny into the cache when it is not there (several minutes, once)
    #[arg(long)]
    install: bool,
}

/// What came of a check.
#[derive(Debug)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It could not be made, and why.
    Skipped(String),
}

/// Runs every check, also after one has failed, and sums up.
///
/// # Errors
/// When one fails.
pub fn run(options: &Options) -> Result<()> {
    let mut failed = Vec::new();
    for name in
        NAMES.iter().filter(|name| options.only.is_empty() || options.only.iter().any(|only| only == *name))
    {
        let started = Instant::now();
        println!("check {name} …");
        match one(name, options.install) {
            Ok(Verdict::Holds) => println!("check {name}: ok ({:.1} s)", started.elapsed().as_secs_f64()),
            Ok(Verdict::Skipped(reason)) => println!("check {name}{SKIPPED}{reason}"),
            Err(error) => {
                eprintln!("check {name}: FAILED: {error:#}");
                failed.push(*name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("{} failed; what to do stands above", failed.join(", "));
    }
    Ok(())
}

/// What stands between the name of a check that was not made and the reason.
pub const SKIPPED: &str = ": SKIPPED: ";

/// The checks, the quick ones first.
pub const NAMES: &[&str] = &["format", "layers", "sizes", "links", "clippy", "client", "deny"];

/// Makes one check of [`NAMES`].
///
/// # Errors
/// When it fails, or the name is none of them.
pub fn one(name: &str, install: bool) -> Result<Verdict> {
    match name {
        "format" => cargo::run("fmt", ["--all", "--check"]).context("run `cargo fmt --all`")?,
        "layers" => layers::run()?,
        "sizes" => sizes::run()?,
        "links" => drop(book::check()?),
        "clippy" => {
            let all = ["--workspace", "--all-targets", "--", "--deny", "warnings"];
            cargo::run("clippy", all)?;
        }
        "client" => client()?,
        "deny" => return deny(install),
        other => bail!("no check is called {other}"),
    }
    Ok(Verdict::Holds)
}

/// The client's crate is documented with examples that compile, and can be packaged.
fn client() -> Result<()> {
    const PACKAGE: [&str; 2] = ["--package", "colonyos-client"];
    cargo::run("package", PACKAGE.into_iter().chain(["--no-verify", "--allow-dirty", "--quiet"]))
        .context("complete crates/client/Cargo.toml")?;
    cargo::run("test", ["--doc"].into_iter().chain(PACKAGE)).context("correct the examples in crates/client")
}

/// Licences, bans, duplicates and sources; advisories too, where their database can be fetched.
fn deny(install: bool) -> Result<Verdict> {
    let program = match find_cargo_deny() {
        Some(program) => program,
        None if install => install_cargo_deny()?,
        None => {
            return Ok(Verdict::Skipped(format!(
                "cargo-deny {CARGO_DENY} is not installed; `cargo xtask check --install` builds it"
            )));
        }
    };
    let ask = |check: &[&str]| -> Result<bool> {
        let status = Command::new(&program)
            .args(["--log-level", "error", "check", "--hide-inclusion-graph"])
            .args(check)
            .current_dir(repository::root())
            .status()
            .context("failed to start cargo-deny")?;
        Ok(status.success())
    };
    if !ask(&["licenses", "bans", "sources"])? {
        bail!("cargo-deny objects: change the dependency, or give the exception a reason in deny.toml");
    }
    let fetched = Command::new(&program)
        .args(["--log-level", "error", "fetch", "db"])
        .current_dir(repository::root())
        .stderr(Stdio::null())
        .status()
        .context("failed to start cargo-deny")?;
    if !fetched.success() {
        return Ok(Verdict::Skipped(
            "licences, bans and sources hold; the database of advisories cannot be reached from here"
                .to_owned(),
        ));
    }
    if !ask(&["advisories"])? {
        bail!(
            "a dependency has an advisory against it: update it, or explain in deny.toml why it does not reach us"
        );
    }
    Ok(Verdict::Holds)
}

fn folder() -> Result<PathBuf> {
    Ok(folders::cache()?.join(format!("cargo-deny-{CARGO_DENY}")))
}

fn find_cargo_deny() -> Option<PathBuf> {
    let ours = folder().ok()?.join("bin/cargo-deny");
    if ours.is_file() {
        return Some(ours);
    }
    let version = Command::new("cargo-deny").arg("--version").output().ok()?;
    String::from_utf8_lossy(&version.stdout).contains(CARGO_DENY).then(|| "cargo-deny".into())
}

fn install_cargo_deny() -> Result<PathBuf> {
    let folder = folder()?;
    let package = format!("cargo-deny@{CARGO_DENY}");
    println!("building {package} into {}", folder.display());
    let root = folder.to_string_lossy();
    cargo::run("install", ["--locked", "--no-default-features", "--root", &*root, &*package])?;
    Ok(folder.join("bin/cargo-deny"))
}
