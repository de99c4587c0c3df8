//! The desired workflow.

use std::collections::BTreeSet;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{ColonyWorkflowStatus, NodeStatus};
use crate::api::{
    function::FunctionCall,
    mirror::{LiveProcess, MirrorState, MirrorStatus, Mirrored, UsedColony},
    policy::{AdoptionPolicy, DeletionPolicy, ManagementPolicies, RestorePolicy},
    work::{WorkState, work_object},
};

/// A workflow in a colony: function calls, each of which waits for the calls that it depends on.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "colonies.io",
    version = "v1",
    kind = "ColonyWorkflow",
    plural = "colonyworkflows",
    namespaced,
    status = "ColonyWorkflowStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "cwf",
    doc = "A workflow in a colony: function calls, each of which waits for the calls that it depends on.",
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.mirror) || (self.spec.nodes.map(n, n.name) == oldSelf.spec.nodes.map(n, n.name) && self.spec.nodes.map(n, n.__function__) == oldSelf.spec.nodes.map(n, n.__function__))").message("spec.nodes: what was submitted cannot change: create another ColonyWorkflow; suspend, cancel, activeDeadlineSeconds, ttlSecondsAfterFinished, deletionPolicy and managementPolicies can change").field_path(".spec.nodes"),
    // Not rules of the spec: a template of one may change.
    validation = Rule::new("has(self.spec.colony) == has(oldSelf.spec.colony) && (!has(self.spec.colony) || self.spec.colony == oldSelf.spec.colony)").message("colony cannot change: create another ColonyWorkflow").field_path(".spec.colony"),
    validation = Rule::new("!oldSelf.spec.cancel || self.spec.cancel").message("cancel cannot be taken back: create another ColonyWorkflow").field_path(".spec.cancel"),
    validation = Rule::new("has(self.spec.graphId) == has(oldSelf.spec.graphId) && (!has(self.spec.graphId) || self.spec.graphId == oldSelf.spec.graphId)").message("graphId cannot change: create another ColonyWorkflow").field_path(".spec.graphId"),
    validation = Rule::new("(has(self.spec.adoptionPolicy) ? self.spec.adoptionPolicy : 'fail') == (has(oldSelf.spec.adoptionPolicy) ? oldSelf.spec.adoptionPolicy : 'fail')").message("adoptionPolicy cannot change: create another ColonyWorkflow").field_path(".spec.adoptionPolicy"),
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".status.state"}"#,
    printcolumn = r#"{"name": "Progress", "type": "string", "jsonPath": ".status.progress"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Finished')].reason"}"#,
    printcolumn = r#"{"name": "Paused", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Paused')].status"}"#,
    printcolumn = r#"{"name": "Attempts", "type": "integer", "jsonPath": ".status.attempts", "priority": 1}"#,
    printcolumn = r#"{"name": "Graph", "type": "string", "jsonPath": ".status.graphId", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Finished')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.nodes.all(n, !has(n.dependencies) || sets.contains(self.nodes.map(m, m.name), n.dependencies))").message("dependencies name nodes that are not there: correct the name, or add the node").field_path(".nodes"))]
#[x_kube(validation = Rule::new("has(self.graphId) == (has(self.adoptionPolicy) && self.adoptionPolicy != 'fail')").message("graphId and adoptionPolicy need each other: give both, with adoptionPolicy adopt or adopt-or-create, or neither"))]
pub struct ColonyWorkflowSpec {
    /// The name of the Colony. Defaults to the Colony annotated `colonies.io/default: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub colony: Option<String>,

    /// The calls, in any order. They must not wait for each other in a circle.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub nodes: Vec<WorkflowNode>,

    /// Suspends the object: nothing is submitted, and what was submitted is cancelled; when this becomes false again,
    /// the whole workflow is submitted again.
    #[serde(default)]
    pub suspend: bool,

    /// Cancels it permanently.
    #[serde(default)]
    pub cancel: bool,

    /// The duration, waiting included, after which it is cancelled and marked as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub active_deadline_seconds: Option<i32>,

    /// How long to retain this object after it has finished. When absent, it is retained until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<i32>,

    /// What happens to the workflow when this object is deleted: `Delete` cancels it, `Orphan` lets it run on.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// The id of an existing workflow (process graph) to adopt. It must have the nodes of this spec, each with the
    /// same function and executor type, and must not belong to another object. Needs `adoptionPolicy`; neither can be
    /// changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{64}$')").message(Message::Expression("'graphId: \"' + self + '\" is not the id of a workflow: write the 64 digits (0-9, a-f) that the colony calls it by'".into())))]
    pub graph_id: Option<String>,

    /// How to use `graphId`: `adopt` adopts that workflow, waits until it exists, and never submits one;
    /// `adopt-or-create` submits one if the colony reports that there is none. `fail`, the default, requires that
    /// `graphId` is absent.
    #[serde(default, skip_serializing_if = "AdoptionPolicy::is_default")]
    pub adoption_policy: AdoptionPolicy,

    /// What happens when this object is restored from a backup, with another UID and without status, and the colony still
    /// has what was submitted for it before: `Keep` waits until that is over, and shows it as the result; `Resubmit` submits
    /// it again.
    #[serde(default, skip_serializing_if = "RestorePolicy::is_default")]
    pub restore_policy: RestorePolicy,

    /// The actions that the operator may take in the colony: `Observe`, `Create`, `Update`, `Delete`, or `*` for all,
    /// the default. Without `Create` nothing is submitted; without `Update` what runs is not cancelled by `suspend`,
    /// `cancel` or `activeDeadlineSeconds`; without `Delete` it continues to run when this object is deleted.
    /// `Observe` alone, with `graphId`, shows the workflow of another owner in status. Can be changed at any time.
    #[serde(default, skip_serializing_if = "ManagementPolicies::is_unset")]
    pub management_policies: ManagementPolicies,
}

/// A call in a workflow.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.dependencies) || !(self.name in self.dependencies)").message(Message::Expression("'node ' + self.name + ' depends on itself: remove it from its dependencies'".into())))]
pub struct WorkflowNode {
    /// Its name, which other nodes use in `dependencies`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,

    /// Names of the nodes that must succeed first. Their outputs, in this order, are its input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 99), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub dependencies: Vec<String>,

    /// The function to call, and the executors that may run it.
    #[serde(flatten)]
    pub call: FunctionCall,
}

work_object!(ColonyWorkflow, ColonyWorkflowStatus, "workflow", graph_id, "spec.graphId");

impl WorkflowNode {
    /// How often it is given to an executor again when its time is over. The server loses roots that are assigned while it still
    /// writes the workflow: no executor has them, and they are given again after their `maxExecTime`.
    #[must_use]
    pub fn max_retries(&self) -> Option<i32> {
        let may_be_lost = self.dependencies.is_empty() && self.call.max_exec_time.is_some();
        self.call.max_retries.or_else(|| may_be_lost.then_some(1))
    }

    /// Whether it would fail, or wait for ever, once the server has lost it.
    #[must_use]
    pub fn is_at_risk(&self) -> bool {
        self.dependencies.is_empty()
            && (self.call.max_exec_time.is_none() || self.max_retries().is_none_or(|times| times == 0))
    }
}

impl Mirrored for ColonyWorkflow {
    fn mirror(&self) -> Option<&MirrorStatus> {
        self.status.as_ref()?.mirror.as_ref()
    }

    fn mirror_mut(&mut self) -> Option<&mut Option<MirrorStatus>> {
        Some(&mut self.status.as_mut()?.mirror)
    }

    fn unbind(&mut self) {
        let names = self.spec.nodes.iter().map(|node| node.name.clone());
        let nodes = names.map(NodeStatus::pending).collect();
        if let Some(status) = &mut self.status {
            status.nodes = nodes;
            if let Some(mirror) = &mut status.mirror {
                mirror.unbind();
            }
        }
    }

    fn used_colony(&self) -> Option<&UsedColony> {
        self.status.as_ref()?.colony.as_ref()
    }

    fn live_processes(&self) -> Vec<LiveProcess<'_>> {
        let Some(status) = &self.status else { return Vec::new() };
        if self.mirror().is_none_or(|mirror| !mirror.state.is_live()) {
            return Vec::new();
        }
        let done = |node: &&NodeStatus| node.state == WorkState::Succeeded;
        let done: BTreeSet<&str> = status.nodes.iter().filter(done).map(|node| node.name.as_str()).collect();
        let waits_for_others = |name: &str| {
            let node = self.spec.nodes.iter().find(|node| node.name == name);
            node.is_some_and(|node| !node.dependencies.iter().all(|needed| done.contains(needed.as_str())))
        };
        let live = |node: &NodeStatus| match node.state {
            WorkState::Waiting => Some((MirrorState::Waiting, waits_for_others(&node.name))),
            WorkState::Running => Some((MirrorState::Running, false)),
            _ => None,
        };
        let live = status.nodes.iter().filter_map(|node| Some((node.process_id.as_deref()?, live(node)?)));
        live.map(|(id, (state, is_blocked))| LiveProcess { id, state, is_blocked }).collect()
    }
}
