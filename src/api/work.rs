//! Words that all kinds share whose objects are work: where it stands, why the operator ends it, and what spec and status say
//! about it whatever the kind. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, core::object::HasStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    mirror::{MirrorStatus, Mirrored, UsedColony},
    policy::{AdoptionPolicy, DeletionPolicy, ManagementPolicies, ManagementPolicy, RestorePolicy},
};

/// The state of a unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr)]
pub enum WorkState {
    /// Nothing is known to be submitted yet.
    Pending,
    /// Suspended.
    Suspended,
    /// Waits for an executor.
    Waiting,
    /// It is assigned to an executor.
    Running,
    /// Closed as successful.
    Succeeded,
    /// Closed as failed, or out of time.
    Failed,
    /// Cancelled.
    Cancelled,
    /// It was submitted, and is no longer on the server. It is not submitted again.
    Lost,
}

impl WorkState {
    /// The states that are final.
    pub const FINAL: &'static [Self] = &[Self::Succeeded, Self::Failed, Self::Cancelled, Self::Lost];

    /// Whether the state is final.
    #[must_use]
    pub fn is_final(self) -> bool {
        Self::FINAL.contains(&self)
    }

    /// The name in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why what was submitted is ended by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum StopReason {
    /// `spec.suspend`.
    Suspended,
    /// `spec.cancel`.
    Cancelled,
    /// `spec.activeDeadlineSeconds` has passed.
    DeadlineExceeded,
}

/// An object whose spec is work for a colony: one process, or one workflow.
pub trait WorkObject:
    Mirrored
    + Resource<DynamicType = ()>
    + HasStatus<Status: Default + Clone + Send + Sync>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// What it is in the colony: `process` or `workflow`.
    const WORK: &'static str;
    /// The field of the spec that names what is to be adopted.
    const ADOPTED_FIELD: &'static str;

    /// What the spec says about how it is worked on.
    fn policies(&self) -> WorkPolicies<'_>;
    /// What a status records about the work.
    fn record(status: &Self::Status) -> WorkRecord<'_>;
    /// The same, to be changed.
    fn record_mut(status: &mut Self::Status) -> WorkRecordMut<'_>;

    /// Whether its state is final.
    fn is_over(&self) -> bool {
        let state = self.status().and_then(|status| Self::record(status).state);
        state.is_some_and(WorkState::is_final)
    }

    /// Whether it is being deleted.
    fn is_terminating(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }
}

/// What the spec of an object says about how its work is submitted, ended and kept.
#[derive(Clone, Copy, Debug)]
pub struct WorkPolicies<'a> {
    /// The Colony that it names.
    pub colony: Option<&'a str>,
    /// `spec.suspend`.
    pub suspend: bool,
    /// `spec.cancel`.
    pub cancel: bool,
    /// `spec.activeDeadlineSeconds`.
    pub active_deadline_seconds: Option<i32>,
    /// `spec.ttlSecondsAfterFinished`.
    pub ttl_seconds_after_finished: Option<i32>,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
    /// The id of what is to be adopted.
    pub adopted_id: Option<&'a str>,
    /// `spec.adoptionPolicy`.
    pub adoption_policy: AdoptionPolicy,
    /// `spec.restorePolicy`.
    pub restore_policy: RestorePolicy,
    /// `spec.managementPolicies`.
    pub management_policies: &'a ManagementPolicies,
}

impl WorkPolicies<'_> {
    /// Whether anything may be submitted.
    #[must_use]
    pub fn may_submit(&self) -> bool {
        self.adoption_policy != AdoptionPolicy::Adopt
            && self.management_policies.allow(ManagementPolicy::Create)
    }
}

/// What a status records about work.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkRecord<'a> {
    /// `status.state`.
    pub state: Option<WorkState>,
    /// `status.attempts`.
    pub attempts: i64,
    /// `status.activeSince`.
    pub active_since: Option<&'a Time>,
    /// `status.completionTime`.
    pub completion_time: Option<&'a Time>,
    /// `status.stopping`.
    pub stopping: Option<StopReason>,
    /// `status.mirror`.
    pub mirror: Option<&'a MirrorStatus>,
}

/// What a status records about work, to be changed.
#[derive(Debug)]
pub struct WorkRecordMut<'a> {
    /// `status.observedGeneration`.
    pub observed_generation: &'a mut Option<i64>,
    /// `status.state`.
    pub state: &'a mut Option<WorkState>,
    /// The id of the process, or the workflow.
    pub id: &'a mut Option<String>,
    /// `status.attempts`.
    pub attempts: &'a mut i64,
    /// `status.activeSince`.
    pub active_since: &'a mut Option<Time>,
    /// `status.startTime`.
    pub start_time: &'a mut Option<Time>,
    /// `status.completionTime`.
    pub completion_time: &'a mut Option<Time>,
    /// `status.outputTruncated`.
    pub output_truncated: &'a mut bool,
    /// `status.stopping`.
    pub stopping: &'a mut Option<StopReason>,
    /// `status.mirror`.
    pub mirror: &'a mut Option<MirrorStatus>,
    /// `status.colony`.
    pub colony: &'a mut Option<UsedColony>,
}

/// Implements [`WorkObject`] for a kind whose `$id` names what is to be adopted in its spec, and what was submitted in its
/// status.
macro_rules! work_object {
    ($object:ty, $status:ty, $work:literal, $id:ident, $field:literal) => {
        impl $crate::api::work::WorkObject for $object {
            const WORK: &'static str = $work;
            const ADOPTED_FIELD: &'static str = $field;

            fn policies(&self) -> $crate::api::work::WorkPolicies<'_> {
                let spec = &self.spec;
                $crate::api::work::WorkPolicies {
                    colony: spec.colony.as_deref(),
                    suspend: spec.suspend,
                    cancel: spec.cancel,
                    active_deadline_seconds: spec.active_deadline_seconds,
                    ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
                    deletion_policy: spec.deletion_policy,
                    adopted_id: spec.$id.as_deref(),
                    adoption_policy: spec.adoption_policy,
                    restore_policy: spec.restore_policy,
                    management_policies: &spec.management_policies,
                }
            }

            fn record(status: &$status) -> $crate::api::work::WorkRecord<'_> {
                $crate::api::work::WorkRecord {
                    state: status.state,
                    attempts: status.attempts,
                    active_since: status.active_since.as_ref(),
                    completion_time: status.completion_time.as_ref(),
                    stopping: status.stopping,
                    mirror: status.mirror.as_ref(),
                }
            }

            fn record_mut(status: &mut $status) -> $crate::api::work::WorkRecordMut<'_> {
                $crate::api::work::WorkRecordMut {
                    observed_generation: &mut status.observed_generation,
                    state: &mut status.state,
                    id: &mut status.$id,
                    attempts: &mut status.attempts,
                    active_since: &mut status.active_since,
                    start_time: &mut status.start_time,
                    completion_time: &mut status.completion_time,
                    output_truncated: &mut status.output_truncated,
                    stopping: &mut status.stopping,
                    mirror: &mut status.mirror,
                    colony: &mut status.colony,
                }
            }
        }
    };
}

pub(super) use work_object;
