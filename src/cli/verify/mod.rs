//! `colonyos-operator verify`: compares all objects, executors and Secrets of the cluster with all that its colonies have of
//! them, and with `--fix` takes away what no object wants, through the steps of the operator.
//!
//! Everything is read twice where something does not fit together: what was on its way has arrived by then. It needs the
//! permission to list the operator's kinds in all namespaces, and the Secrets of Colonies.

mod read;
mod shown;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::runtime::Runtime;

use self::{
    read::{Reader, Reading},
    shown::Report,
};
use super::{
    Failure,
    connection::{Connection, of_operator},
    output::Output,
};
use crate::{
    act::Target,
    api::{colony::Colony, executor_deployment::ExecutorDeployment},
    controllers::Services,
    diff::{
        Order, Plan, Step,
        verify::{Finding, confirmed, findings},
    },
    runtime::{
        clock::Clock,
        config::{self, OperatorConfiguration},
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
        lease::Leadership,
        metrics::Metrics,
    },
};

/// How long after the first look the second comes.
const AGAIN: Duration = Duration::from_secs(6);

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(mut_arg("namespace", of_operator))]
pub(super) struct Arguments {
    /// Configuration file of the operator; its defaults when absent
    #[arg(long, value_name = "FILE", env = "COLONYOS_OPERATOR_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// Look at this Colony alone [default: at all of them]
    #[arg(long, value_name = "NAME")]
    colony: Option<String>,
    /// Cancel processes, remove executors and delete Secrets that no object wants
    #[arg(long)]
    fix: bool,
    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Something does not fit together; the details have been printed.
#[derive(Debug, thiserror::Error)]
#[error("cluster and colony differ")]
pub(super) struct Differences;

/// Compares both sides and prints what differs.
///
/// # Errors
///
/// [`Differences`] if something does and was not mended, or could not be read; anything else if nothing can be compared.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let configuration = config::load(arguments.config.as_deref())?;
    let report = Runtime::new()?.block_on(compare(arguments, configuration))?;
    arguments.output.print(|| report.text(), || report.json())?;
    if report.is_in_order() { Ok(()) } else { Err(Differences.into()) }
}

async fn compare(arguments: &Arguments, configuration: OperatorConfiguration) -> Result<Report, Failure> {
    let clock = Clock::system();
    let start = clock.instant();
    let kubernetes = arguments.connection.connect().await?;
    let cluster = cluster(&kubernetes).await?;
    let metrics = Metrics::new()?;
    let reader = Reader {
        kubernetes: &kubernetes,
        clock: &clock,
        metrics: &metrics,
        cluster: &cluster,
        only: arguments.colony.as_deref(),
    };
    let mut reading = reader.read().await?;
    let mut requests = reading.requests;
    let mut found = findings(&reading.sides);
    if !found.is_empty() {
        tokio::time::sleep(AGAIN).await;
        reading = reader.read().await?;
        requests += reading.requests;
        found = confirmed(findings(&reading.sides), &found);
    }
    let took = clock.instant().saturating_duration_since(start);
    let calls = colony_calls(&metrics)?;
    let counts = shown::Counts::of(&reading.sides, requests, calls, took);
    let services = arguments.fix.then(|| {
        let leadership = Leadership::always(&clock);
        Services::new(kubernetes.clone(), configuration, leadership, clock.clone(), metrics, cluster, None)
    });
    let mut rows = Vec::new();
    for finding in found {
        let outcome = match &services {
            Some(services) => mend(&finding, &reading, services).await,
            None => None,
        };
        rows.push((finding, outcome));
    }
    Ok(Report { rows, problems: reading.problems, counts })
}

/// Carries the step of a finding out, if it has one; why that failed, if it did.
async fn mend(finding: &Finding, reading: &Reading, services: &Services) -> Option<Result<(), String>> {
    let step = finding.step.clone()?;
    let plan = Plan { steps: vec![step.clone()], order: Order::Strict, ..Plan::default() };
    let outcome = match step {
        Step::Colony(_) => {
            let named = |(colony, _): &&(Colony, _)| Some(colony.name_any()) == finding.colony;
            let (colony, connection) = reading.connections.iter().find(named)?;
            let target = Target {
                object: colony,
                kind: &(),
                finalizer: None,
                connection: Some(connection.clone()),
                colony: Some(colony.name_any()),
            };
            services.actor.execute(plan, &target).await
        }
        Step::Kubernetes(_) => {
            // A Secret is deleted on behalf of the object that it was made for.
            let object = json!({
                "metadata": { "name": "gone", "namespace": finding.namespace },
                "spec": { "executorType": "gone", "image": "gone" },
            });
            let object: ExecutorDeployment = serde_json::from_value(object).ok()?;
            let target =
                Target { object: &object, kind: &(), finalizer: None, connection: None, colony: None };
            services.actor.execute(plan, &target).await
        }
    };
    Some(outcome.failure().map_or(Ok(()), |failure| Err(failure.message.clone())))
}

/// The name of the cluster in colonies.
async fn cluster(kubernetes: &Kubernetes) -> Result<String, Failure> {
    let api = Api::<k8s_openapi::api::core::v1::Namespace>::all(kubernetes.calls.clone());
    let found = call(CALL_TIME_LIMIT, api.get("kube-system")).await;
    let found = found.map_err(|error| error.explain("get Namespace kube-system"))?;
    Ok(found.uid().ok_or("Namespace kube-system has no UID")?)
}

/// How many calls to colonies were made.
fn colony_calls(metrics: &Metrics) -> Result<usize, Failure> {
    let text = metrics.encode()?;
    let counted = text.lines().filter(|line| line.starts_with("colonyos_operator_colony_calls_total{"));
    Ok(counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum())
}
