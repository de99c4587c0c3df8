//! Processes that a colony has besides the one that an object is bound to: of a submit that arrived after the object was bound
//! to a later one, however late. Pure.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{ColonyStep, KubernetesStep, Plan, Step, process_state::is_live};
use crate::{
    api::{
        mirror::MirrorStatus,
        names::{GATE_NODE, parse_process_label},
    },
    colony::Process,
    snapshot::Duplicate,
};

/// How much the clocks of the server and the cluster may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// What is found in a list of processes, by the UIDs of the objects. `cluster` and `member` are those of this operator: the
/// label of a process is a claim of its submitter. `recorded` is what status says of the object with a UID.
#[must_use]
pub fn find(
    listed: &[Process],
    cluster: &str,
    member: &str,
    recorded: impl Fn(&str) -> Option<MirrorStatus>,
) -> BTreeMap<String, Vec<Process>> {
    let mut found: BTreeMap<String, Vec<Process>> = BTreeMap::new();
    for process in listed.iter().filter(|process| is_live(process) && process.initiator_id == member) {
        let Some((of_cluster, uid, _)) = parse_process_label(&process.spec.label) else { continue };
        if of_cluster == cluster && recorded(uid).is_some_and(|mirror| is_duplicate(process, &mirror)) {
            found.entry(uid.to_owned()).or_default().push(process.clone());
        }
    }
    found
}

/// Whether a process is of the attempt on record or an earlier one, and not what that is bound to. While nothing is bound, the
/// pass of the object looks all of its label up.
fn is_duplicate(process: &Process, mirror: &MirrorStatus) -> bool {
    let Some(bound) = mirror.process_id.as_deref() else { return false };
    let Some((_, _, generation)) = parse_process_label(&process.spec.label) else { return false };
    let is_same = process.spec.label == mirror.label;
    // Attempts of a clean-up are counted the other way round.
    let is_earlier = generation > 0 && generation < mirror.generation;
    // What was there before the intent was recorded is what a lost status had: it may have run for long.
    let since = mirror.intended_at.0.checked_sub(SKEW).unwrap_or(mirror.intended_at.0);
    let is_older = is_same && process.submitted_at < since;
    (is_same || is_earlier)
        && !is_older
        && process.id.as_str() != bound
        && process.graph_id != bound
        // The gate of the bound process: it goes with its workflow.
        && process.spec.node_name != GATE_NODE
}

/// Adds the end of duplicates to the plan of their object; what is to be said of those that are new. The object is held until they
/// are over, or given up.
pub fn cancel(plan: &mut Plan, duplicates: &[Duplicate], recorded: Option<&MirrorStatus>) -> Vec<String> {
    let Some(recorded) = recorded else { return Vec::new() };
    let bound = recorded.process_id.as_deref().unwrap_or_default();
    let mut messages = Vec::new();
    for Duplicate { process, is_due, is_new } in duplicates {
        if !is_duplicate(process, recorded) {
            continue;
        }
        plan.steps.retain(|step| !matches!(step, Step::Kubernetes(KubernetesStep::RemoveFinalizer)));
        plan.awaiting.push(format!("process {}, a duplicate, to be over", process.id));
        let why = "a duplicate of the same label".to_owned();
        let step = Step::Colony(if process.graph_id.is_empty() {
            ColonyStep::Cancel { process_id: process.id.to_string(), why }
        } else {
            ColonyStep::CancelGraph { graph_id: process.graph_id.clone(), why }
        });
        if *is_due && !plan.steps.contains(&step) {
            plan.steps.push(step);
        }
        if *is_new {
            messages.push(format!(
                "process {} is to be cancelled: it was submitted for this object too, which is bound to {bound}",
                process.id
            ));
        }
    }
    messages
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
            "spec": { "funcname": "f", "label": label, "conditions": { "colonyname": "c", "executortype": "t" } },
        }))
        .unwrap()
    }

    fn bound(generation: i64, id: Option<&str>) -> MirrorStatus {
        serde_json::from_value(json!({
            "label": format!("k8s:c/u/{generation}"), "generation": generation, "processId": id,
            "state": if id.is_some() { "Running" } else { "Intended" }, "intendedAt": "2026-11-21T09:57:00Z",
        }))
        .unwrap()
    }

    fn found(listed: &[Process], mirror: &MirrorStatus) -> Vec<String> {
        let recorded = |uid: &str| (uid == "u").then(|| mirror.clone());
        find(listed, "c", "m", recorded)
            .into_values()
            .flatten()
            .map(|process| process.id.to_string())
            .collect()
    }

    #[test]
    fn what_an_object_is_not_bound_to_is_a_duplicate() {
        let listed = [
            process("bound", "k8s:c/u/2", ""),
            process("second", "k8s:c/u/2", ""),
            process("earlier", "k8s:c/u/1", ""),
            process("later", "k8s:c/u/3", ""),
            process("of-clean-up", "k8s:c/u/0", ""),
            process("other-object", "k8s:c/v/2", ""),
            process("other-cluster", "k8s:d/u/2", ""),
            process("not-ours", "a label", ""),
        ];
        assert_eq!(found(&listed, &bound(2, Some("bound"))), ["second", "earlier"]);
        assert_eq!(found(&listed, &bound(2, None)), [""; 0], "its pass looks them up");
        let mut claimed = process("claimed", "k8s:c/u/2", "");
        claimed.initiator_id = "other".to_owned();
        assert_eq!(found(&[claimed], &bound(2, Some("bound"))), [""; 0], "another member submitted it");
        let mut old = process("old", "k8s:c/u/2", "");
        old.submitted_at = "2026-11-21T04:00:00Z".parse().unwrap();
        assert_eq!(
            found(&[old], &bound(2, Some("bound"))),
            [""; 0],
            "there before the intent: the status was lost"
        );
        let nodes = [process("a", "k8s:c/u/2", "g"), process("b", "k8s:c/u/2", "h")];
        assert_eq!(found(&nodes, &bound(2, Some("g"))), ["b"], "of another workflow");
    }

    #[test]
    fn the_object_is_held_until_a_duplicate_is_over() {
        let mut plan =
            Plan { steps: vec![Step::Kubernetes(KubernetesStep::RemoveFinalizer)], ..Plan::default() };
        let new = |id: &str, graph: &str| Duplicate {
            process: process(id, "k8s:c/u/2", graph),
            is_due: true,
            is_new: true,
        };
        let mut duplicates = [new("b", ""), new("x", "g"), new("y", "g")];
        cancel(&mut plan, &duplicates, Some(&bound(2, Some("a"))));
        let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        assert_eq!(steps.len(), 2, "{steps:?}");
        assert!(steps[0].contains("process b") && steps[1].contains("workflow g"), "{steps:?}");
        assert_eq!(plan.awaiting.len(), 3);
        let mut other = Plan::default();
        cancel(&mut other, &duplicates, Some(&bound(2, Some("b"))));
        assert_eq!(other.steps.len(), 1, "it is bound to the first by now");

        // What was asked for a moment ago is waited for, and not told of again.
        for duplicate in &mut duplicates {
            (duplicate.is_due, duplicate.is_new) = (false, false);
        }
        let mut waiting =
            Plan { steps: vec![Step::Kubernetes(KubernetesStep::RemoveFinalizer)], ..Plan::default() };
        assert_eq!(cancel(&mut waiting, &duplicates, Some(&bound(2, Some("a")))), [""; 0]);
        assert_eq!((waiting.steps.len(), waiting.awaiting.len()), (0, 3));
    }
}
