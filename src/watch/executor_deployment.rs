//! Puts together what one pass knows of an `ExecutorDeployment`. A part that cannot be read is Unknown; the whole never
//! fails.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope, Resource as _,
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{Pod, Secret},
    },
};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::reflector::{ObjectRef, Store},
};
use serde::de::DeserializeOwned;

use super::{
    colonies::Colonies,
    freshness::CacheBehind,
    index::{Index, IndexKey},
    mirror::ProcessReader,
    stores::{Filled, GuardedExecutorDeployment},
    triggers,
};
use crate::{
    api::{
        executor_deployment::ExecutorDeployment, kind::HasKind as _, mirror::MirrorStatus, names,
        policy::AdoptionPolicy,
    },
    memory::{
        adds::Added,
        blueprints::Blueprints,
        connections::Connection,
        identities::{Identities, read_identity},
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    snapshot::{
        AddsInFlight, ColonyReference, ExecutorDeploymentSnapshot, Identity, Observed, Policy, Registration,
        Workloads, progress,
    },
};

/// Kinds that are looked up by name.
trait Named:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + k8s_openapi::Resource
    + Clone
    + DeserializeOwned
    + Debug
{
}

impl<K> Named for K where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + k8s_openapi::Resource
        + Clone
        + DeserializeOwned
        + Debug
{
}

/// Caches that a snapshot is put together from.
#[derive(Clone)]
pub struct Stores {
    pub executor_deployments: Index<GuardedExecutorDeployment>,
    /// Deployments of ours.
    pub deployments: Store<Deployment>,
    /// `DaemonSets` of ours.
    pub daemon_sets: Store<DaemonSet>,
    /// Jobs of ours.
    pub jobs: Store<Job>,
    /// Pods of ours.
    pub pods: Index<Pod>,
    /// When each of them is filled.
    pub filled: Vec<Filled>,
}

impl Stores {
    /// Waits until all caches are filled.
    pub async fn are_filled(&self) {
        for filled in &self.filled {
            filled.reached().await;
        }
    }
}

/// Builds the snapshot for one pass.
#[derive(Clone)]
pub struct Reader {
    /// Caches.
    pub stores: Stores,
    /// For what is not cached.
    pub client: Client,
    /// Which colony an object may use.
    pub colonies: Colonies,
    /// The processes of objects.
    pub processes: ProcessReader,
    /// What was read of Secrets.
    pub identities: Identities,
    /// Blueprints as colonies last described them.
    pub blueprints: Blueprints,
    /// Last writes of this process.
    pub writes: Writes,
    /// The time.
    pub clock: Clock,
    /// What this operator allows.
    pub policy: Policy,
    /// UID of the `kube-system` namespace.
    pub cluster: String,
}

impl Reader {
    /// Builds a snapshot.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote: a pass over it would write again.
    pub async fn snapshot(
        &self,
        object: &ExecutorDeployment,
    ) -> Result<ExecutorDeploymentSnapshot, CacheBehind> {
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let behind =
            [ExecutorDeployment::KIND.name(), Deployment::KIND, DaemonSet::KIND, Job::KIND].into_iter().any(
                |kind| self.writes.is_cache_behind(&Key::new(kind, &namespace, &name), self.clock.instant()),
            );
        if behind {
            return Err(CacheBehind);
        }
        // Before anything is asked: a process that was not there when a label was looked up is known to have been absent
        // then, not at the end of a look-up that the end of a quiet period may have overtaken.
        let now = self.clock.now();
        let (colony, connection) = self.colonies.find(object.spec.colony.as_deref(), &namespace);
        let mirror = object.status.as_ref().and_then(|status| status.mirror.as_ref());
        // Without anything of it in the colony, there is no reason to wait for that.
        let is_there = mirror.is_some_and(MirrorStatus::may_live) || object.blueprint_name().is_some();
        if is_there && self.processes.awaits_first_read(&colony, &self.colonies.connections) {
            return Err(CacheBehind);
        }
        let pods = self.stores.pods.get(&IndexKey::Fleet(namespace.clone(), name.clone()));
        let pods: Vec<Pod> = pods.iter().map(|pod| pod.as_ref().clone()).collect();
        let identity = self.identity(object, &namespace, progress::waits_for_configuration(&pods)).await;
        let in_flight = self.in_flight(object, &identity, &colony);
        let registration = registration(object, &identity, connection.as_deref());
        Ok(ExecutorDeploymentSnapshot {
            cluster: self.cluster.clone(),
            workloads: Workloads {
                deployment: self.workload(&self.stores.deployments, object).await,
                daemon_set: self.workload(&self.stores.daemon_sets, object).await,
                job: self.workload(&self.stores.jobs, object).await,
            },
            processes: self.processes.of(mirror, connection.as_deref()).await,
            blueprint: self.blueprint(object, &colony, connection.as_deref()).await,
            submit_not_before: self.processes.submit_not_before(mirror),
            in_flight,
            similar_executor_types: self.similar_executor_types(object),
            object: object.clone(),
            colony,
            pods,
            identity,
            registration,
            policy: self.policy.clone(),
            now,
        })
    }

    /// What may still arrive in the colony.
    fn in_flight(
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

    /// A workload of the object's name: from the cache, or from the API server when a write has shown that the cache
    /// is wrong about it, or when it is about to be deleted with its owner: it may have been orphaned just now, and
    /// the two caches are independent.
    async fn workload<K>(&self, store: &Store<K>, object: &ExecutorDeployment) -> Observed<Option<K>>
    where
        K: Named + 'static,
    {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let cached = store.get(&ObjectRef::new(&name).within(&namespace));
        let key = Key::new(K::KIND, &namespace, &name);
        let is_about_to_go = object.metadata.deletion_timestamp.is_some()
            && cached.as_ref().is_some_and(|found| found.meta().deletion_timestamp.is_none());
        // The cache has only objects with the operator's labels, which objects to adopt or observe may lack.
        let spec = &object.spec;
        let may_be_others =
            spec.adoption_policy == AdoptionPolicy::Adopt || spec.management_policies.only_observe();
        let is_sought = cached.is_none() && may_be_others;
        if !is_about_to_go && !is_sought && !self.writes.is_invalidated(&key) {
            return Observed::Known(cached.map(|found| found.as_ref().clone()));
        }
        let found = self.get_opt::<K>(&namespace, &name).await;
        let version = |object: &K| object.resource_version();
        if let Observed::Known(found) = &found
            && found.as_ref().map(version) == cached.as_deref().map(version)
        {
            self.writes.revalidate(&key);
        }
        found
    }

    async fn get_opt<K>(&self, namespace: &str, name: &str) -> Observed<Option<K>>
    where
        K: Named,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
            Ok(found) => Observed::Known(found),
            Err(error) => Observed::Unknown(error.explain(&format!("get {} {name}", K::KIND))),
        }
    }

    /// The content of the Secret of the executor. `doubtful` when a pod waits for something that is not there.
    async fn identity(
        &self,
        object: &ExecutorDeployment,
        namespace: &str,
        doubtful: bool,
    ) -> Observed<Option<Identity>> {
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
        match self.get_opt::<Secret>(namespace, &secret_name).await {
            Observed::Unknown(why) => Observed::Unknown(why),
            Observed::Known(None) => {
                self.writes.revalidate(&key);
                self.identities.forget(namespace, &secret_name);
                Observed::Known(None)
            }
            Observed::Known(Some(secret)) => {
                self.writes.revalidate(&key);
                let identity = read_identity(&secret);
                self.identities.put(namespace, &secret_name, identity.clone(), now);
                Observed::Known(Some(identity))
            }
        }
    }

    fn similar_executor_types(&self, object: &ExecutorDeployment) -> Vec<String> {
        let (executor_type, uid) = (&object.spec.executor_type, object.metadata.uid.as_deref());
        let mut similar: Vec<String> =
            triggers::similar(executor_type, uid, &self.stores.executor_deployments)
                .iter()
                .filter_map(|guarded| guarded.0.as_ref().ok())
                .filter(|other| other.spec.colony == object.spec.colony)
                .map(|other| {
                    format!(
                        "{:?} of {}/{}",
                        other.spec.executor_type,
                        other.namespace().unwrap_or_default(),
                        other.name_any()
                    )
                })
                .collect();
        similar.sort();
        similar
    }
}

/// Whether nothing was ever made for an object, nor is to be taken over.
fn is_untouched(object: &ExecutorDeployment) -> bool {
    object.status.is_none()
        && object.finalizers().iter().all(|name| name != names::EXECUTOR_DEPLOYMENT_FINALIZER)
        && object.metadata.deletion_timestamp.is_none()
        && object.spec.adoption_policy == AdoptionPolicy::Fail
        && !object.spec.management_policies.only_observe()
}

/// The executor in the colony that the Secret names, or status, when the Secret is gone.
fn registration(
    object: &ExecutorDeployment,
    identity: &Observed<Option<Identity>>,
    connection: Option<&Connection>,
) -> Observed<Registration> {
    let recorded = object.status.as_ref().and_then(|status| status.executor.as_ref());
    let name = match identity.known() {
        Some(Some(identity)) => Some(&identity.executor_name),
        _ => recorded.map(|recorded| &recorded.name),
    };
    let Some(name) = name else { return Observed::Known(Registration::Absent) };
    let Some(connection) = connection else { return Observed::Unknown("not connected".to_owned()) };
    if let Some(problem) = &connection.problem {
        return Observed::Unknown(problem.clone());
    }
    match connection.executor(name) {
        None => Observed::Unknown("the colony has not listed its executors yet".to_owned()),
        Some(None) => Observed::Known(Registration::Absent),
        Some(Some(state)) => Observed::Known(Registration::Present(state)),
    }
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
