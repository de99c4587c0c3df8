//! `colonyos-operator doctor`: checks API server, CRDs, permissions, ColonyOS, keys, user-defined kinds and their
//! conversions, and the objects of users, and reports failures with remedies.
//!
//! Reads only. Each check stands on those before it, so the first failure is the one to look at.

mod cluster;
mod colony;
mod conversion;
mod finding;
mod identities;
mod kinds;
mod objects;
mod reported;
mod rules;

use std::{error::Error, path::PathBuf};

use clap::Args;
use tokio::runtime::Runtime;

use self::finding::Finding;
use super::{
    Failure,
    connection::{Connection, of_operator},
    explain::facts::Facts,
    output::Output,
};
use crate::{
    api::kind::Kind,
    runtime::{
        clock::Clock,
        config::{self, OperatorConfiguration},
        kubernetes::Kubernetes,
    },
};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(mut_arg("namespace", of_operator))]
pub(super) struct Arguments {
    /// Configuration file of the operator; its defaults when absent
    #[arg(long, value_name = "FILE", env = "COLONYOS_OPERATOR_CONFIG")]
    config: Option<PathBuf>,
    /// Service account of the operator, in its namespace: check its permissions instead of one's own, and take what Colonies
    /// report of their keys, so that no Secret is read
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Something does not work; the details have been printed.
#[derive(Debug, thiserror::Error)]
#[error("some checks failed")]
pub(super) struct ChecksFailed;

/// Runs all checks and prints the findings.
///
/// # Errors
///
/// [`ChecksFailed`] if something does not work; anything else if the checks cannot run.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let configuration = config::load(arguments.config.as_deref())?;
    let findings = Runtime::new()?.block_on(look(arguments, &configuration));
    arguments.output.print(|| finding::text(&findings), || finding::json(&findings))?;
    if finding::is_healthy(&findings) { Ok(()) } else { Err(ChecksFailed.into()) }
}

/// What is said of one object, of itself alone.
///
/// # Errors
///
/// When it is no object of its kind.
pub(in crate::cli) fn text_of(facts: &Facts) -> Result<String, Failure> {
    let object = facts.object.clone();
    let findings = match facts.kind() {
        Kind::Colony => vec![reported::judge(&serde_json::from_value(object)?)],
        Kind::ResourceDefinition => kinds::judge(&serde_json::from_value(object)?, None),
        kind => match &kind.info().own {
            Some(own) => objects::judge_one(kind, own, object),
            None => Vec::new(),
        },
    };
    Ok(finding::text(&findings))
}

async fn look(arguments: &Arguments, configuration: &OperatorConfiguration) -> Vec<Finding> {
    match arguments.connection.connect().await {
        Ok(kubernetes) => {
            examine(&kubernetes, arguments.account.as_deref(), configuration, &Clock::system()).await
        }
        Err(error) => vec![Finding::failure(
            "API server",
            with_causes(error.as_ref()),
            "check KUBECONFIG and its current context with `kubectl version`",
        )],
    }
}

async fn examine(
    kubernetes: &Kubernetes,
    account: Option<&str>,
    configuration: &OperatorConfiguration,
    clock: &Clock,
) -> Vec<Finding> {
    let (mut findings, who) = match cluster::server(kubernetes).await {
        Ok((finding, who)) => (vec![finding], who),
        Err(finding) => return vec![finding],
    };
    findings.extend(cluster::definitions(kubernetes).await);
    let watched = &configuration.watch_namespaces;
    let permissions = cluster::permissions(kubernetes, account, configuration).await;
    let outsider = cluster::outsider(&who, &kubernetes.namespace, &permissions);
    if let (None, Some(outsider)) = (account, outsider) {
        findings.push(outsider);
        findings.extend(reported::lease(kubernetes, &configuration.leader_election, clock).await);
        findings.extend(reported::colonies(kubernetes, &configuration.cluster_selector).await);
        findings.extend(kinds::definitions(kubernetes, watched).await);
        findings.extend(objects::objects(kubernetes, watched).await);
        return objects::together(findings);
    }
    findings.extend(permissions);
    if account.is_some() {
        findings.extend(reported::lease(kubernetes, &configuration.leader_election, clock).await);
        findings.extend(reported::colonies(kubernetes, &configuration.cluster_selector).await);
        findings.extend(kinds::definitions(kubernetes, watched).await);
        return findings;
    }
    findings.extend(colony::colonies(kubernetes, clock).await);
    findings.extend(kinds::definitions(kubernetes, watched).await);
    findings.extend(conversion::conversions(kubernetes, &configuration.conversion, clock).await);
    findings.extend(identities::names(kubernetes, &configuration.pod_identities).await);
    findings.extend(objects::objects(kubernetes, watched).await);
    findings
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
