//! The policies of an instance, and its release when its definition leaves it. Pure.

use crate::{
    api::{mirror::Mirrored as _, names::INSTANCE_FINALIZER},
    diff::{KubernetesStep, Plan, Step, work::Terms},
    snapshot::InstanceSnapshot,
};

/// The policies of an object of work.
#[must_use]
pub fn terms(snapshot: &InstanceSnapshot) -> Terms<'_> {
    Terms {
        metadata: &snapshot.object.metadata,
        finalizer: INSTANCE_FINALIZER,
        suspend: false,
        cancel: false,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        may_update: true,
        deletion_policy: snapshot
            .kind
            .handler()
            .management_policies
            .deletion(snapshot.kind.terms().accepted.deletion_policy),
        state: None,
        active_since: None,
        completed_at: None,
        mirror: snapshot.object.mirror(),
        colony: &snapshot.header.colony,
        now: snapshot.header.now,
    }
}

/// The definition goes and leaves its instances: the finalizer would never be removed later.
pub(super) fn release(snapshot: &InstanceSnapshot) -> Plan {
    let is_held = terms(snapshot).has_finalizer();
    let steps = is_held.then_some(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    Plan { steps: steps.into_iter().collect(), ..Plan::default() }
}
