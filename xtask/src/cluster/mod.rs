//! `cargo xtask cluster`: a real cluster and a real colony on this machine, as stacks that stand side by side.
//!
//! A stack is a control plane with kwok nodes ([`control_plane`], by kwokctl), a real node ([`node`], in its own
//! namespaces: [`sandbox`]), a ColonyOS server with its PostgreSQL ([`colony`]), and a Docker daemon ([`docker`]) when asked for. [`stack`] is the record of one,
//! [`lifecycle`] what can be done with it, [`process`] how its processes are started, known again and ended.

mod colony;
mod commands;
mod control_plane;
pub mod docker;
mod environment;
mod http;
mod ledger;
mod lifecycle;
mod node;
mod process;
mod sandbox;
mod stack;
mod status;
mod surroundings;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};

pub use self::{
    colony::postgresql_programs,
    commands::{output, succeeds},
    lifecycle::existing,
    node::{snapshotter, socket},
    sandbox::obstacle as real_node_obstacle,
    stack::{IMAGES, Nodes, Stack},
};
use crate::folders;

/// What to do with a stack.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a stack, or what of it does not run. Does nothing when all is well.
    Up {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        options: UpOptions,
    },
    /// End what `up` started and remove the stack's folder.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// Show how each component is; fails when one has crashed.
    Status {
        #[command(flatten)]
        which: Which,
        /// How to print it.
        #[arg(long, short, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// Print the environment of a stack, for `eval "$(cargo xtask cluster env)"`. It holds private keys.
    Env {
        #[command(flatten)]
        which: Which,
        /// How to print it.
        #[arg(long, short, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// Stop one component, to see what the others do without it.
    Stop {
        /// Name of the component, as `status` prints it.
        component: String,
        /// Kill it instead of asking it to end.
        #[arg(long)]
        kill: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Start one component that was stopped. Those of the control plane start together.
    Start {
        /// Name of the component, as `status` prints it.
        component: String,
        #[command(flatten)]
        which: Which,
    },
}

/// Which stack is meant.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Name of the stack; several stand side by side.
    #[arg(long, default_value = "demo", value_parser = stack_name)]
    pub name: String,
    /// Folder that holds one folder per stack.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// What a new stack should be like. What is not given stays as it is for a stack that is there.
#[derive(Debug, Clone, Default, Args)]
pub struct UpOptions {
    /// What runs the pods: `real` (the default) needs root; `kwok` only pretends to run them.
    #[arg(long, value_enum)]
    pub nodes: Option<Nodes>,
    /// Number of kwok nodes (0 beside a real node, 1 without).
    #[arg(long, value_name = "N")]
    pub kwok_nodes: Option<u32>,
    /// First of a row of a hundred free ports (default: the first free row from 21000).
    #[arg(long, value_name = "PORT")]
    pub port_base: Option<u16>,
    /// Start a Docker daemon too, for `colonyos-operator reconciler --runtime docker`; needs root.
    #[arg(long)]
    pub docker: bool,
    /// Environment variable for the ColonyOS server, for example `COLONIES_CLEANUP_INTERVAL=1`; can be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub colonyos_env: Vec<(String, String)>,
    /// Neither a control plane nor nodes: `cargo xtask colony`.
    #[arg(skip)]
    pub colony_alone: bool,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people and shells.
    Text,
    /// For programs.
    Json,
}

impl Which {
    /// The stack's folder.
    ///
    /// # Errors
    /// When there is no home folder to put it in.
    pub fn folder(&self) -> Result<PathBuf> {
        let parent = match &self.state {
            Some(folder) => std::path::absolute(folder)
                .with_context(|| format!("failed to find the folder {}", folder.display()))?,
            None => folders::stacks()?,
        };
        Ok(parent.join(&self.name))
    }
}

/// Names end up in file names, cgroups and kubeconfig contexts.
fn stack_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 30
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a name has up to 30 lower-case letters, digits and hyphens and begins with a letter".to_owned())
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "give it as NAME=VALUE".to_owned())
}

/// Carries out one command.
///
/// # Errors
/// When it fails, or `status` finds a component that has crashed.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Up { which, options } => {
            let stack = up(&which, &options)?;
            let name = if stack.name == "demo" { String::new() } else { format!(" --name {}", stack.name) };
            eprintln!("to use it: eval \"$(cargo xtask cluster env{name})\"");
            Ok(())
        }
        Command::Down { which } => lifecycle::down(&which.folder()?),
        Command::Status { which, output } => report(&which, output),
        Command::Env { which, output } => {
            let variables = variables(&which)?;
            match output {
                Format::Text => println!("{}", environment::as_shell(&variables)),
                Format::Json => println!("{}", serde_json::to_string_pretty(&variables)?),
            }
            Ok(())
        }
        Command::Stop { component, kill, which } => {
            lifecycle::stop_component(&which.folder()?, &component, kill)
        }
        Command::Start { component, which } => lifecycle::start_component(&which.folder()?, &component),
    }
}

/// Whether the user's environment names a cluster, so that none is started.
pub fn brings_cluster() -> bool {
    surroundings::find().kubeconfig.is_some()
}

/// Whether the user's environment names a cluster or a ColonyOS server, which every stack would share.
pub fn brings_servers() -> bool {
    let surroundings = surroundings::find();
    surroundings.kubeconfig.is_some() || surroundings.colony
}

/// What to do with a colony that has no cluster.
#[derive(Debug, Subcommand)]
pub enum ColonyCommand {
    /// Start PostgreSQL and a ColonyOS server, or what of them does not run. Does nothing when all is well.
    Up {
        #[command(flatten)]
        which: ColonyWhich,
        /// Start a Docker daemon too, for `colonyos-operator reconciler --runtime docker`; needs root.
        #[arg(long)]
        docker: bool,
    },
    /// End what `up` started and remove the stack's folder.
    Down {
        #[command(flatten)]
        which: ColonyWhich,
    },
    /// Show how each component is; fails when one has crashed.
    Status {
        #[command(flatten)]
        which: ColonyWhich,
    },
    /// Print the environment of the colony, for `eval "$(cargo xtask colony env)"`. It holds private keys.
    Env {
        #[command(flatten)]
        which: ColonyWhich,
    },
}

/// Which colony is meant.
#[derive(Debug, Clone, Args)]
pub struct ColonyWhich {
    /// Name of the stack; several stand side by side.
    #[arg(long, default_value = "colony", value_parser = stack_name)]
    name: String,
    /// Folder that holds one folder per stack.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl From<ColonyWhich> for Which {
    fn from(ColonyWhich { name, state }: ColonyWhich) -> Self {
        Self { name, state }
    }
}

/// Carries out one command for a colony that has no cluster.
///
/// # Errors
/// When it fails, or `status` finds a component that has crashed.
pub fn run_colony(command: ColonyCommand) -> Result<()> {
    let output = Format::Text;
    match command {
        ColonyCommand::Up { which, docker } => {
            let options = UpOptions { docker, colony_alone: true, ..UpOptions::default() };
            let stack = up(&which.into(), &options)?;
            let name = if stack.name == "colony" { String::new() } else { format!(" --name {}", stack.name) };
            eprintln!("to use it: eval \"$(cargo xtask colony env{name})\"");
            Ok(())
        }
        ColonyCommand::Down { which } => run(Command::Down { which: which.into() }),
        ColonyCommand::Status { which } => run(Command::Status { which: which.into(), output }),
        ColonyCommand::Env { which } => run(Command::Env { which: which.into(), output }),
    }
}

/// Brings a stack up; a second call finds nothing to do.
///
/// # Errors
/// When a component does not get ready.
pub fn up(which: &Which, options: &UpOptions) -> Result<Stack> {
    lifecycle::up(&which.folder()?, options)
}

/// Starts a program that goes with a stack when that is taken down, unless it runs.
///
/// # Errors
/// When there is no such stack, or the program cannot be started.
pub fn start_beside(which: &Which, name: &str, command: &mut std::process::Command) -> Result<()> {
    let folder = which.folder()?;
    let _held = stack::hold(&folder)?;
    let mut stack = existing(&folder)?;
    if stack.alive(name).is_none() {
        let started = process::start(command, &stack.log(name))?;
        stack.processes.insert(name.to_owned(), started);
        stack.save()?;
    }
    Ok(())
}

/// The environment of a stack that is up.
///
/// # Errors
/// When there is no such stack.
pub fn variables(which: &Which) -> Result<BTreeMap<String, String>> {
    environment::variables(&existing(&which.folder()?)?)
}

fn report(which: &Which, output: Format) -> Result<()> {
    let stack = existing(&which.folder()?)?;
    let components = status::look(&stack);
    match output {
        Format::Text => println!("{}", status::table(&components)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&components)?),
    }
    let bad: Vec<&str> = components
        .iter()
        .filter(|component| matches!(component.state, status::State::Crashed | status::State::Unhealthy))
        .map(|component| component.name)
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    bail!(
        "crashed or not answering: {}; `cargo xtask cluster up --name {}` repairs it",
        bad.join(", "),
        stack.name
    )
}
