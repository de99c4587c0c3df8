//! What a colony has of objects that are gone: of a submit that arrived after the end of its object, or of an object that others
//! have released. Pure.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::Value;

use super::{ColonyStep, KubernetesStep, Mirror, Plan, Step, process_state::is_live};
use crate::{
    api::{
        mirror::{MirrorState, MirrorStatus},
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE, operator_origin, parse_process_label},
        resource_definition::ObjectKind,
    },
    colony::{Executor, ExecutorState, Process},
    snapshot::{ColonySnapshot, Duplicate, Leftovers},
};

/// How much earlier than this operator's own an executor of another may have asked for work to count as there.
const LATELY: SignedDuration = SignedDuration::from_mins(2);

/// What lives in a list of processes that bears the label of a cluster, by the UIDs of the objects. `member` is this
/// installation's own: the label of a process is a claim of its submitter.
#[must_use]
pub fn labelled(listed: &[Process], cluster: &str, member: &str) -> BTreeMap<String, Vec<Process>> {
    let mut found: BTreeMap<String, Vec<Process>> = BTreeMap::new();
    for process in listed.iter().filter(|process| is_live(process) && process.initiator_id == member) {
        let Some((of_cluster, uid, _)) = parse_process_label(&process.spec.label) else { continue };
        let processes = found.entry(uid.to_owned()).or_default();
        if of_cluster == cluster && processes.iter().all(|other| other.id != process.id) {
            processes.push(process.clone());
        }
    }
    found.retain(|_, processes| !processes.is_empty());
    found
}

/// An object that a process says that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub kind: ObjectKind,
    /// None for an object of the cluster's own scope.
    pub namespace: Option<String>,
    pub name: String,
}

/// The object with a UID as its process names it, if it does: executors are given the object in the arguments.
#[must_use]
pub fn named(process: &Process, uid: &str) -> Option<Named> {
    let kwargs = &process.spec.kwargs;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let metadata = kwargs.get("metadata")?;
    if text(metadata, "uid")? != uid {
        return None;
    }
    let of = |name: &str| kwargs.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = ObjectKind::new(of("apiVersion")?, of("kind")?);
    Some(Named { kind, namespace: text(metadata, "namespace"), name: text(metadata, "name")? })
}

/// Ends what has no object any more.
#[must_use]
pub fn steps(leftovers: &Leftovers) -> Vec<Step> {
    let mut steps = Vec::new();
    for Duplicate { process, .. } in leftovers.processes.iter().filter(|orphan| orphan.is_due) {
        let step = cancel_step(process);
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    let remove = |name: &String| Step::Colony(ColonyStep::RemoveExecutor { name: name.clone() });
    steps.extend(leftovers.executors.iter().map(remove));
    if !leftovers.noted.is_empty() {
        let uids = leftovers.noted.clone();
        steps.push(Step::Kubernetes(KubernetesStep::ForgetLeft { uids }));
    }
    steps
}

/// What people are told of what was found for the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    pub processes: Vec<String>,
    pub executors: Vec<String>,
}

/// What is to be told of leftovers.
#[must_use]
pub fn messages(leftovers: &Leftovers) -> Messages {
    let new = leftovers.processes.iter().filter(|orphan| orphan.is_new);
    let processes = new.map(|Duplicate { process, .. }| {
        let label = &process.spec.label;
        format!("process {} is to be cancelled: the object that its label {label} names is gone", process.id)
    });
    let executors = leftovers.executors.iter().map(|name| {
        format!("executor {name} is to be removed: the object that it was registered for is gone, and so is its Secret")
    });
    Messages { processes: processes.collect(), executors: executors.collect() }
}

/// The end of a process without an object.
#[must_use]
pub fn cancel_step(process: &Process) -> Step {
    let why = "its object is gone".to_owned();
    Step::Colony(if process.graph_id.is_empty() {
        ColonyStep::Cancel { process_id: process.id.to_string(), why }
    } else {
        ColonyStep::CancelGraph { graph_id: process.graph_id.clone(), why }
    })
}

/// Records, before an object goes, that its process is to outlive it: by that alone it differs from one that was left by mistake.
pub fn record_left(plan: &mut Plan, recorded: Option<&MirrorStatus>, uid: &str) {
    let is_release = |step: &Step| matches!(step, Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    let Some(position) = plan.steps.iter().position(is_release) else { return };
    let Some(recorded) = recorded else { return };
    let is_left = match &plan.mirror {
        Mirror::Observed { state, .. } | Mirror::Found { state, .. } => state.is_live(),
        Mirror::Lost | Mirror::Forget | Mirror::Intend { .. } => false,
        Mirror::Unchanged => recorded.may_live() || recorded.state == MirrorState::Lost,
    };
    if is_left {
        let step = KubernetesStep::RecordLeft { uid: uid.to_owned(), label: recorded.label.clone() };
        plan.steps.insert(position, Step::Kubernetes(step));
    }
}

/// Another operator of a cluster of the same name that asks the colony for work, if one is heard.
#[must_use]
pub fn other_installation(snapshot: &ColonySnapshot) -> Option<String> {
    let executors = snapshot.executors.known()?;
    let origin = operator_origin(&snapshot.cluster);
    let is_own =
        |executor: &Executor| snapshot.operator_executors.iter().any(|own| own.name == executor.name);
    let now =
        executors.iter().filter(|executor| is_own(executor)).filter_map(|own| own.last_heard_at).max()?;
    let other = executors.iter().find(|executor| {
        let types = [CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE];
        let is_operator = types.contains(&executor.executor_type.as_str());
        let heard = executor.last_heard_at.is_some_and(|heard| now.duration_since(heard) < LATELY);
        is_operator
            && heard
            && executor.blueprint_id == origin
            && executor.state == ExecutorState::Approved
            && !is_own(executor)
    })?;
    Some(format!(
        "another operator of this cluster, or of one that was restored or cloned from it, serves colony {} as executor {}",
        snapshot.object.spec.colony_name, other.name
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(id: &str, label: &str, graph: &str) -> Process {
        serde_json::from_value(json!({
            "processid": id, "state": 0, "assignedexecutorid": "", "initiatorid": "m", "processgraphid": graph,
            "submissiontime": "2026-11-21T09:58:00Z", "starttime": "0001-01-01T00:00:00Z",
            "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": label, "conditions": { "colonyname": "c", "executortype": "t" },
                "kwargs": { "apiVersion": "g/v1", "kind": "K", "metadata": { "name": "n", "namespace": "ns", "uid": "u" } } },
        }))
        .unwrap()
    }

    #[test]
    fn only_what_this_installation_submitted_for_this_cluster_is_looked_at() {
        let mut over = process("over", "k8s:c/u/1", "");
        over.state = crate::colony::ProcessState::Successful;
        let mut claimed = process("claimed", "k8s:c/u/1", "");
        claimed.initiator_id = "other".to_owned();
        let listed = [
            process("a", "k8s:c/u/1", ""),
            process("a", "k8s:c/u/1", ""),
            process("b", "k8s:c/u/2", ""),
            process("other-cluster", "k8s:d/u/1", ""),
            process("no-label-of-ours", "x", ""),
            over,
            claimed,
        ];
        let found = labelled(&listed, "c", "m");
        let ids: Vec<&str> = found["u"].iter().map(|process| process.id.as_str()).collect();
        assert_eq!((found.len(), ids), (1, vec!["a", "b"]));
    }

    #[test]
    fn a_process_names_the_object_with_the_uid_of_its_label_alone() {
        let named_object = named(&process("a", "k8s:c/u/1", ""), "u").unwrap();
        assert_eq!((named_object.kind.kind.as_str(), named_object.name.as_str()), ("K", "n"));
        assert_eq!(named(&process("a", "k8s:c/v/1", ""), "v"), None);
    }

    #[test]
    fn a_workflow_without_an_object_is_cancelled_once() {
        let orphan =
            |id: &str, is_due, is_new| Duplicate { process: process(id, "k8s:c/u/1", "g"), is_due, is_new };
        let of = |processes| Leftovers { processes, ..Leftovers::default() };
        let found = of(vec![orphan("a", true, true), orphan("b", true, false)]);
        assert_eq!((steps(&found).len(), messages(&found).processes.len()), (1, 1));
        let waiting = of(vec![orphan("a", false, false)]);
        assert_eq!((steps(&waiting).len(), messages(&waiting)), (0, Messages::default()));
    }

    /// Without the record, what a user wants to outlive its object would be cancelled for the lack of it.
    #[test]
    fn what_is_to_outlive_its_object_is_on_record_before_that_goes() {
        let recorded = |state: &str| -> MirrorStatus {
            serde_json::from_value(json!({
                "label": "k8s:c/u/1", "generation": 1, "processId": "p", "state": state,
                "intendedAt": "2026-11-21T09:57:00Z",
            }))
            .unwrap()
        };
        let release =
            || Plan { steps: vec![Step::Kubernetes(KubernetesStep::RemoveFinalizer)], ..Plan::default() };
        let steps = |mut plan: Plan, state: &str| {
            record_left(&mut plan, Some(&recorded(state)), "u");
            plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let left = steps(release(), "Running");
        assert!(left.len() == 2 && left[0].contains("k8s:c/u/1"), "{left:?}");
        assert_eq!(steps(release(), "Successful").len(), 1);
        assert_eq!(steps(Plan::default(), "Running").len(), 0, "it is not released yet");
        let ended = Mirror::Observed {
            process_id: "p".to_owned(),
            state: MirrorState::Cancelled,
            submitted_at: None,
            errors: None,
        };
        assert_eq!(steps(Plan { mirror: ended, ..release() }, "Running").len(), 1, "it was ended");
        assert_eq!(steps(Plan { mirror: Mirror::Lost, ..release() }, "Running").len(), 1);
    }
}
