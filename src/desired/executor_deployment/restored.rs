//! A Job that had run to its end before its fleet was restored from a backup, which gave the fleet another UID and no status. Pure.

use serde_json::Value;

use super::run_hash;
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentSpec, FinishedJob, JobFailure},
        names::RECONCILE_FUNCTION,
    },
    colony::{Process, ProcessState},
    desired::SharedSpec,
    snapshot::ExecutorDeploymentSnapshot,
};

/// The snapshot, in which status knows what the colony knows of an earlier run.
#[must_use]
pub fn with_earlier_run(mut snapshot: ExecutorDeploymentSnapshot) -> ExecutorDeploymentSnapshot {
    let last = snapshot.earlier.known().and_then(|earlier| earlier.last());
    if let Some(finished) = last.and_then(|last| finished(&snapshot.object, last)) {
        snapshot.object.status.get_or_insert_default().finished_job = Some(finished);
    }
    snapshot
}

/// The Job of an earlier process, if it ran to its end what the spec asks for. The values of variables are not in it: a fleet in which
/// only these differ counts as the same.
fn finished(object: &ExecutorDeployment, earlier: &Process) -> Option<FinishedJob> {
    let spec = earlier.spec.kwargs.get("spec").filter(|_| earlier.spec.function == RECONCILE_FUNCTION)?;
    let given: ExecutorDeploymentSpec = serde_json::from_value(spec.clone()).ok()?;
    let told = |spec: &ExecutorDeploymentSpec| SharedSpec::of_object(spec).without_variables();
    // The process of a suspended one is closed although nothing has run.
    if given.suspend || told(&given) != told(&object.spec) {
        return None;
    }
    let failure = match earlier.state {
        ProcessState::Successful => None,
        ProcessState::Failed => {
            let errors = earlier.errors.join("; ");
            let (reason, message) = errors.split_once(": ").unwrap_or(("JobFailed", &errors));
            Some(JobFailure { reason: reason.to_owned(), message: message.to_owned() })
        }
        ProcessState::Waiting | ProcessState::Running | ProcessState::Cancelled => return None,
    };
    let output = earlier.output.first();
    let ready = output.and_then(|output| output.get("readyReplicas")).and_then(Value::as_i64);
    Some(FinishedJob {
        uid: String::new(),
        generation: object.metadata.generation.unwrap_or_default(),
        run: run_hash(object),
        replicas: object.spec.replicas,
        succeeded: ready.and_then(|ready| i32::try_from(ready).ok()).unwrap_or_default(),
        failure,
    })
}
