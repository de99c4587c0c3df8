//! What all kinds have in common whose objects are work: what ends it before its time, when a finished object is
//! deleted, and how a deleted one is finalized. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{KubernetesStep, Plan, Step, mirror::MirrorPlan};
use crate::{
    api::{
        mirror::MirrorStatus,
        names::{ABANDON_ANNOTATION, FOREGROUND_FINALIZER},
        policy::{DeletionPolicy, ManagementPolicies, ManagementPolicy},
        work::{StopReason, WorkState},
    },
    colony::{Process, ProcessState},
    kinds::SpecError,
    snapshot::{ColonyReference, Observed},
};

/// How long after the first failure something is submitted again; twice as long after each further one. As Jobs do it.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest such time.
const LONGEST_BACKOFF: Duration = Duration::from_mins(6);

/// How long the server may take to write the reasons of a failure, which it does after the state.
const REASONS: SignedDuration = SignedDuration::from_secs(2);

/// The policies of an object of work, and its state.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The object's metadata.
    pub metadata: &'a ObjectMeta,
    /// What holds it until nothing is alive of it.
    pub finalizer: &'static str,
    /// `spec.suspend`.
    pub suspend: bool,
    /// `spec.cancel`.
    pub cancel: bool,
    /// `spec.activeDeadlineSeconds`.
    pub active_deadline_seconds: Option<i32>,
    /// `spec.ttlSecondsAfterFinished`.
    pub ttl_seconds_after_finished: Option<i32>,
    /// Whether what runs may be ended before its time.
    pub may_update: bool,
    /// `spec.deletionPolicy`, as far as `spec.managementPolicies` let anything be deleted.
    pub deletion_policy: DeletionPolicy,
    /// Where it stands.
    pub state: Option<WorkState>,
    /// Since when it is being worked on.
    pub active_since: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// The process, or workflow, that is on record.
    pub mirror: Option<&'a MirrorStatus>,
    pub colony: &'a ColonyReference,
    /// The moment.
    pub now: Timestamp,
}

impl Terms<'_> {
    /// Whether the state is final.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.is_some_and(WorkState::is_final)
    }

    /// Why the object is not to be worked on, if so.
    #[must_use]
    pub fn wanted_stop(&self) -> Option<StopReason> {
        if self.cancel {
            Some(StopReason::Cancelled)
        } else if self.deadline().is_some_and(|deadline| deadline <= self.now) {
            Some(StopReason::DeadlineExceeded)
        } else {
            self.suspend.then_some(StopReason::Suspended)
        }
    }

    /// Why what is alive of it would be ended, if that were allowed.
    #[must_use]
    pub fn forbidden_stop(&self) -> Option<StopReason> {
        let is_live = self.mirror.is_some_and(MirrorStatus::may_live);
        self.wanted_stop().filter(|_| is_live && !self.may_update)
    }

    /// When its time is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let seconds = self.active_deadline_seconds?;
        self.active_since?.checked_add(SignedDuration::from_secs(seconds.into())).ok()
    }

    /// Deletes a finished object when it was kept long enough.
    pub(super) fn expire(&self) -> Plan {
        let (Some(ttl), Some(ended_at)) = (self.ttl_seconds_after_finished, self.completed_at) else {
            return Plan::default();
        };
        let Ok(over_at) = ended_at.checked_add(SignedDuration::from_secs(ttl.into())) else {
            return Plan::default();
        };
        if self.now < over_at {
            return Plan { due: Some(over_at), ..Plan::default() };
        }
        let why = format!("it finished {ttl} s ago");
        Plan { steps: vec![Step::Kubernetes(KubernetesStep::DeleteObject { why })], ..Plan::default() }
    }

    /// Whether the object is held.
    pub(super) fn has_finalizer(&self) -> bool {
        self.finalizers().any(|finalizer| finalizer == self.finalizer)
    }

    /// Removes the finalizer of a deleted object once nothing is left to do: `orphan` settles what outlives it, `end` ends what
    /// does not.
    pub(super) fn finalize(&self, orphan: impl FnOnce() -> Plan, end: impl FnOnce() -> Plan) -> Plan {
        if !self.has_finalizer() {
            return Plan::default();
        }
        let ours = [self.finalizer, FOREGROUND_FINALIZER];
        let others: Vec<&str> = self.finalizers().filter(|finalizer| !ours.contains(finalizer)).collect();
        if !others.is_empty() {
            let awaited = format!("finalizers of other controllers to be removed: {}", others.join(", "));
            return Plan { awaiting: vec![awaited], ..Plan::default() };
        }
        let mut plan = match self.deletion_policy {
            _ if self.is_abandoned() => Plan::default(),
            DeletionPolicy::Orphan => orphan(),
            DeletionPolicy::Delete => end(),
        };
        if plan.steps.is_empty() && plan.awaiting.is_empty() {
            plan.steps.push(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
        }
        plan
    }

    /// What remains of an object that is released without its colony, as a message; none if nothing is.
    #[must_use]
    pub fn remaining_in_colony(&self, what: &str) -> Option<String> {
        let mirror = self.mirror.filter(|mirror| self.is_abandoned() && mirror.state.is_live())?;
        Some(format!("remains in the colony: {what} {}", mirror.process_id.as_ref()?))
    }

    /// Whether the colony's side is not corrected: the colony is permanently gone, or a user declares it so.
    pub(super) fn is_abandoned(&self) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        let says = annotations.and_then(|annotations| annotations.get(ABANDON_ANNOTATION));
        // Nothing of it is anywhere: whatever was, its record names the colony.
        let is_nowhere = matches!(self.colony, ColonyReference::NotFound { .. })
            && !self.mirror.is_some_and(MirrorStatus::may_live);
        is_nowhere || says.is_some_and(|value| value == "true")
    }

    fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.metadata.finalizers.iter().flatten().map(String::as_str)
    }
}

/// A failure that the server has just noted and whose reasons it may still add: until when to wait for them, and what is
/// waited for.
pub(super) fn awaits_failure_reasons(process: &Process, now: Timestamp) -> Option<(Timestamp, String)> {
    let ended_at =
        process.ended_at.filter(|_| process.state == ProcessState::Failed && process.errors.is_empty())?;
    let due = ended_at.checked_add(REASONS).ok().filter(|due| ended_at <= now && now < *due)?;
    Some((due, format!("the server to report why process {} failed", process.id)))
}

/// Why something is ended, for a person.
#[must_use]
pub const fn stop_message(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Suspended => "spec.suspend is true",
        StopReason::Cancelled => "spec.cancel is true",
        StopReason::DeadlineExceeded => "spec.activeDeadlineSeconds has passed",
    }
}

/// Whether what is to be adopted is no other object's, and if that is not known yet, what is waited for. `field` names `what`,
/// such as `process`, by its id.
///
/// # Errors
///
/// When another object has it.
pub(super) fn check_adoptable(
    holder: &Observed<Option<String>>,
    field: &'static str,
    what: &str,
    id: &str,
) -> Result<Option<Plan>, SpecError> {
    match holder {
        Observed::Unknown(why) => {
            let awaited = format!("the check whether {what} {id} belongs to another object: {why}");
            Ok(Some(Plan { awaiting: vec![awaited], ..Plan::default() }))
        }
        Observed::Known(Some(holder)) => {
            Err(SpecError::Held { field, id: id.to_owned(), holder: holder.clone() })
        }
        Observed::Known(None) => Ok(None),
    }
}

/// When what failed at `failed` is submitted again, after the delay has doubled so often.
pub(super) fn retried_at(failed: Timestamp, doublings: i64) -> Option<Timestamp> {
    let doublings = u32::try_from(doublings.clamp(0, 16)).unwrap_or_default();
    let delay = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    failed.checked_add(delay).ok()
}

/// Holds an object that has adopted its work, where its deletion ends that. Which it does can change at any time.
pub(super) fn hold_adopted(
    terms: &Terms<'_>,
    is_adopted: bool,
    policies: &ManagementPolicies,
) -> Option<Step> {
    let is_to_be_held = is_adopted && policies.allow(ManagementPolicy::Delete) && !terms.has_finalizer();
    is_to_be_held.then_some(Step::Kubernetes(KubernetesStep::AddFinalizer))
}

/// The plan for the colony's side alone.
pub(super) fn of_mirror(plan: MirrorPlan) -> Plan {
    Plan {
        steps: plan.steps.into_iter().map(Step::Colony).collect(),
        awaiting: plan.awaiting,
        mirror: plan.mirror,
        ..Plan::default()
    }
}
