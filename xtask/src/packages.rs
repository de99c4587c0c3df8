//! Programs that come from the distribution: found, installed when root on a Debian-like machine, else named with the
//! command that installs them.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::folders;

/// Where Debian puts programs that are not on every user's `PATH`.
const ALSO_IN: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Installs Debian packages when root, with a fresh package list if the present one does not know them.
///
/// # Errors
/// When not root or without apt-get, with the command to run; when apt-get fails, with its last lines.
pub fn install(packages: &[&str], what_for: &str) -> Result<()> {
    let names = packages.join(" ");
    if !folders::is_root() || find("apt-get").is_none() {
        bail!(
            "missing: {what_for}. Install it and try again, on Debian or Ubuntu with:\n  sudo apt-get install {names}"
        );
    }
    eprintln!("installing {names} ({what_for})");
    if apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat()).is_err() {
        apt_get(&["update"])?;
        apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
            .with_context(|| format!("failed to install {names}, needed for {what_for}"))?;
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("failed to run apt-get")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("failed to run apt-get {}:\n{}", arguments.join(" "), errors.trim());
    }
    Ok(())
}

/// Installs those of the `(program, package)` pairs whose program is missing.
///
/// # Errors
/// As for [`install`].
pub fn ensure(pairs: &[(&str, &str)], what_for: &str) -> Result<()> {
    let missing: Vec<&str> =
        pairs.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing, what_for) }
}

/// Path of a program, or of a file given by its absolute path.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Some(PathBuf::from(program)).filter(|path| path.exists());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(ALSO_IN.iter().map(|folder| Path::new(folder).to_path_buf()))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
