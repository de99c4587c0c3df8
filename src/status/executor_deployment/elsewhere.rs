//! A fleet of another runtime: what its reconciler reports in the blueprint, and whether there is one. Pure.

use serde_json::{Map, Value};

use super::super::condition::Finding;
use crate::{
    api::{
        condition::{ConditionType, Reason},
        executor_deployment::{ExecutorDeploymentSpec, InstanceStatus},
    },
    snapshot::{
        Carrier, ExecutorDeploymentSnapshot,
        progress::{Phase, Progress},
    },
};

/// Most instances in status.
const MOST: usize = 100;
/// Longest text that is taken from a blueprint.
const LONGEST: usize = 512;

/// The report of the reconciler in the status of the object's own blueprint, if any.
fn report(snapshot: &ExecutorDeploymentSnapshot) -> Option<&Map<String, Value>> {
    snapshot.object.status.as_ref()?.blueprint.as_ref().filter(|recorded| !recorded.agreed.is_empty())?;
    let blueprint = snapshot.blueprint.known().and_then(Option::as_ref)?;
    Some(&blueprint.status)
}

/// How far it says that the fleet is.
pub(super) fn progress(snapshot: &ExecutorDeploymentSnapshot) -> Option<Progress> {
    let report = report(snapshot)?;
    let count = |name: &str| {
        let number = report.get(name).and_then(Value::as_f64)?;
        // A server written in Go may give whole numbers as floating point.
        format!("{number:.0}").parse::<i32>().ok()
    };
    let (ready, desired) =
        (count("readyReplicas").or_else(|| count("runningInstances"))?, desired(&snapshot.object.spec));
    let phase = if ready == desired { Phase::Ready } else { Phase::Progressing };
    Some(Progress { desired, replicas: count("totalInstances").unwrap_or(ready), ready, phase })
}

const fn desired(spec: &ExecutorDeploymentSpec) -> i32 {
    if spec.suspend { 0 } else { spec.replicas }
}

/// What it says that runs.
pub(super) fn instances(snapshot: &ExecutorDeploymentSnapshot) -> Vec<InstanceStatus> {
    let listed = report(snapshot).and_then(|report| report.get("instances")?.as_array());
    let text = |instance: &Value, field: &str| instance.get(field).and_then(Value::as_str).map(cut);
    listed
        .into_iter()
        .flatten()
        .filter_map(|instance| {
            Some(InstanceStatus {
                name: text(instance, "name")?,
                kind: text(instance, "type"),
                state: text(instance, "state"),
                id: text(instance, "id"),
                image: text(instance, "image"),
            })
        })
        .take(MOST)
        .collect()
}

/// What a colony says is a claim: it fits into a message, and has no control characters.
fn cut(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

/// The conditions of such a fleet.
pub(super) fn findings(snapshot: &ExecutorDeploymentSnapshot) -> Vec<Finding> {
    let runtime = snapshot.object.spec.runtime.as_str();
    let who = format!("runtime {runtime} is handled by another reconciler of the colony");
    let said = report(snapshot).and_then(|report| report.get("message")?.as_str()).map(cut);
    let said =
        said.filter(|said| !said.is_empty()).map(|said| format!("; it says: {said}")).unwrap_or_default();
    let progress = progress(snapshot);
    if let Carrier::Missing { handler, location } = &snapshot.carrier {
        let mut message = missing(snapshot, handler, location.as_deref());
        if let Some(Progress { desired, ready, .. }) = progress {
            message = format!("{message}; {ready} of {desired} executors ran when one reported last{said}");
        }
        return vec![Finding::unknown(ConditionType::Ready, Reason::RuntimeNotServed, message)];
    }
    match progress {
        None => vec![Finding::unknown(
            ConditionType::Ready,
            Reason::RuntimeElsewhere,
            format!(
                "{who}, which has reported nothing yet; for pods of this cluster, use runtime kubernetes{said}"
            ),
        )],
        Some(Progress { desired, ready, phase, .. }) => {
            let message = format!("{ready} of {desired} executors run; {who}{said}");
            let is_ready = phase == Phase::Ready;
            let reason = if is_ready { Reason::AllReplicasReady } else { Reason::ReplicasNotReady };
            vec![
                Finding {
                    kind: ConditionType::Progressing,
                    holds: Some(!is_ready),
                    reason,
                    message: message.clone(),
                },
                Finding { kind: ConditionType::Ready, holds: Some(is_ready), reason, message },
            ]
        }
    }
}

fn missing(snapshot: &ExecutorDeploymentSnapshot, handler: &str, location: Option<&str>) -> String {
    let runtime = snapshot.object.spec.runtime.as_str();
    let Some(location) = location else {
        return format!(
            "runtime {runtime} is carried out at a location of the colony, and there is none: set spec.location, or spec.location of the Colony"
        );
    };
    let colony = snapshot.colony.resolved().map_or("", |colony| colony.spec.colony_name.as_str());
    let usual = Carrier::usual(snapshot.object.spec.runtime);
    let named = if handler == usual { String::new() } else { format!(" --executor-type {handler}") };
    format!(
        "no executor of type {handler} serves location {location} of colony {colony}: start one on a machine there, with `colonyos-operator reconciler --runtime {runtime} --location {location}{named}`"
    )
}
