//! What the rungs run against: the tools on their `PATH`, and a stack of servers of their own.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::rung::Needs;
use crate::{
    cargo::Executable,
    cluster::{self, Nodes, UpOptions, Which},
    images, tools,
};

/// Pretended nodes, for tests that need pods and nothing that runs in them.
const KWOK_NODES: u32 = 2;

/// Variable with the reason why this machine has no Docker daemon.
pub const DOCKER_OBSTACLE: &str = "DOCKER_OBSTACLE";

/// The servers of a run, and how tests find them.
#[derive(Debug)]
pub struct Servers {
    which: Which,
    is_ours: bool,
    /// Environment for the test binaries.
    pub environment: BTreeMap<String, String>,
}

/// Brings up what is needed and does not run yet.
///
/// # Errors
/// When a tool cannot be built, or a server does not get ready. What was started then is left for [`stop`].
pub fn start(needs: Needs, which: &Which) -> Result<Servers> {
    let mut servers = Servers { which: which.clone(), is_ours: false, environment: BTreeMap::new() };
    if needs.servers {
        let is_there = cluster::existing(&which.folder()?).is_ok();
        // A stack that is there has the nodes that it has.
        let nodes = if needs.node { Nodes::Real } else { Nodes::Kwok };
        let options = UpOptions {
            nodes: (!is_there).then_some(nodes),
            kwok_nodes: (!is_there).then_some(KWOK_NODES),
            ..UpOptions::default()
        };
        cluster::up(which, &options)?;
        servers.is_ours = !is_there;
        servers.environment = cluster::variables(which)?;
    }
    if needs.tools {
        let names = ["colonies", "helm", "kubectl"];
        let toolbox = tools::provide(&names)?;
        let path = servers.environment.get("PATH").map(Into::into).or_else(|| env::var_os("PATH"));
        let mut folders: Vec<PathBuf> = env::split_paths(&path.unwrap_or_default()).collect();
        for name in names {
            folders.extend(toolbox.path(name)?.parent().map(Path::to_path_buf));
            // Before what the machine has, so that all machines test with the same.
            folders.rotate_right(1);
        }
        let path = env::join_paths(folders).context("failed to put the tools on the PATH")?;
        servers.environment.insert("PATH".to_owned(), path.to_string_lossy().into_owned());
    }
    if needs.docker
        && let Some(obstacle) = cluster::docker::obstacle()
    {
        servers.environment.insert(DOCKER_OBSTACLE.to_owned(), obstacle);
    }
    if needs.helms {
        for (name, path) in tools::provide(tools::HELMS)?.iter() {
            let variable = format!("{}_BIN", name.to_uppercase());
            servers.environment.insert(variable, path.to_string_lossy().into_owned());
        }
    }
    if needs.programs {
        for (name, path) in tools::provide(tools::INTEROP_PROGRAMS)?.iter() {
            let variable = format!("{}_BIN", name.to_uppercase().replace('-', "_"));
            servers.environment.insert(variable, path.to_string_lossy().into_owned());
        }
    }
    Ok(servers)
}

/// Gives the real node the images of what was built, and tests their names.
///
/// # Errors
/// When the node does not take them.
pub fn give_images(servers: &mut Servers, built: &[Executable]) -> Result<()> {
    let stack = cluster::existing(&servers.which.folder()?)?;
    let programs: Vec<Executable> = built.iter().filter(|built| !built.is_test).cloned().collect();
    for (program, image) in images::import(&stack, &programs)? {
        let name = match program.as_str() {
            "colonyos-operator" => "OPERATOR_IMAGE".to_owned(),
            other => format!("{}_IMAGE", other.to_uppercase().replace('-', "_")),
        };
        servers.environment.insert(name, image.reference);
    }
    if let Some(executor) = programs.iter().find(|program| program.target == "executor") {
        images::import_stand_ins(&stack, &executor.path)?;
    }
    Ok(())
}

/// Takes the stack down, if this run has brought it up.
///
/// # Errors
/// When a process cannot be ended.
pub fn stop(servers: &Servers) -> Result<()> {
    if servers.is_ours {
        return cluster::run(cluster::Command::Down { which: servers.which.clone() });
    }
    Ok(())
}
