//! `colonyos-operator reconciler`: carries out blueprints of kind ExecutorDeployment where there is no Kubernetes.
//!
//! It is told of the colony as the `colonies` command line is: by the environment. Everything else is in the crate
//! `colonyos-reconciler`.

use std::{collections::BTreeMap, fmt::Display, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    Failure,
    colony_server::{ColonyServer, variable},
    output::{complain, print},
    request::duration,
};
use crate::{
    colony::Environment,
    reconciler::{
        act::Say,
        docker::Docker,
        environment::Surroundings,
        fleet::{Allowed, Kind},
        folder::StateFolder,
        local::Local,
        port::Runtime,
        serve::{Settings, serve},
        snapshot::{Host, Patience},
        watch::Seat,
    },
    runtime::{clock::Clock, shutdown::Shutdown},
};

/// How often a state folder that is in use is tried again.
const STANDBY: Duration = Duration::from_secs(1);

/// Runtimes that need no cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    /// Containers of a Docker daemon, or of Podman
    Docker,
    /// Processes of this machine
    Local,
}

/// Arguments of `reconciler`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What carries replicas out
    #[arg(long, value_enum)]
    runtime: Where,
    /// Location in the colony: blueprints with this metadata.locationname are carried out
    #[arg(long, value_name = "NAME")]
    location: String,
    /// Executor type that the blueprint definition names as its handler [default: docker-reconciler, local-reconciler]
    #[arg(long, value_name = "TYPE")]
    executor_type: Option<String>,
    /// Folder for keys, records and logs; two reconcilers with the same folder take turns [default: below `XDG_STATE_HOME`,
    /// `~/.local/state` or /var/lib]
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    server: ColonyServer,
    /// Host by which replicas reach the colony server [default: that of the reconciler]
    #[arg(long, value_name = "HOST", env = "COLONIES_CLIENT_HTTP_HOST")]
    replica_server_host: Option<String>,
    /// Port by which replicas reach the colony server [default: that of the reconciler]
    #[arg(long, value_name = "PORT", env = "COLONIES_CLIENT_HTTP_PORT")]
    replica_server_port: Option<u16>,
    /// How long a replica that is to go may finish its process, such as 30m
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = duration)]
    drain_timeout: Duration,
    /// How long an idle replica may take to end before it is killed
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = duration)]
    stop_timeout: Duration,
    /// How long a process of the colony may wait for its fleet before it fails
    #[arg(long, value_name = "SPAN", default_value = "2m", value_parser = duration)]
    settle_timeout: Duration,
    /// How often everything is read without a reason
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = duration)]
    resync: Duration,
    /// Folder of this machine that blueprints may mount, with all below it; may be repeated. Docker only
    #[arg(long, value_name = "FOLDER")]
    allow_volume: Vec<String>,
    /// Let blueprints ask for privileged containers. Docker only
    #[arg(long)]
    allow_privileged: bool,
    /// Docker's socket or address, such as `unix:///run/podman/podman.sock` [default: Docker's own]
    #[arg(long, value_name = "URL", env = "DOCKER_HOST")]
    docker_host: Option<String>,
    /// Network mode of containers, such as host or the name of a network [default: Docker's own]
    #[arg(long, value_name = "MODE")]
    network: Option<String>,
}

impl Arguments {
    fn kind(&self) -> Kind {
        match self.runtime {
            Where::Docker => Kind::Docker,
            Where::Local => Kind::Local,
        }
    }

    fn surroundings(&self) -> Surroundings {
        let mut server = self.server.server();
        server.host = self.replica_server_host.clone().unwrap_or(server.host);
        server.port = self.replica_server_port.unwrap_or(server.port);
        let passed_on = environment(|name| name.starts_with("AWS_S3_"));
        Surroundings {
            server,
            colony: self.server.colony.clone(),
            location: self.location.clone(),
            node: super::request::host(),
            kind: self.kind(),
            passed_on,
        }
    }

    fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| {
            let own = variable("XDG_STATE_HOME").map(PathBuf::from);
            let home = variable("HOME")
                .filter(|home| home != "/root")
                .map(|home| PathBuf::from(home).join(".local/state"));
            let base = own.or(home).unwrap_or_else(|| PathBuf::from("/var/lib"));
            let safe = |name: &str| name.replace(['/', '.'], "_");
            base.join("colonyos-reconciler")
                .join(safe(&self.server.colony))
                .join(safe(&self.location))
                .join(self.kind().to_string())
        })
    }
}

/// Serves until a signal.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(reconcile(arguments))
}

async fn reconcile(arguments: &Arguments) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()?;
    let clock = Clock::system();
    let say: Say = Arc::new(move |text: &str| told(&clock, text));
    let owner = arguments
        .server
        .session(&[("COLONIES_COLONY_PRVKEY", "the key of the colony's owner, which registers executors")])?;
    let folder = tokio::select! {
        folder = take(arguments.state_dir(), &say) => folder?,
        () = shutdown.requested() => return Ok(()),
    };
    let kind = arguments.kind();
    let host: Arc<dyn Runtime> = match kind {
        Kind::Local => {
            // Every variable but those of the colony: a program needs PATH and HOME, and no key of ours.
            let inherited = environment(|name| !name.starts_with("COLONIES_") && !name.starts_with("AWS_"));
            Arc::new(Local::open(folder.path(), Host(folder.id()?), inherited)?)
        }
        Kind::Docker => Arc::new(
            Docker::connect(
                arguments.docker_host.as_deref(),
                &arguments.server.colony,
                &arguments.location,
                &folder.id()?,
                arguments.network.clone(),
            )
            .await?,
        ),
    };
    let settings = Settings {
        owner,
        seat: Seat {
            location: arguments.location.clone(),
            kind,
            executor_type: arguments.executor_type.clone().unwrap_or_else(|| format!("{kind}-reconciler")),
            allowed: Allowed {
                folders: arguments.allow_volume.clone(),
                privileged: arguments.allow_privileged,
            },
            patience: Patience { drain: arguments.drain_timeout, grace: arguments.stop_timeout },
        },
        surroundings: arguments.surroundings(),
        poll: Duration::from_secs(5),
        resync: arguments.resync,
        settle: arguments.settle_timeout,
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let asked = shutdown.clone();
    tokio::spawn(async move {
        asked.requested().await;
        stop.send_replace(true);
        // The receiver is to hear this, and not that the sender is gone.
        std::future::pending::<()>().await;
    });
    serve(&settings, &folder, host, say, stopped).await;
    Ok(())
}

/// Waits for the state folder: another reconciler that has it goes on, and this one stands by.
async fn take(path: PathBuf, say: &Say) -> Result<StateFolder, Failure> {
    let mut has_said = false;
    loop {
        let taken = StateFolder::take(&path).map_err(|error| {
            format!("failed to use the state folder {}: {error}; give another by --state-dir", path.display())
        })?;
        if let Some(folder) = taken {
            return Ok(folder);
        }
        if !has_said {
            say(&format!("Standing by: another reconciler uses {}", path.display()));
            has_said = true;
        }
        tokio::time::sleep(STANDBY).await;
    }
}

/// The work goes on when nothing reads what it says any more.
fn told(clock: &Clock, text: impl Display) {
    if let Err(error) = print(&format!("{:.0} {text}\n", clock.now())) {
        complain(error);
    }
}

/// The variables of this process whose names are wanted.
fn environment(is_wanted: impl Fn(&str) -> bool) -> Environment {
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment(texts.filter(|(name, _)| is_wanted(name)).collect::<BTreeMap<_, _>>())
}
