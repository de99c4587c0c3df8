//! The status of an instance that is kept as a blueprint: the report of its reconciler, and how both sides differ.
//! Pure.

use serde_json::{Map, Value};

use super::{
    super::{
        awaited::Awaited,
        blueprint,
        condition::{Finding, merge},
        mirror,
        summary::Summary,
    },
    deleting::deleting,
};
use crate::{
    act::outcome::{FailureKind, Outcome},
    api::{
        condition::{ConditionType, Reason},
        instance::{InstanceStatus, OWN_STATUS_FIELDS},
        mirror::Mirrored as _,
    },
    colony::model::Blueprint,
    desired::{SharedSpec, instance::as_expression_input},
    diff::{Problem, Sync},
    kinds::definition::{CompiledHandler, of_blueprint, prune_to_schema},
    snapshot::{HandlerState, InstanceSnapshot, Wanted},
};

/// The report of a reconciler.
#[derive(Default)]
struct Report {
    /// The fields of the kind.
    fields: Map<String, Value>,
    is_whole: bool,
    /// Why fields that were asked for have no value.
    problem: Option<String>,
    /// Why the instance is not ready; none if it is.
    unready: Option<(Reason, String)>,
}

/// The status after a pass.
pub(super) fn compute(snapshot: &InstanceSnapshot, outcome: Result<&Outcome, &Problem>) -> InstanceStatus {
    let before = snapshot.object.status.clone().unwrap_or_default();
    let generation = snapshot.object.metadata.generation;
    let mut status = before.clone();
    status.observed_generation = generation;
    if let Ok(outcome) = outcome {
        status.mirror = mirror::record(snapshot.object.mirror(), outcome, snapshot.header.now);
        status.blueprint = blueprint::record(before.blueprint.clone(), outcome);
    }
    status.colony = mirror::used_colony(
        before.colony.as_ref(),
        &snapshot.header.colony,
        status.mirror.as_ref(),
        status.blueprint.is_some(),
    );
    let said = SharedSpec::of_instance(&snapshot.object.spec_fields()).hash();
    let is_undone = outcome.is_ok_and(|outcome| matches!(outcome.plan.sync, Sync::Undoes(_)));
    if !is_undone && status.blueprint.as_ref().is_some_and(|recorded| recorded.agreed == said) {
        status.submitted_generation = status.submitted_generation.max(generation);
    }
    let blocker = blocker(snapshot, outcome);
    let mut findings = if snapshot.object.metadata.deletion_timestamp.is_some() {
        deleting(&status, outcome, blocker)
    } else {
        let report = own(snapshot, &status).map(|found| report(snapshot, found));
        if let Some(report) = &report {
            if report.is_whole {
                status.fields.clone_from(&report.fields);
            } else {
                status.fields.extend(report.fields.clone());
            }
        }
        active_findings(snapshot, &before, &status, outcome, blocker, report)
    };
    if snapshot.object.metadata.deletion_timestamp.is_none() {
        let policy = snapshot.kind.handler().blueprint_terms().sync_policy;
        let conflict =
            outcome.ok().and_then(|outcome| blueprint::conflict(policy, status.blueprint.as_ref(), outcome));
        findings.extend(conflict);
    }
    status.conditions = merge(&before.conditions, findings, generation, snapshot.header.now);
    status
}

/// The instance's own blueprint, if it was read.
fn own<'a>(snapshot: &'a InstanceSnapshot, status: &InstanceStatus) -> Option<&'a Blueprint> {
    status.blueprint.as_ref().filter(|recorded| !recorded.agreed.is_empty())?;
    snapshot.in_colony.blueprint.known()?.as_ref().filter(|found| snapshot.owns(found))
}

/// What blocks the instance, if anything.
fn blocker(snapshot: &InstanceSnapshot, outcome: Result<&Outcome, &Problem>) -> Option<(Reason, String)> {
    let outcome = match outcome {
        Err(problem) => return Some((problem.reason, problem.message.clone())),
        Ok(outcome) => outcome,
    };
    // A conflict means that an object has changed since it was read: the next pass sees it.
    let colony = outcome.colony_failure().filter(|failure| failure.kind != FailureKind::Conflict);
    let colony = colony.and_then(|_| mirror::colony_problem(outcome));
    let cluster = outcome.kubernetes_failure().filter(|failure| failure.kind != FailureKind::Conflict);
    let foreign = match &snapshot.in_colony.handler_state {
        Some(HandlerState::Foreign(why)) => Some((Reason::ForeignObject, why.clone())),
        _ => None,
    };
    let unknown = snapshot.in_colony.blueprint.unknown();
    colony
        .or_else(|| cluster.map(|failure| (Reason::ApplyFailed, failure.message.clone())))
        .or(foreign)
        .or_else(|| unknown.map(|why| (Reason::ColonyUnavailable, why.to_owned())))
}

/// The report of the reconciler in the blueprint's status.
fn report(snapshot: &InstanceSnapshot, found: &Blueprint) -> Report {
    let handler = snapshot.kind.handler();
    let (compiled, seen) = match (CompiledHandler::compile(handler), as_expression_input(snapshot)) {
        (Ok(compiled), Ok(seen)) => (compiled, seen),
        (Err(error), _) | (_, Err(error)) => {
            let problem = error.to_string();
            let unready = Some((Reason::BlueprintNotReady, problem.clone()));
            return Report { unready, problem: Some(problem), ..Report::default() };
        }
    };
    let bindings = of_blueprint(&seen, found);
    let silent = "its reconciler has not written a status of the blueprint yet";
    let unready = if compiled.has_conditions() {
        match compiled.unmet(&bindings) {
            Ok(unmet) => unmet.map(|condition| format!("{condition} does not hold")),
            Err(error) => Some(error.to_string()),
        }
    } else {
        found.status.is_empty().then(|| silent.to_owned())
    };
    let unready = unready.map(|why| match unserved(snapshot).filter(|_| found.status.is_empty()) {
        Some(unserved) => (Reason::NoReconciler, unserved),
        None => (Reason::BlueprintNotReady, why),
    });
    if handler.status.is_empty() {
        let mut fields = as_stored(snapshot, found.status.clone());
        // Set by others, or by default: they stand in the status already.
        // A reconciler cannot set what the operator owns.
        fields.retain(|name, _| name != "blueprint" && !OWN_STATUS_FIELDS.contains(&name.as_str()));
        return Report { fields, is_whole: true, problem: None, unready };
    }
    let (fields, problems) = compiled.fields(&bindings);
    let problem = problems.first().filter(|_| !found.status.is_empty()).map(ToString::to_string);
    Report { fields, is_whole: false, problem, unready }
}

/// That no executor is there to reconcile the blueprint, and which there are; none where one is, or that is not known.
fn unserved(snapshot: &InstanceSnapshot) -> Option<String> {
    let wanted = Wanted {
        executor_type: snapshot.kind.handler().executor_type.as_deref()?,
        names: &[],
        location: None,
    };
    let awaited = Awaited::executor(&snapshot.header, &wanted, None);
    awaited.is_unserved.then(|| format!("no reconciler serves its blueprint: it waits for {}", awaited.what))
}

/// A status as the API server keeps it.
fn as_stored(snapshot: &InstanceSnapshot, said: Map<String, Value>) -> Map<String, Value> {
    let schema = snapshot.kind.terms().schema.as_ref();
    match schema.and_then(|schema| schema.pointer("/properties/status")) {
        Some(schema) => match prune_to_schema("status", schema, &Value::Object(said)).0 {
            Value::Object(fields) => fields,
            _ => Map::new(),
        },
        None => said,
    }
}

/// The conditions of an instance that is to exist.
fn active_findings(
    snapshot: &InstanceSnapshot,
    before: &InstanceStatus,
    status: &InstanceStatus,
    outcome: Result<&Outcome, &Problem>,
    blocker: Option<(Reason, String)>,
    report: Option<Report>,
) -> Vec<Finding> {
    let name = status
        .blueprint
        .as_ref()
        .map_or_else(|| snapshot.object.wanted_blueprint_name(), |recorded| recorded.name.clone());
    // Nothing hinders it: it is intended.
    let left = outcome.ok().and_then(|outcome| outcome.plan.left.first());
    let left = left.map(|left| (Reason::LeftAlone, left.clone()));
    let mirrored = blueprint::carried_by(&name, status.blueprint.as_ref(), blocker.clone().or(left));
    let problem = report.as_ref().and_then(|report| report.problem.clone());
    let warning = problem.map(|why| Finding::yes(ConditionType::Warnings, Reason::InvalidExpression, why));
    let is_away = matches!(blocker, Some((Reason::ColonyUnavailable, _)));
    let stuck = stuck(outcome).or_else(|| blocker.clone().filter(|_| !is_away));
    let mut findings = if let Some((reason, message)) = stuck {
        Summary::Degraded.alike(reason, &message)
    } else if is_away {
        // The previous status of this generation holds until the colony can be read: its silence is no news.
        said_before(snapshot, before).unwrap_or_else(|| {
            let (reason, why) = blocker.unwrap_or((Reason::ColonyUnavailable, String::new()));
            Summary::Unknown.alike(reason, &why)
        })
    } else {
        let (reason, message, is_ready) = reported_state(outcome, &mirrored, report);
        let summary = if is_ready { Summary::Ready } else { Summary::Progressing };
        summary.alike(reason, &message)
    };
    findings.push(mirrored);
    findings.extend(warning);
    findings
}

/// Why the instance cannot recover without intervention.
fn stuck(outcome: Result<&Outcome, &Problem>) -> Option<(Reason, String)> {
    match &outcome.ok()?.plan.sync {
        Sync::Invalid(message) => Some((Reason::BlueprintInvalid, message.clone())),
        Sync::NameTaken(message) => Some((Reason::BlueprintNameTaken, message.clone())),
        Sync::Lost(message) => Some((Reason::BlueprintLost, message.clone())),
        Sync::None | Sync::Unchanged | Sync::Agreed(_) | Sync::Undoes(_) | Sync::Differs { .. } => None,
    }
}

/// Where an instance stands that nothing hinders.
fn reported_state(
    outcome: Result<&Outcome, &Problem>,
    mirrored: &Finding,
    report: Option<Report>,
) -> (Reason, String, bool) {
    let plan = outcome.ok().map(|outcome| &outcome.plan);
    if let Some(Sync::Differs { message, .. }) = plan.map(|plan| &plan.sync) {
        return (Reason::Differs, message.clone(), false);
    }
    // What a reconciler reports is not about the spec that will stand.
    if let Some(Sync::Undoes(recorded)) = plan.map(|plan| &plan.sync) {
        let overruled = recorded.overruled.as_deref().unwrap_or_default();
        return (Reason::Overruled, format!("an edit is about to be undone: {overruled}"), false);
    }
    if let Some(awaited) = plan.and_then(|plan| plan.awaiting.first()) {
        return (mirrored.reason, format!("awaiting {awaited}"), false);
    }
    match report {
        // What was written in this pass has not been seen to work yet.
        Some(_) if plan.is_some_and(|plan| !plan.steps.is_empty()) => {
            (Reason::BlueprintNotReady, mirrored.message.clone(), false)
        }
        None => (mirrored.reason, mirrored.message.clone(), false),
        Some(Report { unready: Some((reason, why)), .. }) => (reason, why, false),
        Some(Report { unready: None, .. }) => (
            Reason::BlueprintReady,
            "its reconciler reports it in the status of the blueprint".to_owned(),
            true,
        ),
    }
}

/// The previous readiness of this generation.
fn said_before(snapshot: &InstanceSnapshot, before: &InstanceStatus) -> Option<Vec<Finding>> {
    let said = |kind: ConditionType| {
        let found = before.conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
        let is_current = found.observed_generation == snapshot.object.metadata.generation;
        let told = [Reason::BlueprintReady, Reason::BlueprintNotReady, Reason::NoReconciler];
        let reason = told.into_iter().find(|reason| is_current && reason.as_str() == found.reason)?;
        let holds = match found.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        };
        Some(Finding { kind, holds, reason, message: found.message.clone() })
    };
    [ConditionType::Progressing, ConditionType::Degraded, ConditionType::Ready]
        .into_iter()
        .map(said)
        .collect()
}

#[cfg(test)]
mod tests;
