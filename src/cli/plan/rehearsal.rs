//! What the world would look like after a pass whose every step was done, so that the next pass can be shown.

use super::compute;
use crate::{
    act::outcome::{Effect, Outcome, StepResult},
    api::{executor_deployment::Workload, names::CONTENT_HASH_ANNOTATION},
    colony::{ExecutorState, ProcessState},
    desired::{DesiredIdentity, DesiredWorkload},
    diff::{ColonyStep, KubernetesStep, Plan, Step},
    snapshot::{ExecutorDeploymentSnapshot, Identity, Observed, Registration},
};

/// Changes the snapshot as the plan would change the world; whether the next pass is known. It cannot once the colony
/// has to answer, or the object is gone.
pub(super) fn assume(snapshot: &mut ExecutorDeploymentSnapshot, plan: Plan) -> bool {
    let mut tellable = true;
    for step in &plan.steps {
        match step {
            Step::Kubernetes(step) => tellable &= cluster(snapshot, step),
            Step::Colony(step) => tellable &= colony(snapshot, step),
        }
    }
    let results = plan.steps.iter().map(|_| StepResult::Done(Effect::Nothing)).collect();
    let outcome = Outcome { plan, results, resource_version: None };
    let status = compute(snapshot, Ok(&outcome));
    if let (Some(mirror), Observed::Known(processes)) = (&status.mirror, &mut snapshot.processes) {
        // What is looked up next: by id once that is known, until then by label.
        processes.retain(|process| {
            mirror
                .process_id
                .as_ref()
                .map_or(process.spec.label == mirror.label, |id| process.id.as_str() == id)
        });
    }
    snapshot.object.status = Some(status);
    tellable
}

fn cluster(snapshot: &mut ExecutorDeploymentSnapshot, step: &KubernetesStep) -> bool {
    match step {
        KubernetesStep::AddFinalizer => {
            let finalizer = crate::api::names::EXECUTOR_DEPLOYMENT_FINALIZER.to_owned();
            snapshot.object.metadata.finalizers.get_or_insert_default().push(finalizer);
        }
        KubernetesStep::RemoveFinalizer
        | KubernetesStep::DeleteObject { .. }
        | KubernetesStep::CreateChild(_)
        | KubernetesStep::AdoptChild { .. }
        | KubernetesStep::PatchChild { .. }
        | KubernetesStep::DeleteChild { .. }
        | KubernetesStep::CreateRun { .. }
        | KubernetesStep::DeleteRun { .. }
        | KubernetesStep::CreateCrd(_)
        | KubernetesStep::UpdateCrd { .. }
        | KubernetesStep::DeleteCrd { .. }
        | KubernetesStep::Rewrite { .. }
        | KubernetesStep::ConcludeMigration(_)
        | KubernetesStep::CreateFleet(_)
        | KubernetesStep::ReplaceFleet(_)
        | KubernetesStep::DeleteFleet { .. }
        | KubernetesStep::CreateOperatorKeys { .. }
        | KubernetesStep::AddReconcilerKey { .. } => return false,
        KubernetesStep::CreateIdentity(identity) => {
            snapshot.identity = Observed::Known(Some(made(identity)));
            snapshot.registration = Observed::Known(Registration::Absent);
        }
        KubernetesStep::UpdateIdentity { identity, .. } => {
            if let Observed::Known(Some(known)) = &mut snapshot.identity {
                let made = made(identity);
                (known.content_hash, known.owner_uid) = (made.content_hash, made.owner_uid);
            }
        }
        KubernetesStep::ReleaseIdentity { .. } => {
            if let Observed::Known(Some(known)) = &mut snapshot.identity {
                known.owner_uid = None;
            }
        }
        KubernetesStep::DeleteIdentity { .. } => snapshot.identity = Observed::Known(None),
        KubernetesStep::CreateWorkload(workload) | KubernetesStep::UpdateWorkload { workload, .. } => {
            let workloads = &mut snapshot.workloads;
            match workload.clone() {
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
            match kind {
                Workload::Deployment => snapshot.workloads.deployment = Observed::Known(None),
                Workload::DaemonSet => snapshot.workloads.daemon_set = Observed::Known(None),
                Workload::Job => snapshot.workloads.job = Observed::Known(None),
            }
        }
        KubernetesStep::UpdateSpec { spec, .. } => {
            let Ok(spec) = serde_json::from_value(serde_json::Value::Object(spec.clone())) else {
                return false;
            };
            snapshot.object.spec = spec;
            let generation = snapshot.object.metadata.generation.get_or_insert(1);
            *generation = generation.saturating_add(1);
        }
    }
    true
}

fn colony(snapshot: &mut ExecutorDeploymentSnapshot, step: &ColonyStep) -> bool {
    match step {
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
        ColonyStep::AddBlueprint(blueprint) => {
            snapshot.blueprint = Observed::Known(Some(blueprint.as_ref().clone()));
        }
        ColonyStep::UpdateBlueprint { spec, .. } => {
            if let Observed::Known(Some(blueprint)) = &mut snapshot.blueprint {
                blueprint.spec.clone_from(spec);
                blueprint.metadata.generation = blueprint.metadata.generation.saturating_add(1);
            }
        }
        ColonyStep::UpdateBlueprintStatus { status, .. } => {
            if let Observed::Known(Some(blueprint)) = &mut snapshot.blueprint {
                blueprint.status.clone_from(status);
            }
        }
        ColonyStep::RemoveBlueprint { .. } => snapshot.blueprint = Observed::Known(None),
        ColonyStep::Cancel { process_id, .. } => {
            if let Observed::Known(processes) = &mut snapshot.processes {
                let cancelled = processes.iter_mut().filter(|process| process.id.as_str() == process_id);
                cancelled.for_each(|process| process.state = ProcessState::Cancelled);
            }
        }
        ColonyStep::CancelGraph { graph_id, .. } => {
            if let Observed::Known(processes) = &mut snapshot.processes {
                let cancelled = processes.iter_mut().filter(|process| process.graph_id == *graph_id);
                cancelled.for_each(|process| process.state = ProcessState::Cancelled);
            }
        }
        ColonyStep::Submit(_)
        | ColonyStep::SubmitWorkflow(_)
        | ColonyStep::OpenGate { .. }
        | ColonyStep::CloseSuccessful { .. }
        | ColonyStep::CloseFailed { .. }
        | ColonyStep::RegisterMember
        | ColonyStep::RegisterOperator { .. }
        | ColonyStep::AddDefinition(_)
        | ColonyStep::RemoveDefinition { .. }
        | ColonyStep::Answer { .. } => {
            return false;
        }
    }
    true
}

/// The identity as it would be made; name and id are not known before.
fn made(identity: &DesiredIdentity) -> Identity {
    let metadata = &identity.metadata;
    Identity {
        owner_uid: metadata.owner_references.iter().flatten().next().map(|owner| owner.uid.clone()),
        resource_version: None,
        executor_name: format!("{}-<random>", identity.name_prefix),
        executor_id: "<id>".to_owned(),
        executor_type: Some(identity.executor_type.clone()),
        location: Some(identity.location.clone().unwrap_or_default()),
        content_hash: metadata.annotations.as_ref().and_then(|all| all.get(CONTENT_HASH_ANNOTATION).cloned()),
    }
}
