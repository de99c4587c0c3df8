//! What a step to a colony leaves there of an object: a process, a workflow, a blueprint.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    act::PLACEHOLDER,
    api::{mirror::MirrorStatus, names::OPERATOR},
    colony::{FunctionSpec, Process, ProcessState, model::Blueprint},
    diff::ColonyStep,
    snapshot::Observed,
};

/// Whether a reader finds a process for what is on record: by id once that is known, until then by label.
pub(super) fn is_of(process: &Process, mirror: &MirrorStatus) -> bool {
    match mirror.process_id.as_deref() {
        Some(id) => process.id.as_str() == id || process.graph_id == id,
        None => process.spec.label == mirror.label,
    }
}

/// Changes the blueprint of an object; whether the next pass is known. None if the step does not change one.
pub(super) fn on_blueprint(blueprint: &mut Observed<Option<Blueprint>>, step: &ColonyStep) -> Option<bool> {
    match (step, &mut *blueprint) {
        (ColonyStep::AddBlueprint(added), _) => {
            *blueprint = Observed::Known(Some(added.as_ref().clone()));
        }
        (ColonyStep::RemoveBlueprint { .. }, _) => *blueprint = Observed::Known(None),
        (ColonyStep::UpdateBlueprint { spec, .. }, Observed::Known(Some(blueprint))) => {
            blueprint.spec.clone_from(spec);
            blueprint.metadata.generation = blueprint.metadata.generation.saturating_add(1);
        }
        (ColonyStep::UpdateBlueprintStatus { status, .. }, Observed::Known(Some(blueprint))) => {
            blueprint.status.clone_from(status);
        }
        _ => return None,
    }
    Some(true)
}

/// Changes the processes of an object; whether the next pass is known. None if the step does not change any.
pub(super) fn on_processes(processes: &mut Vec<Process>, step: &ColonyStep, now: Timestamp) -> Option<bool> {
    let mut end = |is_meant: &dyn Fn(&Process) -> bool, state| {
        let meant = processes.iter_mut().filter(|process| is_meant(process) && !process.state.is_final());
        meant.for_each(|process| (process.state, process.ended_at) = (state, Some(now)));
    };
    let is_known = match step {
        ColonyStep::Cancel { process_id, .. } => {
            end(&|process| process.id.as_str() == process_id, ProcessState::Cancelled);
            true
        }
        ColonyStep::CancelGraph { graph_id, .. } => {
            end(&|process| process.graph_id == *graph_id, ProcessState::Cancelled);
            true
        }
        ColonyStep::CloseSuccessful { process_id, .. } => {
            end(&|process| process.id.as_str() == process_id, ProcessState::Successful);
            true
        }
        ColonyStep::CloseFailed { process_id, .. } => {
            end(&|process| process.id.as_str() == process_id, ProcessState::Failed);
            true
        }
        // From here on it is the turn of an executor.
        ColonyStep::Submit(process) => {
            if let (true, Ok(workflow)) = (process.is_gated, process.gated(OPERATOR)) {
                processes.extend(workflow.nodes().iter().filter_map(|node| submitted(node, true, now)));
            } else {
                processes.extend(submitted(&process.spec, false, now));
            }
            false
        }
        ColonyStep::SubmitWorkflow(workflow) => {
            processes.extend(workflow.spec.nodes().iter().filter_map(|node| submitted(node, true, now)));
            false
        }
        _ => return None,
    };
    Some(is_known)
}

/// A process as the colony would describe it right after it was submitted.
fn submitted(spec: &FunctionSpec, is_node: bool, now: Timestamp) -> Option<Process> {
    let id = if is_node { format!("<id of {}>", spec.node_name_str()) } else { PLACEHOLDER.to_owned() };
    let never = "0001-01-01T00:00:00Z";
    let process: Value = json!({
        "processid": id,
        "state": ProcessState::Waiting.number(),
        "spec": spec,
        "submissiontime": now.to_string(),
        "starttime": never,
        "endtime": never,
        "waitforparents": !spec.dependencies().is_empty(),
        "processgraphid": if is_node { PLACEHOLDER } else { "" },
    });
    serde_json::from_value(process).ok()
}
