//! `ExecutorDeployments`: the stages of fleets, and what their steps leave in the cluster and the colony.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use serde_json::Value;

use super::passes::{Rehearsed, Status};
use crate::{
    act::{PLACEHOLDER, outcome::Outcome},
    api::{
        executor_deployment::{ExecutorDeployment, Workload},
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored as _},
        names::CONTENT_HASH_ANNOTATION,
    },
    colony::{ExecutorState, Process, model::Blueprint},
    desired::{DesiredIdentity, DesiredWorkload},
    diff::{ColonyStep, KubernetesStep, Plan, Problem, Step, executor_deployment::decide},
    snapshot::{
        ExecutorDeploymentSnapshot, Identity, Observed, PodIdentities, RegisteredExecutor, Registration,
    },
    status::executor_deployment::compute,
};

impl Rehearsed for ExecutorDeploymentSnapshot {
    type Findings = ();
    type Object = ExecutorDeployment;

    const FINALIZER: Option<&'static str> = Some(ExecutorDeployment::FINALIZER);

    fn decide(&self) -> Result<(Plan, ()), Problem> {
        decide(self).map(|plan| (plan, ()))
    }

    fn status(&self, pass: Result<(&Outcome, &()), &Problem>) -> Option<Status<Self>> {
        Some(compute(self, pass.map(|(outcome, ())| outcome)))
    }

    fn object(&mut self) -> &mut ExecutorDeployment {
        &mut self.object
    }

    fn kind(&self) {}

    fn now(&self) -> Timestamp {
        self.now
    }

    fn mirror(&self) -> Option<&MirrorStatus> {
        self.object.mirror()
    }

    fn processes(&mut self) -> Option<&mut Observed<Vec<Process>>> {
        Some(&mut self.processes)
    }

    fn blueprint(&mut self) -> Option<&mut Observed<Option<Blueprint>>> {
        Some(&mut self.blueprint)
    }

    fn apply(&mut self, step: Step) -> bool {
        match step {
            Step::Kubernetes(step) => in_cluster(self, step),
            Step::Colony(step) => in_colony(self, &step),
        }
    }
}

fn in_cluster(snapshot: &mut ExecutorDeploymentSnapshot, step: KubernetesStep) -> bool {
    match step {
        KubernetesStep::CreateIdentity(identity) => {
            snapshot.identity = Observed::Known(Some(made(&identity)));
            snapshot.registration = Observed::Known(Registration::Absent);
        }
        KubernetesStep::UpdateIdentity { identity, .. } => {
            if let Observed::Known(Some(known)) = &mut snapshot.identity {
                let made = made(&identity);
                (known.content_hash, known.owner_uid) = (made.content_hash, made.owner_uid);
            }
        }
        KubernetesStep::ReleaseIdentity { .. } => {
            if let Observed::Known(Some(known)) = &mut snapshot.identity {
                known.owner_uid = None;
            }
        }
        KubernetesStep::DeleteIdentity { .. } => snapshot.identity = Observed::Known(None),
        KubernetesStep::CreatePodIdentity { identity, executor } => {
            if let Some(identities) = &mut snapshot.pod_identities {
                let made = Identity { executor_name: executor.clone(), ..made(&identity) };
                identities.secrets.insert(executor, Observed::Known(Some(made)));
            }
        }
        KubernetesStep::OpenPod { name, .. } => {
            for pod in snapshot.pods.iter_mut().filter(|pod| pod.name_any() == name) {
                pod.spec.get_or_insert_default().scheduling_gates = None;
            }
        }
        KubernetesStep::MarkPod { name, metadata, .. } => {
            for pod in snapshot.pods.iter_mut().filter(|pod| pod.name_any() == name) {
                patch(pod.labels_mut(), metadata.get("labels"));
                patch(pod.annotations_mut(), metadata.get("annotations"));
            }
        }
        KubernetesStep::CreateBudget(budget) | KubernetesStep::UpdateBudget(budget) => {
            set_budget(snapshot, Some(*budget));
        }
        KubernetesStep::DeleteBudget { .. } => set_budget(snapshot, None),
        KubernetesStep::DeletePod { name, .. } => snapshot.pods.retain(|pod| pod.name_any() != name),
        KubernetesStep::CreateWorkload(workload) | KubernetesStep::UpdateWorkload { workload, .. } => {
            let workloads = &mut snapshot.workloads;
            match workload {
                DesiredWorkload::Deployment(deployment) => {
                    workloads.deployment = Observed::Known(Some(*deployment));
                }
                DesiredWorkload::DaemonSet(daemon_set) => {
                    workloads.daemon_set = Observed::Known(Some(*daemon_set));
                }
                DesiredWorkload::Job(job) => workloads.job = Observed::Known(Some(*job)),
            }
        }
        KubernetesStep::DeleteWorkload { kind, .. } => {
            snapshot.pods.clear();
            if let Some(PodIdentities { registered: Observed::Known(registered), without_pod, .. }) =
                &mut snapshot.pod_identities
            {
                let is_left =
                    |(_, found): &(&String, &RegisteredExecutor)| found.state != ExecutorState::Unregistered;
                *without_pod = Observed::Known(
                    registered.iter().filter(is_left).map(|(name, _)| name.clone()).collect(),
                );
            }
            match kind {
                Workload::Deployment => snapshot.workloads.deployment = Observed::Known(None),
                Workload::DaemonSet => snapshot.workloads.daemon_set = Observed::Known(None),
                Workload::Job => snapshot.workloads.job = Observed::Known(None),
            }
        }
        _ => return false,
    }
    true
}

fn patch(all: &mut BTreeMap<String, String>, changes: Option<&Value>) {
    for (name, value) in changes.and_then(Value::as_object).into_iter().flatten() {
        match value.as_str() {
            Some(value) => drop(all.insert(name.clone(), value.to_owned())),
            None => drop(all.remove(name)),
        }
    }
}

fn set_budget(snapshot: &mut ExecutorDeploymentSnapshot, budget: Option<PodDisruptionBudget>) {
    if let Some(identities) = &mut snapshot.pod_identities {
        identities.budget = Observed::Known(budget);
    }
}

fn in_colony(snapshot: &mut ExecutorDeploymentSnapshot, step: &ColonyStep) -> bool {
    match step {
        ColonyStep::RegisterExecutor { name, id, .. }
            if let Some(registered) = registered_of_pods(snapshot, name) =>
        {
            let found = RegisteredExecutor { state: ExecutorState::Approved, id: id.clone() };
            registered.insert(name.clone(), found);
        }
        ColonyStep::RemoveExecutor { name } if let Some(registered) = registered_of_pods(snapshot, name) => {
            registered.remove(name);
            if let Some(PodIdentities { without_pod: Observed::Known(left), .. }) =
                &mut snapshot.pod_identities
            {
                left.remove(name);
            }
        }
        ColonyStep::RegisterExecutor { .. } => {
            snapshot.registration = Observed::Known(Registration::Present(ExecutorState::Approved));
        }
        ColonyStep::RemoveExecutor { name } => {
            let current = snapshot.identity.known().and_then(Option::as_ref);
            // A predecessor that leaves makes no difference to the one in use.
            if current.is_none_or(|current| current.executor_name == *name) {
                snapshot.registration = Observed::Known(Registration::Present(ExecutorState::Unregistered));
            }
        }
        _ => return false,
    }
    true
}

/// The executors of the colony among which one is that of a pod; none if it is the one that all share.
fn registered_of_pods<'a>(
    snapshot: &'a mut ExecutorDeploymentSnapshot,
    name: &str,
) -> Option<&'a mut BTreeMap<String, RegisteredExecutor>> {
    let shared = snapshot.identity.known().and_then(Option::as_ref);
    if shared.is_some_and(|shared| shared.executor_name == name) {
        return None;
    }
    match &mut snapshot.pod_identities.as_mut()?.registered {
        Observed::Known(registered) => Some(registered),
        Observed::Unknown(_) => None,
    }
}

/// The identity as it would be made; name and id are not known before.
fn made(identity: &DesiredIdentity) -> Identity {
    let metadata = &identity.metadata;
    Identity {
        owner_uid: metadata.owner_references.iter().flatten().next().map(|owner| owner.uid.clone()),
        uid: None,
        resource_version: None,
        executor_name: format!("{}-<random>", identity.name_prefix),
        executor_id: PLACEHOLDER.to_owned(),
        executor_type: Some(identity.executor_type.clone()),
        location: Some(identity.location.clone().unwrap_or_default()),
        content_hash: metadata.annotations.as_ref().and_then(|all| all.get(CONTENT_HASH_ANNOTATION).cloned()),
    }
}
