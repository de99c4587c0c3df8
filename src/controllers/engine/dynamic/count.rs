//! Counts the instances of a definition, for its status.

use std::time::Duration;

use kube::{core::DeserializeGuard, runtime::reflector::ObjectRef};

use crate::{
    api::{
        condition::ConditionType,
        resource_definition::{InstanceCounts, ResourceDefinition},
    },
    controllers::engine::{context::Requeuer, retry::jitter},
    snapshot::LiveInstance,
};

/// How long changes of instances gather before they are counted: a definition's status is not written for each of them.
const DEBOUNCE: Duration = Duration::from_secs(5);

/// How many instances there are, and how they fare.
pub(super) fn counts(live: &[LiveInstance]) -> InstanceCounts {
    let mut counts = InstanceCounts::default();
    for guarded in live {
        counts.total += 1;
        let Ok(instance) = &guarded.0 else {
            counts.degraded += 1;
            continue;
        };
        let holds = |kind: ConditionType| {
            let mut conditions = instance.status.iter().flat_map(|status| &status.conditions);
            conditions.any(|condition| condition.type_ == kind.as_str() && condition.status == "True")
        };
        counts.ready += i32::from(holds(ConditionType::Ready));
        counts.degraded += i32::from(holds(ConditionType::Degraded));
    }
    counts
}

/// Has a definition looked at some time after its instances have changed, for as long as they do.
pub(super) async fn count(
    changed: tokio::sync::watch::Sender<()>,
    definition: ObjectRef<DeserializeGuard<ResourceDefinition>>,
    definitions: Requeuer<DeserializeGuard<ResourceDefinition>>,
) {
    let mut heard = changed.subscribe();
    while heard.changed().await.is_ok() {
        tokio::time::sleep(jitter(DEBOUNCE)).await;
        heard.mark_unchanged();
        definitions.wake(&definition);
    }
}
