//! `cargo xtask cluster env`: what a shell needs to use the stack.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{colony, docker, stack::Stack, surroundings::MARK};
use crate::tools::Toolbox;

/// The variables of a stack. `PATH` is the whole new value.
///
/// # Errors
/// When the stack's keys cannot be read.
pub fn variables(stack: &Stack) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    if stack.has_cluster() {
        set("KUBECONFIG", stack.kubeconfig().display().to_string());
    }
    if stack.docker {
        set("DOCKER_HOST", docker::address(stack));
    }
    set(MARK, stack.folder.display().to_string());
    let programs = programs(stack);
    let rest = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&rest).filter(|folder| *folder != programs);
    let path = env::join_paths(std::iter::once(programs.clone()).chain(others))
        .context("failed to put the tools on the PATH")?;
    set("PATH", path.to_string_lossy().into_owned());
    if stack.own_colony {
        variables.extend(colony::environment(stack)?);
    } else {
        variables.extend(env::vars().filter(|(name, _)| name.starts_with("COLONIES_")));
    }
    Ok(variables)
}

/// The variables as lines for a shell.
pub fn as_shell(variables: &BTreeMap<String, String>) -> String {
    let line =
        |(name, value): (&String, &String)| format!("export {name}='{}'", value.replace('\'', r"'\''"));
    variables.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Folder with a link to each program of the stack.
pub fn programs(stack: &Stack) -> PathBuf {
    stack.folder.join("bin")
}

/// Makes the links in [`programs`].
///
/// # Errors
/// When the folder cannot be written to.
pub fn link_programs(stack: &Stack, tools: &Toolbox) -> Result<()> {
    let folder = programs(stack);
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for (name, path) in tools.iter() {
        link(path, &folder.join(name))?;
    }
    Ok(())
}

fn link(target: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|present| present == target) {
        return Ok(());
    }
    let _ = fs::remove_file(link); // an older version's
    symlink(target, link).with_context(|| format!("failed to link {}", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_the_shell() {
        let variables = BTreeMap::from([("A".to_owned(), "it's $x".to_owned())]);
        assert_eq!(as_shell(&variables), "export A='it'\\''s $x'");
    }
}
