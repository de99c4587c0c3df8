//! `colonyos-operator gate`: stands between an executor and the server of its colony, in the pod of the executor. The operator
//! writes it into pods; it is no command for people.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use zeroize::Zeroizing;

use super::Failure;
use crate::{
    api::gate::{CONTROL_PORT, EXECUTOR_PORT},
    colony::{PrivateKey, Server, Tls},
    gate::{AtTimeout, Gate, Settings},
    runtime::{config::Logging, shutdown::Shutdown, telemetry},
};

/// How long nothing is given to an executor after a drain whose caller has left: the kubelet that restarts comes back.
const WITHDRAWAL: Duration = Duration::from_secs(10);

/// Arguments of `gate`. What is the executor's own comes from its environment.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[arg(long, env = "COLONIES_SERVER_HOST")]
    host: String,
    #[arg(long, env = "COLONIES_SERVER_PORT")]
    port: u16,
    #[arg(long, env = "COLONIES_TLS", action = clap::ArgAction::Set)]
    tls: bool,
    #[arg(long, env = "COLONIES_COLONY_NAME")]
    colony: String,
    /// Only ever from the environment: arguments can be read by others
    #[arg(long, env = "COLONIES_PRVKEY", hide_env_values = true)]
    key: String,
    /// Port of this pod alone, for the executor
    #[arg(long, default_value_t = EXECUTOR_PORT)]
    executor_port: u16,
    /// Port for the kubelet
    #[arg(long, default_value_t = CONTROL_PORT)]
    control_port: u16,
    /// What a request to drain must have in its header
    #[arg(long)]
    token: String,
    /// Seconds that a drain may take; as long as it takes without
    #[arg(long)]
    timeout: Option<u64>,
    /// What becomes of a process that has not ended by then
    #[arg(long, default_value = "Requeue")]
    at_timeout: AtTimeout,
    /// Seconds for which an executor that was drained may live on
    #[arg(long)]
    hold: u64,
    /// Directory that outlives the gate
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// Serves until a signal.
pub(super) fn serve(arguments: Arguments) -> Result<(), Failure> {
    telemetry::start(&Logging::default(), None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        Gate::bind(settings(arguments)?).await?.run(shutdown).await;
        Ok(())
    })
}

fn settings(arguments: Arguments) -> Result<Settings, Failure> {
    let key = PrivateKey::from_hex(&Zeroizing::new(arguments.key))?;
    let tls = if arguments.tls { Tls::Webpki } else { Tls::Insecure };
    Ok(Settings {
        server: Server { host: arguments.host, port: arguments.port, tls },
        colony: arguments.colony,
        key,
        listen: SocketAddr::from(([127, 0, 0, 1], arguments.executor_port)),
        control: SocketAddr::from(([0, 0, 0, 0], arguments.control_port)),
        token: arguments.token,
        timeout: arguments.timeout.map(Duration::from_secs),
        at_timeout: arguments.at_timeout,
        hold: Duration::from_secs(arguments.hold),
        withdrawal: WITHDRAWAL,
        directory: arguments.directory,
    })
}
