//! `colonyos-operator trigger colonycron/NAME`: creates a run of a `ColonyCron` now.
//!
//! The run is one as the operator would create it for this minute, by the same code and with the same name: it counts for the
//! history and the concurrency policy, and there is one for a minute, asked for by schedule or by hand. It is created with the permissions
//! of the user.

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Failure,
    connection::Connection,
    create::{create, reference},
    explain::facts::Facts,
    output::Output,
    served::{ServedKind, kind_and_name},
};
use crate::{
    api::{
        colony_cron::{ColonyCron, ConcurrencyPolicy},
        kind::Kind,
        names::{CRON_LABEL, SCHEDULED_AT_ANNOTATION, TRIGGER_ANNOTATION, TRIGGER_BY_COMMAND},
    },
    desired::colony_cron::{DesiredRun, build},
    runtime::{clock::Clock, kubernetes::Kubernetes},
};

/// Arguments of `trigger`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The `ColonyCron`, as `colonycron/NAME`
    #[arg(value_name = "KIND/NAME")]
    object: String,
    #[command(flatten)]
    connection: Connection,
    /// Form of the output: `json` and `yaml` are the run
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Creates a run.
///
/// # Errors
///
/// When there is none afterwards; why.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (kind, name) = kind_and_name(&arguments.object)?;
    if Kind::called(kind) != Some(Kind::ColonyCron) {
        return Err(format!("{kind:?} has no schedule: give a ColonyCron, such as colonycron/NAME").into());
    }
    let created = Runtime::new()?.block_on(async {
        let kubernetes = arguments.connection.connect().await?;
        let served = ServedKind::called(&kubernetes, kind).await?;
        let cron: ColonyCron = serde_json::from_value(served.get(&kubernetes, name).await?)?;
        let run = run_of(&cron, Clock::system().now())?;
        let runs = ServedKind::called(&kubernetes, run["kind"].as_str().unwrap_or_default()).await?;
        let active = active(&kubernetes, &runs, &cron).await?;
        admit(&cron, &run, &active)?;
        create(&kubernetes, &runs, run, SCHEDULED_AT_ANNOTATION).await
    })?;
    created.print(arguments.output)
}

/// The run for this minute.
fn run_of(cron: &ColonyCron, now: Timestamp) -> Result<Value, Failure> {
    let name = cron.name_any();
    if cron.metadata.deletion_timestamp.is_some() {
        return Err(format!("ColonyCron {name} is being deleted, and its runs go with it").into());
    }
    let minute = Timestamp::from_second(now.as_second().div_euclid(60) * 60)?;
    let mut run = match build(cron, minute)? {
        DesiredRun::Process(process) => serde_json::to_value(process)?,
        DesiredRun::Workflow(workflow) => serde_json::to_value(workflow)?,
    };
    run["metadata"]["annotations"][TRIGGER_ANNOTATION] = json!(TRIGGER_BY_COMMAND);
    // It takes a right on the ColonyCron that users need not have.
    if let Some(owner) = run["metadata"]["ownerReferences"][0].as_object_mut() {
        owner.remove("blockOwnerDeletion");
    }
    Ok(run)
}

/// The runs that have not finished.
async fn active(
    kubernetes: &Kubernetes,
    runs: &ServedKind,
    cron: &ColonyCron,
) -> Result<Vec<Value>, Failure> {
    let labels = format!("{CRON_LABEL}={}", cron.name_any());
    let mut found = runs.list(kubernetes, Some(&kubernetes.namespace), Some(&labels)).await?;
    let uid = cron.uid().unwrap_or_default();
    found.retain(|run| {
        let owners = run["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let is_ours = owners.into_iter().any(|owner| owner["uid"] == uid.as_str());
        is_ours && !Facts { object: run.clone(), ..Facts::default() }.is_over()
    });
    Ok(found)
}

/// Whether the concurrency policy lets another run begin.
fn admit(cron: &ColonyCron, run: &Value, active: &[Value]) -> Result<(), String> {
    let policy = cron.spec.concurrency_policy;
    // That of this minute is the one that is asked for.
    let others = active.iter().filter(|one| one["metadata"]["name"] != run["metadata"]["name"]);
    let others: Vec<String> = others.map(reference).collect();
    if policy == ConcurrencyPolicy::Allow || others.is_empty() {
        return Ok(());
    }
    Err(format!(
        "ColonyCron {} has concurrencyPolicy {policy:?}, and {} has not finished: wait for it, or end it: colonyos-operator cancel {}",
        cron.name_any(),
        others.join(", "),
        others.first().map_or("", String::as_str)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(policy: &str) -> ColonyCron {
        serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyCron",
            "metadata": { "name": "nightly", "namespace": "media", "uid": "u-1" },
            "spec": { "schedule": "@daily", "suspend": true, "concurrencyPolicy": policy, "processTemplate": {
                "metadata": { "annotations": { "example.com/team": "blue" } },
                "spec": { "function": "report", "conditions": { "executorType": "cli" } } } },
        }))
        .unwrap()
    }

    /// The operator creates one of the same name for a time of the schedule in this minute: there is never a second.
    #[test]
    fn the_run_is_that_of_this_minute_and_belongs_to_the_cron() {
        let now = |text: &str| text.parse().unwrap();
        let run = run_of(&cron("Allow"), now("2026-11-21T10:00:59Z")).unwrap();
        assert_eq!(run, run_of(&cron("Allow"), now("2026-11-21T10:00:01Z")).unwrap());
        let metadata = &run["metadata"];
        assert_eq!(
            (run["kind"].as_str(), run["spec"]["function"].as_str()),
            (Some("ColonyProcess"), Some("report"))
        );
        assert_eq!(metadata["name"], crate::api::names::cron_run("nightly", 29_920_920));
        assert_eq!(metadata["annotations"]["colonies.io/scheduled-at"], "2026-11-21T10:00:00Z");
        assert_eq!(metadata["annotations"]["colonies.io/trigger"], "command");
        assert_eq!(metadata["annotations"]["example.com/team"], "blue");
        assert_eq!(metadata["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(metadata["ownerReferences"][0]["controller"], true);
        assert_eq!(metadata["ownerReferences"][0].get("blockOwnerDeletion"), None);
    }

    #[test]
    fn the_concurrency_policy_holds_for_a_run_by_hand_too() {
        let run = json!({ "kind": "ColonyProcess", "metadata": { "name": "nightly-2" } });
        let before = json!({ "kind": "ColonyProcess", "metadata": { "name": "nightly-1" } });
        assert_eq!(admit(&cron("Allow"), &run, std::slice::from_ref(&before)), Ok(()));
        for policy in ["Forbid", "Replace"] {
            assert_eq!(admit(&cron(policy), &run, &[]), Ok(()));
            assert_eq!(admit(&cron(policy), &run, std::slice::from_ref(&run)), Ok(()), "it is the one");
            let error = admit(&cron(policy), &run, std::slice::from_ref(&before)).unwrap_err();
            assert!(error.contains(policy) && error.ends_with("cancel colonyprocess/nightly-1"), "{error}");
        }
    }
}
