//! What to do about the executors of a fleet in which each pod is one: a pod waits behind a gate until its executor is registered,
//! and an executor without a pod leaves the colony. Pure.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use kube::ResourceExt as _;

use super::{ColonyStep, KubernetesStep, identity::IdentityPlan};
use crate::{
    api::names,
    colony::model::ExecutorState,
    desired::DesiredIdentity,
    snapshot::{
        ExecutorDeploymentSnapshot, Identity, Observed, PodExecutor, PodIdentities, RegisteredExecutor,
        is_queued,
    },
};

/// How old a pod has to be whose executor has no name although the webhook is set up, until another takes its place: the API server
/// may have failed to ask for one, and would fail again at once.
const UNNAMED: SignedDuration = SignedDuration::from_secs(30);

/// Plans the executors of the pods. `desired`: what they register as.
pub(super) fn plan(snapshot: &ExecutorDeploymentSnapshot, desired: &DesiredIdentity) -> IdentityPlan {
    let mut plan = IdentityPlan::default();
    let Some(identities) = &snapshot.pod_identities else { return plan };
    let registered = match &identities.registered {
        Observed::Known(registered) => Some(registered),
        Observed::Unknown(why) => {
            if snapshot.pod_executors().next().is_some() {
                plan.awaiting.push(format!("the colony to report which executors are registered: {why}"));
            }
            None
        }
    };
    for pod in snapshot.pod_executors().filter(|pod| !pod.is_leaving()) {
        PodPlan { plan: &mut plan, snapshot, desired, identities }.pod(&pod, registered);
    }
    plan_removal(snapshot, &mut plan);
    plan
}

/// Removes the executors whose pods have gone, and what an earlier registration may still bring.
pub(super) fn plan_removal(snapshot: &ExecutorDeploymentSnapshot, plan: &mut IdentityPlan) {
    let Some(identities) = &snapshot.pod_identities else { return };
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.executors.as_ref());
    if let Observed::Unknown(why) = &identities.registered
        && recorded.is_some_and(|recorded| !recorded.is_empty())
        && snapshot.pod_executors().next().is_none()
    {
        plan.awaiting.push(format!("the colony to report which executors are left: {why}"));
    }
    if !identities.missing_pod.is_empty() {
        let count = identities.missing_pod.len();
        plan.awaiting.push(format!("confirmation that the pods of {count} executors have gone"));
    }
    match &identities.without_pod {
        Observed::Unknown(why) => plan.awaiting.push(format!("the API server to list the pods: {why}")),
        Observed::Known(names) => {
            for name in names {
                if identities.in_flight.get(name).is_some_and(|until| snapshot.now < *until) {
                    plan.awaiting
                        .push(format!("an earlier registration of executor {name} that may still arrive"));
                } else {
                    plan.remove(name);
                }
            }
        }
    }
}

/// What is planned for one pod.
struct PodPlan<'a> {
    plan: &'a mut IdentityPlan,
    snapshot: &'a ExecutorDeploymentSnapshot,
    desired: &'a DesiredIdentity,
    identities: &'a PodIdentities,
}

impl PodPlan<'_> {
    fn pod(&mut self, pod: &PodExecutor<'_>, registered: Option<&BTreeMap<String, RegisteredExecutor>>) {
        let Some((name, end)) = pod.name else {
            if pod.is_gated {
                self.unnamed(pod);
            }
            return;
        };
        // An executor that is registered long before its pod starts would look as if it did not ask for work.
        if pod.is_gated && is_queued(pod.pod) {
            self.plan.awaiting.push(format!("pod {} to be admitted by its queue", pod.pod.name_any()));
            return;
        }
        let found = registered.and_then(|registered| registered.get(name));
        match found.map(|found| found.state) {
            Some(ExecutorState::Approved) if pod.is_gated => self.open(pod),
            Some(ExecutorState::Rejected) => {
                self.plan
                    .awaiting
                    .push(format!("approval of executor {name}, which was rejected in the colony"));
            }
            // The server drops an executor that has not asked for work for ten minutes. Approval brings it back under its key.
            Some(ExecutorState::Pending | ExecutorState::Unregistered) => {
                let id = found.map(|found| found.id.clone()).unwrap_or_default();
                self.register(name, &id, None);
            }
            None if registered.is_some() => self.unknown(pod, name, end),
            Some(ExecutorState::Approved) | None => {}
        }
    }

    /// A pod whose executor the colony does not know.
    fn unknown(&mut self, pod: &PodExecutor<'_>, name: &str, end: &str) {
        let fleet = self.snapshot.object.name_any();
        let secret = names::pod_identity_secret(&fleet, end);
        match self.identities.secrets.get(name) {
            None => {}
            Some(Observed::Unknown(why)) => {
                self.plan.awaiting.push(format!("Secret {secret} cannot be read: {why}"));
            }
            Some(Observed::Known(None)) => {
                self.plan.kubernetes.push(KubernetesStep::CreatePodIdentity {
                    identity: Box::new(self.desired.of_pod(&fleet, end, pod.pod)),
                    executor: name.to_owned(),
                });
                self.plan.awaiting.push(format!("the key of executor {name}"));
            }
            Some(Observed::Known(Some(identity))) if is_of_pod(identity, name, pod) => {
                self.register(name, &identity.executor_id, Some(identity));
            }
            Some(Observed::Known(Some(_))) => {
                self.delete(pod, &format!("Secret {secret} is not the one that the operator makes for it"));
            }
        }
    }

    fn register(&mut self, name: &str, id: &str, identity: Option<&Identity>) {
        let (snapshot, desired) = (self.snapshot, self.desired);
        let object = &snapshot.object;
        let executor_type = identity.and_then(|identity| identity.executor_type.clone());
        let location = match identity.and_then(|identity| identity.location.clone()) {
            Some(location) => Some(location).filter(|location| !location.is_empty()),
            None => desired.location.clone(),
        };
        self.plan.colony.push(ColonyStep::RegisterExecutor {
            name: name.to_owned(),
            id: id.to_owned(),
            executor_type: executor_type.unwrap_or_else(|| desired.executor_type.clone()),
            origin: names::executor_origin(
                &snapshot.cluster,
                &object.uid().unwrap_or_default(),
                &object.namespace().unwrap_or_default(),
                &object.name_any(),
            ),
            location,
        });
    }

    /// Lets a pod start.
    fn open(&mut self, pod: &PodExecutor<'_>) {
        let gates = pod.pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
        self.plan.kubernetes.push(KubernetesStep::OpenPod {
            name: pod.pod.name_any(),
            uid: pod.pod.uid().unwrap_or_default(),
            resource_version: pod.pod.resource_version(),
            gates: gates
                .map(|gate| gate.name.clone())
                .filter(|gate| gate != names::REGISTRATION_GATE)
                .collect(),
        });
    }

    /// A pod that was created while the API server did not ask the webhook. It has never started.
    fn unnamed(&mut self, pod: &PodExecutor<'_>) {
        let since = match &self.identities.webhook {
            Observed::Known(since) => *since,
            Observed::Unknown(why) => {
                self.plan.awaiting.push(format!("names for the executors of new pods: {why}"));
                return;
            }
        };
        let created = pod.pod.metadata.creation_timestamp.as_ref().map_or(since, |time| time.0);
        if created >= since && self.snapshot.now.duration_since(created) < UNNAMED {
            let name = pod.pod.name_any();
            self.plan
                .awaiting
                .push(format!("another pod in the place of {name}, whose executor has no name"));
            return;
        }
        self.delete(pod, "the API server did not ask for a name for its executor");
    }

    fn delete(&mut self, pod: &PodExecutor<'_>, why: &str) {
        self.plan.kubernetes.push(KubernetesStep::DeletePod {
            name: pod.pod.name_any(),
            uid: pod.pod.uid().unwrap_or_default(),
            why: why.to_owned(),
        });
    }
}

/// Whether a Secret is the one of a pod: users who may edit Secrets in the namespace can write others into it.
fn is_of_pod(identity: &Identity, name: &str, pod: &PodExecutor<'_>) -> bool {
    identity.owner_uid == pod.pod.uid() && identity.executor_name == name && !identity.executor_id.is_empty()
}
