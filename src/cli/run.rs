//! `colonyos-operator run`: starts the shared services, waits for what the operator needs, and runs the controllers
//! until shutdown.

use std::{path::PathBuf, time::Duration};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt as _};

use super::{
    Failure,
    connection::{Connection, of_operator},
};
use crate::{
    api::{self, installation::status_manager},
    controllers::{self, Services},
    runtime::{
        clock::Clock,
        config,
        http::{Check, Readiness, Server},
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
        lease::{self, Elector, Leadership},
        metrics::Metrics,
        shutdown::Shutdown,
        telemetry,
        traces::Traces,
    },
    watch::stores::label_selector,
    webhook::{self, EndpointSetup},
};

/// How often something that is missing at the start is looked for.
const RETRY: Duration = Duration::from_secs(2);
/// How long passes under way may take to end after a signal; less than the 30 s after which a pod is killed.
const DRAIN: Duration = Duration::from_secs(20);
/// How long a collector may hold up the end.
const FLUSH: Duration = Duration::from_secs(5);

/// Arguments of `run`.
#[derive(clap::Args)]
#[command(mut_arg("namespace", of_operator))]
pub(super) struct Arguments {
    /// Configuration file (YAML); every field has a default
    #[arg(long, value_name = "FILE", env = "COLONYOS_OPERATOR_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// Name under which this replica reports and holds the lease
    #[arg(long, value_name = "NAME", env = "POD_NAME", default_value = "colonyos-operator")]
    identity: String,
    /// Log filter that overrides the configuration, such as `debug` or `info,kube=debug`
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    log: Option<String>,
}

/// Runs the operator.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let configuration = config::load(arguments.config.as_deref())?;
    telemetry::start(&configuration.logging, arguments.log.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(operate(arguments, configuration))
}

async fn operate(arguments: &Arguments, configuration: config::OperatorConfiguration) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()?;
    let metrics = Metrics::new()?;
    let readiness = Readiness::default();
    let (api_server, definitions) = (readiness.check("kubernetes"), readiness.check("crds"));
    let reachable = webhook::is_reachable(&configuration.conversion);
    let conversions = reachable.then(|| readiness.check("conversions"));
    api_server.missing("not asked yet");
    definitions.missing("not looked for yet");

    // Served until the very end: a failed probe would kill the pod while it drains.
    let served = Shutdown::default();
    let probes = Server::bind(configuration.http.bind_address, metrics.clone(), readiness).await?;
    let serving = tokio::spawn(probes.run(served.clone()));

    let connection = arguments.connection.connect().await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        server = connection.server,
        namespace = connection.namespace,
        "starting"
    );
    tokio::select! {
        () = shutdown.requested() => {}
        cluster = prerequisites(&connection, &api_server, &definitions) => {
            let ground = ControllerSetup { configuration, connection, metrics, cluster, conversions };
            control(arguments, ground, &shutdown).await?;
        }
    }
    served.request();
    serving.await?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for the API server and for the kinds; the cluster's identity.
async fn prerequisites(connection: &Kubernetes, api_server: &Check, definitions: &Check) -> String {
    let cluster = loop {
        match cluster_identity(connection).await {
            Ok(uid) => break uid,
            Err(why) => {
                tracing::warn!("waiting for the API server: {why}");
                api_server.missing(why);
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    api_server.met();
    let mut reported = String::new();
    loop {
        let missing = missing_definitions(connection).await;
        if missing.is_empty() {
            definitions.met();
            return cluster;
        }
        let why = format!("{}: install the chart colonyos-operator-crds", missing.join(", "));
        if why != reported {
            tracing::warn!("waiting for custom resource definitions: {why}");
            reported.clone_from(&why);
        }
        definitions.missing(why);
        tokio::time::sleep(RETRY).await;
    }
}

/// UID of the `kube-system` namespace: the identifier of this cluster, for as long as it exists.
async fn cluster_identity(connection: &Kubernetes) -> Result<String, String> {
    let namespaces = Api::<Namespace>::all(connection.calls.clone());
    let found = call(CALL_TIME_LIMIT, namespaces.get("kube-system"))
        .await
        .map_err(|error| error.explain("get Namespace kube-system"))?;
    found.uid().ok_or_else(|| "Namespace kube-system has no UID".to_owned())
}

/// Which kinds the API server does not serve yet. Asked by listing them, which is a right that the operator has anyway.
async fn missing_definitions(connection: &Kubernetes) -> Vec<String> {
    let mut missing = Vec::new();
    for definition in api::custom_resource_definitions() {
        if let Err(why) = is_served(connection, &definition).await {
            missing.push(why);
        }
    }
    missing
}

async fn is_served(connection: &Kubernetes, definition: &CustomResourceDefinition) -> Result<(), String> {
    let names = &definition.spec.names;
    let version = definition.spec.versions.first().map(|version| version.name.clone()).unwrap_or_default();
    let group_version = format!("{}/{version}", definition.spec.group);
    let what = format!("{}.{}", names.plural, definition.spec.group);
    let listed = call(CALL_TIME_LIMIT, connection.calls.list_api_group_resources(&group_version)).await;
    match listed {
        Ok(list) if list.resources.iter().any(|resource| resource.name == names.plural) => Ok(()),
        Ok(_) => Err(format!("{what} is not installed")),
        Err(error) if error.is_not_found() => Err(format!("{what} is not installed")),
        Err(error) => Err(error.explain(&format!("look for {what}"))),
    }
}

/// What the controllers need.
struct ControllerSetup {
    configuration: config::OperatorConfiguration,
    connection: Kubernetes,
    metrics: Metrics,
    cluster: String,
    conversions: Option<Check>,
}

/// Runs the election, the controllers and the endpoint of conversions until the shutdown.
async fn control(arguments: &Arguments, ground: ControllerSetup, shutdown: &Shutdown) -> Result<(), Failure> {
    let ControllerSetup { configuration, connection, metrics, cluster, conversions } = ground;
    let clock = Clock::system();
    let released = Shutdown::default();
    let (leadership, election) = if configuration.leader_election.enabled {
        let identity = lease::identity(&arguments.identity);
        let settings = configuration.leader_election.clone();
        let (elector, leadership) =
            Elector::new(connection.calls.clone(), &connection.namespace, settings, identity, &clock);
        let stop = released.clone();
        (leadership, Some(tokio::spawn(async move { elector.run(&stop).await })))
    } else {
        (Leadership::always(&clock), None)
    };
    if !configuration.leader_election.enabled {
        let (client, namespace) = (&connection.calls, connection.namespace.as_str());
        let name = &configuration.leader_election.lease_name;
        if let Some(held) = lease::foreign::held(client, namespace, name, clock.now()).await {
            tracing::warn!(
                "{held}, and leaderElection.enabled is false here: two operators on the same objects can do their work twice"
            );
        }
    }
    let own = status_manager(&connection.namespace, &configuration.leader_election.lease_name);
    let served = label_selector(&configuration.cluster_selector);
    for written in lease::foreign::writers(&connection.calls, &served, &own, clock.now()).await {
        tracing::warn!("{written}: two operators on the same objects can do their work twice");
    }
    metrics.show_leadership(leadership.clone())?;
    let instance = Some(arguments.identity.clone());
    let traces = Traces::start(&configuration.traces, &cluster, metrics.clone())?;
    let mut services =
        Services::new(connection, configuration, leadership, clock, metrics, cluster, instance);
    services.traces = traces.clone();
    let converting = webhook::start(EndpointSetup {
        settings: services.configuration.conversion.clone(),
        pod_identities: services.configuration.pod_identities.clone(),
        identity_webhook: services.identity_webhook.clone(),
        namespace: services.kubernetes.namespace.clone(),
        client: services.kubernetes.calls.clone(),
        cluster: services.to_cluster.clone(),
        clock: services.clock.clone(),
        metrics: services.metrics.clone(),
        endpoint: services.endpoint.clone(),
        leadership: services.leadership.clone(),
        results: services.configuration.results.clone(),
        cluster_id: services.cluster.clone(),
        check: conversions,
    });
    if shutdown.drain(controllers::run(services, shutdown.clone()), DRAIN).await.is_none() {
        tracing::warn!("some passes did not end in time");
    }
    // Only now: the next leader starts at once.
    released.request();
    if let Some(election) = election {
        election.await?;
    }
    if let Some(converting) = converting {
        converting.end().await;
    }
    if tokio::time::timeout(FLUSH, traces.flush()).await.is_err() {
        tracing::warn!("some traces were not sent in time");
    }
    Ok(())
}
