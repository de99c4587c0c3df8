//! What to do about pods whose executor runs something: they are marked, so that idle ones go first, and a budget of their own refuses
//! their eviction. Pure.

use k8s_openapi::{api::policy::v1::PodDisruptionBudget, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use super::{KubernetesStep, workload::is_owned};
use crate::{
    api::{
        executor_deployment::ExecutorDeploymentSpec,
        names::{BUSY_LABEL, BUSY_WITH_ANNOTATION},
        policy::ManagementPolicy,
    },
    colony::ProcessId,
    snapshot::{BusyMarks, ExecutorDeploymentSnapshot, Observed, PROTECTION, PodExecutor, PodIdentities},
};

/// What is to be done about busy pods.
#[derive(Debug, Default)]
pub(super) struct BusyPlan {
    pub steps: Vec<KubernetesStep>,
    /// What is not done, and how that is changed.
    pub left: Vec<String>,
}

/// Plans the marks of the pods and the budget. `budget`: what it should be; none where pods are not marked.
pub(super) fn plan(snapshot: &ExecutorDeploymentSnapshot, budget: Option<&PodDisruptionBudget>) -> BusyPlan {
    let mut plan = BusyPlan::default();
    let Some(identities) = snapshot.pod_identities.as_ref().filter(|identities| identities.is_offered) else {
        return plan;
    };
    plan.budget(snapshot, identities, budget);
    for pod in snapshot.pod_executors().filter(|pod| !pod.is_leaving() && !pod.is_gated) {
        let wanted = match (&identities.running, pod.name) {
            _ if budget.is_none() => None,
            (Observed::Unknown(_), _) => continue,
            (Observed::Known(running), name) => {
                let runs = name.and_then(|(name, _)| running.get(name));
                runs.filter(|runs| is_marked_with(runs.lasts, &runs.id, &pod)).map(|runs| &runs.id)
            }
        };
        plan.steps.extend(mark(&snapshot.object.spec, &pod, wanted));
    }
    plan
}

/// Whether a pod is, or is to be, marked to be busy with what it runs. Between two processes it is not marked: those who want to evict
/// it try again and again, and would never get it where work never ends. What it has begun by then, its gate lets end.
fn is_marked_with(lasts: bool, process: &ProcessId, pod: &PodExecutor<'_>) -> bool {
    match pod.busy_with() {
        Some(known) => known == process.as_str(),
        None => lasts,
    }
}

impl BusyPlan {
    fn budget(
        &mut self,
        snapshot: &ExecutorDeploymentSnapshot,
        identities: &PodIdentities,
        wanted: Option<&PodDisruptionBudget>,
    ) {
        let Observed::Known(found) = &identities.budget else { return };
        let uid = snapshot.object.uid().unwrap_or_default();
        let may = |policy| snapshot.object.spec.management_policies.allow(policy);
        let is_own = |metadata: &ObjectMeta| is_owned(metadata, &uid);
        match (found, wanted) {
            (None, Some(wanted)) if may(ManagementPolicy::Create) => {
                self.steps.push(KubernetesStep::CreateBudget(Box::new(wanted.clone())));
            }
            (Some(found), Some(wanted)) if !is_own(&found.metadata) => self.left.push(format!(
                "PodDisruptionBudget {} belongs to another owner, and evictions of busy pods are not refused: rename it",
                wanted.name_any()
            )),
            (Some(found), _) if found.metadata.deletion_timestamp.is_some() => {}
            (Some(found), Some(wanted)) if differs(found, wanted) && may(ManagementPolicy::Update) => {
                let mut budget = found.clone();
                budget.spec.clone_from(&wanted.spec);
                budget.status = None;
                self.steps.push(KubernetesStep::UpdateBudget(Box::new(budget)));
            }
            (Some(found), None) if is_own(&found.metadata) && may(ManagementPolicy::Delete) => {
                self.steps.push(KubernetesStep::DeleteBudget {
                    name: found.name_any(),
                    uid: found.uid().unwrap_or_default(),
                });
            }
            _ => {}
        }
    }
}

/// Whether a budget refuses something else. What API servers and users add besides is no difference.
fn differs(found: &PodDisruptionBudget, wanted: &PodDisruptionBudget) -> bool {
    let limits = |budget: &PodDisruptionBudget| {
        let spec = budget.spec.clone().unwrap_or_default();
        (spec.max_unavailable, spec.min_available, spec.selector)
    };
    limits(found) != limits(wanted)
}

/// The write that makes a pod say that it runs something, or nothing, if it does not say so already.
fn mark(
    spec: &ExecutorDeploymentSpec,
    pod: &PodExecutor<'_>,
    busy_with: Option<&ProcessId>,
) -> Option<KubernetesStep> {
    let marks = BusyMarks::of(pod.pod);
    let is_marked = marks.label.is_some() || marks.busy_with.is_some();
    let mut annotations = Map::new();
    match busy_with {
        Some(process) => {
            if marks.busy_with != Some(process.as_str()) {
                annotations.insert(BUSY_WITH_ANNOTATION.to_owned(), json!(process.as_str()));
            }
            for ((name, value), found) in PROTECTION.iter().zip(marks.protection) {
                // What there is already is the user's.
                if found.is_none() {
                    annotations.insert((*name).to_owned(), json!(value));
                }
            }
            if marks.label == Some("true") && annotations.is_empty() {
                return None;
            }
        }
        None if !is_marked => return None,
        None => {
            annotations.insert(BUSY_WITH_ANNOTATION.to_owned(), Value::Null);
            for ((name, value), found) in PROTECTION.iter().zip(marks.protection) {
                if found == Some(*value) && !is_of_template(spec, name) {
                    annotations.insert((*name).to_owned(), Value::Null);
                }
            }
        }
    }
    let label = if busy_with.is_some() { json!("true") } else { Value::Null };
    Some(KubernetesStep::MarkPod {
        name: pod.pod.name_any(),
        uid: pod.pod.uid().unwrap_or_default(),
        busy_with: busy_with.map(|process| process.as_str().to_owned()),
        metadata: Map::from_iter([
            ("labels".to_owned(), json!({ BUSY_LABEL: label })),
            ("annotations".to_owned(), Value::Object(annotations)),
        ]),
    })
}

/// Whether the user's template has an annotation.
fn is_of_template(spec: &ExecutorDeploymentSpec, name: &str) -> bool {
    let template = spec.template.as_ref().and_then(|template| serde_json::to_value(template).ok());
    let annotations = template.as_ref().and_then(|template| template.pointer("/metadata/annotations"));
    annotations.is_some_and(|annotations| annotations.get(name).is_some())
}
