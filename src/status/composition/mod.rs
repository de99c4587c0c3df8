//! The status of an instance that is made of other objects. Pure.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{
    condition::{Finding, merge, observe},
    paused::dropped,
    summary::Summary,
};
use crate::{
    act::outcome::{FailureKind, Outcome},
    api::{
        condition::{ConditionType, Reason},
        instance::InstanceStatus,
        resource_definition::ObjectKind,
    },
    desired::composition::has_ended,
    diff::{Problem, composition::Report},
    kinds::composition::{
        Composition, Desired, DesiredResource, Instance, Readiness, Wanted, finished_parts,
    },
    snapshot::{CompositionSnapshot, Observed, PartTrouble},
    status::look::{LOOK_UP, Look, RESYNC},
};

/// What a pass came to.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// What the instance should be made of; none while it is deleted, or has ended.
    pub desired: Option<&'a Desired>,
    /// What is not as the templates have it, and is left so.
    pub report: &'a Report,
    /// What was done.
    pub outcome: &'a Outcome,
}

/// When to look again after a pass. Objects of the instance wake it; an object of another owner, and a kind that is not
/// served yet, do not.
#[must_use]
pub fn next(
    snapshot: &CompositionSnapshot,
    composition: Option<&Composition>,
    pass: Result<&Report, &Problem>,
) -> Look {
    if snapshot.kind.terms().is_released {
        return Look::Never;
    }
    let Ok(report) = pass else { return Look::Backoff };
    let is_untold = !report.foreign.is_empty()
        || composition.is_some_and(Composition::references_foreign_objects)
        || !snapshot.unserved.is_empty()
        || awaits_pods(snapshot)
        || snapshot.children.values().any(|found| found.unknown().is_some());
    Look::About(if is_untold { LOOK_UP } else { RESYNC })
}

/// For how long pods that do not run are looked at again and again: their workload says nothing of them.
const POD_WATCH: SignedDuration = SignedDuration::from_mins(10);

/// Whether pods of its workloads may tell soon why they do not run.
fn awaits_pods(snapshot: &CompositionSnapshot) -> bool {
    let conditions = snapshot.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut unready = conditions
        .iter()
        .filter(|condition| condition.type_ == ConditionType::Ready.as_str() && condition.status != "True");
    let is_recent = unready
        .next()
        .is_none_or(|ready| snapshot.now.duration_since(ready.last_transition_time.0) < POD_WATCH);
    snapshot.unready_workloads > 0 && is_recent
}

/// The status after a pass. `kinds` are those that the definition makes now.
#[must_use]
pub fn compute(
    snapshot: &CompositionSnapshot,
    kinds: &BTreeSet<ObjectKind>,
    pass: Result<Pass<'_>, &Problem>,
) -> InstanceStatus {
    let mut status = snapshot.object.status.clone().unwrap_or_default();
    let generation = snapshot.object.metadata.generation;
    status.composed_of = composed_kinds(snapshot, kinds, &status.composed_of);
    let before = std::mem::take(&mut status.conditions);
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        status.observed_generation = generation;
        status.conditions = merge(&before, deleting(pass), generation, snapshot.now);
        return status;
    }
    if has_ended(snapshot) {
        status.observed_generation = generation;
        status.conditions = before;
        dropped(&mut status.conditions);
        observe(&mut status.conditions, generation);
        return status;
    }
    status.observed_generation = generation;
    if let Ok(Pass { desired: Some(desired), .. }) = pass {
        for field in snapshot.kind.handler().status.keys() {
            let is_kept = desired.unreported.iter().any(|one| one.field == *field && one.is_unknown);
            match desired.status.get(field) {
                Some(value) => drop(status.fields.insert(field.clone(), value.clone())),
                None if is_kept => {}
                None => drop(status.fields.remove(field)),
            }
        }
        if let Ok(instance) = Instance::read(&snapshot.object, &snapshot.kind) {
            status.finished_parts = finished_parts(desired, &snapshot.children, &instance);
        }
    }
    let has_end = snapshot.kind.handler().finished_when.is_some();
    status.conditions = merge(&before, active_findings(snapshot, pass, has_end), generation, snapshot.now);
    status
}

/// The kinds that are made, and those of which something may be left.
fn composed_kinds(
    snapshot: &CompositionSnapshot,
    kinds: &BTreeSet<ObjectKind>,
    before: &[ObjectKind],
) -> Vec<ObjectKind> {
    let may_be_left = |kind: &&ObjectKind| match snapshot.children.get(*kind) {
        Some(Observed::Known(found)) => !found.is_empty(),
        Some(Observed::Unknown(_)) => true,
        None => false,
    };
    let left = before.iter().filter(may_be_left);
    let all: BTreeSet<&ObjectKind> = kinds.iter().chain(left).collect();
    all.into_iter().cloned().collect()
}

/// The conditions of an instance that is to exist.
fn active_findings(
    snapshot: &CompositionSnapshot,
    pass: Result<Pass<'_>, &Problem>,
    has_end: bool,
) -> Vec<Finding> {
    let desired = pass.ok().and_then(|pass| pass.desired);
    let troubles = &snapshot.troubles;
    let stopped = desired.and_then(|desired| stopped(desired, troubles));
    let failed = desired.and_then(|desired| failed(desired, troubles));
    let blocker = blocker(pass);
    let is_settled = pass.is_ok_and(|pass| {
        let plan = &pass.outcome.plan;
        plan.steps.is_empty() && plan.drifted.is_empty()
    });
    let is_finished = is_settled && desired.is_some_and(|desired| desired.is_finished);
    let is_ready = is_settled && blocker.is_none() && desired.is_some_and(Desired::is_ready);
    let trouble = blocker.or(stopped).or(failed);
    let (reason, message) = match (&trouble, desired) {
        (Some(trouble), _) => trouble.clone(),
        (None, Some(desired)) if is_ready => {
            (Reason::ResourcesReady, format!("all {} objects are ready", desired.count()))
        }
        (None, Some(_)) if is_finished => (Reason::FinishedWhenHolds, "it has ended".to_owned()),
        (None, desired) => {
            let lacking = desired.map(|desired| lacking(desired, troubles)).unwrap_or_default();
            let unserved = snapshot.unserved.iter().map(|kind| format!("the cluster does not serve {kind}"));
            let all: Vec<String> = unserved.chain(lacking).collect();
            let none = "its objects are being brought in line".to_owned();
            let reason = troubles.first().map_or(Reason::ResourcesNotReady, |trouble| trouble.reason);
            (reason, if all.is_empty() { none } else { all.join("; ") })
        }
    };
    // What has ended, and did not fail, is as it should be, whatever its objects are ready for.
    let summary = if is_ready || (is_finished && trouble.is_none()) {
        Summary::Ready
    } else if is_finished {
        Summary::Settled
    } else if trouble.is_some() {
        Summary::Degraded
    } else {
        Summary::Progressing
    };
    let mut findings = summary.alike(reason, &message);
    findings.extend(drift_findings(pass, desired));
    if has_end {
        let written = snapshot.kind.handler().finished_when.clone().unwrap_or_default();
        findings.push(if is_finished {
            Finding::yes(ConditionType::Finished, Reason::FinishedWhenHolds, format!("{written} holds"))
        } else {
            Finding::no(ConditionType::Finished, Reason::NotFinished, format!("{written} does not hold"))
        });
    }
    findings
}

/// What differs and is left so, and what policies keep from being done.
fn drift_findings(pass: Result<Pass<'_>, &Problem>, desired: Option<&Desired>) -> Vec<Finding> {
    let (Ok(Pass { report, outcome, .. }), Some(desired)) = (pass, desired) else { return Vec::new() };
    // What does not last is repeated with growing delays.
    let drifted = [report.drifted.as_slice(), &outcome.plan.drifted].concat();
    let may_be_left = desired.resources.iter().any(|resource| resource.policies.may_leave_drift());
    let mut findings: Vec<Finding> =
        Finding::drift(&drifted, &report.admitted, may_be_left).into_iter().collect();
    if !report.left.is_empty() {
        findings.push(Finding::yes(ConditionType::Warnings, Reason::LeftAlone, report.left.join("; ")));
    }
    findings
}

/// What keeps the instance from getting on without help.
fn blocker(pass: Result<Pass<'_>, &Problem>) -> Option<(Reason, String)> {
    match pass {
        Err(problem) => Some((problem.reason, problem.message.clone())),
        Ok(pass) => {
            let foreign: Vec<String> = pass.report.foreign.iter().map(ToString::to_string).collect();
            if !foreign.is_empty() {
                return Some((Reason::ForeignObject, foreign.join("; ")));
            }
            // A conflict means that an object has changed since it was read: the next pass sees it.
            let failure = pass.outcome.kubernetes_failure()?;
            let is_other = failure.kind == FailureKind::Conflict;
            (!is_other).then(|| (Reason::ApplyFailed, failure.message.clone()))
        }
    }
}

/// What keeps the pods of a resource from running, if it is not ready.
fn pods_of<'a>(resource: &DesiredResource, troubles: &'a [PartTrouble]) -> Option<&'a PartTrouble> {
    let Wanted::Objects(objects) = &resource.wanted else { return None };
    let is_of = |trouble: &&PartTrouble| {
        objects.iter().any(|object| object.kind == trouble.kind && object.name == trouble.name)
    };
    troubles.iter().filter(|_| resource.readiness != Readiness::Ready).find(is_of)
}

/// Pods that do not run, and do not by waiting either.
fn stopped(desired: &Desired, troubles: &[PartTrouble]) -> Option<(Reason, String)> {
    let lasting = desired.resources.iter().filter_map(|resource| {
        let trouble = pods_of(resource, troubles).filter(|trouble| !trouble.may_pass)?;
        Some((trouble.reason, explained(resource, troubles)))
    });
    let lasting: Vec<(Reason, String)> = lasting.collect();
    let (reason, _) = lasting.first()?;
    Some((*reason, lasting.iter().map(|(_, told)| told.as_str()).collect::<Vec<_>>().join("; ")))
}

/// A resource, how far it is, and why its pods do not run.
fn explained(resource: &DesiredResource, troubles: &[PartTrouble]) -> String {
    let why = match &resource.readiness {
        Readiness::Ready => "",
        Readiness::Waiting(why) | Readiness::Failed(why) => why,
    };
    let pods = pods_of(resource, troubles).map_or(String::new(), |trouble| format!("; {}", trouble.message));
    format!("{}: {why}{pods}", resource.id)
}

fn failed(desired: &Desired, troubles: &[PartTrouble]) -> Option<(Reason, String)> {
    let is_failed = |resource: &&DesiredResource| matches!(resource.readiness, Readiness::Failed(_));
    let failed = desired.resources.iter().filter(is_failed).map(|resource| explained(resource, troubles));
    let failed: Vec<String> = failed.collect();
    (!failed.is_empty()).then(|| (Reason::ResourceFailed, failed.join("; ")))
}

fn lacking(desired: &Desired, troubles: &[PartTrouble]) -> Vec<String> {
    let lacking =
        desired.resources.iter().filter_map(|resource| match (&resource.readiness, &resource.held_back) {
            (Readiness::Ready, _) => None,
            (_, Some(held_back)) => Some(format!("{} waits for {held_back}", resource.id)),
            (Readiness::Waiting(_) | Readiness::Failed(_), None) => Some(explained(resource, troubles)),
        });
    lacking.collect()
}

/// The conditions of an instance that goes.
fn deleting(pass: Result<Pass<'_>, &Problem>) -> Vec<Finding> {
    let way_out = "annotate the object with colonies.io/abandon-remote: \"true\" to leave its objects to the garbage collector";
    let awaiting = pass.map(|pass| pass.outcome.plan.awaiting.join("; ")).unwrap_or_default();
    let (reason, message) = match blocker(pass) {
        Some((reason, why)) => (reason, format!("it is being deleted: {why}; {way_out}")),
        None if awaiting.is_empty() => (Reason::Deleting, "it is being deleted".to_owned()),
        None => (Reason::Deleting, format!("awaiting {awaiting}")),
    };
    vec![
        Finding::no(ConditionType::Degraded, reason, message.clone()),
        Finding::no(ConditionType::Ready, reason, message),
    ]
}

#[cfg(test)]
mod tests;
