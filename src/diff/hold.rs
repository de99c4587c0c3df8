//! Plans the finalizer of a fleet, and the note by which one that was restored from a backup finds what was done for it. Pure.

use kube::ResourceExt as _;

use super::KubernetesStep;
use crate::{
    api::{
        executor_deployment::Workload,
        names::{EXECUTOR_DEPLOYMENT_FINALIZER, SUBMITTED_AS_ANNOTATION, submitted_as},
    },
    snapshot::ExecutorDeploymentSnapshot,
};

/// Holds the object. One that runs to an end is noted with its UID: where it is restored from a backup, what became of it is found.
pub(super) fn hold(snapshot: &ExecutorDeploymentSnapshot) -> Option<KubernetesStep> {
    let (object, is_held) = (&snapshot.object, has_finalizer(snapshot));
    if object.spec.workload != Workload::Job {
        return (!is_held).then_some(KubernetesStep::AddFinalizer);
    }
    let (uid, namespace) = (object.uid().unwrap_or_default(), object.namespace().unwrap_or_default());
    let submitted_as = submitted_as(&snapshot.cluster, &uid, &namespace, &object.name_any());
    let is_of_earlier =
        object.annotations().get(SUBMITTED_AS_ANNOTATION).is_some_and(|said| *said != submitted_as);
    // Until something is on record, the note of the earlier one is needed.
    let is_recorded = object.status.as_ref().is_some_and(|status| status.mirror.is_some());
    match (is_held, is_of_earlier) {
        (true, false) => None,
        (true, true) => is_recorded.then_some(KubernetesStep::Hold { submitted_as }),
        (false, true) if !is_recorded => Some(KubernetesStep::AddFinalizer),
        (false, _) => Some(KubernetesStep::Hold { submitted_as }),
    }
}

pub(super) fn has_finalizer(snapshot: &ExecutorDeploymentSnapshot) -> bool {
    snapshot.object.finalizers().iter().any(|finalizer| finalizer == EXECUTOR_DEPLOYMENT_FINALIZER)
}
