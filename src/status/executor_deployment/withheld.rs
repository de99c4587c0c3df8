//! The status of what is not corrected: because policies want it so, or because it is legal and only bites later.
//! Pure.

use super::{Finding, Summary};
use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        executor_deployment::{ExecutorDeployment, Workload},
        mirror::MirrorStatus,
        policy::{DriftPolicy, ManagementPolicy},
    },
    desired::executor_deployment::not_carried_out,
    snapshot::{ExecutorDeploymentSnapshot, SIMILAR_TYPES_NAMED},
};

/// There is no workload, and none is made.
pub(super) fn missing_workload_findings(workload: Workload, left: &str) -> Vec<Finding> {
    let mut findings = Summary::Settled.findings(|kind| match kind {
        ConditionType::Degraded => (Reason::Reconciled, String::new()),
        _ => (Reason::LeftAlone, left.to_owned()),
    });
    if workload == Workload::Job {
        findings.push(Finding::no(ConditionType::Finished, Reason::LeftAlone, left));
    }
    findings
}

/// What others have changed and is left so, where that may be.
pub(super) fn drift(object: &ExecutorDeployment, outcome: &Outcome) -> Option<Finding> {
    let is_detected = object.spec.drift.as_ref().is_some_and(|drift| drift.policy == DriftPolicy::DetectOnly);
    let policies = &object.spec.management_policies;
    // What is only looked at is compared with nothing.
    let is_left = !policies.allow(ManagementPolicy::Update) && !policies.only_observe();
    Finding::drift(&outcome.plan.drifted, &outcome.plan.admitted, is_detected || is_left)
}

/// Why the current generation has no process, where policies withhold it.
pub(super) fn withheld_reason(
    object: &ExecutorDeployment,
    outcome: &Outcome,
    mirror: Option<&MirrorStatus>,
) -> Option<(Reason, String)> {
    if mirror.is_some_and(|mirror| Some(mirror.generation) >= object.metadata.generation) {
        return None;
    }
    let looked_at = "nothing is submitted: spec.managementPolicies list Observe alone";
    let looked_at = object.spec.management_policies.only_observe().then(|| looked_at.to_owned());
    let left = outcome.plan.left.first().cloned().or(looked_at)?;
    Some((Reason::LeftAlone, left))
}

/// What is legal but bites, and what policies keep from being done. A wake-up for a type is lost on executors of a type that
/// only adds digits to it.
pub(super) fn warnings(snapshot: &ExecutorDeploymentSnapshot, outcome: Option<&Outcome>) -> Option<Finding> {
    let similar = &snapshot.similar_executor_types;
    let left = outcome.map(|outcome| outcome.plan.left.clone()).unwrap_or_default();
    let status = snapshot.object.status.as_ref();
    let is_of_earlier =
        status.and_then(|status| status.finished_job.as_ref()).is_some_and(|job| job.uid.is_empty());
    let restored = is_of_earlier.then(|| {
        "the object was restored, and its Job had run to its end before, as far as the colony knows: it is not run again until the spec changes; to run it again, create it anew with spec.restorePolicy: Resubmit".to_owned()
    });
    let spec = &snapshot.object.spec;
    let dropped = not_carried_out(spec);
    let dropped = (!dropped.is_empty()).then(|| {
        format!(
            "runtime {} does not carry out {}: remove them, or choose runtime kubernetes",
            spec.runtime.as_str(),
            dropped.join(", ")
        )
    });
    let reason = match (similar.is_empty(), &restored, &dropped) {
        (false, ..) => Reason::SimilarExecutorType,
        (true, Some(_), _) => Reason::Restored,
        (true, None, Some(_)) => Reason::FieldsNotCarriedOut,
        (true, None, None) => Reason::LeftAlone,
    };
    let similar = (!similar.is_empty()).then(|| {
        format!(
            "spec.executorType: {:?} differs only by digits at its end from {}: such executors miss wake-ups and take work late; rename one",
            snapshot.object.spec.executor_type,
            listed(similar)
        )
    });
    let messages: Vec<String> = similar.into_iter().chain(restored).chain(dropped).chain(left).collect();
    (!messages.is_empty()).then(|| Finding::yes(ConditionType::Warnings, reason, messages.join("; ")))
}

/// A few of those that there are. How many more is not said: each that comes or goes would have every other write its status.
fn listed(similar: &[String]) -> String {
    let named = similar.iter().take(SIMILAR_TYPES_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if similar.len() > SIMILAR_TYPES_NAMED { format!("{named} and others") } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_of_many_are_named() {
        let types = |count: usize| (1..=count).map(|number| format!("\"t{number}\"")).collect::<Vec<_>>();
        assert_eq!(listed(&types(2)), r#""t1", "t2""#);
        assert_eq!(listed(&types(3)), r#""t1", "t2", "t3""#);
        assert_eq!(listed(&types(1000)), r#""t1", "t2", "t3" and others"#);
    }
}
