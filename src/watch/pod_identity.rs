//! Reads the executors of a fleet in which each pod is one: their Secrets while their pods wait, their registrations, and which of
//! them have no pod any more.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::{Api, ResourceExt as _, api::ListParams, runtime::reflector::ObjectRef};

use super::executor_deployment::Reader;
use crate::{
    api::{
        executor_deployment::ExecutorDeployment,
        names::{self, EXECUTOR_DEPLOYMENT_LABEL},
    },
    colony::{Executor, ExecutorState, Id},
    memory::{absences::Absent, adds::Added, connections::Connection},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::{
        ColonyReference, Identity, Observed, PodExecutor, PodIdentities, RegisteredExecutor, RunningProcess,
    },
};

impl Reader {
    /// What is known of the executors of the pods; none for a fleet that has none of its own and never had.
    pub(super) async fn pod_identities(
        &self,
        object: &ExecutorDeployment,
        pods: &[Pod],
        colony: &ColonyReference,
        connection: Option<&Connection>,
    ) -> Option<PodIdentities> {
        let had_some = object.status.as_ref().is_some_and(|status| status.executors.is_some());
        if !object.spec.is_per_pod() && !had_some {
            return None;
        }
        let (namespace, fleet) = (object.namespace().unwrap_or_default(), object.name_any());
        let own: Vec<PodExecutor<'_>> =
            pods.iter().filter_map(|pod| PodExecutor::of(pod, &namespace, &fleet)).collect();
        let names: BTreeSet<&str> = own.iter().filter_map(|pod| Some(pod.name?.0)).collect();
        if own.iter().any(|pod| pod.name.is_none()) {
            self.webhook.doubt();
        }
        let registered = self.executors_of(object, &names, connection);
        let missing = match registered.known() {
            Some(registered) => self.without_pod(object, registered, &names, colony).await,
            None => Observed::Known((BTreeSet::new(), BTreeSet::new())),
        };
        let (without_pod, missing_pod) = match missing {
            Observed::Known((confirmed, once)) => (Observed::Known(confirmed), once),
            Observed::Unknown(why) => (Observed::Unknown(why), BTreeSet::new()),
        };
        let mut secrets = BTreeMap::new();
        for pod in own.iter().filter(|pod| !pod.is_leaving()) {
            if let (Some((name, end)), Some(registered)) = (pod.name, registered.known())
                && !registered.contains_key(name)
            {
                let secret = names::pod_identity_secret(&fleet, end);
                secrets.insert(name.to_owned(), self.pod_identity(&namespace, &secret).await);
            }
        }
        let waiting =
            names.iter().copied().chain(without_pod.known().into_iter().flatten().map(String::as_str));
        let in_flight = waiting.filter_map(|name| {
            let added = |colony| Added::Executor(colony, name.to_owned());
            Some((name.to_owned(), self.processes.in_flight_until(colony, added)?))
        });
        let in_flight = in_flight.collect();
        let (webhook, is_offered) = (self.webhook.known(), self.webhook.is_offered());
        let running = running(&registered, connection);
        let budget = self.budget(object);
        Some(PodIdentities {
            registered,
            secrets,
            without_pod,
            missing_pod,
            in_flight,
            webhook,
            is_offered,
            running,
            budget,
        })
    }

    /// What has the name of the budget of the busy pods.
    fn budget(&self, object: &ExecutorDeployment) -> Observed<Option<PodDisruptionBudget>> {
        let Some(store) = &self.stores.budgets else {
            return Observed::Unknown("the operator is not set up to write PodDisruptionBudgets".to_owned());
        };
        let (namespace, name) =
            (object.namespace().unwrap_or_default(), names::busy_budget(&object.name_any()));
        let found = store.get(&ObjectRef::new(&name).within(&namespace));
        Observed::Known(found.map(|found| found.as_ref().clone()))
    }

    /// The executors that the colony has of a fleet: those that were not removed, and those of pods that are there.
    fn executors_of(
        &self,
        object: &ExecutorDeployment,
        of_pods: &BTreeSet<&str>,
        connection: Option<&Connection>,
    ) -> Observed<BTreeMap<String, RegisteredExecutor>> {
        let Some(connection) = connection else { return Observed::Unknown("not connected".to_owned()) };
        if let Some(problem) = &connection.problem {
            return Observed::Unknown(problem.clone());
        }
        let (namespace, fleet) = (object.namespace().unwrap_or_default(), object.name_any());
        let Some(found) = connection.executors_of(&(self.cluster.clone(), namespace.clone()), &fleet) else {
            return Observed::Unknown("the colony has not listed its executors yet".to_owned());
        };
        let (uid, shared) = (object.uid().unwrap_or_default(), shared_executor(object));
        let origin = names::executor_origin(&self.cluster, &uid, &namespace, &fleet);
        let is_own = |executor: &Executor| {
            executor.blueprint_id == origin
                && names::is_executor_of(&executor.name, &namespace, &fleet)
                && shared.as_ref() != Some(&executor.name)
                && (executor.state != ExecutorState::Unregistered || of_pods.contains(executor.name.as_str()))
        };
        let described = |executor: Executor| {
            (executor.name, RegisteredExecutor { state: executor.state, id: executor.id.to_string() })
        };
        Observed::Known(found.into_iter().filter(is_own).map(described).collect())
    }

    /// Executors without a pod: those of which that was seen before, and the others. The cache may be behind what another leader has registered: the API server itself is asked.
    async fn without_pod(
        &self,
        object: &ExecutorDeployment,
        registered: &BTreeMap<String, RegisteredExecutor>,
        in_cache: &BTreeSet<&str>,
        colony: &ColonyReference,
    ) -> Observed<(BTreeSet<String>, BTreeSet<String>)> {
        let colony = colony.resolved().map(|colony| colony.name.clone()).unwrap_or_default();
        let absent = |name: &str| Absent::Pod(colony.clone(), name.to_owned());
        let mut missing: BTreeSet<String> = registered
            .iter()
            .filter(|(name, found)| {
                found.state != ExecutorState::Unregistered && !in_cache.contains(name.as_str())
            })
            .map(|(name, _)| name.clone())
            .collect();
        if missing.is_empty() {
            return Observed::Known((missing, BTreeSet::new()));
        }
        let (namespace, fleet) = (object.namespace().unwrap_or_default(), object.name_any());
        let pods = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        let own = ListParams::default().labels(&format!("{EXECUTOR_DEPLOYMENT_LABEL}={fleet}"));
        let listed = match call(CALL_TIME_LIMIT, pods.list(&own)).await {
            Ok(listed) => listed,
            Err(error) => return Observed::Unknown(error.explain("list pods")),
        };
        for pod in &listed.items {
            let name = PodExecutor::of(pod, &namespace, &fleet).and_then(|pod| pod.name);
            if let Some((name, _)) = name
                && missing.remove(name)
            {
                self.absences.present(&absent(name));
            }
        }
        let now = self.clock.instant();
        let (confirmed, once) = missing.into_iter().partition(|name| self.absences.seen(absent(name), now));
        Observed::Known((confirmed, once))
    }

    async fn pod_identity(&self, namespace: &str, secret: &str) -> Observed<Option<Identity>> {
        let known = self.identities.get(namespace, secret, self.clock.instant());
        match known {
            Some(known) => Observed::Known(Some(known)),
            None => self.read_identity(namespace, secret).await,
        }
    }
}

/// What the executors of a fleet run, by their names.
fn running(
    registered: &Observed<BTreeMap<String, RegisteredExecutor>>,
    connection: Option<&Connection>,
) -> Observed<BTreeMap<String, RunningProcess>> {
    let registered = match registered {
        Observed::Known(registered) => registered,
        Observed::Unknown(why) => return Observed::Unknown(why.clone()),
    };
    let running = connection.and_then(|connection| connection.running.as_deref());
    let Some(running) = running.filter(|running| running.is_known()) else {
        return Observed::Unknown("the colony has not listed twice yet what runs".to_owned());
    };
    let of = |(name, executor): (&String, &RegisteredExecutor)| {
        Some((name.clone(), running.of(&Id::parse(&executor.id).ok()?)?))
    };
    Observed::Known(registered.iter().filter_map(of).collect())
}

/// The executor as which all pods serve, or served, of which status tells.
fn shared_executor(object: &ExecutorDeployment) -> Option<String> {
    Some(object.status.as_ref()?.executor.as_ref()?.name.clone())
}
