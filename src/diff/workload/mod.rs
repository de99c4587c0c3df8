//! What to do about the object that runs the pods. Pure.

mod changes;
mod job;
mod metadata;
mod ownership;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::{Resource, ResourceExt as _};
use serde::{Serialize, de::DeserializeOwned};

use changes::{HASH_PATH, as_admitted, changes, content_hash};
pub use job::finished_job;
pub(super) use job::{finished, keeps_run};
use metadata::{found, keep_additions, merge};
use ownership::{adopt, foreign, may_adopt};
pub(super) use ownership::{is_owned, orphaned, releases};

use super::{KubernetesStep, OwnershipError, admission};
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, Workload},
        policy::{AdoptionPolicy, DriftPolicy, ManagementPolicy},
    },
    desired::{DesiredWorkload, WorkloadPolicies},
    snapshot::{Observed, Workloads},
};

/// What is to be done about the workload.
#[derive(Debug, Default)]
pub(super) struct WorkloadPlan {
    /// The writes.
    pub steps: Vec<KubernetesStep>,
    /// What is waited for.
    pub awaiting: Vec<String>,
    /// What differs and is left so, with the fields.
    pub drifted: Vec<String>,
    /// What admission has changed and is left so, with the fields.
    pub admitted: Vec<String>,
    /// What policies keep from being done, and how that is changed.
    pub left: Vec<String>,
    /// Whether the workload is not as the spec has it, and may not be made so.
    pub is_withheld: bool,
}

/// A kind of workload.
trait Planned: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Into<DesiredWorkload> {
    const WORKLOAD: Workload;
    /// Which fields cannot change while it is there; none if all can.
    const IS_FIXED: Option<fn(&str) -> bool> = None;

    /// Whose pods are its own.
    fn selector(&self) -> Option<&LabelSelector>;

    /// Those of the differences that matter to one that is there.
    fn pending(_wanted: &Self, _found: &Self, differences: Vec<String>) -> Vec<String> {
        differences
    }

    /// What its pods are made from.
    fn template(&self) -> Option<&PodTemplateSpec>;

    /// As [`Planned::template`], to be changed.
    fn template_mut(&mut self) -> Option<&mut PodTemplateSpec>;

    /// Brings one that is there in line with what is wanted.
    fn change(
        plan: &mut WorkloadPlan,
        wanted: &Self,
        found: &Self,
        differences: Vec<String>,
        _policies: &WorkloadPolicies,
    ) {
        let mut changed = wanted.clone();
        *changed.meta_mut() = merge(wanted.meta(), found.meta());
        if let (Some(template), Some(there)) = (changed.template_mut(), found.template()) {
            keep_additions(template, there, found.meta());
        }
        plan.update(changed.into(), differences);
    }
}

impl Planned for Deployment {
    const WORKLOAD: Workload = Workload::Deployment;

    fn selector(&self) -> Option<&LabelSelector> {
        self.spec.as_ref().map(|spec| &spec.selector)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn template_mut(&mut self) -> Option<&mut PodTemplateSpec> {
        self.spec.as_mut().map(|spec| &mut spec.template)
    }
}

impl Planned for DaemonSet {
    const WORKLOAD: Workload = Workload::DaemonSet;

    fn selector(&self) -> Option<&LabelSelector> {
        self.spec.as_ref().map(|spec| &spec.selector)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn template_mut(&mut self) -> Option<&mut PodTemplateSpec> {
        self.spec.as_mut().map(|spec| &mut spec.template)
    }
}

/// Plans the workload that should be, and the end of those of other kinds, which an earlier spec asked for.
pub(super) fn plan(
    desired: Option<&DesiredWorkload>,
    policies: &WorkloadPolicies,
    actual: &Workloads,
    object: &ExecutorDeployment,
) -> Result<WorkloadPlan, OwnershipError> {
    let owner_uid = object.metadata.uid.as_deref().unwrap_or_default();
    let mut plan = WorkloadPlan::default();
    match desired {
        Some(DesiredWorkload::Deployment(wanted)) => {
            plan.one(wanted.as_ref(), &actual.deployment, policies, owner_uid)?;
        }
        Some(DesiredWorkload::DaemonSet(wanted)) => {
            plan.one(wanted.as_ref(), &actual.daemon_set, policies, owner_uid)?;
        }
        Some(DesiredWorkload::Job(wanted)) => plan.job(wanted, &actual.job, policies, object)?,
        None => {}
    }
    let keep = desired.map(DesiredWorkload::kind);
    let why = if object.spec.suspend { "suspended" } else { "the spec selects another workload" };
    let surplus = deletions(actual, owner_uid, keep, why);
    if policies.management.allow(ManagementPolicy::Delete) {
        plan.steps.extend(surplus);
    } else {
        let remedy = ManagementPolicy::Delete.remedy();
        // What is suspended and cannot go runs on.
        plan.is_withheld |= desired.is_none() && !surplus.is_empty();
        plan.left.extend(surplus.iter().map(|step| format!("{step} is not done: spec.{remedy}")));
    }
    Ok(plan)
}

/// Whether an object of a kind exists, whatever its owner; none if that is not known.
pub(super) fn stands(actual: &Workloads, kind: Workload) -> Option<bool> {
    match kind {
        Workload::Deployment => actual.deployment.known().map(Option::is_some),
        Workload::DaemonSet => actual.daemon_set.known().map(Option::is_some),
        Workload::Job => actual.job.known().map(Option::is_some),
    }
}

/// Deletes the workloads that the object owns, but for the kind to keep.
pub(super) fn deletions(
    actual: &Workloads,
    owner_uid: &str,
    keep: Option<Workload>,
    why: &str,
) -> Vec<KubernetesStep> {
    owned(actual, owner_uid)
        .filter(|(kind, metadata)| Some(*kind) != keep && metadata.deletion_timestamp.is_none())
        .map(|(kind, metadata)| delete(kind, metadata, why))
        .collect()
}

fn owned<'a>(actual: &'a Workloads, owner_uid: &'a str) -> impl Iterator<Item = (Workload, &'a ObjectMeta)> {
    found(actual).filter(move |(_, metadata)| is_owned(metadata, owner_uid))
}

/// What a workload selects cannot change: one that selects other pods cannot be taken over.
fn selects_the_same<K: Planned>(wanted: &K, found: &K) -> Result<(), OwnershipError> {
    if wanted.selector() == found.selector() {
        return Ok(());
    }
    let selector = serde_json::to_string(&found.selector()).unwrap_or_default();
    Err(OwnershipError::Unadoptable {
        kind: K::WORKLOAD.as_str().to_owned(),
        name: found.name_any(),
        selector,
    })
}

/// Whether a workload that could not be read stands in the way of saying that none is left.
pub(super) fn unreadable(actual: &Workloads) -> Option<&str> {
    actual.deployment.unknown().or(actual.daemon_set.unknown()).or(actual.job.unknown())
}

/// Whether the object still owns a workload.
pub(super) fn any_left(actual: &Workloads, owner_uid: &str) -> bool {
    owned(actual, owner_uid).next().is_some()
}

impl WorkloadPlan {
    /// Plans the workload of one kind.
    fn one<K: Planned>(
        &mut self,
        wanted: &K,
        actual: &Observed<Option<K>>,
        policies: &WorkloadPolicies,
        owner_uid: &str,
    ) -> Result<(), OwnershipError> {
        let kind = K::WORKLOAD;
        match actual {
            Observed::Unknown(why) => self.awaiting.push(format!("{} cannot be read: {why}", kind.as_str())),
            Observed::Known(None) if policies.adoption == AdoptionPolicy::Adopt => {
                let name = wanted.name_any();
                self.awaiting.push(format!("{} {name} to be there, for it is only adopted", kind.as_str()));
            }
            Observed::Known(None) => self.create(wanted.clone().into()),
            Observed::Known(Some(found)) if may_adopt(policies, found.meta(), owner_uid) => {
                selects_the_same(wanted, found)?;
                // What it should be like is brought about afterwards.
                let mut adopted = found.clone();
                *adopted.meta_mut() = adopt(wanted.meta(), found.meta());
                self.update(adopted.into(), vec!["metadata.ownerReferences".to_owned()]);
            }
            Observed::Known(Some(found)) => {
                foreign(kind, found.meta(), owner_uid)?;
                let wanted = policies.with_ignored_fields(wanted, found);
                let is_new_wish = content_hash(wanted.meta()) != content_hash(found.meta());
                let (wanted, admitted) = as_admitted(&wanted, found, is_new_wish, K::IS_FIXED);
                self.admitted.extend(admission::told(kind.as_str(), &found.name_any(), &admitted));
                let differences = changes(&wanted, wanted.meta(), found, found.meta());
                let differences = K::pending(&wanted, found, differences);
                if differences.is_empty() {
                    return Ok(());
                }
                let may_update = policies.management.allow(ManagementPolicy::Update);
                if !may_update || (policies.drift == DriftPolicy::DetectOnly && !is_new_wish) {
                    self.leave(kind, found.meta(), &differences);
                    self.is_withheld |= is_new_wish;
                    return Ok(());
                }
                K::change(self, &wanted, found, differences, policies);
            }
        }
        Ok(())
    }

    /// Reports differences that are not corrected.
    fn leave(&mut self, kind: Workload, found: &ObjectMeta, differences: &[String]) {
        // If no desired field differs, a formerly desired field still exists.
        let fields: Vec<&str> = differences
            .iter()
            .map(|path| if path == HASH_PATH { "the previous spec" } else { path.as_str() })
            .collect();
        let name = found.name.as_deref().unwrap_or_default();
        self.drifted.push(format!("{} {name}: {}", kind.as_str(), fields.join(", ")));
    }

    fn create(&mut self, workload: DesiredWorkload) {
        self.steps.push(KubernetesStep::CreateWorkload(workload));
    }

    fn update(&mut self, workload: DesiredWorkload, differences: Vec<String>) {
        self.steps.push(KubernetesStep::UpdateWorkload { workload, differences });
    }
}

fn delete(kind: Workload, metadata: &ObjectMeta, why: &str) -> KubernetesStep {
    KubernetesStep::DeleteWorkload {
        kind,
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        why: why.to_owned(),
    }
}
