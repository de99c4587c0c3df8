//! Fleets whose pods wait in a queue of Kueue: what their workload says for it, and what it decides. Pure.
//!
//! Names and meaning are those of Kueue's documentation of Jobs and Deployments.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use serde_json::Value;

use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, Workload},
        names::QUEUE_LABEL,
    },
    kinds::{FieldPath, SpecError},
};

/// What Kueue reads of a workload begins with this.
const PREFIX: &str = "kueue.x-k8s.io/";
/// Of a Job in a queue: whether it runs, and on which nodes, is the queue's decision.
const DECIDED: [&str; 4] = [
    "spec.suspend",
    "spec.template.spec.nodeSelector",
    "spec.template.spec.tolerations",
    "spec.template.spec.schedulingGates",
];

/// The labels of a fleet that its workload has for its queue; none where it names no queue.
///
/// # Errors
///
/// When the workload is of a kind that no queue admits.
pub(super) fn labels(object: &ExecutorDeployment) -> Result<BTreeMap<String, String>, SpecError> {
    let Some(queue) = object.queue() else { return Ok(BTreeMap::new()) };
    if object.spec.workload == Workload::DaemonSet {
        return Err(SpecError::invalid(
            format!("metadata.labels['{QUEUE_LABEL}']"),
            queue,
            "a DaemonSet does not wait in a queue: remove the label, or set spec.workload to Deployment or Job",
        ));
    }
    let labels = object.labels().iter().filter(|(name, _)| name.starts_with(PREFIX));
    Ok(labels.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The fields of a workload, as JSON, that its queue decides. Where queues have a default, Kueue sets the label itself.
pub(super) fn decided_by_queue(found: &Value) -> Vec<FieldPath> {
    let labels = found.pointer("/metadata/labels").and_then(Value::as_object);
    // A Deployment has no such field; its pods wait by themselves.
    let is_job = found.pointer("/spec/completions").is_some();
    let is_queued = is_job && labels.is_some_and(|labels| labels.contains_key(QUEUE_LABEL));
    let fields = DECIDED.iter().filter(|_| is_queued);
    fields.filter_map(|path| FieldPath::parse(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_queue_decides_of_jobs_that_bear_its_label() {
        let found = |labels: Value, spec: Value| json!({ "metadata": { "labels": labels }, "spec": spec });
        let job = json!({ "completions": 1 });
        let count = |found: &Value| decided_by_queue(found).len();
        assert_eq!(count(&found(json!({ QUEUE_LABEL: "team-a" }), job.clone())), DECIDED.len());
        assert_eq!(count(&found(json!({}), job)), 0);
        assert_eq!(count(&found(json!({ QUEUE_LABEL: "team-a" }), json!({ "replicas": 1 }))), 0);
        assert_eq!(count(&Value::Null), 0);
    }
}
