//! The executors of a fleet in which each pod is one: what pods say of them, and what the colony knows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::ResourceExt as _;

use super::{Identity, Observed};
use crate::{
    api::names::{
        BUSY_WITH_ANNOTATION, EXECUTOR_NAME_ANNOTATION, IDENTITY_LABEL, IDENTITY_PER_POD, REGISTRATION_GATE,
        executor_end,
    },
    colony::{ProcessId, model::ExecutorState},
};

/// What one pass knows of the executors of a fleet in which each pod is one.
#[derive(Clone, Debug)]
pub struct PodIdentities {
    /// The executors that the colony has of the fleet, by name: those that were not removed, and those of pods that are there.
    pub registered: Observed<BTreeMap<String, RegisteredExecutor>>,
    /// The Secrets of pods whose executor the colony does not know, by the executor's name.
    pub secrets: BTreeMap<String, Observed<Option<Identity>>>,
    /// Executors of the colony of which the API server had no pod twice, some time apart, in lists that were asked for after them.
    pub without_pod: Observed<BTreeSet<String>>,
    /// Those of which it had none once.
    pub missing_pod: BTreeSet<String>,
    /// Until when a registration that was not answered may still arrive, by the executor's name.
    pub in_flight: BTreeMap<String, Timestamp>,
    /// Since when the API server asks the operator for the names of the executors of new pods, or why it does not.
    pub webhook: Observed<Timestamp>,
    /// Whether the operator is set up for that at all.
    pub is_offered: bool,
    /// What the executors of the pods run, by the executor's name; of each the process that has run longest.
    pub running: Observed<BTreeMap<String, RunningProcess>>,
    /// What has the name of the `PodDisruptionBudget` of the busy pods.
    pub budget: Observed<Option<PodDisruptionBudget>>,
}

/// A process that an executor runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningProcess {
    pub id: ProcessId,
    /// Whether it has been seen for some time.
    pub lasts: bool,
}

/// Whether a pod waits for something else than its executor before it is scheduled, such as a queue.
#[must_use]
pub fn is_queued(pod: &Pod) -> bool {
    let gates = pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
    gates.into_iter().any(|gate| gate.name != REGISTRATION_GATE)
}

/// An executor as the colony has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredExecutor {
    pub state: ExecutorState,
    pub id: String,
}

/// A pod as an executor of its own.
#[derive(Clone, Copy, Debug)]
pub struct PodExecutor<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Name of its executor, and the random end of it. None where the webhook was not asked when the pod was created: such a pod
    /// never starts.
    pub name: Option<(&'a str, &'a str)>,
    /// Whether it waits for its executor to be registered.
    pub is_gated: bool,
}

impl<'a> PodExecutor<'a> {
    /// A pod of a fleet, unless it has ended or is none of an own executor.
    #[must_use]
    pub fn of(pod: &'a Pod, namespace: &str, fleet: &str) -> Option<Self> {
        let is_own = pod.labels().get(IDENTITY_LABEL).is_some_and(|value| value == IDENTITY_PER_POD);
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if !is_own || matches!(phase, Some("Succeeded" | "Failed")) {
            return None;
        }
        let name = pod.annotations().get(EXECUTOR_NAME_ANNOTATION).map(String::as_str);
        let name = name.and_then(|name| Some((name, executor_end(name, namespace, fleet)?)));
        let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
        let is_gated = gates.into_iter().flatten().any(|gate| gate.name == REGISTRATION_GATE);
        Some(Self { pod, name, is_gated })
    }

    /// The process that it is marked to be busy with.
    #[must_use]
    pub fn busy_with(&self) -> Option<&'a str> {
        self.pod.annotations().get(BUSY_WITH_ANNOTATION).map(String::as_str)
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }
}
