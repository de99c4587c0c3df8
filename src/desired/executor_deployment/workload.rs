//! The object that runs the pods: a Deployment, a `DaemonSet` or a Job. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{
            DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, Deployment, DeploymentSpec,
            DeploymentStrategy, RollingUpdateDaemonSet, RollingUpdateDeployment,
        },
        batch::v1::{Job, JobSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{queue, run_hash};
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentSpec, Workload},
        metadata::{self, Owner},
        names::{CONTENT_HASH_ANNOTATION, FIELDS_ANNOTATION, RUN_ANNOTATION},
    },
    kinds::SpecError,
};

/// The object that runs the pods.
#[derive(Clone, Debug, PartialEq)]
pub enum DesiredWorkload {
    /// A number of pods.
    Deployment(Box<Deployment>),
    /// A pod on each node.
    DaemonSet(Box<DaemonSet>),
    /// Pods that run to their end.
    Job(Box<Job>),
}

impl DesiredWorkload {
    #[must_use]
    pub const fn kind(&self) -> Workload {
        match self {
            Self::Deployment(_) => Workload::Deployment,
            Self::DaemonSet(_) => Workload::DaemonSet,
            Self::Job(_) => Workload::Job,
        }
    }
}

impl From<Deployment> for DesiredWorkload {
    fn from(deployment: Deployment) -> Self {
        Self::Deployment(Box::new(deployment))
    }
}

impl From<DaemonSet> for DesiredWorkload {
    fn from(daemon_set: DaemonSet) -> Self {
        Self::DaemonSet(Box::new(daemon_set))
    }
}

impl From<Job> for DesiredWorkload {
    fn from(job: Job) -> Self {
        Self::Job(Box::new(job))
    }
}

/// Makes the object that runs the pods; none for a suspended `DaemonSet`, which cannot be scaled to zero, and a suspended Job in
/// a queue.
///
/// # Errors
///
/// When it cannot be written as JSON, which its types do not allow.
pub fn build(
    owner: &Owner,
    object: &ExecutorDeployment,
    template: PodTemplateSpec,
) -> Result<Option<DesiredWorkload>, SpecError> {
    let spec = &object.spec;
    let mut metadata = owner.child(&owner.name, &spec.executor_type);
    let for_queue = queue::labels(object)?;
    let is_queued = !for_queue.is_empty();
    metadata.labels.get_or_insert_default().extend(for_queue);
    Ok(match spec.workload {
        Workload::Deployment => {
            let spec = deployment(owner, spec, template);
            annotate(&mut metadata, &spec)?;
            Some(DesiredWorkload::Deployment(Box::new(Deployment {
                metadata,
                spec: Some(spec),
                status: None,
            })))
        }
        Workload::DaemonSet if spec.suspend => None,
        // Its queue would have it run again.
        Workload::Job if spec.suspend && is_queued => None,
        Workload::DaemonSet => {
            let spec = daemon_set(owner, spec, template);
            annotate(&mut metadata, &spec)?;
            Some(DesiredWorkload::DaemonSet(Box::new(DaemonSet { metadata, spec: Some(spec), status: None })))
        }
        Workload::Job => {
            let mut spec = job(spec, template);
            // The queue lets it run.
            spec.suspend = Some(spec.suspend.unwrap_or_default() || is_queued);
            annotate(&mut metadata, &spec)?;
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(RUN_ANNOTATION.to_owned(), run_hash(object));
            Some(DesiredWorkload::Job(Box::new(Job { metadata, spec: Some(spec), status: None })))
        }
    })
}

fn annotate(metadata: &mut ObjectMeta, spec: &impl Serialize) -> Result<(), SpecError> {
    let content = serde_json::to_value(spec).map_err(|error| {
        SpecError::invalid("spec", error.to_string(), "report this: it is the operator's mistake")
    })?;
    let hash = metadata::content_hash(&content);
    let of_template = |part: &str| {
        let written = content.pointer(&format!("/template/metadata/{part}")).and_then(Value::as_object);
        written.into_iter().flatten().map(|(key, _)| (key.clone(), 0)).collect::<Value>()
    };
    // Others may add to both, and keep what they add.
    let of_template = json!({ "annotations": of_template("annotations"), "labels": of_template("labels") });
    let fields = json!({ "spec": { "template": { "metadata": of_template } } });
    metadata.annotations = Some(BTreeMap::from([
        (CONTENT_HASH_ANNOTATION.to_owned(), hash),
        (FIELDS_ANNOTATION.to_owned(), fields.to_string()),
    ]));
    Ok(())
}

fn deployment(owner: &Owner, spec: &ExecutorDeploymentSpec, template: PodTemplateSpec) -> DeploymentSpec {
    DeploymentSpec {
        replicas: Some(if spec.suspend { 0 } else { spec.replicas }),
        selector: owner.label_selector(),
        strategy: spec.drain.as_ref().map(|_| DeploymentStrategy {
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::String("25%".to_owned())),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
            type_: Some(ROLLING.to_owned()),
        }),
        template,
        ..DeploymentSpec::default()
    }
}

fn daemon_set(owner: &Owner, spec: &ExecutorDeploymentSpec, template: PodTemplateSpec) -> DaemonSetSpec {
    DaemonSetSpec {
        selector: owner.label_selector(),
        update_strategy: spec.drain.as_ref().map(|_| DaemonSetUpdateStrategy {
            rolling_update: Some(RollingUpdateDaemonSet {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
            type_: Some(ROLLING.to_owned()),
        }),
        template,
        ..DaemonSetSpec::default()
    }
}

/// What is drained is replaced by pods that stand beside it: those of the last good revision go when others are available.
const ROLLING: &str = "RollingUpdate";

/// An indexed Job with as many completions as pods: the only kind of Job whose size may change while it runs.
fn job(spec: &ExecutorDeploymentSpec, mut template: PodTemplateSpec) -> JobSpec {
    if let Some(pod) = &mut template.spec {
        pod.restart_policy.get_or_insert_with(|| "OnFailure".to_owned());
    }
    JobSpec {
        parallelism: Some(spec.replicas),
        completions: Some(spec.replicas),
        completion_mode: Some("Indexed".to_owned()),
        suspend: Some(spec.suspend),
        template,
        ..JobSpec::default()
    }
}
