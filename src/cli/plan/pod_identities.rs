//! The executors of a fleet in which each pod is one, as the manifests have them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::manifests::{Manifests, identity_of};
use crate::{
    api::{
        executor_deployment::ExecutorDeployment,
        names::{self, is_executor_of},
    },
    colony::{Executor, ExecutorState},
    snapshot::{Observed, PodExecutor, PodIdentities, RegisteredExecutor, RunningProcess},
};

impl Manifests {
    /// The executors of the pods, where each pod is one.
    pub(super) fn pod_identities(
        &self,
        object: &ExecutorDeployment,
        shared: Option<&str>,
    ) -> Option<PodIdentities> {
        let had_some = object.status.as_ref().is_some_and(|status| status.executors.is_some());
        if !object.spec.is_per_pod() && !had_some {
            return None;
        }
        let (namespace, fleet) = (object.namespace().unwrap_or_default(), object.name_any());
        let pods = self.pods.iter().filter_map(|pod| PodExecutor::of(pod, &namespace, &fleet));
        let ends: BTreeMap<&str, &str> = pods.filter_map(|pod| pod.name).collect();
        let own = self.executors.iter().filter(|executor| {
            is_executor_of(&executor.name, &namespace, &fleet) && Some(executor.name.as_str()) != shared
        });
        let described = |executor: &Executor| {
            let registered = RegisteredExecutor { state: executor.state, id: executor.id.to_string() };
            (executor.name.clone(), registered)
        };
        let registered: BTreeMap<_, _> = own.map(described).collect();
        // What runs in a manifest has been running.
        let runs = |(name, found): (&String, &RegisteredExecutor)| {
            let process = self.running_on(&found.id)?;
            Some((name.clone(), RunningProcess { id: process, lasts: true }))
        };
        let running = registered.iter().filter_map(runs).collect();
        let is_left = |(name, found): &(&String, &RegisteredExecutor)| {
            found.state != ExecutorState::Unregistered && !ends.contains_key(name.as_str())
        };
        let without_pod = registered.iter().filter(is_left).map(|(name, _)| name.clone()).collect();
        let secret = |end: &str| {
            let name = names::pod_identity_secret(&fleet, end);
            self.secrets.iter().find(|secret| secret.name_any() == name).map(identity_of)
        };
        let unknown = ends.iter().filter(|(name, _)| !registered.contains_key(**name));
        let secrets = unknown.map(|(name, end)| ((*name).to_owned(), Observed::Known(secret(end)))).collect();
        Some(PodIdentities {
            registered: Observed::Known(registered),
            secrets,
            without_pod: Observed::Known(without_pod),
            missing_pod: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            webhook: Observed::Known(Timestamp::UNIX_EPOCH),
            is_offered: true,
            running: Observed::Known(running),
            budget: Observed::Known(self.budget_named(&names::busy_budget(&fleet))),
        })
    }
}
