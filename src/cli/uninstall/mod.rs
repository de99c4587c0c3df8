//! `colonyos-operator uninstall`: what the operator looks after goes in an order in which it can still end what is in
//! colonies: what makes other objects first, connections last, and only then the operator and its own objects.
//!
//! The operator does the work while it runs; the command deletes, waits, and names what holds an object. Run once more after
//! the operator itself is gone, it deletes the Lease, the Secrets and, with `--crds`, the kinds.

mod carry_out;
mod inventory;
mod read;
mod shown;

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::ListParams};
use tokio::runtime::Runtime;

use super::{
    Failure,
    connection::{Connection, of_operator},
    output::{Output, print as print_line},
};
use crate::{
    api::names::{APP_NAME_LABEL, OPERATOR},
    runtime::{
        config::{self, OperatorConfiguration},
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
    },
};

/// Where a ConfigMap of the chart has the configuration.
const CONFIGURATION: &str = "config.yaml";

/// Arguments of `uninstall`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespace", of_operator))]
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
    /// Configuration file of the operator, which says what it looks after [default: that of the chart, in its ConfigMap]
    #[arg(long, value_name = "FILE", env = "COLONYOS_OPERATOR_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
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
    Runtime::new()?.block_on(uninstall(arguments))
}

async fn uninstall(arguments: &Arguments) -> Result<(), Failure> {
    let kubernetes = arguments.connection.connect().await?;
    let known = match &arguments.config {
        Some(file) => Some(config::load(Some(file))?),
        None => installed(&kubernetes).await?,
    };
    let is_known = known.is_some();
    let configuration = known.unwrap_or_default();
    let reader = read::Reader { kubernetes: &kubernetes, configuration: &configuration };
    let inventory = reader.inventory().await?;
    if arguments.plan {
        let crds = arguments.crds;
        return arguments.output.print(|| shown::text(&inventory, crds), || shown::json(&inventory, crds));
    }
    if !is_known && inventory.is_running != Some(false) {
        return Err(format!(
            "no ConfigMap of the chart in namespace {} says what the operator looks after, which may not be all there is: give its configuration by --config; nothing is deleted yet",
            kubernetes.namespace
        )
        .into());
    }
    let carried_out = carry_out::Uninstall { reader, timeout: arguments.timeout, crds: arguments.crds };
    let last = carried_out.run(inventory).await?;
    print_line(&format!("{last}\n"))
}

/// The configuration with which the chart has installed the operator; none if it has not, or several are there.
async fn installed(kubernetes: &Kubernetes) -> Result<Option<OperatorConfiguration>, Failure> {
    let api = Api::<ConfigMap>::namespaced(kubernetes.calls.clone(), &kubernetes.namespace);
    let parameters = ListParams::default().labels(&format!("{APP_NAME_LABEL}={OPERATOR}"));
    let listed = call(CALL_TIME_LIMIT, api.list(&parameters)).await;
    let listed = listed.map_err(|error| error.explain("list ConfigMaps"))?;
    let texts = listed.into_iter().filter_map(|map| map.data?.remove(CONFIGURATION));
    let texts: Vec<String> = texts.collect();
    match texts.as_slice() {
        [text] => Ok(Some(config::parse(text, Path::new(CONFIGURATION))?)),
        _ => Ok(None),
    }
}
