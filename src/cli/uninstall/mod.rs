//! `colonyos-operator uninstall`: what the operator looks after goes in an order in which it can still end what is in
//! colonies: what makes other objects first, connections last, and only then the operator and its own objects.
//!
//! The operator does the work while it runs; the command deletes, waits, and names what holds an object. Run once more after
//! the operator itself is gone, it deletes the Lease, the Secrets and, with `--crds`, the kinds.

mod carry_out;
mod inventory;
mod read;
mod shown;

use std::{io::Write as _, path::PathBuf};

use tokio::runtime::Runtime;

use super::{Failure, output::Output};
use crate::runtime::{
    config::{self, OperatorConfiguration},
    kubernetes,
};

/// Arguments of `uninstall`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print what would be deleted, in which order, what holds it and what stays; delete nothing
    #[arg(long)]
    plan: bool,
    /// Delete the custom resource definitions too, once no object is left in the whole cluster
    #[arg(long)]
    crds: bool,
    /// Seconds that the objects of one step may take to go
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Configuration file of the operator, which says what it looks after; its defaults when absent
    #[arg(long, value_name = "FILE", env = "COLONYOS_OPERATOR_CONFIG")]
    config: Option<PathBuf>,
    /// The operator's own namespace [default: the pod's, or the context's]
    #[arg(long, short, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Form of the plan
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints the plan, or carries it out.
///
/// # Errors
///
/// When the cluster cannot be read, no operator runs that could release what it holds, or an object does not go.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let configuration = config::load(arguments.config.as_deref())?;
    Runtime::new()?.block_on(uninstall(arguments, &configuration))
}

async fn uninstall(arguments: &Arguments, configuration: &OperatorConfiguration) -> Result<(), Failure> {
    let mut kubernetes = kubernetes::connect().await?;
    if let Some(namespace) = &arguments.namespace {
        kubernetes.namespace.clone_from(namespace);
    }
    let reader = read::Reader { kubernetes: &kubernetes, configuration };
    let inventory = reader.inventory().await?;
    if arguments.plan {
        let crds = arguments.crds;
        return arguments.output.print(|| shown::text(&inventory, crds), || shown::json(&inventory, crds));
    }
    let carried_out = carry_out::Uninstall { reader, timeout: arguments.timeout, crds: arguments.crds };
    let last = carried_out.run(inventory).await?;
    writeln!(std::io::stdout().lock(), "{last}")?;
    Ok(())
}
