//! The status of a paused object: its previous status, and condition Paused. Pure.
//!
//! The first pass that is none drops the condition again, as it does with every type that it does not find.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};

use super::condition::{Finding, merge};
use crate::api::{
    condition::{ConditionType, Reason},
    kind::HasConditions,
    names::PAUSED_ANNOTATION,
};

/// The status of a paused object.
#[must_use]
pub fn compute<S: HasConditions + Clone + Default>(
    before: Option<&S>,
    metadata: &ObjectMeta,
    now: Timestamp,
) -> S {
    let mut status = before.cloned().unwrap_or_default();
    let conditions = status.conditions_mut();
    let paused = merge(conditions, vec![finding(metadata)], metadata.generation, now);
    dropped(conditions);
    conditions.splice(0..0, paused);
    status
}

/// Takes away that an object is paused.
pub(super) fn dropped(conditions: &mut Vec<Condition>) {
    conditions.retain(|condition| condition.type_ != ConditionType::Paused.as_str());
}

fn finding(metadata: &ObjectMeta) -> Finding {
    let goes_on = format!("remove the annotation {PAUSED_ANNOTATION} to go on");
    let message = if metadata.deletion_timestamp.is_some() {
        format!("its deletion waits, and nothing is written for it but this: {goes_on}")
    } else {
        format!("nothing is written for it but this, and the rest of its status is as it was: {goes_on}")
    };
    Finding::yes(ConditionType::Paused, Reason::ReconcilePaused, message)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::{colony_cron::ColonyCronStatus, instance::InstanceStatus};
    use crate::snapshot::fixtures::at_second;

    /// The status must not be written repeatedly, and no previous value may get lost.
    #[test]
    fn a_paused_object_says_so_once_beside_what_it_said() {
        let ready = Finding::yes(ConditionType::Ready, Reason::Reconciled, "all is well");
        let conditions = merge(&[], vec![ready], Some(1), at_second(1));
        let before = ColonyCronStatus { conditions, ..ColonyCronStatus::default() };
        let metadata = ObjectMeta { generation: Some(2), ..ObjectMeta::default() };
        let first = compute(Some(&before), &metadata, at_second(10));
        let types: Vec<&str> = first.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["Paused", "Ready"]);
        assert_eq!(first.conditions[1], before.conditions[0]);
        assert_eq!(first.conditions[0].reason, "ReconcilePaused");
        assert_eq!(compute(Some(&first), &metadata, at_second(20)), first);

        let mut resumed = first.conditions;
        dropped(&mut resumed);
        assert_eq!(resumed, before.conditions);
    }

    /// An object whose deletion waits must report why.
    #[test]
    fn a_deletion_that_waits_is_told() {
        let deleted = ObjectMeta { deletion_timestamp: Some(Time(at_second(5))), ..ObjectMeta::default() };
        let status = compute::<InstanceStatus>(None, &deleted, at_second(10));
        assert!(status.conditions[0].message.starts_with("its deletion waits"), "{status:?}");
    }
}
