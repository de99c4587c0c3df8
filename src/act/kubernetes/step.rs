//! Which request carries out which step.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{Pod, Secret},
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use super::Cluster;
use crate::{
    act::{
        Target,
        failure::{refused, unavailable},
        identity,
        kinds::StatusKind,
        operator_keys,
        outcome::{Done, Effect, FailureKind, StepFailure},
        owner::Owner,
        wiped::WipedSecret,
    },
    api::{
        colony_cron::RunKind,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        executor_deployment::{ExecutorDeployment, Workload},
        names::{LEFT_KEY_PREFIX, operator_secret},
    },
    colony::InvalidKey,
    desired::{DesiredIdentity, DesiredWorkload, colony_cron::DesiredRun},
    diff::KubernetesStep,
    memory::identities::read_identity,
};

impl Cluster {
    /// Carries one step out.
    pub(in crate::act) async fn execute<K: StatusKind>(
        &self,
        step: &KubernetesStep,
        target: &Target<'_, K>,
    ) -> Result<Done, StepFailure> {
        let namespace = target.object.namespace().unwrap_or_default();
        let uid = target.object.meta().uid.clone().unwrap_or_default();
        let owner = Owner { namespace: &namespace, uid: &uid };
        let finalizer = || {
            let why = format!("objects of kind {} have no finalizer", K::name_of(target.kind));
            target.finalizer.ok_or_else(|| refused(&step.to_string(), &why))
        };
        match step {
            KubernetesStep::AddFinalizer => {
                return self.add_finalizer(target.kind, target.object, finalizer()?, None).await;
            }
            KubernetesStep::Hold { submitted_as } => {
                return self
                    .add_finalizer(target.kind, target.object, finalizer()?, Some(submitted_as))
                    .await;
            }
            KubernetesStep::RemoveFinalizer => {
                return self.remove_finalizer(target.kind, target.object, finalizer()?).await;
            }
            KubernetesStep::UpdateSpec { spec, hash, .. } => {
                return self.spec(target.kind, target.object, spec, hash.as_deref()).await;
            }
            KubernetesStep::DeleteObject { .. } => {
                let (name, uid) = (target.object.name_any(), target.object.uid());
                self.delete_of::<K>(target.kind, &namespace, &name, uid.as_deref()).await?;
            }
            KubernetesStep::CreatePodIdentity { .. }
            | KubernetesStep::CreateIdentity(_)
            | KubernetesStep::UpdateIdentity { .. }
            | KubernetesStep::ReleaseIdentity { .. }
            | KubernetesStep::DeleteIdentity { .. } => self.identity_step(&namespace, step).await?,
            KubernetesStep::OpenPod { name, uid, resource_version, gates } => {
                self.open_pod(&namespace, name, (uid, resource_version.as_deref()), gates).await?;
            }
            KubernetesStep::DeletePod { name, uid, .. } => {
                self.delete::<Pod>(&namespace, name, Some(uid)).await?;
            }
            KubernetesStep::MarkPod { name, uid, metadata, .. } => {
                self.mark_pod(&namespace, name, uid, metadata).await?;
            }
            KubernetesStep::CreateBudget(budget) => self.create(&namespace, budget.as_ref()).await?,
            KubernetesStep::UpdateBudget(budget) => {
                self.replace(&namespace, budget.as_ref()).await?;
            }
            KubernetesStep::DeleteBudget { name, uid } => {
                self.delete::<PodDisruptionBudget>(&namespace, name, Some(uid)).await?;
            }
            KubernetesStep::CreateWorkload(_)
            | KubernetesStep::UpdateWorkload { .. }
            | KubernetesStep::NoteAdmission { .. }
            | KubernetesStep::DeleteWorkload { .. } => return self.workload_step(&namespace, step).await,
            KubernetesStep::CreateChild(child) => return self.create_child(owner, child).await,
            KubernetesStep::AdoptChild { kind, name, patch } => {
                self.patch_child(owner, kind, name, patch, &[]).await?;
            }
            KubernetesStep::PatchChild { kind, name, patch, differences } => {
                return self.patch_child(owner, kind, name, patch, differences).await;
            }
            KubernetesStep::DeleteChild { kind, name, uid, .. } => {
                self.delete_child(owner, kind, name, uid).await?;
            }
            KubernetesStep::CreateRun { .. } | KubernetesStep::DeleteRun { .. } => {
                self.run_step(&namespace, step).await?;
            }
            KubernetesStep::CreateCrd(_)
            | KubernetesStep::UpdateCrd { .. }
            | KubernetesStep::DeleteCrd { .. } => return self.crd_step(step).await.map(Done::from),
            KubernetesStep::Rewrite { kind, object } => {
                return self.rewrite(kind, object).await.map(Done::from);
            }
            KubernetesStep::ConcludeMigration(crd) => self.conclude_migration(crd).await?,
            KubernetesStep::CreateFleet(_)
            | KubernetesStep::ReplaceFleet(_)
            | KubernetesStep::DeleteFleet { .. } => self.fleet_step(step).await?,
            KubernetesStep::CreateOperatorKeys { place } => {
                let secret = operator_keys::new_secret(target.object, target.kind, place).map_err(no_key)?;
                drop(WipedSecret(self.created(&self.namespace, &*secret).await?));
            }
            KubernetesStep::AddReconcilerKey { place } => {
                let data = operator_keys::reconciler(place).map_err(no_key)?;
                let name = operator_secret(&target.object.name_any());
                self.add_to_secret(&self.namespace, &name, &data).await?;
            }
            KubernetesStep::RecordLeft { uid, label } => {
                // Without a Colony there is nothing that could be ended for the lack of an object.
                if let Some(colony) = &target.colony {
                    let data = BTreeMap::from([(format!("{LEFT_KEY_PREFIX}{uid}"), label.clone())]);
                    self.note_in_secret(&operator_secret(colony), &json!({ "stringData": data })).await?;
                }
            }
            KubernetesStep::ForgetLeft { uids } => {
                let gone = uids.iter().map(|uid| (format!("{LEFT_KEY_PREFIX}{uid}"), Value::Null));
                let gone: Map<String, Value> = gone.collect();
                let name = operator_secret(&target.object.name_any());
                self.note_in_secret(&name, &json!({ "data": gone })).await?;
            }
        }
        Ok(Effect::Nothing.into())
    }

    async fn identity_step(&self, namespace: &str, step: &KubernetesStep) -> Result<(), StepFailure> {
        match step {
            KubernetesStep::CreateIdentity(identity) => {
                self.create_identity(namespace, identity, identity::new_secret(identity)).await?;
            }
            KubernetesStep::CreatePodIdentity { identity, executor } => {
                let secret = identity::new_secret_of(identity, executor.clone());
                self.create_identity(namespace, identity, secret).await?;
            }
            KubernetesStep::UpdateIdentity { identity, resource_version, is_adopted } => {
                self.forget(namespace, identity);
                self.update_identity(namespace, identity, resource_version.as_deref(), *is_adopted).await?;
            }
            KubernetesStep::ReleaseIdentity { name, resource_version } => {
                self.identities.forget(namespace, name);
                self.release_secret(namespace, name, resource_version.as_deref()).await?;
            }
            KubernetesStep::DeleteIdentity { name, uid } => {
                self.identities.forget(namespace, name);
                self.delete::<Secret>(namespace, name, uid.as_deref()).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn create_identity(
        &self,
        namespace: &str,
        identity: &DesiredIdentity,
        secret: Result<WipedSecret, InvalidKey>,
    ) -> Result<(), StepFailure> {
        let secret = secret.map_err(no_key)?;
        self.forget(namespace, identity);
        let created = WipedSecret(self.created(namespace, &*secret).await?);
        let read = read_identity(&created);
        self.identities.put(namespace, &created.name_any(), read, self.clock.instant());
        Ok(())
    }

    /// What is remembered of a Secret is no longer true.
    fn forget(&self, namespace: &str, identity: &DesiredIdentity) {
        self.identities.forget(namespace, identity.metadata.name.as_deref().unwrap_or_default());
    }

    async fn workload_step(&self, namespace: &str, step: &KubernetesStep) -> Result<Done, StepFailure> {
        match step {
            KubernetesStep::CreateWorkload(workload) => match workload {
                DesiredWorkload::Deployment(deployment) => {
                    self.create_workload(namespace, deployment.as_ref()).await
                }
                DesiredWorkload::DaemonSet(daemon_set) => {
                    self.create_workload(namespace, daemon_set.as_ref()).await
                }
                DesiredWorkload::Job(job) => self.create_workload(namespace, job.as_ref()).await,
            },
            KubernetesStep::UpdateWorkload { workload, differences } => match workload {
                DesiredWorkload::Deployment(deployment) => {
                    self.replace_workload(namespace, deployment.as_ref(), differences).await
                }
                DesiredWorkload::DaemonSet(daemon_set) => {
                    self.replace_workload(namespace, daemon_set.as_ref(), differences).await
                }
                DesiredWorkload::Job(job) => {
                    self.replace_workload(namespace, job.as_ref(), differences).await
                }
            },
            KubernetesStep::NoteAdmission { kind, name, uid, admitted } => {
                match kind {
                    Workload::Deployment => {
                        self.note_admission::<Deployment>(namespace, name, uid, admitted).await?;
                    }
                    Workload::DaemonSet => {
                        self.note_admission::<DaemonSet>(namespace, name, uid, admitted).await?;
                    }
                    Workload::Job => self.note_admission::<Job>(namespace, name, uid, admitted).await?,
                }
                Ok(Effect::Nothing.into())
            }
            KubernetesStep::DeleteWorkload { kind, name, uid, .. } => {
                match kind {
                    Workload::Deployment => self.delete::<Deployment>(namespace, name, Some(uid)).await?,
                    Workload::DaemonSet => self.delete::<DaemonSet>(namespace, name, Some(uid)).await?,
                    Workload::Job => self.delete::<Job>(namespace, name, Some(uid)).await?,
                }
                Ok(Effect::Nothing.into())
            }
            _ => Ok(Effect::Nothing.into()),
        }
    }

    async fn run_step(&self, namespace: &str, step: &KubernetesStep) -> Result<(), StepFailure> {
        match step {
            KubernetesStep::CreateRun { run: DesiredRun::Process(run), .. } => {
                self.create(namespace, run.as_ref()).await
            }
            KubernetesStep::CreateRun { run: DesiredRun::Workflow(run), .. } => {
                self.create(namespace, run.as_ref()).await
            }
            KubernetesStep::DeleteRun { kind, name, uid, .. } => {
                let deleted = match kind {
                    RunKind::Process => self.delete::<ColonyProcess>(namespace, name, Some(uid)).await,
                    RunKind::Workflow => self.delete::<ColonyWorkflow>(namespace, name, Some(uid)).await,
                };
                match deleted {
                    // Another object has the name by now: the one that was meant is gone.
                    Err(failure) if failure.kind == FailureKind::Conflict => Ok(()),
                    result => result,
                }
            }
            _ => Ok(()),
        }
    }

    async fn crd_step(&self, step: &KubernetesStep) -> Result<Effect, StepFailure> {
        match step {
            KubernetesStep::CreateCrd(crd) => self.create("", crd.as_ref()).await?,
            KubernetesStep::UpdateCrd { crd, .. } => {
                let written = self.replace("", crd.as_ref()).await?;
                return Ok(Effect::Crd(Box::new(written)));
            }
            KubernetesStep::DeleteCrd { name, uid } => {
                self.delete::<CustomResourceDefinition>("", name, Some(uid)).await?;
            }
            _ => {}
        }
        Ok(Effect::Nothing)
    }

    async fn fleet_step(&self, step: &KubernetesStep) -> Result<(), StepFailure> {
        let namespace = |object: &ExecutorDeployment| object.namespace().unwrap_or_default();
        match step {
            KubernetesStep::CreateFleet(object) => self.create(&namespace(object), object.as_ref()).await,
            KubernetesStep::ReplaceFleet(object) => {
                self.replace(&namespace(object), object.as_ref()).await.map(drop)
            }
            KubernetesStep::DeleteFleet { namespace, name, uid } => {
                self.delete::<ExecutorDeployment>(namespace, name, Some(uid)).await
            }
            _ => Ok(()),
        }
    }
}

fn no_key(error: InvalidKey) -> StepFailure {
    unavailable(&error.to_string())
}
