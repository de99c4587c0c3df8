//! The rung `checks`: what `cargo xtask check` and `verify-generated` find, each as one test.

use std::{collections::BTreeMap, env, path::Path};

use anyhow::{Context, Result};

use super::{
    harness,
    report::{Report, Verdict},
    rung::Rung,
};
use crate::{check, repository};

/// Makes every check whose name the filter fits; what a check prints is shown when it fails.
///
/// # Errors
/// When this program cannot be started again.
pub fn run(
    operator: Option<&Path>,
    filter: Option<&str>,
    environment: &BTreeMap<String, String>,
    report: &Report,
) -> Result<()> {
    let fits = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    for name in check::NAMES.iter().filter(|name| fits(name)) {
        one(name, &["check", "--only", name], environment, report)?;
    }
    if fits("generated") {
        match operator.map(Path::to_string_lossy) {
            Some(operator) => {
                let call = ["verify-generated", "--operator", &operator];
                one("generated", &call, environment, report)?;
            }
            None => report.test(
                Rung::Checks,
                "generated",
                Verdict::Failed,
                "there is no operator to generate with",
            ),
        }
    }
    Ok(())
}

fn one(name: &str, call: &[&str], environment: &BTreeMap<String, String>, report: &Report) -> Result<()> {
    let this = env::current_exe().context("failed to find the running program")?;
    let output = harness::behind(&this)
        .args(call)
        .envs(environment)
        .current_dir(repository::root())
        .output()
        .context("failed to start a check")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        report.test(Rung::Checks, name, Verdict::Failed, "");
        Report::output(Rung::Checks, &said);
        Report::output(Rung::Checks, &String::from_utf8_lossy(&output.stderr));
        return Ok(());
    }
    let skipped = said.lines().find_map(|line| line.split_once(check::SKIPPED));
    match skipped {
        Some((_, reason)) => report.test(Rung::Checks, name, Verdict::Skipped, reason),
        None => report.test(Rung::Checks, name, Verdict::Passed, ""),
    }
    Ok(())
}
