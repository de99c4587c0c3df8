//! Which writes repeat each other: those to the same target, with the same wish. Pure.

use kube::ResourceExt as _;
use serde_json::Value;

use super::{ColonyStep, KubernetesStep, Step};
use crate::{
    api::{metadata::content_hash, names::CONTENT_HASH_ANNOTATION},
    desired::DesiredWorkload,
};

/// The target of writes of an object's own spec: what is to be there does not change with the object.
pub const OWN_SPEC: &str = "own spec";

/// A write, as far as it can repeat another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// What is written to.
    pub target: String,
    /// Says what is to be there; none if the step does not tell.
    pub wish: Option<String>,
    /// UID or name of what is to be gone.
    pub deleted: Option<String>,
}

impl Repetition {
    fn of(target: String, wish: Option<String>) -> Self {
        Self { target, wish, deleted: None }
    }

    fn deleting(target: String, deleted: &str) -> Self {
        Self { target, wish: None, deleted: Some(deleted.to_owned()) }
    }
}

impl Step {
    /// What the step may repeat; none for steps that cannot be repeated in vain.
    #[must_use]
    pub fn repetition(&self) -> Option<Repetition> {
        match self {
            Self::Kubernetes(step) => in_cluster(step),
            Self::Colony(step) => in_colony(step),
        }
    }
}

fn in_cluster(step: &KubernetesStep) -> Option<Repetition> {
    let named = |kind: &str, name: &str| format!("{kind} {name}");
    Some(match step {
        KubernetesStep::CreateWorkload(workload) | KubernetesStep::UpdateWorkload { workload, .. } => {
            let metadata = match workload {
                DesiredWorkload::Deployment(deployment) => &deployment.metadata,
                DesiredWorkload::DaemonSet(daemon_set) => &daemon_set.metadata,
                DesiredWorkload::Job(job) => &job.metadata,
            };
            let annotations = metadata.annotations.as_ref();
            let wish = annotations.and_then(|all| all.get(CONTENT_HASH_ANNOTATION)).cloned();
            let name = metadata.name.as_deref().unwrap_or_default();
            let target = named(workload.kind().as_str(), name);
            // What was deleted is made again although it was corrected often: the two are counted apart.
            let is_new = matches!(step, KubernetesStep::CreateWorkload(_));
            Repetition::of(if is_new { format!("creation of {target}") } else { target }, wish)
        }
        KubernetesStep::DeleteWorkload { kind, name, uid, .. } => {
            Repetition::deleting(named(kind.as_str(), name), uid)
        }
        KubernetesStep::CreateChild(child) => {
            let target = format!("creation of {}", named(&child.kind.kind, &child.name));
            Repetition::of(target, hash_in(&child.object))
        }
        KubernetesStep::PatchChild { kind, name, patch, .. }
        | KubernetesStep::AdoptChild { kind, name, patch } => {
            Repetition::of(named(&kind.kind, name), hash_in(&Value::Object(patch.clone())))
        }
        KubernetesStep::DeleteChild { kind, name, uid, .. } => {
            Repetition::deleting(named(&kind.kind, name), uid)
        }
        KubernetesStep::CreateIdentity(identity) | KubernetesStep::UpdateIdentity { identity, .. } => {
            let annotations = identity.metadata.annotations.as_ref();
            let wish = annotations.and_then(|all| all.get(CONTENT_HASH_ANNOTATION)).cloned();
            Repetition::of(named("Secret", identity.metadata.name.as_deref().unwrap_or_default()), wish)
        }
        // One that takes its place, and is no better, has another name.
        KubernetesStep::DeletePod { why, .. } => {
            Repetition::of("deletion of pods".to_owned(), Some(why.clone()))
        }
        KubernetesStep::OpenPod { uid, .. } => Repetition::of(format!("gate of {uid}"), None),
        KubernetesStep::CreateBudget(budget) => {
            Repetition::of(format!("creation of {}", named("PodDisruptionBudget", &budget.name_any())), None)
        }
        KubernetesStep::UpdateBudget(budget) => {
            let wish = serde_json::to_value(&budget.spec).unwrap_or_default();
            Repetition::of(named("PodDisruptionBudget", &budget.name_any()), Some(content_hash(&wish)))
        }
        KubernetesStep::DeleteBudget { name, uid } => {
            Repetition::deleting(named("PodDisruptionBudget", name), uid)
        }
        // Each process is marked once, and removed once.
        KubernetesStep::MarkPod { uid, busy_with, .. } => {
            let wish = busy_with.clone().unwrap_or_else(|| "idle".to_owned());
            Repetition::of(format!("marks of {uid}"), Some(wish))
        }
        KubernetesStep::CreateCrd(crd) | KubernetesStep::UpdateCrd { crd, .. } => {
            let spec = serde_json::to_value(&crd.spec).unwrap_or_default();
            let wish = content_hash(&Value::from(vec![spec, Value::from_iter(crd.annotations().clone())]));
            Repetition::of(named("CustomResourceDefinition", &crd.name_any()), Some(wish))
        }
        KubernetesStep::DeleteCrd { name, uid } => {
            Repetition::deleting(named("CustomResourceDefinition", name), uid)
        }
        KubernetesStep::DeleteRun { name, uid, .. } => Repetition::deleting(named("run", name), uid),
        KubernetesStep::DeleteFleet { name, uid, .. } => Repetition::deleting(named("fleet", name), uid),
        KubernetesStep::DeleteObject { .. } => Repetition::deleting("object".to_owned(), "itself"),
        KubernetesStep::AddFinalizer => Repetition::of("finalizer".to_owned(), Some("held".to_owned())),
        KubernetesStep::Hold { submitted_as } => {
            Repetition::of("finalizer".to_owned(), Some(submitted_as.clone()))
        }
        // That of a request says where it stands, and changes with each step.
        KubernetesStep::UpdateSpec { hash, .. } => Repetition::of(OWN_SPEC.to_owned(), Some(hash.clone()?)),
        KubernetesStep::CreatePodIdentity { .. }
        | KubernetesStep::RecordLeft { .. }
        | KubernetesStep::ForgetLeft { .. }
        | KubernetesStep::ReleaseIdentity { .. }
        | KubernetesStep::DeleteIdentity { .. }
        | KubernetesStep::NoteAdmission { .. }
        | KubernetesStep::RemoveFinalizer
        | KubernetesStep::CreateRun { .. }
        | KubernetesStep::Rewrite { .. }
        | KubernetesStep::ConcludeMigration(_)
        | KubernetesStep::CreateFleet(_)
        | KubernetesStep::ReplaceFleet(_)
        | KubernetesStep::CreateOperatorKeys { .. }
        | KubernetesStep::AddReconcilerKey { .. } => return None,
    })
}

/// Submits have their label, and what ends a process is asked for until it has ended.
fn in_colony(step: &ColonyStep) -> Option<Repetition> {
    let hash = |content: Value| Some(content_hash(&content));
    Some(match step {
        ColonyStep::RegisterExecutor { name, .. } | ColonyStep::RegisterOperator { name, .. } => {
            Repetition::of(format!("executor {name}"), hash(Value::from(step.to_string())))
        }
        ColonyStep::RegisterMember => Repetition::of("member".to_owned(), None),
        ColonyStep::AddDefinition(definition) => {
            let wish = serde_json::to_value(definition).unwrap_or_default();
            Repetition::of(format!("definition {}", definition.metadata.name), hash(wish))
        }
        ColonyStep::AddBlueprint(blueprint) => {
            let wish = serde_json::to_value(&blueprint.spec).unwrap_or_default();
            Repetition::of(format!("blueprint {}", blueprint.metadata.name), hash(wish))
        }
        ColonyStep::UpdateBlueprint { name, spec, .. } => {
            Repetition::of(format!("blueprint {name}"), hash(Value::Object(spec.clone())))
        }
        ColonyStep::UpdateBlueprintStatus { name, status } => {
            Repetition::of(format!("status of blueprint {name}"), hash(Value::Object(status.clone())))
        }
        ColonyStep::RemoveExecutor { .. }
        | ColonyStep::RemoveMember
        | ColonyStep::RemoveDefinition { .. }
        | ColonyStep::RemoveBlueprint { .. }
        | ColonyStep::Submit(_)
        | ColonyStep::SubmitWorkflow(_)
        | ColonyStep::Cancel { .. }
        | ColonyStep::CancelGraph { .. }
        | ColonyStep::OpenGate { .. }
        | ColonyStep::CloseSuccessful { .. }
        | ColonyStep::CloseFailed { .. }
        | ColonyStep::Answer { .. } => return None,
    })
}

/// The hash of the desired state in an object or a patch.
fn hash_in(object: &Value) -> Option<String> {
    object.pointer("/metadata/annotations")?.get(CONTENT_HASH_ANNOTATION)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object is there until the watch shows its end: without a delay its deletion is asked for with each pass.
    #[test]
    fn a_deletion_of_the_object_itself_can_repeat_another() {
        let delete = |why: &str| Step::Kubernetes(KubernetesStep::DeleteObject { why: why.to_owned() });
        let first = delete("its blueprint is gone").repetition();
        assert!(first.as_ref().is_some_and(|first| first.deleted.is_some()));
        assert_eq!(first, delete("it is still gone").repetition());
    }
}
