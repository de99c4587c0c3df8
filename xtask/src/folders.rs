//! Folders outside the repository that the commands write to, and reading a log's end.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Name of the folder under the user's cache and state folders.
const PRODUCT: &str = "colonyos-operator";

/// Folder for what can be made again at a price: built tools, packed images.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    user_folder("XDG_CACHE_HOME", ".cache")
}

/// Folder that holds one folder per stack. For root it is outside the home folder, which PostgreSQL, run as another user,
/// could not enter.
///
/// # Errors
/// When not root and neither `XDG_STATE_HOME` nor `HOME` is set.
pub fn stacks() -> Result<PathBuf> {
    if is_root() {
        return Ok(Path::new("/var/lib").join(PRODUCT).join("stacks"));
    }
    Ok(user_folder("XDG_STATE_HOME", ".local/state")?.join("stacks"))
}

/// Whether this process has user id 0.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn user_folder(variable: &str, under_home: &str) -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set(variable)
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(under_home)))
        .with_context(|| format!("failed to find a folder to write to: set HOME or {variable}"))?;
    Ok(base.join(PRODUCT))
}

/// The last `count` lines of a log, each indented; a placeholder when it cannot be read.
pub fn last_lines(log: &Path, count: usize) -> String {
    let Ok(bytes) = fs::read(log) else {
        return "    (the log cannot be read)".to_owned();
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
