//! Reads the identity of a fleet's executor: its Secret, its registration in the colony, and what may still arrive there.

use k8s_openapi::{Resource as _, api::core::v1::Secret};
use kube::{Api, Resource, ResourceExt as _, runtime::reflector::ObjectRef};

use super::executor_deployment::Reader;
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, Workload},
        kind::is_observed,
        names::{self, EXECUTOR_NAME_ANNOTATION},
        policy::AdoptionPolicy,
    },
    memory::{adds::Added, connections::Connection, identities::read_identity, writes::Key},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::{
        AddsInFlight, ColonyReference, ExecutorDeploymentSnapshot, Fleet, Identity, Observed, Registration,
    },
};

impl Reader {
    /// The content of the Secret of the executor, or what status says of it. `doubtful` when a pod waits for something that is not there.
    pub(super) async fn identity(
        &self,
        object: &ExecutorDeployment,
        namespace: &str,
        doubtful: bool,
    ) -> Observed<Option<Identity>> {
        // Its pods have executors of their own, and it never had another.
        if object.spec.is_per_pod() && object.status.as_ref().is_none_or(|status| status.executor.is_none()) {
            return Observed::Known(None);
        }
        let secret_name = names::identity_secret(&object.name_any());
        let now = self.clock.instant();
        // A Secret of another owner, or of a deleted object of the same name, may disappear at any moment.
        let is_its = |identity: &Identity| identity.owner_uid.is_some() && identity.owner_uid == object.uid();
        let known = self.identities.get(namespace, &secret_name, now).filter(is_its);
        if let Some(known) = known.filter(|_| !doubtful) {
            return Observed::Known(Some(known));
        }
        // Should there be one all the same, its creation is refused, and it is looked at.
        let key = Key::new(Secret::KIND, namespace, &secret_name);
        if is_untouched(object) && !self.writes.is_invalidated(&key) {
            return Observed::Known(None);
        }
        if !doubtful && let Some(recorded) = self.recorded_identity(object) {
            let assumed = self.identities.assume(namespace, &secret_name, recorded, now);
            if let Some(assumed) = assumed.filter(|_| !self.writes.is_invalidated(&key)) {
                return Observed::Known(Some(assumed));
            }
        }
        if object.metadata.deletion_timestamp.is_some() {
            return self.identity_at_end(namespace, &secret_name).await;
        }
        self.read_identity(namespace, &secret_name).await
    }

    /// As [`Reader::read_identity`], of an object that is deleted. Where the operator may not read Secrets, it has made none, or has
    /// lost the right: status names the executor, and the Secret goes with its owner.
    async fn identity_at_end(&self, namespace: &str, secret_name: &str) -> Observed<Option<Identity>> {
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        match call(CALL_TIME_LIMIT, api.get_opt(secret_name)).await {
            Err(error) if error.is_forbidden() => Observed::Known(None),
            Err(error) => Observed::Unknown(error.explain(&format!("get Secret {secret_name}"))),
            Ok(found) => self.note_identity(namespace, secret_name, Observed::Known(found)),
        }
    }

    /// Reads the Secret behind an identity that is only on record, where that is not what is wanted; whether it was read.
    pub async fn verify_identity(
        &self,
        snapshot: &mut ExecutorDeploymentSnapshot,
        wanted_hash: Option<&String>,
    ) -> bool {
        let Observed::Known(Some(identity)) = &snapshot.identity else { return false };
        let is_registered =
            matches!(snapshot.registration, Observed::Unknown(_) | Observed::Known(Registration::Present(_)));
        if !identity.is_on_record_only() || (identity.content_hash.as_ref() == wanted_hash && is_registered) {
            return false;
        }
        let object = &snapshot.object;
        let namespace = object.namespace().unwrap_or_default();
        snapshot.identity = self.read_identity(&namespace, &names::identity_secret(&object.name_any())).await;
        let connection =
            snapshot.colony.resolved().and_then(|colony| self.colonies.connections.get(&colony.name));
        snapshot.in_flight = self.in_flight(object, &snapshot.identity, &snapshot.colony);
        (snapshot.registration, snapshot.recorded_registration) =
            self.registrations(object, &snapshot.identity, connection.as_deref());
        true
    }

    /// The identity that status names, of an object whose spec was carried out and whose workload runs as it says.
    fn recorded_identity(&self, object: &ExecutorDeployment) -> Option<Identity> {
        let status = object.status.as_ref()?;
        let executor = status.executor.as_ref().filter(|executor| executor.registered)?;
        let is_settled = object.metadata.deletion_timestamp.is_none()
            && status.observed_generation.is_some()
            && status.observed_generation == object.metadata.generation;
        let serves_as_it = self.serves_as(object).as_ref() == Some(&executor.name);
        (is_settled && serves_as_it).then(|| Identity {
            owner_uid: object.uid(),
            uid: None,
            resource_version: None,
            executor_name: executor.name.clone(),
            executor_id: executor.id.clone(),
            executor_type: None,
            location: None,
            content_hash: executor.environment_hash.clone(),
        })
    }

    /// Name of the executor as which the pods of an object's workload serve.
    fn serves_as(&self, object: &ExecutorDeployment) -> Option<String> {
        let named = (object.name_any(), object.namespace().unwrap_or_default());
        let metadata = match object.spec.workload {
            Workload::Deployment => {
                self.stores.deployments.get(&reference(&named))?.spec.as_ref()?.template.metadata.clone()
            }
            Workload::DaemonSet => {
                self.stores.daemon_sets.get(&reference(&named))?.spec.as_ref()?.template.metadata.clone()
            }
            Workload::Job => {
                self.stores.jobs.get(&reference(&named))?.spec.as_ref()?.template.metadata.clone()
            }
        };
        metadata?.annotations?.remove(EXECUTOR_NAME_ANNOTATION)
    }

    pub(super) async fn read_identity(
        &self,
        namespace: &str,
        secret_name: &str,
    ) -> Observed<Option<Identity>> {
        let read = self.get_opt(namespace, secret_name).await;
        self.note_identity(namespace, secret_name, read)
    }

    fn note_identity(
        &self,
        namespace: &str,
        secret_name: &str,
        read: Observed<Option<Secret>>,
    ) -> Observed<Option<Identity>> {
        let key = Key::new(Secret::KIND, namespace, secret_name);
        let now = self.clock.instant();
        match read {
            Observed::Unknown(why) => Observed::Unknown(why),
            Observed::Known(None) => {
                self.writes.revalidate(&key);
                self.identities.forget(namespace, secret_name);
                Observed::Known(None)
            }
            Observed::Known(Some(secret)) => {
                self.writes.revalidate(&key);
                let identity = read_identity(&secret);
                self.identities.put(namespace, secret_name, identity.clone(), now);
                Observed::Known(Some(identity))
            }
        }
    }

    /// What the colony has of the executor that the Secret names, or status, when the Secret is gone; and of the one that status
    /// names.
    pub(super) fn registrations(
        &self,
        object: &ExecutorDeployment,
        identity: &Observed<Option<Identity>>,
        connection: Option<&Connection>,
    ) -> (Observed<Registration>, Observed<Registration>) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let fleet = Fleet { cluster: &self.cluster, namespace: &namespace, name: &name };
        let registration = |name: Option<&String>, id: Option<&str>| {
            let Some(name) = name else { return Observed::Known(Registration::Absent) };
            let Some(connection) = connection else { return Observed::Unknown("not connected".to_owned()) };
            if let Some(problem) = &connection.problem {
                return Observed::Unknown(problem.clone());
            }
            match connection.executor(name) {
                None => Observed::Unknown("the colony has not listed its executors yet".to_owned()),
                Some(found) => Observed::Known(Registration::of(found.as_ref(), fleet, id)),
            }
        };
        let recorded = object.status.as_ref().and_then(|status| status.executor.as_ref());
        let recorded = recorded.map(|recorded| &recorded.name);
        let named = match identity.known() {
            Some(Some(identity)) => {
                registration(Some(&identity.executor_name), Some(identity.executor_id.as_str()))
            }
            _ => registration(recorded, None),
        };
        (named, registration(recorded, None))
    }

    /// What may still arrive in the colony.
    pub(super) fn in_flight(
        &self,
        object: &ExecutorDeployment,
        identity: &Observed<Option<Identity>>,
        colony: &ColonyReference,
    ) -> AddsInFlight {
        let executor_until =
            |name: String| self.processes.in_flight_until(colony, |colony| Added::Executor(colony, name));
        let recorded = object.status.as_ref().and_then(|status| status.executor.as_ref());
        let recorded = recorded.map(|executor| executor.name.clone());
        let named = identity.known().and_then(Option::as_ref).map(|identity| identity.executor_name.clone());
        AddsInFlight {
            blueprint: object.blueprint_name().and_then(|name| {
                self.processes.in_flight_until(colony, |colony| Added::Blueprint(colony, name))
            }),
            executor: named.or_else(|| recorded.clone()).and_then(executor_until),
            recorded_executor: recorded.and_then(executor_until),
        }
    }
}

fn reference<K: Resource<DynamicType = ()>>((name, namespace): &(String, String)) -> ObjectRef<K> {
    ObjectRef::new(name).within(namespace)
}

/// Whether nothing was ever made for an object, nor is to be taken over.
fn is_untouched(object: &ExecutorDeployment) -> bool {
    object.status.as_ref().is_none_or(|status| !is_observed(status.observed_generation))
        && object.finalizers().iter().all(|name| name != names::EXECUTOR_DEPLOYMENT_FINALIZER)
        && object.metadata.deletion_timestamp.is_none()
        && object.spec.adoption_policy == AdoptionPolicy::Fail
        && !object.spec.management_policies.only_observe()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(metadata: &Value, spec: &Value) -> ExecutorDeployment {
        let mut object =
            json!({ "metadata": { "name": "f" }, "spec": { "executorType": "t", "image": "i" } });
        for (part, more) in [("metadata", metadata), ("spec", spec)] {
            let more = more.as_object().unwrap().clone();
            object[part].as_object_mut().unwrap().extend(more);
        }
        serde_json::from_value(object).unwrap()
    }

    /// A Secret that is not there need not be asked for, but one that is must not be taken for absent.
    #[test]
    fn only_for_a_new_object_that_takes_nothing_over_there_is_no_secret() {
        assert!(is_untouched(&object(&json!({}), &json!({}))));
        for (metadata, spec) in [
            (json!({ "finalizers": [names::EXECUTOR_DEPLOYMENT_FINALIZER] }), json!({})),
            (json!({ "deletionTimestamp": "2026-11-21T09:59:59Z" }), json!({})),
            (json!({}), json!({ "adoptionPolicy": "adopt-or-create" })),
            (json!({}), json!({ "managementPolicies": ["Observe"] })),
        ] {
            assert!(!is_untouched(&object(&metadata, &spec)), "{metadata} {spec}");
        }
        let mut known = object(&json!({}), &json!({}));
        known.status = Some(serde_json::from_value(json!({})).unwrap());
        assert!(!is_untouched(&known));
    }
}
