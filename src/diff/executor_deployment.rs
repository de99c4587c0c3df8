//! What to do for an `ExecutorDeployment`: identity, workload and process put in one order. Pure.

use kube::ResourceExt as _;
use serde_json::json;

use super::{
    KubernetesStep, Order, OwnershipError, Plan, Step, Sync,
    blueprint::{self, BlueprintPlan},
    busy_pods,
    hold::{has_finalizer, hold},
    identity, mirror, pod_identities, workload,
};
use crate::{
    api::{
        condition::Reason,
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus, Runtime, Workload},
        mirror::MirrorStatus,
        names::{
            self, ABANDON_ANNOTATION, EXECUTOR_DEPLOYMENT_FINALIZER, FOREGROUND_FINALIZER,
            PROCESS_SPEC_ANNOTATION,
        },
        policy::{DeletionPolicy, ManagementPolicy},
    },
    desired::{DesiredExecutorDeployment, Problem, SharedSpec, executor_deployment::desired},
    snapshot::{
        ColonyReference, ExecutorDeploymentSnapshot, Observed,
        progress::{self, Progress},
    },
};

/// Stage 3; without a desired state for an object that is being deleted.
///
/// # Errors
///
/// When a name is taken.
pub fn plan_desired(
    snapshot: &ExecutorDeploymentSnapshot,
    desired: Option<&DesiredExecutorDeployment>,
) -> Result<Plan, Problem> {
    let Some(desired) = desired else { return Ok(plan_deletion(snapshot)) };
    plan(snapshot, desired)
        .map_err(|error| Problem { reason: Reason::ForeignObject, message: error.to_string() })
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(snapshot: &ExecutorDeploymentSnapshot) -> Result<Plan, Problem> {
    plan_desired(snapshot, desired(snapshot)?.as_ref())
}

/// Plans an object that is to be.
///
/// # Errors
///
/// When an object with a required name belongs to another owner.
pub fn plan(
    snapshot: &ExecutorDeploymentSnapshot,
    desired: &DesiredExecutorDeployment,
) -> Result<Plan, OwnershipError> {
    let management = &snapshot.object.spec.management_policies;
    if management.only_observe() {
        return Ok(observe(snapshot));
    }
    if let Observed::Unknown(why) = &snapshot.earlier {
        let awaited = format!("the colony to report what it has of the object that was restored: {why}");
        return Ok(Plan { awaiting: vec![awaited], sync: Sync::Unchanged, ..Plan::default() });
    }
    let mut blueprint = blueprint::plan(snapshot);
    if let Some(step) = blueprint.object.take() {
        // Whatever follows from the spec follows from the next one, which is written once it is on record that an edit is undone.
        let is_told = !matches!(blueprint.sync, Sync::Undoes(_));
        let steps = is_told.then_some(Step::Kubernetes(step)).into_iter().collect();
        return Ok(Plan { steps, sync: blueprint.sync, ..Plan::default() });
    }
    let Some(here) = &desired.here else {
        // Another runtime runs it. What this one made for an earlier spec goes.
        let mut plan = if management.allow(ManagementPolicy::Delete) {
            withdraw(snapshot, "another runtime runs it")
        } else {
            keep_existing(snapshot)
        };
        if !has_finalizer(snapshot) {
            plan.steps.insert(0, Step::Kubernetes(KubernetesStep::AddFinalizer));
            plan.order = Order::Strict;
        }
        plan.steps.extend(blueprint.steps.into_iter().map(Step::Colony));
        plan.awaiting.extend(blueprint.awaiting);
        plan.left.extend(blueprint.left);
        plan.sync = blueprint.sync;
        return Ok(plan);
    };
    if !management.allow(ManagementPolicy::Create) && stands(snapshot) != Some(true) {
        return Ok(plan_without_workload(snapshot, blueprint));
    }
    let owner = &desired.owner;
    let own = pod_identities::plan(snapshot, &here.identity);
    let identity = if snapshot.object.spec.is_per_pod() {
        identity::plan_shared_end(snapshot, &owner.uid)
    } else {
        identity::plan(snapshot, &here.identity, &here.policies, owner, serves(snapshot))?
    };
    let identity = identity.and(own);
    // While a new key is made, the workload stays as it is: its pods would otherwise roll twice.
    let workload = if here.workload.is_some() || snapshot.object.spec.suspend {
        workload::plan(here.workload.as_ref(), &here.policies, &snapshot.workloads, &snapshot.object)?
    } else {
        workload::WorkloadPlan::default()
    };
    let settled =
        (identity.kubernetes.is_empty() && workload.steps.is_empty() && workload.awaiting.is_empty())
            .then(|| current_progress(snapshot))
            .flatten();
    // A withheld generation has no process, and none is closed for it.
    let is_withheld = workload.is_withheld || !identity.drifted.is_empty();
    let mirror = if is_carried_by_colony(&snapshot.object) {
        mirror::plan_end(snapshot)
    } else if is_withheld {
        mirror::plan_held(snapshot)
    } else {
        mirror::plan(snapshot, &here.process, settled.as_ref(), &output(snapshot, settled.as_ref()))
    };

    let (mut steps, mut order) = (Vec::new(), Order::BySide);
    if let Some(hold) = hold(snapshot) {
        steps.push(Step::Kubernetes(hold));
        // What reaches the colony for an object that nothing holds is left there when the object is deleted.
        order = Order::Strict;
    }
    steps.extend(identity.kubernetes.into_iter().map(Step::Kubernetes));
    steps.extend(identity.colony.into_iter().map(Step::Colony));
    let busy = busy_pods::plan(snapshot, here.budget.as_deref());
    steps.extend(workload.steps.into_iter().chain(busy.steps).map(Step::Kubernetes));
    steps.extend(mirror.steps.into_iter().map(Step::Colony));
    steps.extend(blueprint.steps.into_iter().map(Step::Colony));
    let awaiting = [identity.awaiting, workload.awaiting, mirror.awaiting, blueprint.awaiting].concat();
    let drifted = [identity.drifted, workload.drifted].concat();
    let mut left = [identity.left, workload.left, blueprint.left, busy.left].concat();
    let admitted = workload.admitted;
    if is_withheld && !management.allow(ManagementPolicy::Update) {
        let remedy = ManagementPolicy::Update.remedy();
        left.insert(0, format!("the current spec is not applied: spec.{remedy}"));
    }
    let (mirror, sync) = (mirror.mirror, blueprint.sync);
    Ok(Plan { steps, order, awaiting, drifted, admitted, left, mirror, sync, ..Plan::default() })
}

/// Whether a workload of the object's name and kind exists, whatever its owner; none if that is not known.
fn stands(snapshot: &ExecutorDeploymentSnapshot) -> Option<bool> {
    workload::stands(&snapshot.workloads, snapshot.object.spec.workload)
}

/// The workload of an object, for a person.
fn workload_name(snapshot: &ExecutorDeploymentSnapshot) -> String {
    format!("{} {}", snapshot.object.spec.workload.as_str(), snapshot.object.name_any())
}

/// Looks, and writes nothing to cluster or colony.
fn observe(snapshot: &ExecutorDeploymentSnapshot) -> Plan {
    let held = mirror::plan_held(snapshot);
    let mut plan = Plan { awaiting: held.awaiting, mirror: held.mirror, ..Plan::default() };
    if snapshot.object.blueprint_name().is_some() {
        plan.sync = Sync::Unchanged;
    }
    let what = workload_name(snapshot);
    match (snapshot.object.spec.runtime, stands(snapshot)) {
        (Runtime::Kubernetes, None) => plan.awaiting.push(format!("the API server to report whether {what} exists")),
        (Runtime::Kubernetes, Some(false)) => plan.left.push(format!(
            "{what} does not exist and is not created, since spec.managementPolicies lists only Observe: add Create"
        )),
        _ => {}
    }
    plan
}

/// Makes nothing for a workload that is not there, or not known to be.
fn plan_without_workload(snapshot: &ExecutorDeploymentSnapshot, blueprint: BlueprintPlan) -> Plan {
    let (held, what) = (mirror::plan_held(snapshot), workload_name(snapshot));
    let steps = held.steps.into_iter().chain(blueprint.steps).map(Step::Colony).collect();
    let mut plan = Plan {
        steps,
        awaiting: [held.awaiting, blueprint.awaiting].concat(),
        left: blueprint.left,
        mirror: held.mirror,
        sync: blueprint.sync,
        ..Plan::default()
    };
    if stands(snapshot).is_none() {
        plan.awaiting.push(format!("the API server to report whether {what} exists"));
        return plan;
    }
    let why = ManagementPolicy::Create.remedy();
    plan.left.insert(0, format!("{what}, its key, registration and process are not created: spec.{why}"));
    plan
}

/// Leaves what was made for an earlier spec.
fn keep_existing(snapshot: &ExecutorDeploymentSnapshot) -> Plan {
    let uid = snapshot.object.uid().unwrap_or_default();
    let remedy = ManagementPolicy::Delete.remedy();
    let surplus = workload::deletions(&snapshot.workloads, &uid, None, "another runtime runs it");
    let left = surplus.iter().map(|step| format!("{step} is not done: spec.{remedy}"));
    Plan { left: left.collect(), ..end_mirror(snapshot) }
}

/// Whether a blueprint, or the process that the object originates from, mirrors this generation in the colony: a
/// process submitted for it would be a second one.
#[must_use]
pub fn is_carried_by_colony(object: &ExecutorDeployment) -> bool {
    let born_of = object.annotations().get(PROCESS_SPEC_ANNOTATION);
    object.blueprint_name().is_some()
        || born_of.is_some_and(|hash| *hash == SharedSpec::of_object(&object.spec).hash())
}

/// Plans the end of an object that is being deleted: what others want done first, then pods, so that no executor is taken
/// from under its process, then the colony's side, then the object itself. It needs no valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &ExecutorDeploymentSnapshot) -> Plan {
    if !has_finalizer(snapshot) {
        return Plan::default();
    }
    let others = finalizers_of_others(&snapshot.object);
    if !others.is_empty() {
        let awaiting = others.iter().map(|finalizer| format!("finalizer {finalizer} of another controller"));
        return Plan { awaiting: awaiting.collect(), sync: Sync::Unchanged, ..Plan::default() };
    }
    let stays = !snapshot.object.spec.management_policies.allow(ManagementPolicy::Delete);
    let orphaned = stays || !workload::orphaned(&snapshot.workloads, &snapshot.object.name_any()).is_empty();
    let mut plan = if orphaned { end_mirror(snapshot) } else { withdraw(snapshot, "the object is deleted") };
    if is_abandoned(snapshot) {
        plan.steps.retain(|step| matches!(step, Step::Kubernetes(_)));
        plan.awaiting.clear();
    }
    if stays {
        release(snapshot, &mut plan);
    }
    let pods_left = !orphaned
        && (!snapshot.pods.is_empty()
            || workload::any_left(&snapshot.workloads, &snapshot.object.uid().unwrap_or_default()));
    let unreadable = workload::unreadable(&snapshot.workloads).is_some();
    if plan.steps.is_empty() && plan.awaiting.is_empty() && !pods_left && !unreadable {
        plan.steps.push(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    }
    plan
}

/// Finalizers whose owners have to be done before anything is taken away. The garbage collector's own for a deletion in the
/// foreground is none of them: it deletes the children by itself, and nothing of ours stands in its way. Its other one is:
/// until it is gone, children still look as if they were to go with the object.
#[must_use]
pub fn finalizers_of_others(object: &ExecutorDeployment) -> Vec<&str> {
    let ours = [EXECUTOR_DEPLOYMENT_FINALIZER, FOREGROUND_FINALIZER];
    object.finalizers().iter().map(String::as_str).filter(|finalizer| !ours.contains(finalizer)).collect()
}

/// Whether the colony's side is not corrected: the colony is permanently gone, or a user declares it so.
fn is_abandoned(snapshot: &ExecutorDeploymentSnapshot) -> bool {
    let is_there = |status: &ExecutorDeploymentStatus| {
        status.mirror.as_ref().is_some_and(MirrorStatus::may_live)
            || status.blueprint.is_some()
            || status.executor.as_ref().is_some_and(|executor| executor.registered)
    };
    let is_nowhere = matches!(snapshot.colony, ColonyReference::NotFound { .. })
        && !snapshot.object.status.as_ref().is_some_and(is_there);
    is_nowhere || snapshot.object.annotations().get(ABANDON_ANNOTATION).is_some_and(|value| value == "true")
}

/// What remains of an object that is released without its colony or children, as a message; none if nothing is.
#[must_use]
pub fn remaining_in_colony(snapshot: &ExecutorDeploymentSnapshot) -> Option<String> {
    let object = &snapshot.object;
    let mut in_cluster = workload::orphaned(&snapshot.workloads, &object.name_any());
    let is_abandoned = is_abandoned(snapshot);
    if in_cluster.is_empty() && !is_abandoned {
        return None;
    }
    if !in_cluster.is_empty() && snapshot.identity.known().is_some_and(Option::is_some) {
        in_cluster.push(format!("Secret {}", names::identity_secret(&object.name_any())));
    }
    let status = object.status.as_ref();
    let executor = status.and_then(|status| status.executor.as_ref()).filter(|executor| executor.registered);
    let deletion = object.spec.management_policies.deletion(object.spec.deletion_policy);
    let keeps_process = is_abandoned || deletion == DeletionPolicy::Orphan;
    let process = status
        .and_then(|status| status.mirror.as_ref())
        .filter(|mirror| keeps_process && mirror.state.is_live());
    let in_colony: Vec<String> = [
        executor.map(|executor| format!("executor {}", executor.name)),
        process.and_then(|mirror| mirror.process_id.as_ref()).map(|id| format!("process {id}")),
        status
            .and_then(|status| status.blueprint.as_ref())
            .filter(|_| is_abandoned)
            .map(|blueprint| format!("blueprint {}", blueprint.name)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let left: Vec<String> = [("colony", in_colony), ("cluster", in_cluster)]
        .into_iter()
        .filter(|(_, left)| !left.is_empty())
        .map(|(place, left)| format!("remains in the {place}: {}", left.join(", ")))
        .collect();
    (!left.is_empty()).then(|| left.join("; "))
}

/// Takes back everything that was made for an object, in the cluster and in the colony.
fn withdraw(snapshot: &ExecutorDeploymentSnapshot, why: &str) -> Plan {
    let uid = snapshot.object.uid().unwrap_or_default();
    let mut plan = end_mirror(snapshot);
    let deletions = workload::deletions(&snapshot.workloads, &uid, None, why);
    plan.steps.splice(0..0, deletions.into_iter().map(Step::Kubernetes));
    if let Some(why) = workload::unreadable(&snapshot.workloads) {
        plan.awaiting.push(format!("the API server to list what runs: {why}"));
    } else if workload::any_left(&snapshot.workloads, &uid) || !snapshot.pods.is_empty() {
        plan.awaiting.push(format!("{} pods to be gone", snapshot.pods.len()));
    } else {
        let mut identity = identity::plan_end(snapshot, &uid);
        pod_identities::plan_removal(snapshot, &mut identity);
        plan.steps.extend(identity.colony.into_iter().map(Step::Colony));
        plan.steps.extend(identity.kubernetes.into_iter().map(Step::Kubernetes));
        plan.awaiting.extend(identity.awaiting);
    }
    plan
}

/// Ends the process or blueprint of the object in the colony, and leaves everything else unchanged.
fn end_mirror(snapshot: &ExecutorDeploymentSnapshot) -> Plan {
    let process = mirror::plan_end(snapshot);
    let blueprint = blueprint::plan_end(snapshot);
    Plan {
        steps: process.steps.into_iter().chain(blueprint.steps).map(Step::Colony).collect(),
        awaiting: [process.awaiting, blueprint.awaiting].concat(),
        mirror: process.mirror,
        sync: Sync::Unchanged,
        ..Plan::default()
    }
}

/// Orphans everything in the cluster that must stay: with a reference to its owner it would go, too.
fn release(snapshot: &ExecutorDeploymentSnapshot, plan: &mut Plan) {
    let uid = snapshot.object.uid().unwrap_or_default();
    plan.steps.extend(workload::releases(&snapshot.workloads, &uid).into_iter().map(Step::Kubernetes));
    match &snapshot.identity {
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("the Secret with the executor's key, which is to stay: {why}"));
        }
        Observed::Known(Some(identity)) if identity.owner_uid.as_deref() == Some(&uid) => {
            plan.steps.push(Step::Kubernetes(KubernetesStep::ReleaseIdentity {
                name: names::identity_secret(&snapshot.object.name_any()),
                resource_version: identity.resource_version.clone(),
            }));
        }
        Observed::Known(_) => {}
    }
}

/// Whether pods serve the colony now.
fn serves(snapshot: &ExecutorDeploymentSnapshot) -> bool {
    current_progress(snapshot)
        .is_some_and(|progress| progress.ready > 0 && progress.phase != progress::Phase::Completed)
}

/// How far the workload of the current spec is; none while there is no such workload.
#[must_use]
pub fn current_progress(snapshot: &ExecutorDeploymentSnapshot) -> Option<Progress> {
    let workloads = &snapshot.workloads;
    match snapshot.object.spec.workload {
        Workload::Deployment => workloads.deployment.known()?.as_ref().map(progress::of_deployment),
        Workload::DaemonSet => match workloads.daemon_set.known()? {
            Some(daemon_set) => Some(progress::of_daemon_set(daemon_set)),
            None if snapshot.object.spec.suspend => {
                Some(Progress { desired: 0, replicas: 0, ready: 0, phase: progress::Phase::Ready })
            }
            None => None,
        },
        Workload::Job => {
            let found = workloads.job.known()?.as_ref().map(progress::of_job);
            let mut progress =
                found.or_else(|| workload::finished(&snapshot.object).map(progress::of_finished_job))?;
            if snapshot.object.spec.suspend && progress.phase == progress::Phase::Progressing {
                progress.phase = progress::Phase::Ready;
            }
            Some(progress)
        }
    }
}

/// What the mirrored process is closed with.
fn output(snapshot: &ExecutorDeploymentSnapshot, settled: Option<&Progress>) -> serde_json::Value {
    let (replicas, ready) = settled.map_or((0, 0), |progress| (progress.replicas, progress.ready));
    json!({
        "observedGeneration": snapshot.object.metadata.generation,
        "workload": {"kind": snapshot.object.spec.workload.as_str(), "name": snapshot.object.name_any()},
        "replicas": replicas,
        "readyReplicas": ready,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        api::namespace::ColonyTrust,
        api::{
            colony::ColonySpec,
            executor_deployment::IdentityMode,
            names::{APP_MANAGED_BY_LABEL, EXECUTOR_DEPLOYMENT_LABEL, OPERATOR},
        },
        snapshot::{
            AddsInFlight, ColonyAccess, Identity, PodIdentities, Policy, ResolvedColony, TypeUse, Workloads,
        },
    };

    /// An object that is being deleted while its colony does not answer.
    fn unreachable(status: &serde_json::Value) -> ExecutorDeploymentSnapshot {
        let object = json!({
            "apiVersion": "compute.colonies.io/v1",
            "kind": "ExecutorDeployment",
            "metadata": {
                "name": "encoders", "namespace": "media", "uid": "u1", "generation": 1,
                "finalizers": [EXECUTOR_DEPLOYMENT_FINALIZER],
                "deletionTimestamp": "2026-11-21T09:59:59Z",
            },
            "spec": { "executorType": "video-encoder", "image": "i" },
            "status": status,
        });
        let colony: ColonySpec = serde_json::from_value(json!({
            "server": { "host": "h", "port": 443 }, "colonyName": "c", "credentialsSecretName": "s",
        }))
        .unwrap();
        let away = || "not connected".to_owned();
        ExecutorDeploymentSnapshot {
            blueprint: Observed::Known(None),
            object: serde_json::from_value(object).unwrap(),
            cluster: "k".to_owned(),
            colony: ColonyReference::Resolved(Box::new(ResolvedColony {
                uid: "colony-uid".to_owned(),
                name: "c".to_owned(),
                spec: colony,
                was_connected: true,
                is_admitted: true,
                access: ColonyAccess::Granted(ColonyTrust::Restricted),
                operator_executor_id: Observed::Unknown(away()),
            })),
            workloads: Workloads {
                deployment: Observed::Known(None),
                daemon_set: Observed::Known(None),
                job: Observed::Known(None),
            },
            pods: Vec::new(),
            identity: Observed::Known(Some(Identity {
                owner_uid: Some("u1".to_owned()),
                uid: None,
                resource_version: None,
                executor_name: "media-encoders-abc".to_owned(),
                executor_id: "e".to_owned(),
                executor_type: None,
                location: None,
                content_hash: None,
            })),
            registration: Observed::Unknown(away()),
            recorded_registration: Observed::Unknown(away()),
            processes: Observed::Known(Vec::new()),
            carrier: crate::snapshot::Carrier::default(),
            submit_not_before: None,
            in_flight: AddsInFlight::default(),
            similar_executor_types: Vec::new(),
            earlier: Observed::Known(Vec::new()),
            refused_pods: None,
            unmounted: None,
            pod_identities: None,
            type_use: TypeUse::default(),
            policy: Policy::default(),
            now: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn steps(snapshot: &ExecutorDeploymentSnapshot) -> Vec<String> {
        plan_deletion(snapshot).steps.iter().map(ToString::to_string).collect()
    }

    /// Missing credentials must not keep an object that has nothing in the colony; one that has something is kept.
    #[test]
    fn an_unreachable_colony_holds_only_what_it_has() {
        let mut never = unreachable(&json!({}));
        assert_eq!(steps(&never), ["kubernetes  delete Secret encoders-executor-identity"]);
        never.identity = Observed::Known(None);
        assert_eq!(steps(&never), ["kubernetes  remove the finalizer"]);

        let executor = json!({ "name": "media-encoders-abc", "id": "e", "registered": true });
        let registered = unreachable(&json!({ "executor": executor }));
        let plan = plan_deletion(&registered);
        assert!(plan.steps.is_empty(), "{plan}");
        assert_eq!(
            plan.awaiting,
            ["the colony to remove executor media-encoders-abc: not connected".to_owned()]
        );
        assert_eq!(remaining_in_colony(&registered), None, "it is not let go");
    }

    /// Executors of pods that have gone would stay in the colony for ever, if their fleet went before them.
    #[test]
    fn executors_of_pods_hold_their_fleet_until_none_is_left() {
        let fleet = |counted: serde_json::Value, registered| {
            let mut fleet = unreachable(&json!({ "executors": counted }));
            fleet.object.spec.identity = Some(IdentityMode::PerPod);
            fleet.identity = Observed::Known(None);
            fleet.pod_identities = Some(PodIdentities {
                registered,
                secrets: BTreeMap::new(),
                without_pod: Observed::Known(BTreeSet::new()),
                missing_pod: BTreeSet::new(),
                in_flight: BTreeMap::new(),
                webhook: Observed::Unknown("not there".to_owned()),
                is_offered: true,
                running: Observed::Unknown("not listed".to_owned()),
                budget: Observed::Known(None),
            });
            fleet
        };
        let (none, one) = (
            json!({"registered": 0, "waiting": 0, "leaving": 0}),
            json!({"registered": 1, "waiting": 0, "leaving": 0}),
        );
        let away = || Observed::Unknown("away".to_owned());
        assert_eq!(
            steps(&fleet(none, away())),
            ["kubernetes  remove the finalizer"],
            "nothing was registered"
        );
        let plan = plan_deletion(&fleet(one.clone(), away()));
        assert_eq!(
            (plan.steps.len(), plan.awaiting.as_slice()),
            (0, &["the colony to report which executors are left: away".to_owned()][..])
        );

        let mut known = fleet(one, Observed::Known(BTreeMap::new()));
        let name = "media-encoders-abc".to_owned();
        let identities = known.pod_identities.as_mut().unwrap();
        identities.missing_pod.insert(name.clone());
        let plan = plan_deletion(&known);
        assert_eq!((plan.steps.len(), plan.awaiting.len()), (0, 1), "its pod was missing once: {plan}");
        let identities = known.pod_identities.as_mut().unwrap();
        identities.missing_pod.clear();
        identities.without_pod = Observed::Known(BTreeSet::from([name.clone()]));
        identities.in_flight.insert(name.clone(), jiff::Timestamp::from_second(1).unwrap());
        assert_eq!(plan_deletion(&known).steps.len(), 0, "a registration may still arrive");
        known.now = jiff::Timestamp::from_second(2).unwrap();
        assert_eq!(steps(&known), ["colony      remove executor media-encoders-abc"]);
        known.pod_identities.as_mut().unwrap().without_pod = Observed::Known(BTreeSet::new());
        assert_eq!(steps(&known), ["kubernetes  remove the finalizer"]);
    }

    /// Another Secret of the name may have been made since this one was read.
    #[test]
    fn the_secret_that_was_seen_is_deleted() {
        let mut never = unreachable(&json!({}));
        if let Observed::Known(Some(identity)) = &mut never.identity {
            identity.uid = Some("s1".to_owned());
        }
        let plan = plan_deletion(&never);
        let uids = plan.steps.iter().filter_map(|step| match step {
            Step::Kubernetes(KubernetesStep::DeleteIdentity { uid, .. }) => uid.as_deref(),
            _ => None,
        });
        assert_eq!(uids.collect::<Vec<_>>(), ["s1"]);
    }

    /// A user who orphans the children needs to know what else remains, and where.
    #[test]
    fn what_an_orphaned_fleet_leaves_is_named() {
        let executor = json!({ "name": "media-encoders-abc", "id": "e", "registered": true });
        let mirror = json!({ "label": "l", "generation": 1, "processId": "p1", "state": "Running",
                             "intendedAt": "2026-11-21T09:00:00Z" });
        let mut snapshot = unreachable(&json!({ "executor": executor, "mirror": mirror }));
        let labels = json!({ APP_MANAGED_BY_LABEL: OPERATOR, EXECUTOR_DEPLOYMENT_LABEL: "encoders" });
        let deployment = json!({ "metadata": { "name": "encoders", "labels": labels } });
        snapshot.workloads.deployment = Observed::Known(serde_json::from_value(deployment).unwrap());
        assert_eq!(
            remaining_in_colony(&snapshot).as_deref(),
            Some(
                "remains in the colony: executor media-encoders-abc; remains in the cluster: Deployment encoders, Secret encoders-executor-identity"
            )
        );
        snapshot.object.spec.deletion_policy = DeletionPolicy::Orphan;
        let left = remaining_in_colony(&snapshot).unwrap();
        assert!(left.contains("executor media-encoders-abc, process p1;"), "{left}");
        assert_eq!(steps(&snapshot), ["kubernetes  remove the finalizer"]);
    }
}
