//! Calling cargo, and finding what it built.
//!
//! Everything that runs in a container, under test or in the demo is built here, with one set of flags for one target,
//! so that each crate is compiled once. The flags make static binaries: they run in an image from scratch.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::repository;

/// Linked statically, C library included: the image holds one file.
pub const STATIC: &str = "-C target-feature=+crt-static";

/// A binary, example or test that cargo built.
#[derive(Clone, Debug)]
pub struct Executable {
    /// The package it belongs to: `colonyos-operator` or `xtask`.
    pub package: String,
    /// The target's name: of the binary, the example or the file in `tests/`.
    pub target: String,
    /// The target's kind in cargo's words: `bin`, `lib`, `example`, `test`, `bench`.
    pub kind: String,
    /// Whether it is the test harness of the target, not the target itself.
    pub is_test: bool,
    /// Where it lies.
    pub path: PathBuf,
}

/// A cargo call in the root of the repository, without what the calling `cargo run` left in the environment: build
/// scripts look at some of it and would run again each time.
pub fn command(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(repository::root());
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        let is_left_over = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| name_text.starts_with(prefix));
        if is_left_over {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a cargo command whose output goes straight to the terminal.
///
/// # Errors
/// When it cannot be started, or ends with a failure.
pub fn run<I, S>(subcommand: &str, arguments: I) -> Result<()>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let status = command(subcommand)
        .args(arguments)
        .status()
        .with_context(|| format!("failed to start cargo {subcommand}"))?;
    if !status.success() {
        bail!("cargo {subcommand} ended with {status}");
    }
    Ok(())
}

/// The triple of this machine, such as `x86_64-unknown-linux-gnu`.
///
/// # Errors
/// When rustc cannot be asked.
pub fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .current_dir(repository::root())
        .output()
        .context("failed to start rustc")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("failed to read the host triple from `rustc -vV`")
}

/// Builds the operator and the example executor; the programs that the images hold.
///
/// # Errors
/// When they do not compile.
pub fn build_programs() -> Result<Vec<Executable>> {
    // The whole workspace, as for the tests: another choice of packages is another choice of their dependencies'
    // features, and builds them anew.
    build("build", &["--workspace", "--bin", "colonyos-operator", "--example", "executor"])
}

/// The same, without a word unless something is wrong.
///
/// # Errors
/// When they do not compile.
pub fn build_programs_quietly() -> Result<Vec<Executable>> {
    build("build", &["--quiet", "--workspace", "--bin", "colonyos-operator", "--example", "executor"])
}

/// Builds with the flags of this module (`cargo build` or `cargo test --no-run`), and names what came out. Progress
/// and errors of the compiler go to standard error as usual.
///
/// # Errors
/// When something does not compile.
pub fn build(subcommand: &str, arguments: &[&str]) -> Result<Vec<Executable>> {
    let mut child = command(subcommand)
        .args(["--target", &host()?, "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .env("RUSTFLAGS", STATIC)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start cargo {subcommand}"))?;
    let mut found = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            found.extend(executable(&line.context("failed to read what cargo says")?));
        }
    }
    let status = child.wait().with_context(|| format!("failed to wait for cargo {subcommand}"))?;
    if !status.success() {
        bail!("cargo {subcommand} ended with {status}: the compiler's messages stand above");
    }
    Ok(found)
}

/// One line of `--message-format json`, as far as it is read here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

fn executable(line: &str) -> Option<Executable> {
    let message: Message = serde_json::from_str(line).ok()?;
    if message.reason != "compiler-artifact" {
        return None;
    }
    let target = message.target?;
    Some(Executable {
        package: package_name(&message.package_id),
        target: target.name,
        kind: target.kind.into_iter().next()?,
        is_test: message.profile?.test,
        path: message.executable?,
    })
}

/// The package in an identifier such as `path+file:///src#colonyos-operator@0.1.0` or, where folder and package are
/// named alike, `path+file:///src/xtask#0.1.0`.
fn package_name(id: &str) -> String {
    let (location, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    let name = fragment.split_once('@').map(|(name, _)| name);
    name.or_else(|| location.rsplit('/').next()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_test_is_recognised() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///r#colonyos-operator@0.1.0",
            "target":{"kind":["test"],"name":"golden"},"profile":{"test":true},"executable":"/t/golden-1"}"#;
        let found = executable(line).unwrap();
        assert_eq!((found.package.as_str(), found.target.as_str()), ("colonyos-operator", "golden"));
        assert_eq!((found.kind.as_str(), found.is_test), ("test", true));
    }

    #[test]
    fn what_is_not_a_program_is_passed_over() {
        assert!(executable(r#"{"reason":"build-finished","success":true}"#).is_none());
        assert!(executable("warning: no JSON").is_none());
    }

    #[test]
    fn a_package_is_named_by_its_folder_where_the_identifier_says_no_more() {
        assert_eq!(package_name("path+file:///r/xtask#0.1.0"), "xtask");
        assert_eq!(package_name("path+file:///r#colonyos-operator@0.1.0"), "colonyos-operator");
    }
}
