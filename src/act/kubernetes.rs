//! Writes to the cluster: one request a step. Children are created by POST and rewritten by PUT with the UID that
//! was seen; a plain POST is the cheapest create there is, and a PUT takes back what others put in.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    core::v1::Secret,
};
use kube::{
    Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::{Map, Value, json};

use super::{
    Target,
    child::Owner,
    failure::of_call,
    identity,
    kinds::{Child, Held, Written},
    outcome::{Effect, FailureKind, StepFailure},
};
use crate::{
    api::{executor_deployment::Workload, names::OPERATOR},
    colony::InvalidKey,
    desired::{DesiredIdentity, DesiredWorkload},
    diff::KubernetesStep,
    memory::{
        identities::{Identities, read_identity},
        kinds::ServedKinds,
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, CallError, call},
        metrics::{Metrics, Outcome as WriteOutcome, WriteKind, WriteVerb},
    },
};

/// Writes to the cluster.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    pub(super) writes: Writes,
    pub(super) served: ServedKinds,
    pub(super) clock: Clock,
    identities: Identities,
    metrics: Metrics,
}

impl Cluster {
    /// Writes through `client`, which must not retry by itself. `served` knows where the objects of a kind are.
    #[must_use]
    pub const fn new(
        client: Client,
        writes: Writes,
        served: ServedKinds,
        identities: Identities,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        Self { client, writes, served, clock, identities, metrics }
    }

    /// Carries one step out; `version` becomes that of the object when the step wrote to it.
    pub(super) async fn carry_out<K: Held>(
        &self,
        step: &KubernetesStep,
        target: &Target<'_, K>,
        version: &mut Option<String>,
    ) -> Result<Effect, StepFailure> {
        let namespace = target.object.namespace().unwrap_or_default();
        let uid = target.object.meta().uid.clone().unwrap_or_default();
        let owner = Owner { namespace: &namespace, uid: &uid };
        match step {
            KubernetesStep::AddFinalizer => {
                *version = self.hold(target.kind, target.object).await?;
            }
            KubernetesStep::RemoveFinalizer => {
                *version = self.release(target.kind, target.object).await?;
            }
            KubernetesStep::CreateIdentity(identity) => {
                let secret = identity::new_secret(identity).map_err(no_key)?;
                self.forget(&namespace, identity);
                let created = self.created(&namespace, &secret).await?;
                let read = read_identity(&created);
                self.identities.put(&namespace, &created.name_any(), read, self.clock.instant());
            }
            KubernetesStep::UpdateIdentity { identity, resource_version, is_adopted } => {
                self.forget(&namespace, identity);
                self.update_identity(&namespace, identity, resource_version.as_deref(), *is_adopted).await?;
            }
            KubernetesStep::ReleaseIdentity { name, resource_version } => {
                self.identities.forget(&namespace, name);
                self.release_secret(&namespace, name, resource_version.as_deref()).await?;
            }
            KubernetesStep::DeleteIdentity { name } => {
                self.identities.forget(&namespace, name);
                self.delete::<Secret>(&namespace, name, None).await?;
            }
            KubernetesStep::CreateWorkload(workload) => match workload {
                DesiredWorkload::Deployment(deployment) => {
                    self.create_workload(&namespace, deployment.as_ref()).await
                }
                DesiredWorkload::DaemonSet(daemon_set) => {
                    self.create_workload(&namespace, daemon_set.as_ref()).await
                }
                DesiredWorkload::Job(job) => self.create_workload(&namespace, job.as_ref()).await,
            }?,
            KubernetesStep::UpdateWorkload { workload, .. } => match workload {
                DesiredWorkload::Deployment(deployment) => {
                    self.replace_workload(&namespace, deployment.as_ref()).await
                }
                DesiredWorkload::DaemonSet(daemon_set) => {
                    self.replace_workload(&namespace, daemon_set.as_ref()).await
                }
                DesiredWorkload::Job(job) => self.replace_workload(&namespace, job.as_ref()).await,
            }?,
            KubernetesStep::DeleteWorkload { kind, name, uid, .. } => match kind {
                Workload::Deployment => self.delete::<Deployment>(&namespace, name, Some(uid)).await?,
                Workload::DaemonSet => self.delete::<DaemonSet>(&namespace, name, Some(uid)).await?,
                Workload::Job => self.delete::<Job>(&namespace, name, Some(uid)).await?,
            },
            KubernetesStep::CreateChild(child) => self.create_child(owner, child).await?,
            KubernetesStep::AdoptChild { kind, name, patch }
            | KubernetesStep::PatchChild { kind, name, patch, .. } => {
                self.patch_child(owner, kind, name, patch).await?;
            }
            KubernetesStep::DeleteChild { kind, name, uid, .. } => {
                self.delete_child(owner, kind, name, uid).await?;
            }
            KubernetesStep::UpdateSpec { spec, .. } => {
                *version = self.spec(target.kind, target.object, spec).await?;
            }
            KubernetesStep::DeleteObject { .. } => {
                let (name, uid) = (target.object.name_any(), target.object.uid());
                self.delete_of::<K>(target.kind, &namespace, &name, uid.as_deref()).await?;
            }
        }
        Ok(Effect::Nothing)
    }

    async fn create_workload<K: Child + Written<DynamicType = ()>>(
        &self,
        namespace: &str,
        workload: &K,
    ) -> Result<(), StepFailure> {
        let created = self.created(namespace, workload).await?;
        self.knows(namespace, &created);
        Ok(())
    }

    async fn replace_workload<K: Child + Written<DynamicType = ()>>(
        &self,
        namespace: &str,
        workload: &K,
    ) -> Result<(), StepFailure> {
        let written = self.replace(namespace, workload).await?;
        self.knows(namespace, &written);
        Ok(())
    }

    /// Notes that the pass over the owner knows of what it wrote.
    fn knows<K: Child>(&self, namespace: &str, written: &K) {
        let key = Key::new(K::NAME, namespace, &written.name_any());
        self.writes.wrote_in_pass(key, written.meta().resource_version.as_deref(), self.clock.instant());
    }

    /// Creates an object. A name that is taken is noted, so that the next snapshot looks at who has it.
    ///
    /// # Errors
    ///
    /// When the API server refuses or does not answer.
    pub async fn create<K>(&self, namespace: &str, object: &K) -> Result<(), StepFailure>
    where
        K: Written<DynamicType = ()>,
    {
        self.created(namespace, object).await.map(drop)
    }

    /// As [`Cluster::create`]; the object as the API server has it.
    async fn created<K>(&self, namespace: &str, object: &K) -> Result<K, StepFailure>
    where
        K: Written<DynamicType = ()>,
    {
        let (name, kind) = (object.name_any(), K::name_of(&()));
        let api = K::api(self.client.clone(), namespace, &());
        let parameters = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let result = call(CALL_TIME_LIMIT, api.create(&parameters, object)).await;
        self.count(WriteVerb::Create, K::METRIC, &result);
        let key = Key::new(kind.clone(), namespace, &name);
        match result {
            Ok(created) => {
                self.writes.wrote(key, created.meta().resource_version.as_deref(), self.clock.instant());
                Ok(created)
            }
            Err(error) => {
                let failure = of_call(&format!("create {kind} {name}"), &error);
                if failure.kind == FailureKind::Conflict {
                    self.writes.doubt(key);
                }
                Err(failure)
            }
        }
    }

    /// Writes a whole object, with the UID in it as precondition.
    ///
    /// # Errors
    ///
    /// When the object has changed, or the API server refuses or does not answer.
    pub async fn replace<K>(&self, namespace: &str, object: &K) -> Result<K, StepFailure>
    where
        K: Written<DynamicType = ()>,
    {
        let (name, kind) = (object.name_any(), K::name_of(&()));
        let api = K::api(self.client.clone(), namespace, &());
        let parameters = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let result = call(CALL_TIME_LIMIT, api.replace(&name, &parameters, object)).await;
        self.count(WriteVerb::Replace, K::METRIC, &result);
        let key = Key::new(kind.clone(), namespace, &name);
        match result {
            Ok(written) => {
                self.writes.wrote(key, written.meta().resource_version.as_deref(), self.clock.instant());
                Ok(written)
            }
            Err(error) => {
                let failure = of_call(&format!("update {kind} {name}"), &error);
                if failure.kind == FailureKind::Conflict {
                    self.writes.doubt(key);
                }
                Err(failure)
            }
        }
    }

    /// Deletes an object and, in the background, what it owns. One that is gone already is as good as deleted.
    ///
    /// # Errors
    ///
    /// When the API server refuses or does not answer.
    pub async fn delete<K>(&self, namespace: &str, name: &str, uid: Option<&str>) -> Result<(), StepFailure>
    where
        K: Written<DynamicType = ()>,
    {
        self.delete_of::<K>(&(), namespace, name, uid).await
    }

    /// As [`Cluster::delete`], for a kind that may be known at run time only.
    async fn delete_of<K: Written>(
        &self,
        kind: &K::DynamicType,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
    ) -> Result<(), StepFailure> {
        let api = K::api(self.client.clone(), namespace, kind);
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let result = call(CALL_TIME_LIMIT, api.delete(name, &parameters)).await;
        self.count(WriteVerb::Delete, K::METRIC, &result);
        match result {
            Ok(_) => Ok(()),
            Err(error) if error.status_code() == Some(404) => Ok(()),
            Err(error) => Err(of_call(&format!("delete {} {name}", K::name_of(kind)), &error)),
        }
    }

    /// Holds an object: adds the finalizer of its kind.
    ///
    /// # Errors
    ///
    /// When the object has changed, or the API server refuses or does not answer.
    pub async fn hold<K: Held>(
        &self,
        kind: &K::DynamicType,
        object: &K,
    ) -> Result<Option<String>, StepFailure> {
        let finalizers = object.finalizers().iter().cloned();
        let held = finalizers.chain([K::FINALIZER.to_owned()]).collect();
        let version = self.finalizers(kind, object, held).await?;
        let key = Key::new(K::name_of(kind), &object.namespace().unwrap_or_default(), &object.name_any());
        self.writes.wrote_in_pass(key, version.as_deref(), self.clock.instant());
        Ok(version)
    }

    /// Lets an object go: removes the finalizer of its kind.
    ///
    /// # Errors
    ///
    /// When the object has changed, or the API server refuses or does not answer.
    pub async fn release<K: Held>(
        &self,
        kind: &K::DynamicType,
        object: &K,
    ) -> Result<Option<String>, StepFailure> {
        let finalizers = object.finalizers().iter().filter(|name| *name != K::FINALIZER);
        self.finalizers(kind, object, finalizers.cloned().collect()).await
    }

    /// Writes the finalizers of the object; its new version.
    async fn finalizers<K: Held>(
        &self,
        kind: &K::DynamicType,
        object: &K,
        finalizers: Vec<String>,
    ) -> Result<Option<String>, StepFailure> {
        let namespace = object.namespace().unwrap_or_default();
        let api = K::api(self.client.clone(), &namespace, kind);
        let patch = json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()},
        });
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result =
            call(CALL_TIME_LIMIT, api.patch(&object.name_any(), &parameters, &Patch::Merge(&patch))).await;
        self.count(WriteVerb::Patch, K::METRIC, &result);
        match result {
            Ok(written) => Ok(written.resource_version()),
            Err(error) => Err(of_call("write the finalizers", &error)),
        }
    }

    /// Writes the spec of the object, if it is still the one that was seen; its new version.
    async fn spec<K: Held>(
        &self,
        kind: &K::DynamicType,
        object: &K,
        spec: &Map<String, Value>,
    ) -> Result<Option<String>, StepFailure> {
        let unwritable = |error: serde_json::Error| StepFailure {
            kind: FailureKind::Refused,
            message: format!("failed to write the object's own spec: {error}"),
        };
        let seen = serde_json::to_value(object).map_err(unwritable)?;
        let seen = seen.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let patch = json!({
            "metadata": {"uid": object.uid(), "resourceVersion": object.resource_version()},
            "spec": replacing(&seen, spec),
        });
        let api = K::api(self.client.clone(), &namespace, kind);
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result = call(CALL_TIME_LIMIT, api.patch(&name, &parameters, &Patch::Merge(&patch))).await;
        self.count(WriteVerb::Patch, K::METRIC, &result);
        match result {
            Ok(written) => {
                let key = Key::new(K::name_of(kind), &namespace, &name);
                self.writes.wrote_in_pass(
                    key,
                    written.meta().resource_version.as_deref(),
                    self.clock.instant(),
                );
                Ok(written.resource_version())
            }
            Err(error) => Err(of_call("write the object's own spec", &error)),
        }
    }

    /// What is remembered of a Secret is no longer true.
    fn forget(&self, namespace: &str, identity: &DesiredIdentity) {
        self.identities.forget(namespace, identity.metadata.name.as_deref().unwrap_or_default());
    }

    pub(super) fn count<T>(&self, verb: WriteVerb, kind: WriteKind, result: &Result<T, CallError>) {
        let outcome = match result {
            Ok(_) => WriteOutcome::Ok,
            Err(CallError::TimedOut { .. }) => WriteOutcome::TimedOut,
            Err(error) => error.status_code().map_or(WriteOutcome::Transport, WriteOutcome::of_status),
        };
        self.metrics.count_write(verb, kind, outcome);
    }
}

fn no_key(error: InvalidKey) -> StepFailure {
    StepFailure { kind: FailureKind::Unavailable, message: error.to_string() }
}

/// The merge patch that makes the one of the other: what is not wanted is taken away by name.
fn replacing(seen: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let gone = seen.keys().filter(|name| !wanted.contains_key(*name));
    let mut patch: Map<String, Value> = gone.map(|name| (name.clone(), Value::Null)).collect();
    for (name, wanted) in wanted {
        match (seen.get(name), wanted) {
            (Some(seen), wanted) if seen == wanted => {}
            (Some(Value::Object(seen)), Value::Object(wanted)) => {
                patch.insert(name.clone(), Value::Object(replacing(seen, wanted)));
            }
            (_, wanted) => drop(patch.insert(name.clone(), wanted.clone())),
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that stayed would look like an edit for ever.
    #[test]
    fn a_patch_takes_away_what_is_not_wanted() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let seen = map(json!({ "a": 1, "b": { "c": 2, "d": [1, 2] }, "e": { "f": 1 }, "g": 3 }));
        let wanted = map(json!({ "a": 1, "b": { "c": 2, "d": [1] }, "e": "text" }));
        assert_eq!(
            Value::Object(replacing(&seen, &wanted)),
            json!({ "b": { "d": [1] }, "e": "text", "g": null })
        );
    }
}
