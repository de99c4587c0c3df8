//! The status of an instance of a defined kind. Pure.

mod blueprint;
mod deleting;

use serde_json::{Map, Value};

use deleting::deleting;

use super::{
    awaited::Awaited,
    condition::{Finding, clean, merge},
    mirror,
    output::{bounded, bounded_attributes},
    work::blocker,
};
use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        instance::InstanceStatus,
        mirror::{MirrorState, MirrorStatus},
        names::cleanup_attempt,
        resource_definition::HandlerMode,
    },
    colony::Process,
    desired::instance::as_expression_input,
    diff::Problem,
    kinds::definition::{CompiledHandler, of_process},
    snapshot::InstanceSnapshot,
};

/// Longest line of a log that stands in a condition, in characters.
const LONGEST_LINE: usize = 240;
/// What stands before it.
const LINE_BEGINS: &str = "; its executor wrote: ";

/// The status after a pass.
#[must_use]
pub fn compute(snapshot: &InstanceSnapshot, outcome: Result<&Outcome, &Problem>) -> InstanceStatus {
    if snapshot.kind.handler().mode == HandlerMode::Blueprint {
        return blueprint::compute(snapshot, outcome);
    }
    let before = snapshot.object.status.clone().unwrap_or_default();
    let generation = snapshot.object.metadata.generation;
    let mut status = before.clone();
    status.observed_generation = generation;
    if let Ok(outcome) = outcome {
        status.mirror = mirror::record(before.mirror.as_ref(), outcome, snapshot.header.now);
    }
    status.colony =
        mirror::used_colony(before.colony.as_ref(), &snapshot.header.colony, status.mirror.as_ref(), false);
    let carried = status.mirror.as_ref().filter(|mirror| cleanup_attempt(mirror.generation).is_none());
    if let Some(bound) = carried.filter(|mirror| mirror.process_id.is_some()) {
        status.submitted_generation = status.submitted_generation.max(Some(bound.generation));
    }
    let mut warning = previous_warning(&before, generation);
    if let Some(process) = carried.and_then(|mirror| bound(snapshot, mirror))
        && has_output(process)
    {
        let (fields, problem) = fields(snapshot, process);
        status.fields.extend(fields);
        warning =
            problem.map(|message| Finding::yes(ConditionType::Warnings, Reason::InvalidExpression, message));
    }
    warning = warning.or_else(|| restored(snapshot, status.mirror.as_ref()));
    let blocker = blocker(&snapshot.header.processes, status.mirror.is_some(), outcome);
    let mut findings = if snapshot.object.metadata.deletion_timestamp.is_some() {
        deleting(&status, outcome, blocker)
    } else {
        let line = line(snapshot, &before);
        let left = outcome.ok().and_then(|outcome| outcome.plan.left.first());
        let blocker = blocker.or_else(|| Some((Reason::LeftAlone, left?.clone())));
        let executor_type = snapshot.kind.handler().executor_type.as_deref();
        let awaited = Awaited::of_record(&snapshot.header, carried, executor_type);
        let reason = awaited.as_ref().zip(carried).map(|(awaited, mirror)| {
            awaited.reason(&snapshot.header, mirror.submitted_at.as_ref(), Reason::ProcessWaiting)
        });
        let waits = reason.zip(awaited.map(|awaited| awaited.what));
        active_findings(&status, generation.unwrap_or_default(), blocker, line.as_deref(), waits)
    };
    findings.extend(merged_warning(warning, outcome));
    status.conditions = merge(&before.conditions, findings, generation, snapshot.header.now);
    status
}

/// The one condition for what bites later and for what policies keep from being done.
fn merged_warning(warning: Option<Finding>, outcome: Result<&Outcome, &Problem>) -> Option<Finding> {
    let left = outcome.map(|outcome| outcome.plan.left.join("; ")).unwrap_or_default();
    match warning {
        _ if left.is_empty() => warning,
        None => Some(Finding::yes(ConditionType::Warnings, Reason::LeftAlone, left)),
        Some(Finding { reason, message, .. }) => {
            Some(Finding::yes(ConditionType::Warnings, reason, format!("{message}; {left}")))
        }
    }
}

/// What can be said when the API server refuses what executors put into the status: everything else.
#[must_use]
pub fn without_fields(
    before: Option<&InstanceStatus>,
    refused: InstanceStatus,
    why: &str,
) -> Option<InstanceStatus> {
    let fields = before.map(|before| before.fields.clone()).unwrap_or_default();
    if fields == refused.fields {
        return None;
    }
    let message = format!("handler.status: what it gives does not match the schema of the kind: {why}");
    let now = refused.conditions.iter().map(|condition| condition.last_transition_time.0).max()?;
    let previous = before.map_or(&[][..], |before| &before.conditions);
    let warning = Finding::yes(ConditionType::Warnings, Reason::ApplyFailed, message);
    let warning = merge(previous, vec![warning], refused.observed_generation, now);
    let is_ready = |kind: &str| kind == ConditionType::Ready.as_str();
    let place = refused.conditions.iter().position(|condition| is_ready(&condition.type_));
    let is_warning = |kind: &str| kind == ConditionType::Warnings.as_str();
    let mut conditions = refused.conditions;
    conditions.retain(|condition| !is_warning(&condition.type_));
    let place = place.unwrap_or(conditions.len()).min(conditions.len());
    conditions.splice(place..place, warning);
    Some(InstanceStatus { conditions, fields, ..refused })
}

/// Whether expressions have something to speak of.
fn has_output(process: &Process) -> bool {
    let is_silent = process.output.is_empty() && process.errors.is_empty() && process.reported().is_empty();
    !is_silent || process.state.is_final()
}

/// The process on record, if it was read.
fn bound<'a>(snapshot: &'a InstanceSnapshot, mirror: &MirrorStatus) -> Option<&'a Process> {
    snapshot.header.process(mirror.process_id.as_deref()?)
}

/// That nothing is submitted for an object that was restored, and the remedy.
fn restored(snapshot: &InstanceSnapshot, mirror: Option<&MirrorStatus>) -> Option<Finding> {
    let earlier = mirror.filter(|mirror| snapshot.is_of_earlier(mirror))?;
    let message = format!(
        "the object was restored, and process {} was submitted for it before: nothing is submitted again until its spec changes; to run it again, create it anew with handler.restorePolicy: Resubmit in the ResourceDefinition",
        earlier.process_id.as_deref().unwrap_or_default()
    );
    Some(Finding::yes(ConditionType::Warnings, Reason::Restored, message))
}

/// The fields that the process gives a value, and why some have none although it has ended well.
fn fields(snapshot: &InstanceSnapshot, process: &Process) -> (Map<String, Value>, Option<String>) {
    let compiled = CompiledHandler::compile(snapshot.kind.handler());
    let (compiled, seen) = match (compiled, as_expression_input(snapshot)) {
        (Ok(compiled), Ok(seen)) => (compiled, seen),
        (Err(error), _) | (_, Err(error)) => return (Map::new(), Some(error.to_string())),
    };
    let (output, is_output_whole) = bounded(process);
    let (attributes, are_attributes_whole) = bounded_attributes(&process.reported());
    let errors: Vec<String> = process.errors.iter().map(|error| clean(error)).collect();
    let is_whole = is_output_whole && are_attributes_whole;
    let (fields, problems) = compiled.fields(&of_process(&seen, &output, &attributes, &errors));
    let is_expected = process.state == crate::colony::ProcessState::Successful;
    let problem = problems.first().filter(|_| is_expected).map(|problem| {
        let cut = if is_whole { "" } else { " (only a part of the executor's output is read)" };
        format!("{problem}{cut}")
    });
    (fields, problem)
}

/// The process is not read any more once it is over: what was said of its output stays said.
fn previous_warning(before: &InstanceStatus, generation: Option<i64>) -> Option<Finding> {
    let kept = before.conditions.iter().find(|condition| {
        condition.type_ == ConditionType::Warnings.as_str()
            && condition.observed_generation == generation
            && condition.reason != Reason::LeftAlone.as_str()
            && condition.reason != Reason::Restored.as_str()
    })?;
    let reason = if kept.reason == Reason::ApplyFailed.as_str() {
        Reason::ApplyFailed
    } else {
        Reason::InvalidExpression
    };
    Some(Finding::yes(ConditionType::Warnings, reason, &kept.message))
}

/// What was last written about the process: for people, so the end of it in one line, cut to fit. While that is
/// unknown, as after a start, the previous value.
fn line(snapshot: &InstanceSnapshot, before: &InstanceStatus) -> Option<String> {
    let text = if let Some(text) = &snapshot.last_line {
        let written = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let cut = written.char_indices().nth(LONGEST_LINE);
        let written = cut.map_or(written.to_owned(), |(end, _)| format!("{}…", &written[..end]));
        clean(&written).trim().to_owned()
    } else {
        let mut conditions = before.conditions.iter();
        let running = conditions.find(|condition| condition.type_ == ConditionType::Running.as_str())?;
        let id = before.mirror.as_ref()?.process_id.as_deref()?;
        let (says, text) = running.message.split_once(LINE_BEGINS)?;
        // What hinders may stand between them, but no other process.
        if !says.contains(id) {
            return None;
        }
        text.to_owned()
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The conditions of an object that is to exist. `line` was last written about the process, if it runs; `waits` is what it
/// waits for, if it waits.
fn active_findings(
    status: &InstanceStatus,
    generation: i64,
    blocker: Option<(Reason, String)>,
    line: Option<&str>,
    waits: Option<(Reason, String)>,
) -> Vec<Finding> {
    use MirrorState::{Cancelled, Failed, Lost, Running, Successful};

    let mirror = status.mirror.as_ref();
    let mut mirrored = mirror::finding(mirror, generation, blocker.clone());
    if let Some((reason, what)) = waits.filter(|_| mirrored.reason == Reason::ProcessWaiting) {
        mirrored =
            Finding { message: format!("{}; it waits for {what}", mirrored.message), reason, ..mirrored };
    }
    let current = mirror.filter(|mirror| mirror.generation == generation);
    let (reason, message) = (mirrored.reason, mirrored.message.clone());
    let is = |states: &[MirrorState]| current.is_some_and(|mirror| states.contains(&mirror.state));
    let ended_badly = is(&[Failed, Cancelled, Lost]);
    // An invalid spec or a missing Colony needs intervention; an unavailable server comes back, and actions that
    // policies withhold are intended.
    let is_stuck =
        blocker.is_some_and(|(reason, _)| !matches!(reason, Reason::ColonyUnavailable | Reason::LeftAlone));
    let finding = |kind: ConditionType, holds: bool| Finding {
        kind,
        holds: Some(holds),
        reason,
        message: message.clone(),
    };
    let mut running = finding(ConditionType::Running, is(&[Running]));
    if let (Some(true), Some(line)) = (running.holds, line) {
        running.message = format!("{}{LINE_BEGINS}{line}", running.message);
    }
    vec![
        running,
        finding(ConditionType::Degraded, ended_badly || (is_stuck && !is(&[Successful]))),
        finding(ConditionType::Finished, ended_badly || is(&[Successful])),
        finding(ConditionType::Ready, is(&[Successful])),
        mirrored,
    ]
}

#[cfg(test)]
mod tests;
