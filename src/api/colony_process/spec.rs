//! The desired process.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::ColonyProcessStatus;
use crate::api::{
    executor_deployment::ExecutionGuarantee,
    function::FunctionCall,
    mirror::{MirrorStatus, Mirrored, UsedColony},
    policy::{AdoptionPolicy, DeletionPolicy, ManagementPolicies, RestorePolicy},
    work::work_object,
};

/// A process in a colony: one call of a function by an executor, anywhere.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "colonies.io",
    version = "v1",
    kind = "ColonyProcess",
    plural = "colonyprocesses",
    namespaced,
    status = "ColonyProcessStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "cproc",
    doc = "A process in a colony: one call of a function by an executor, anywhere.",
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.mirror) || (self.spec.__function__ == oldSelf.spec.__function__ && self.spec.conditions.executorType == oldSelf.spec.conditions.executorType && has(self.spec.conditions.location) == has(oldSelf.spec.conditions.location) && (!has(self.spec.conditions.location) || self.spec.conditions.location == oldSelf.spec.conditions.location) && has(self.spec.priority) == has(oldSelf.spec.priority) && (!has(self.spec.priority) || self.spec.priority == oldSelf.spec.priority) && has(self.spec.maxWaitTime) == has(oldSelf.spec.maxWaitTime) && (!has(self.spec.maxWaitTime) || self.spec.maxWaitTime == oldSelf.spec.maxWaitTime) && has(self.spec.maxExecTime) == has(oldSelf.spec.maxExecTime) && (!has(self.spec.maxExecTime) || self.spec.maxExecTime == oldSelf.spec.maxExecTime) && has(self.spec.maxRetries) == has(oldSelf.spec.maxRetries) && (!has(self.spec.maxRetries) || self.spec.maxRetries == oldSelf.spec.maxRetries))").message("spec: what was submitted cannot change (function, args, kwargs, env, conditions, priority, limits): create another ColonyProcess; suspend, cancel, activeDeadlineSeconds, ttlSecondsAfterFinished, backoffLimit, deletionPolicy and managementPolicies can change").field_path(".spec"),
    // Not rules of the spec: a template of one may change.
    validation = Rule::new("has(self.spec.colony) == has(oldSelf.spec.colony) && (!has(self.spec.colony) || self.spec.colony == oldSelf.spec.colony)").message("colony cannot change: create another ColonyProcess").field_path(".spec.colony"),
    validation = Rule::new("!oldSelf.spec.cancel || self.spec.cancel").message("cancel cannot be taken back: create another ColonyProcess").field_path(".spec.cancel"),
    validation = Rule::new("has(self.spec.processId) == has(oldSelf.spec.processId) && (!has(self.spec.processId) || self.spec.processId == oldSelf.spec.processId)").message("processId cannot change: create another ColonyProcess").field_path(".spec.processId"),
    validation = Rule::new("(has(self.spec.adoptionPolicy) ? self.spec.adoptionPolicy : 'fail') == (has(oldSelf.spec.adoptionPolicy) ? oldSelf.spec.adoptionPolicy : 'fail')").message("adoptionPolicy cannot change: create another ColonyProcess").field_path(".spec.adoptionPolicy"),
    printcolumn = r#"{"name": "Function", "type": "string", "jsonPath": ".spec.function"}"#,
    printcolumn = r#"{"name": "Type", "type": "string", "jsonPath": ".spec.conditions.executorType"}"#,
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".status.state"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Finished')].reason"}"#,
    printcolumn = r#"{"name": "Executor", "type": "string", "jsonPath": ".status.executor"}"#,
    printcolumn = r#"{"name": "Paused", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Paused')].status"}"#,
    printcolumn = r#"{"name": "Attempts", "type": "integer", "jsonPath": ".status.attempts", "priority": 1}"#,
    printcolumn = r#"{"name": "Process", "type": "string", "jsonPath": ".status.processId", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Finished')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.processId) == (has(self.adoptionPolicy) && self.adoptionPolicy != 'fail')").message("processId and adoptionPolicy need each other: give both, with adoptionPolicy adopt or adopt-or-create, or neither"))]
pub struct ColonyProcessSpec {
    /// The name of the Colony. Defaults to the Colony annotated `colonies.io/default: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub colony: Option<String>,

    /// The function to call, and the executors that may run it.
    #[serde(flatten)]
    pub call: FunctionCall,

    /// Suspends the object: nothing is submitted, and what was submitted is cancelled; when this becomes false again,
    /// it is submitted again.
    #[serde(default)]
    pub suspend: bool,

    /// Cancels it permanently.
    #[serde(default)]
    pub cancel: bool,

    /// The duration, waiting and retries included, after which it is cancelled and marked as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub active_deadline_seconds: Option<i32>,

    /// The number of retries after an executor closes it as failed, with delays of 10 s, 20 s, 40 s and so on, up to
    /// 6 minutes.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub backoff_limit: i32,

    /// How long to retain this object after it has finished. When absent, it is retained until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<i32>,

    /// What happens to the process when this object is deleted: `Delete` cancels it, `Orphan` lets it run on.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// How duplicates are prevented when the reply to a submit is lost. `Standard`: the process is looked up, and the
    /// oldest of several is kept; two may run briefly. `Strict`: the process waits behind a gate process until status
    /// records which of several it is; this costs one more process.
    #[serde(default)]
    pub execution_guarantee: ExecutionGuarantee,

    /// The id of an existing process to adopt, such as one of a `ColonyProcess` that was deleted with
    /// `deletionPolicy: Orphan`. It must have the same function and executor type, and must not belong to another
    /// object. Needs `adoptionPolicy`; neither can be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{64}$')").message(Message::Expression("'processId: \"' + self + '\" is not the id of a process: write the 64 digits (0-9, a-f) that the colony calls it by'".into())))]
    pub process_id: Option<String>,

    /// How to use `processId`: `adopt` adopts that process, waits until it exists, and never submits one;
    /// `adopt-or-create` submits one if the colony reports that there is none. `fail`, the default, requires that
    /// `processId` is absent.
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
    /// `Observe` alone, with `processId`, shows the process of another owner in status. Can be changed at any time.
    #[serde(default, skip_serializing_if = "ManagementPolicies::is_unset")]
    pub management_policies: ManagementPolicies,
}

work_object!(ColonyProcess, ColonyProcessStatus, "process", process_id, "spec.processId");

impl Mirrored for ColonyProcess {
    fn mirror(&self) -> Option<&MirrorStatus> {
        self.status.as_ref()?.mirror.as_ref()
    }

    fn mirror_mut(&mut self) -> Option<&mut Option<MirrorStatus>> {
        Some(&mut self.status.as_mut()?.mirror)
    }

    fn used_colony(&self) -> Option<&UsedColony> {
        self.status.as_ref()?.colony.as_ref()
    }
}
