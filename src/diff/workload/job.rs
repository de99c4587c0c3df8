//! What to do about a Job: work that ends is done once for each run that the spec asks for. Pure.

use k8s_openapi::{
    api::{batch::v1::Job, core::v1::PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::ResourceExt as _;

use super::{
    Planned, WorkloadPlan,
    changes::{HASH_PATH, is_resizable, template_differences},
    delete, is_owned, merge,
};
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, FinishedJob, JobFailure, Runtime, Workload},
        names::{RESTART_ANNOTATION, RUN_ANNOTATION},
        policy::ManagementPolicy,
    },
    desired::{WorkloadPolicies, executor_deployment::run_hash},
    diff::OwnershipError,
    snapshot::{
        Observed, Workloads,
        progress::{self, Phase},
    },
};

/// The path of the number of pods that have to succeed.
const COMPLETIONS_PATH: &str = "spec.completions";
/// The path of the annotation that names the run.
const RUN_PATH: &str = "metadata.annotations.run";

impl Planned for Job {
    const WORKLOAD: Workload = Workload::Job;
    const IS_FIXED: Option<fn(&str) -> bool> = Some(|path| !is_resizable(path));

    /// The API server makes it up, for each Job another.
    fn selector(&self) -> Option<&LabelSelector> {
        None
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn template_mut(&mut self) -> Option<&mut PodTemplateSpec> {
        self.spec.as_mut().map(|spec| &mut spec.template)
    }

    /// What Colony and operator add to a run that has begun is for the next one. Of one that has ended only the size counts.
    fn pending(wanted: &Self, found: &Self, mut differences: Vec<String>) -> Vec<String> {
        if run(&wanted.metadata) != run(&found.metadata) {
            return differences;
        }
        let is_over = is_over(found);
        differences.retain(|path| {
            path.starts_with("metadata.") && path != HASH_PATH
                || path == COMPLETIONS_PATH
                || !is_over && is_resizable(path)
        });
        differences
    }

    fn change(
        plan: &mut WorkloadPlan,
        wanted: &Self,
        found: &Self,
        differences: Vec<String>,
        policies: &WorkloadPolicies,
    ) {
        plan.change_job(wanted, found, differences, policies);
    }
}

impl WorkloadPlan {
    /// Plans a Job. One that status knows to have ended is not created again.
    pub(super) fn job(
        &mut self,
        wanted: &Job,
        actual: &Observed<Option<Job>>,
        policies: &WorkloadPolicies,
        object: &ExecutorDeployment,
    ) -> Result<(), OwnershipError> {
        let owner_uid = object.metadata.uid.as_deref().unwrap_or_default();
        match actual.known() {
            Some(None) if finished(object).is_some() => Ok(()),
            // Made by an operator that did not name runs, and carried out as this spec says.
            Some(Some(found))
                if run(&found.metadata).is_none()
                    && is_owned(&found.metadata, owner_uid)
                    && is_carried_out(object) =>
            {
                let mut named = found.clone();
                named.metadata = named_run(&found.metadata, &wanted.metadata);
                if policies.management.allow(ManagementPolicy::Update)
                    && found.metadata.deletion_timestamp.is_none()
                {
                    self.update(named.into(), vec![RUN_PATH.to_owned()]);
                    return Ok(());
                }
                self.one(wanted, &Observed::Known(Some(named)), policies, owner_uid)
            }
            _ => self.one(wanted, actual, policies, owner_uid),
        }
    }

    /// A Job can change its size while it runs; for any other change it must be created again.
    fn change_job(
        &mut self,
        wanted: &Job,
        found: &Job,
        differences: Vec<String>,
        policies: &WorkloadPolicies,
    ) {
        if found.metadata.deletion_timestamp.is_some() {
            self.awaiting.push(format!("the old Job {} to be gone", found.name_any()));
            return;
        }
        let (is_over, is_same_run) = (is_over(found), run(&wanted.metadata) == run(&found.metadata));
        let template = if is_same_run { Vec::new() } else { template_differences(wanted, found) };
        // What has run to its end cannot be suspended, and is not run again for that.
        let is_kept = |path: &String| path == "spec.suspend" || path.starts_with("metadata.");
        if is_over && template.is_empty() && differences.iter().all(is_kept) {
            if !is_same_run || differences.iter().any(|path| path.starts_with("metadata.")) {
                self.resize(wanted, found, false, vec!["metadata".to_owned()]);
            }
            return;
        }
        if is_over || !template.is_empty() || !differences.iter().all(|path| is_resizable(path)) {
            let needed = [ManagementPolicy::Delete, ManagementPolicy::Create];
            if let Some(lacking) = needed.into_iter().find(|what| !policies.management.allow(*what)) {
                self.leave(Workload::Job, &found.metadata, &differences);
                self.left.push(format!("the Job is not created again: spec.{}", lacking.remedy()));
                self.is_withheld = true;
                return;
            }
            let why = format!("a Job cannot change {}", differences.join(", "));
            self.steps.push(delete(Workload::Job, &found.metadata, &why));
            self.awaiting.push(format!("the old Job {} to be gone", found.name_any()));
            return;
        }
        self.resize(wanted, found, true, differences);
    }

    /// Writes metadata and, if it `may_run`, the size.
    fn resize(&mut self, wanted: &Job, found: &Job, may_run: bool, differences: Vec<String>) {
        // Selector and template have labels of the server's own and cannot change: take them as they are.
        let mut resized = found.clone();
        resized.metadata = merge(&wanted.metadata, &found.metadata);
        resized.status = None;
        if let (Some(spec), Some(wanted), true) = (&mut resized.spec, &wanted.spec, may_run) {
            spec.parallelism = wanted.parallelism;
            spec.completions = wanted.completions;
            spec.suspend = wanted.suspend;
        }
        self.update(resized.into(), differences);
    }
}

/// The Job that ran to its end what the spec asks for, if one did.
pub fn finished(object: &ExecutorDeployment) -> Option<&FinishedJob> {
    let (spec, finished) = (&object.spec, object.status.as_ref()?.finished_job.as_ref()?);
    let is_asked_for = spec.workload == Workload::Job
        && spec.runtime == Runtime::Kubernetes
        && finished.replicas == spec.replicas
        && finished.run == run_hash(object);
    is_asked_for.then_some(finished)
}

/// The Job that has ended what the spec asks for, as it is found or, once it is gone, as status knows it.
#[must_use]
pub fn finished_job(object: &ExecutorDeployment, actual: &Workloads) -> Option<FinishedJob> {
    let recorded = || finished(object).cloned();
    let Some(Some(job)) = actual.job.known() else { return recorded() };
    let progress = progress::of_job(job);
    let failure = match progress.phase {
        Phase::Completed => None,
        Phase::Failed { reason, message } => Some(JobFailure { reason, message }),
        Phase::Ready | Phase::Progressing => return recorded(),
    };
    if !keeps_run(object, actual) {
        return recorded();
    }
    Some(FinishedJob {
        uid: job.metadata.uid.clone().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        run: run_hash(object),
        replicas: progress.desired,
        succeeded: job.status.as_ref().and_then(|status| status.succeeded).unwrap_or_default(),
        failure,
    })
}

/// Whether a Job has begun what the spec asks for, or ended it.
pub fn keeps_run(object: &ExecutorDeployment, actual: &Workloads) -> bool {
    if object.spec.workload != Workload::Job {
        return false;
    }
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    match actual.job.known() {
        Some(Some(job)) => {
            is_owned(&job.metadata, uid)
                && run(&job.metadata).map_or_else(|| is_carried_out(object), |run| *run == run_hash(object))
        }
        Some(None) => finished(object).is_some(),
        None => true,
    }
}

/// Whether the spec was carried out as it is, as far as status knows.
fn is_carried_out(object: &ExecutorDeployment) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation.is_some()
            && status.observed_generation == object.metadata.generation
            && status.restarted_for.as_ref() == object.annotations().get(RESTART_ANNOTATION)
    })
}

fn is_over(job: &Job) -> bool {
    matches!(progress::of_job(job).phase, Phase::Completed | Phase::Failed { .. })
}

fn run(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(RUN_ANNOTATION)
}

/// The metadata of a Job, which carries out the run of another.
fn named_run(found: &ObjectMeta, wanted: &ObjectMeta) -> ObjectMeta {
    let mut named = found.clone();
    (named.managed_fields, named.resource_version) = (None, None);
    let run = run(wanted).map(|run| (RUN_ANNOTATION.to_owned(), run.clone()));
    named.annotations.get_or_insert_default().extend(run);
    named
}
