//! The object that a `ColonyCron` wants for a time of its schedule. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;

use super::{Problem, schedule::Schedule};
use crate::{
    api::{
        colony_cron::{ColonyCron, RunKind, TemplateMetadata},
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        condition::Reason,
        names::{APP_MANAGED_BY_LABEL, CRON_LABEL, OPERATOR, SCHEDULED_AT_ANNOTATION, cron_run},
    },
    kinds::SpecError,
    snapshot::ColonyCronSnapshot,
};

#[derive(Clone, Debug, PartialEq)]
pub enum DesiredRun {
    Process(Box<ColonyProcess>),
    Workflow(Box<ColonyWorkflow>),
}

impl DesiredRun {
    #[must_use]
    pub const fn kind(&self) -> RunKind {
        match self {
            Self::Process(_) => RunKind::Process,
            Self::Workflow(_) => RunKind::Workflow,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        let metadata = match self {
            Self::Process(process) => &process.metadata,
            Self::Workflow(workflow) => &workflow.metadata,
        };
        metadata.name.as_deref().unwrap_or_default()
    }
}

/// Stage 2.
///
/// # Errors
///
/// When the schedule cannot be followed.
pub fn schedule(snapshot: &ColonyCronSnapshot) -> Result<Schedule, Problem> {
    let spec = &snapshot.object.spec;
    Schedule::parse(&spec.schedule, spec.time_zone.as_deref())
        .map_err(|error| Problem { reason: Reason::InvalidSchedule, message: error.to_string() })
}

/// Makes the run for a time. Asked twice, it gives the same object twice.
///
/// # Errors
///
/// When the object lacks what an API server always sets, or a template.
pub fn build(cron: &ColonyCron, time: Timestamp) -> Result<DesiredRun, SpecError> {
    if let Some(template) = &cron.spec.process_template {
        let metadata = metadata(cron, &template.metadata, time)?;
        let spec = template.spec.clone();
        return Ok(DesiredRun::Process(Box::new(ColonyProcess { metadata, spec, status: None })));
    }
    if let Some(template) = &cron.spec.workflow_template {
        let metadata = metadata(cron, &template.metadata, time)?;
        let spec = template.spec.clone();
        return Ok(DesiredRun::Workflow(Box::new(ColonyWorkflow { metadata, spec, status: None })));
    }
    Err(SpecError::invalid("spec.processTemplate", "absent", "set it, or workflowTemplate"))
}

fn metadata(
    cron: &ColonyCron,
    template: &TemplateMetadata,
    time: Timestamp,
) -> Result<ObjectMeta, SpecError> {
    let name = cron.metadata.name.clone().ok_or(SpecError::Incomplete("metadata.name"))?;
    let uid = cron.metadata.uid.clone().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let mut labels = template.labels.clone();
    labels.insert(CRON_LABEL.to_owned(), name.clone());
    labels.insert(APP_MANAGED_BY_LABEL.to_owned(), OPERATOR.to_owned());
    let mut annotations = template.annotations.clone();
    annotations.insert(SCHEDULED_AT_ANNOTATION.to_owned(), time.to_string());
    let owner = OwnerReference {
        api_version: ColonyCron::api_version(&()).into_owned(),
        kind: ColonyCron::kind(&()).into_owned(),
        name: name.clone(),
        uid,
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    Ok(ObjectMeta {
        name: Some(cron_run(&name, time.as_second().div_euclid(60))),
        namespace: cron.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cron() -> ColonyCron {
        serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyCron",
            "metadata": { "name": "nightly", "namespace": "media", "uid": "u-1" },
            "spec": { "schedule": "@daily", "processTemplate": {
                "metadata": { "labels": { "team": "video", "colonies.io/cron": "another" }, "annotations": { "note": "a" } },
                "spec": { "function": "clean", "conditions": { "executorType": "cleaner" } },
            } },
        }))
        .unwrap()
    }

    #[test]
    fn a_run_is_named_after_its_time_and_belongs_to_its_cron() {
        let time: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let DesiredRun::Process(run) = build(&cron(), time).unwrap() else { panic!("not a process") };
        assert_eq!(run.metadata.name.as_deref(), Some("nightly-29924640"));
        assert_eq!(run.metadata.namespace.as_deref(), Some("media"));
        let labels = run.metadata.labels.clone().unwrap();
        assert_eq!(labels.get("team").map(String::as_str), Some("video"));
        assert_eq!(
            labels.get(CRON_LABEL).map(String::as_str),
            Some("nightly"),
            "it is not the template's to say"
        );
        let annotations = run.metadata.annotations.clone().unwrap();
        assert_eq!(
            annotations.get(SCHEDULED_AT_ANNOTATION).map(String::as_str),
            Some("2026-11-24T00:00:00Z")
        );
        let owner = &run.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.uid.as_str(), owner.controller),
            ("ColonyCron", "u-1", Some(true))
        );
        assert_eq!(run.spec.call.function, "clean");
        assert_eq!(build(&cron(), time).unwrap(), DesiredRun::Process(run));
    }
}
