//! What to do about the executor's identity: a Secret in the cluster and a registration in the colony, which are one
//! thing. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::{ColonyStep, KubernetesStep, OwnershipError, workload};
use crate::{
    api::{
        metadata::Owner,
        names::{self, CONTENT_HASH_ANNOTATION, EXECUTOR_NAME_ANNOTATION},
        policy::{AdoptionPolicy, ManagementPolicy},
    },
    colony::model::ExecutorState,
    desired::{DesiredIdentity, WorkloadPolicies},
    snapshot::{ExecutorDeploymentSnapshot, Identity, Observed, Registration},
};

/// What is to be done about the identity.
#[derive(Debug, Default)]
pub(super) struct IdentityPlan {
    /// Writes to the cluster; they come before the workload's.
    pub kubernetes: Vec<KubernetesStep>,
    /// Writes to the colony; they come before the workload's too: an executor is registered before it starts.
    pub colony: Vec<ColonyStep>,
    /// What is waited for.
    pub awaiting: Vec<String>,
    /// What differs and is left so, with what differs.
    pub drifted: Vec<String>,
    /// What is left until the next run of a Job.
    pub left: Vec<String>,
}

/// Plans the identity. `serves`: whether pods run with it.
pub(super) fn plan(
    snapshot: &ExecutorDeploymentSnapshot,
    desired: &DesiredIdentity,
    policies: &WorkloadPolicies,
    owner: &Owner,
    serves: bool,
) -> Result<IdentityPlan, OwnershipError> {
    let mut plan = IdentityPlan::default();
    let identity = match &snapshot.identity {
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("Secret {} cannot be read: {why}", secret_name(desired)));
            return Ok(plan);
        }
        Observed::Known(None) => {
            plan.kubernetes.push(KubernetesStep::CreateIdentity(Box::new(desired.clone())));
            plan.awaiting.push("the executor's key".to_owned());
            return Ok(plan);
        }
        Observed::Known(Some(identity)) => identity,
    };
    let may_update = policies.management.allow(ManagementPolicy::Update);
    let may_adopt = policies.adoption != AdoptionPolicy::Fail && may_update;
    if identity.owner_uid.is_none() && may_adopt && !identity.executor_name.is_empty() {
        ensure_own(snapshot, identity, desired)?;
        if let Observed::Unknown(why) = &snapshot.registration {
            let name = &identity.executor_name;
            plan.awaiting.push(format!("the colony to report whose executor {name} is: {why}"));
            return Ok(plan);
        }
        // The executor that it names continues under the new object.
        plan.kubernetes.push(KubernetesStep::UpdateIdentity {
            identity: Box::new(desired.clone()),
            resource_version: identity.resource_version.clone(),
            is_adopted: true,
        });
        plan.awaiting.push(format!("Secret {} to be taken over", secret_name(desired)));
        return Ok(plan);
    }
    if identity.owner_uid.as_deref() != Some(&owner.uid) {
        return Err(OwnershipError::Foreign {
            kind: "Secret".to_owned(),
            name: secret_name(desired),
            owner: identity
                .owner_uid
                .clone()
                .map_or_else(|| "an unknown owner".to_owned(), |uid| format!("UID {uid}")),
        });
    }
    ensure_own(snapshot, identity, desired)?;
    if let Some(why) = registration_mismatch(identity, desired) {
        if workload::keeps_run(&snapshot.object, &snapshot.workloads) {
            plan.registration(snapshot, desired, identity, serves);
            plan.predecessor(snapshot);
            plan.left.push(format!("{why}: the Job keeps its executor, and its next run gets a new one"));
            return Ok(plan);
        }
        if !may_update {
            plan.drifted.push(format!("Secret {}: {why}", secret_name(desired)));
            return Ok(plan);
        }
        // The next pass makes another. Until then, pods serve with what they were given when they started.
        plan.kubernetes
            .push(KubernetesStep::DeleteIdentity { name: secret_name(desired), uid: identity.uid.clone() });
        plan.awaiting.push(format!("a new executor: {why}"));
        return Ok(plan);
    }
    plan.registration(snapshot, desired, identity, serves);
    plan.predecessor(snapshot);
    let wanted_hash = desired.metadata.annotations.as_ref().and_then(|all| all.get(CONTENT_HASH_ANNOTATION));
    if plan.kubernetes.is_empty() && identity.content_hash.as_ref() != wanted_hash {
        if !may_update {
            plan.drifted.push(format!("Secret {}: the environment of the executors", secret_name(desired)));
            return Ok(plan);
        }
        plan.kubernetes.push(KubernetesStep::UpdateIdentity {
            identity: Box::new(desired.clone()),
            resource_version: identity.resource_version.clone(),
            is_adopted: false,
        });
    }
    Ok(plan)
}

impl IdentityPlan {
    /// Both, one after the other.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.kubernetes.extend(other.kubernetes);
        self.colony.extend(other.colony);
        self.awaiting.extend(other.awaiting);
        self.drifted.extend(other.drifted);
        self.left.extend(other.left);
        self
    }

    fn registration(
        &mut self,
        snapshot: &ExecutorDeploymentSnapshot,
        desired: &DesiredIdentity,
        identity: &Identity,
        serves: bool,
    ) {
        let register = || ColonyStep::RegisterExecutor {
            name: identity.executor_name.clone(),
            id: identity.executor_id.clone(),
            executor_type: desired.executor_type.clone(),
            origin: names::executor_origin(
                &snapshot.cluster,
                &snapshot.object.uid().unwrap_or_default(),
                &snapshot.object.namespace().unwrap_or_default(),
                &snapshot.object.name_any(),
            ),
            location: desired.location.clone(),
        };
        match &snapshot.registration {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to report whether the executor is registered: {why}"));
            }
            Observed::Known(Registration::Absent | Registration::Present(ExecutorState::Pending)) => {
                self.colony.push(register());
            }
            // The server drops an executor that has not asked for work for ten minutes, be it busy or not there.
            // Approval brings it back under its key; without pods that serve, it would only be dropped again.
            Observed::Known(Registration::Present(ExecutorState::Unregistered)) if serves => {
                self.colony.push(register());
            }
            // Another's is refused before.
            Observed::Known(
                Registration::Present(ExecutorState::Approved | ExecutorState::Unregistered)
                | Registration::Foreign,
            ) => {}
            Observed::Known(Registration::Present(ExecutorState::Rejected)) => self.awaiting.push(format!(
                "approval of executor {}, which was rejected in the colony",
                identity.executor_name
            )),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.colony.push(ColonyStep::RemoveExecutor { name: name.to_owned() });
        self.awaiting.push(format!("executor {name} to be removed"));
    }

    /// The executor that status names and the Secret no longer does leaves the colony, when the last pod that serves
    /// as it is gone: the server would assign its processes to another executor.
    fn predecessor(&mut self, snapshot: &ExecutorDeploymentSnapshot) {
        let Some(name) = snapshot.predecessor() else { return };
        let serves_as_it = |pod: &Pod| {
            pod.annotations().get(EXECUTOR_NAME_ANNOTATION).is_some_and(|executor| executor == name)
        };
        let count = snapshot.pods.iter().filter(|pod| serves_as_it(pod)).count();
        if count > 0 {
            self.awaiting.push(format!("{count} pods of executor {name} to be gone"));
        } else if is_in_flight(snapshot, snapshot.in_flight.recorded_executor) {
            self.awaiting.push(late_registration(name));
        } else if let Observed::Unknown(why) = &snapshot.recorded_registration {
            self.awaiting.push(format!("the colony to report whose executor {name} is: {why}"));
        } else {
            self.colony.push(ColonyStep::RemoveExecutor { name: name.to_owned() });
        }
    }
}

/// A user who may edit Secrets in the namespace can write another's name into one: the executor of a fleet is named after it, and
/// what the colony has under that name has the id of the key.
fn ensure_own(
    snapshot: &ExecutorDeploymentSnapshot,
    identity: &Identity,
    desired: &DesiredIdentity,
) -> Result<(), OwnershipError> {
    let name = &identity.executor_name;
    let why = if !snapshot.is_named_after(name) {
        format!(
            "COLONIES_EXECUTOR_NAME is {name:?}, and executors of this object are named {}-…",
            desired.name_prefix
        )
    } else if identity.executor_id.is_empty() {
        "COLONIES_PRVKEY is not a private key".to_owned()
    } else if snapshot.registration.known() == Some(&Registration::Foreign) {
        format!("executor {name} of the colony was registered with another key or for another object")
    } else {
        return Ok(());
    };
    Err(OwnershipError::Identity { secret: secret_name(desired), why })
}

/// Removes the executor as which all pods served, when the last of them is gone: each has one of its own now.
pub(super) fn plan_shared_end(snapshot: &ExecutorDeploymentSnapshot, uid: &str) -> IdentityPlan {
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.executor.as_ref());
    let identity = snapshot.identity.known().and_then(Option::as_ref);
    let names = [identity.map(|identity| &identity.executor_name), recorded.map(|recorded| &recorded.name)];
    let serves_as_it = |pod: &&Pod| {
        let executor = pod.annotations().get(EXECUTOR_NAME_ANNOTATION);
        executor.is_some() && names.contains(&executor)
    };
    let count = snapshot.pods.iter().filter(serves_as_it).count();
    if count == 0 {
        return plan_end(snapshot, uid);
    }
    let awaiting = vec![format!("{count} pods of the executor that all shared to be gone")];
    IdentityPlan { awaiting, ..IdentityPlan::default() }
}

/// Removes the executor from the colony, and then its Secret: without the Secret, the operator would not know what to
/// remove.
pub(super) fn plan_end(snapshot: &ExecutorDeploymentSnapshot, uid: &str) -> IdentityPlan {
    let mut plan = IdentityPlan::default();
    let identity = match &snapshot.identity {
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("the Secret with the executor's name: {why}"));
            return plan;
        }
        Observed::Known(identity) => {
            identity.as_ref().filter(|identity| identity.owner_uid.as_deref() == Some(uid))
        }
    };
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.executor.as_ref());
    let name = identity.map(|identity| &identity.executor_name).or(recorded.map(|recorded| &recorded.name));
    let Some(name) = name else { return plan };
    if let Some(predecessor) = snapshot.predecessor().filter(|_| identity.is_some()) {
        if let Observed::Unknown(why) = &snapshot.recorded_registration
            && recorded.is_some_and(|recorded| recorded.registered)
        {
            plan.awaiting.push(format!("the colony to remove executor {predecessor}: {why}"));
            return plan;
        }
        if is_in_flight(snapshot, snapshot.in_flight.recorded_executor) {
            plan.awaiting.push(late_registration(predecessor));
            return plan;
        }
        plan.remove(predecessor);
    }
    let was_registered = recorded.is_some_and(|recorded| recorded.registered);
    let delete = |identity: &Identity| KubernetesStep::DeleteIdentity {
        name: names::identity_secret(&snapshot.object.name_any()),
        uid: identity.uid.clone(),
    };
    // What the Secret or status names is another's: it stays.
    if !snapshot.is_named_after(name) || snapshot.registration.known() == Some(&Registration::Foreign) {
        plan.kubernetes.extend(identity.map(delete));
        return plan;
    }
    match &snapshot.registration {
        Observed::Unknown(why) if was_registered => {
            plan.awaiting.push(format!("the colony to remove executor {name}: {why}"));
        }
        // An approval that arrives after the removal would bring the executor back, and an add would make it.
        _ if is_in_flight(snapshot, snapshot.in_flight.executor) => {
            plan.awaiting.push(late_registration(name));
        }
        // Which executors there are is read from time to time: what has arrived since the last time is removed unseen.
        Observed::Known(Registration::Absent) if snapshot.in_flight.executor.is_some() => plan.remove(name),
        // Whether or not the colony answers.
        Observed::Unknown(_)
        | Observed::Known(
            Registration::Absent | Registration::Foreign | Registration::Present(ExecutorState::Unregistered),
        ) => plan.kubernetes.extend(identity.map(delete)),
        Observed::Known(Registration::Present(_)) => plan.remove(name),
    }
    plan
}

fn is_in_flight(snapshot: &ExecutorDeploymentSnapshot, until: Option<Timestamp>) -> bool {
    until.is_some_and(|until| snapshot.now < until)
}

/// What is waited for before an executor whose registration was not answered is taken away.
fn late_registration(name: &str) -> String {
    format!("an earlier registration of executor {name} that may still arrive")
}

/// Why an executor cannot go on under its registration, if so: the server never changes type or location of one.
fn registration_mismatch(identity: &Identity, desired: &DesiredIdentity) -> Option<String> {
    let location = desired.location.clone().unwrap_or_default();
    let fields = [
        ("type", &identity.executor_type, &desired.executor_type),
        ("location", &identity.location, &location),
    ];
    fields.into_iter().find_map(|(field, before, after)| {
        let before = before.as_ref().filter(|before| *before != after)?;
        Some(format!("the {field} changes from {before:?} to {after:?}"))
    })
}

fn secret_name(desired: &DesiredIdentity) -> String {
    desired.metadata.name.clone().unwrap_or_default()
}
