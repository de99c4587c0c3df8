//! A Go toolchain new enough for the tools: the one on the machine, else one that Go itself fetches.
//!
//! Toolchains are published as the Go module `golang.org/toolchain`, so any Go, however old, gets the pinned one through
//! the same proxy and checksum database as every other module.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::packages;

/// The oldest Go that builds every tool: the newest of the `go` lines of the modules under `deploy/tools`.
const OLDEST: (u32, u32, u32) = (1, 26, 6);
/// The toolchain that is fetched when the machine has an older one.
const FETCHED: &str = "1.26.8";

/// Path of a `go` program of at least [`OLDEST`].
///
/// # Errors
/// When there is none and none can be installed; the message names the command that helps.
pub fn program() -> Result<PathBuf> {
    let installed = if let Some(found) = version("go") {
        found
    } else {
        packages::install(&["golang-go"], "go, to build the tools of the cluster")?;
        version("go").context("failed to run go after it was installed: check `go version`")?
    };
    if installed >= OLDEST {
        return Ok(PathBuf::from("go"));
    }
    eprintln!(
        "  go {}.{}.{} is too old for the tools, fetching the toolchain {FETCHED}",
        installed.0, installed.1, installed.2
    );
    fetch_toolchain()
}

/// Version of the Go at `program` in its own folder, without letting it switch to another toolchain.
fn version(program: &str) -> Option<(u32, u32, u32)> {
    let output = Command::new(program)
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .current_dir("/")
        .output()
        .ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.trim().strip_prefix("go")?.split(['.', ' ', '-', 'r', 'b']);
    let (major, minor) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    // A release candidate has no third number, and counts as the release it is for.
    let patch = numbers.next().and_then(|patch| patch.parse().ok()).unwrap_or(0);
    Some((major, minor, patch))
}

/// What `go mod download -json` prints, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Download {
    #[serde(rename = "Dir")]
    folder: Option<PathBuf>,
    #[serde(rename = "Error")]
    error: Option<String>,
}

fn fetch_toolchain() -> Result<PathBuf> {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let module = format!("golang.org/toolchain@v0.0.1-go{FETCHED}.{}-{machine}", std::env::consts::OS);
    let output = Command::new("go")
        .args(["mod", "download", "-json", &module])
        .env("GOTOOLCHAIN", "local")
        .current_dir("/")
        .output()
        .context("failed to run go mod download")?;
    let download: Download = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("failed to fetch {module}: {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    let Some(folder) = download.folder.filter(|_| download.error.is_none()) else {
        bail!(
            "failed to fetch {module}: {}; install Go {}.{} or newer and try again",
            download.error.unwrap_or_default(),
            OLDEST.0,
            OLDEST.1
        );
    };
    // A module carries no execute bits; Go sets them itself when it switches toolchains, and so must we.
    make_executable(&folder.join("bin"))?;
    make_executable(&folder.join("pkg/tool"))?;
    Ok(folder.join("bin/go"))
}

fn make_executable(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("failed to list {}", folder.display()))?.path();
        if path.is_dir() {
            make_executable(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("failed to make {} executable", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_candidates_are_read() {
        assert_eq!(parse_version("go1.26.8\n"), Some((1, 26, 8)));
        assert_eq!(parse_version("go1.27rc1"), Some((1, 27, 0)));
        assert_eq!(parse_version("go1.19.8 X:boringcrypto"), Some((1, 19, 8)));
        assert_eq!(parse_version("devel +abc"), None);
    }
}
