//! Puts together what one pass knows of an `ExecutorDeployment`. A part that cannot be read is Unknown; the whole never
//! fails.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope, Resource as _,
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::Pod,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::reflector::{ObjectRef, Store},
};
use serde::de::DeserializeOwned;

use super::{
    colonies::{Colonies, ColonyClaim},
    freshness::CacheBehind,
    index::{Index, IndexKey},
    mirror::ProcessReader,
    object_events::unmounted,
    stores::{Filled, GuardedExecutorDeployment},
    triggers,
    work::explained,
};
use crate::{
    api::{
        executor_deployment::ExecutorDeployment,
        kind::HasKind as _,
        mirror::{MirrorStatus, Mirrored as _},
        names::busy_budget,
        policy::AdoptionPolicy,
    },
    memory::{
        absences::Absences,
        blueprints::Blueprints,
        identities::Identities,
        identity_webhook::IdentityWebhook,
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    snapshot::{Belonging, ExecutorDeploymentSnapshot, Observed, Policy, Workloads, pod_trouble},
};

/// Kinds that are looked up by name.
pub(super) trait Named:
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
    /// Those of all scopes.
    pub fleets: Vec<Index<GuardedExecutorDeployment>>,
    /// Deployments of ours.
    pub deployments: Store<Deployment>,
    /// `DaemonSets` of ours.
    pub daemon_sets: Store<DaemonSet>,
    /// Jobs of ours.
    pub jobs: Store<Job>,
    /// `PodDisruptionBudgets` of ours, where there may be any.
    pub budgets: Option<Store<PodDisruptionBudget>>,
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
    /// Absences that were seen before.
    pub absences: Absences,
    /// Whether new pods get names for their executors.
    pub webhook: IdentityWebhook,
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
        let budget = Key::new(PodDisruptionBudget::KIND, &namespace, &busy_budget(&name));
        let behind = behind || self.writes.is_cache_behind(&budget, self.clock.instant());
        if behind {
            return Err(CacheBehind);
        }
        // Before anything is asked: a process that was not there when a label was looked up is known to have been absent
        // then, not at the end of a look-up that the end of a quiet period may have overtaken.
        let now = self.clock.now();
        let belonging = Belonging::new(&self.cluster, &object.metadata);
        let object = &mut belonging.believed(object);
        let claim = ColonyClaim::of(object, object.spec.colony.as_deref());
        let (colony, connection) = self.colonies.find(claim, &namespace);
        // Without anything of it in the colony, there is no reason to wait for that.
        let is_there =
            object.mirror().is_some_and(MirrorStatus::may_live) || object.blueprint_name().is_some();
        if is_there && self.processes.awaits_first_read(&colony, &self.colonies.connections) {
            return Err(CacheBehind);
        }
        let pods = self.stores.pods.get(&IndexKey::Fleet(namespace.clone(), name.clone()));
        let pods: Vec<Pod> = pods.iter().map(|pod| pod.as_ref().clone()).collect();
        let is_behind = |pod: &Pod| {
            self.writes
                .is_cache_behind(&Key::new(Pod::KIND, &namespace, &pod.name_any()), self.clock.instant())
        };
        if pods.iter().any(is_behind) {
            return Err(CacheBehind);
        }
        let identity = self.identity(object, &namespace, pod_trouble::waits_for_configuration(&pods)).await;
        let in_flight = self.in_flight(object, &identity, &colony);
        let (registration, recorded) = self.registrations(object, &identity, connection.as_deref());
        let (registration, recorded_registration) =
            (explained(registration, &colony), explained(recorded, &colony));
        let processes = self.processes.own(object, &belonging, connection.as_deref()).await;
        let pod_identities = self.pod_identities(object, &pods, &colony, connection.as_deref()).await;
        let workloads = Workloads {
            deployment: self.workload(&self.stores.deployments, object).await,
            daemon_set: self.workload(&self.stores.daemon_sets, object).await,
            job: self.workload(&self.stores.jobs, object).await,
        };
        let refused_pods = self.refused_pods(object, &workloads, now).await;
        let unmounted = unmounted(&self.client, &pods, now).await;
        Ok(ExecutorDeploymentSnapshot {
            cluster: self.cluster.clone(),
            workloads,
            refused_pods,
            unmounted,
            pod_identities,
            processes: explained(processes, &colony),
            earlier: explained(self.earlier(object, connection.as_deref()).await, &colony),
            blueprint: self.blueprint(object, &colony, connection.as_deref()).await,
            carrier: self.carrier(object, &colony, connection.as_deref()).await,
            submit_not_before: self.processes.submit_not_before(object.mirror()),
            in_flight,
            similar_executor_types: self.similar_executor_types(object),
            type_use: self.type_use(object, &colony, connection.as_deref()),
            object: object.clone(),
            colony,
            pods,
            identity,
            registration,
            recorded_registration,
            policy: self.policy.clone(),
            now,
        })
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
        let needs_look_up = cached.is_none() && may_be_others;
        if !is_about_to_go && !needs_look_up && !self.writes.is_invalidated(&key) {
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

    pub(super) async fn get_opt<K>(&self, namespace: &str, name: &str) -> Observed<Option<K>>
    where
        K: Named,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
            Ok(found) => Observed::Known(found),
            Err(error) => Observed::Unknown(error.explain(&format!("get {} {name}", K::KIND))),
        }
    }

    fn similar_executor_types(&self, object: &ExecutorDeployment) -> Vec<String> {
        let similar = triggers::similar(object, &self.stores.executor_deployments);
        let readable = similar.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        let told = |other: &ExecutorDeployment| {
            let namespace = other.namespace().unwrap_or_default();
            format!("{:?} of {namespace}/{}", other.spec.executor_type, other.name_any())
        };
        readable.map(told).collect()
    }
}
