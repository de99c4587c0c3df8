//! What only Events tell of the workloads of fleets.

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{executor_deployment::Reader, object_events::events};
use crate::{
    api::executor_deployment::{ExecutorDeployment, Workload},
    snapshot::{Workloads, progress},
};

impl Reader {
    /// Why the API server refuses pods of a Job or `DaemonSet` that lacks some. What cannot be read is not known to be
    /// refused.
    pub(super) async fn refused_pods(
        &self,
        object: &ExecutorDeployment,
        workloads: &Workloads,
        now: Timestamp,
    ) -> Option<String> {
        let (progress, uid) = match object.spec.workload {
            Workload::Deployment => return None,
            Workload::DaemonSet => {
                let found = workloads.daemon_set.known()?.as_ref()?;
                (progress::of_daemon_set(found), found.metadata.uid.as_deref()?)
            }
            Workload::Job => {
                let found = workloads.job.known()?.as_ref()?;
                (progress::of_job(found), found.metadata.uid.as_deref()?)
            }
        };
        if !progress::lacks_pods(&progress) || object.spec.suspend {
            return None;
        }
        let events = events(&self.client, &object.namespace()?, uid, progress::FAILED_CREATE).await;
        progress::refusal_of_events(&events, now)
    }
}
