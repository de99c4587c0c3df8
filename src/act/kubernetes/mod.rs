//! Writes to the cluster: one request a step. Children are created by POST and rewritten by PUT with the UID that
//! was seen; a plain POST is the cheapest create there is, and a PUT takes back what others put in.

mod identities;
mod step;

use kube::{
    Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::{Map, Value, json};

use super::{
    failure::{counted, of_call, removed},
    kinds::{Child, StatusKind, Workload, WritableKind},
    outcome::{Done, Effect, FailureKind, StepFailure},
};
use crate::{
    api::names::{ADMITTED_ANNOTATION, OPERATOR, SUBMITTED_AS_ANNOTATION, WRITTEN_SPEC_ANNOTATION},
    diff::{
        KubernetesStep,
        admission::{Admitted, of_workload},
        difference::Surplus,
    },
    memory::{
        identities::Identities,
        kinds::ServedKinds,
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, CallError, call},
        metrics::{Metrics, WriteKind, WriteVerb},
    },
};

/// Writes to the cluster.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    pub(super) writes: Writes,
    pub(super) served: ServedKinds,
    pub(super) clock: Clock,
    pub(super) identities: Identities,
    pub(super) metrics: Metrics,
    /// The operator's own namespace.
    pub(super) namespace: String,
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
        namespace: String,
    ) -> Self {
        Self { client, writes, served, clock, identities, metrics, namespace }
    }

    pub(in crate::act) async fn create_workload<K: Workload>(
        &self,
        namespace: &str,
        workload: &K,
    ) -> Result<Done, StepFailure> {
        let created = self.created(namespace, workload).await?;
        self.knows(namespace, &created);
        Ok(answered(workload, &created, &[]))
    }

    pub(in crate::act) async fn replace_workload<K: Workload>(
        &self,
        namespace: &str,
        workload: &K,
        differences: &[String],
    ) -> Result<Done, StepFailure> {
        let written = self.replace(namespace, workload).await?;
        self.knows(namespace, &written);
        Ok(answered(workload, &written, differences))
    }

    /// Writes the annotation with what admission changed of a workload.
    pub(in crate::act) async fn note_admission<K: Workload>(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        admitted: &str,
    ) -> Result<(), StepFailure> {
        let patch = json!({ "metadata": { "uid": uid, "annotations": { ADMITTED_ANNOTATION: admitted } } });
        let api = K::api(self.client.clone(), namespace, &());
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result = call(CALL_TIME_LIMIT, api.patch(name, &parameters, &Patch::Merge(&patch))).await;
        self.count(WriteVerb::Patch, K::METRIC, &result);
        let noted = result.map_err(|error| of_call(&format!("annotate {} {name}", K::NAME), &error))?;
        let (key, version) = (Key::new(K::NAME, namespace, name), noted.resource_version());
        self.writes.wrote(key, version.as_deref(), self.clock.instant());
        self.knows(namespace, &noted);
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
        K: WritableKind<DynamicType = ()>,
    {
        self.created(namespace, object).await.map(drop)
    }

    /// As [`Cluster::create`]; the object as the API server has it.
    async fn created<K>(&self, namespace: &str, object: &K) -> Result<K, StepFailure>
    where
        K: WritableKind<DynamicType = ()>,
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
                    self.writes.invalidate(key);
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
        K: WritableKind<DynamicType = ()>,
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
                    self.writes.invalidate(key);
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
        K: WritableKind<DynamicType = ()>,
    {
        self.delete_of::<K>(&(), namespace, name, uid).await
    }

    /// As [`Cluster::delete`], for a kind that may be known at run time only.
    async fn delete_of<K: WritableKind>(
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
        let answer = removed(&format!("delete {} {name}", K::name_of(kind)), result)?;
        // One that finalizers hold is there still, and a cache that does not show its end would have it deleted again.
        if let Some(held) = answer
            && let Some(held) = held.left()
            && !held.finalizers().is_empty()
        {
            let key = Key::new(K::name_of(kind), namespace, name);
            self.writes.wrote(key, held.meta().resource_version.as_deref(), self.clock.instant());
        }
        Ok(())
    }

    /// Holds an object: adds a finalizer.
    ///
    /// # Errors
    ///
    /// When the object has changed, or the API server refuses or does not answer.
    async fn add_finalizer<K: StatusKind>(
        &self,
        kind: &K::DynamicType,
        object: &K,
        finalizer: &str,
        submitted_as: Option<&String>,
    ) -> Result<Done, StepFailure> {
        let others = object.finalizers().iter().filter(|name| *name != finalizer).cloned();
        let held = others.chain([finalizer.to_owned()]).collect();
        let version = self
            .finalizers(kind, object, held, submitted_as)
            .await
            .map_err(|error| of_call("write the finalizers", &error))?;
        let key = Key::new(K::name_of(kind), &object.namespace().unwrap_or_default(), &object.name_any());
        self.writes.wrote_in_pass(key, version.as_deref(), self.clock.instant());
        Ok(versioned(version))
    }

    /// Removes a finalizer. An object that is gone has none any more.
    ///
    /// # Errors
    ///
    /// When the object has changed, or the API server refuses or does not answer.
    async fn remove_finalizer<K: StatusKind>(
        &self,
        kind: &K::DynamicType,
        object: &K,
        finalizer: &str,
    ) -> Result<Done, StepFailure> {
        let finalizers = object.finalizers().iter().filter(|name| *name != finalizer);
        let result = self.finalizers(kind, object, finalizers.cloned().collect(), None).await;
        let written = removed("write the finalizers", result)?;
        Ok(written.map_or_else(|| Effect::Gone.into(), versioned))
    }

    /// Writes the finalizers of the object; its new version.
    async fn finalizers<K: StatusKind>(
        &self,
        kind: &K::DynamicType,
        object: &K,
        finalizers: Vec<String>,
        submitted_as: Option<&String>,
    ) -> Result<Option<String>, CallError> {
        let namespace = object.namespace().unwrap_or_default();
        let api = K::api(self.client.clone(), &namespace, kind);
        let mut patch = json!({
            "metadata": {
                "uid": object.uid(), "finalizers": finalizers, "resourceVersion": object.resource_version(),
            },
        });
        if let Some(submitted_as) = submitted_as {
            patch["metadata"]["annotations"] = json!({ SUBMITTED_AS_ANNOTATION: submitted_as });
        }
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result =
            call(CALL_TIME_LIMIT, api.patch(&object.name_any(), &parameters, &Patch::Merge(&patch))).await;
        self.count(WriteVerb::Patch, K::METRIC, &result);
        result.map(|written| written.resource_version())
    }

    /// Writes the spec of the object, if it is still the one that was seen; its new version.
    async fn spec<K: StatusKind>(
        &self,
        kind: &K::DynamicType,
        object: &K,
        spec: &Map<String, Value>,
        hash: Option<&str>,
    ) -> Result<Done, StepFailure> {
        let unwritable = |error: serde_json::Error| StepFailure {
            kind: FailureKind::Refused,
            message: format!("failed to write the object's own spec: {error}"),
        };
        let seen = serde_json::to_value(object).map_err(unwritable)?;
        let seen = seen.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let mut patch = json!({
            "metadata": {"uid": object.uid(), "resourceVersion": object.resource_version()},
            "spec": replacing(&seen, spec),
        });
        if let Some(hash) = hash {
            patch["metadata"]["annotations"] = json!({ WRITTEN_SPEC_ANNOTATION: hash });
        }
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
                Ok(versioned(written.resource_version()))
            }
            Err(error) => Err(of_call("write the object's own spec", &error)),
        }
    }

    pub(super) fn count<T>(&self, verb: WriteVerb, kind: WriteKind, result: &Result<T, CallError>) {
        self.metrics.count_write(verb, kind, counted(result));
    }
}

fn versioned(resource_version: Option<String>) -> Done {
    Done { resource_version, ..Effect::Nothing.into() }
}

/// What follows from the answer to a write of a workload: that admission changed it is noted.
fn answered<K: Workload>(written: &K, answer: &K, differences: &[String]) -> Done {
    let before = Admitted::read(answer.annotations().get(ADMITTED_ANNOTATION).map(String::as_str));
    let admitted = before.after(&of_workload(written), &of_workload(answer), Surplus::Ours, differences);
    let follow_up = admitted.map(|admitted| {
        Box::new(KubernetesStep::NoteAdmission {
            kind: K::WORKLOAD,
            name: answer.name_any(),
            uid: answer.meta().uid.clone().unwrap_or_default(),
            admitted,
        })
    });
    Done { follow_up, ..Effect::Nothing.into() }
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
