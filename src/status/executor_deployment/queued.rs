//! That pods wait in a queue of Kueue.

use kube::ResourceExt as _;

use crate::{
    api::executor_deployment::Workload,
    snapshot::{ExecutorDeploymentSnapshot, is_queued},
};

/// What waits for which queue; none where nothing does.
pub(super) fn queued(snapshot: &ExecutorDeploymentSnapshot) -> Option<String> {
    let (object, namespace) = (&snapshot.object, snapshot.object.namespace().unwrap_or_default());
    let job = snapshot.workloads.job.known().and_then(Option::as_ref);
    let is_suspended = job.and_then(|job| job.spec.as_ref()?.suspend).unwrap_or_default();
    let what = match snapshot.pods.iter().filter(|pod| is_queued(pod)).count() {
        0 if object.spec.workload == Workload::Job && object.queue().is_some() && is_suspended => {
            format!("Job {} waits", object.name_any())
        }
        0 => return None,
        1 => "1 pod waits".to_owned(),
        count => format!("{count} pods wait"),
    };
    Some(match object.queue() {
        Some(queue) => {
            format!("{what} in queue {queue}: kubectl get workloads --namespace {namespace} shows why")
        }
        None => format!("{what} behind scheduling gates: the controller that uses them removes them"),
    })
}
