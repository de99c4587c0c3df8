//! Plans the blueprint that mirrors a fleet, and what the colony learns of its pods. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use super::{
    ColonyStep, KubernetesStep, Sync,
    agreement::{SyncSides, WrittenSide, describe},
};
use crate::{
    api::{
        blueprint::{namespace_of, was_made_for_its_name},
        colony::Inbound,
        executor_deployment::{BlueprintStatus, ExecutorDeployment, ExecutorDeploymentSpec, Runtime},
        names::{
            self, BLUEPRINT_ANNOTATION, BLUEPRINT_DEFINITION, BLUEPRINT_NAMESPACE_ANNOTATION,
            BLUEPRINT_ORIGIN_ANNOTATION, COMPUTE_GROUP, EXECUTOR_DEPLOYMENT_KIND, RECONCILER_EXECUTOR_TYPE,
            RECONCILER_FUNCTION, SUBMITTED_AS_ANNOTATION, VERSION, WRITTEN_SPEC_ANNOTATION,
        },
        policy::{DeletionPolicy, ManagementPolicy, SyncPolicy},
    },
    colony::model::{Blueprint, BlueprintDefinition, BlueprintMetadata, InvalidField},
    desired::{SharedSpec, executor_deployment::check_from_colony},
    snapshot::{ColonyAccess, ExecutorDeploymentSnapshot, Observed, ResolvedColony},
};

/// What is to be done about the blueprint.
#[derive(Debug, Default)]
pub(super) struct BlueprintPlan {
    /// A write to the object itself, after which everything else must be read again.
    pub object: Option<KubernetesStep>,
    /// Writes to the colony.
    pub steps: Vec<ColonyStep>,
    /// What is waited for.
    pub awaiting: Vec<String>,
    /// What policies keep from being done, and how that is changed.
    pub left: Vec<String>,
    /// For status.
    pub sync: Sync,
}

/// Plans the blueprint of an object that is to be.
pub(super) fn plan(snapshot: &ExecutorDeploymentSnapshot) -> BlueprintPlan {
    let mut plan = BlueprintPlan::default();
    let object = &snapshot.object;
    let (Some(name), Some(colony)) = (object.blueprint_name(), snapshot.colony.resolved()) else {
        return plan;
    };
    plan.sync = Sync::Unchanged;
    let blueprint = match &snapshot.blueprint {
        Observed::Unknown(why) => {
            plan.awaiting.push(format!("the colony to report blueprint {name}: {why}"));
            return plan;
        }
        Observed::Known(blueprint) => blueprint.as_ref(),
    };
    let mut ours = SharedSpec::of_object(&object.spec);
    // Other runtimes start executors with what the blueprint says.
    if object.spec.runtime == Runtime::Kubernetes && object.sync_policy() == SyncPolicy::KubernetesWins {
        ours = ours.without_variables();
    }
    let Some(blueprint) = blueprint else {
        let recorded = object.status.as_ref().and_then(|status| status.blueprint.as_ref());
        let was_there = recorded.is_some_and(|recorded| !recorded.agreed.is_empty());
        let policy = object.sync_policy();
        if policy != SyncPolicy::KubernetesWins && object.originates_from_blueprint() {
            if let ColonyAccess::Refused(why) = &colony.access {
                plan.sync = Sync::Invalid(format!("blueprint {name} is gone, and the object stays: {why}"));
                return plan;
            }
            plan.object = Some(KubernetesStep::DeleteObject { why: format!("blueprint {name} is gone") });
        } else if policy != SyncPolicy::KubernetesWins && was_there {
            // This object was created in the cluster: what happens in the colony does not take it away.
            plan.sync = Sync::Lost(format!(
                "blueprint {name} was removed in the colony, and with syncPolicy {} it is not created again: delete this object, or set syncPolicy KubernetesWins",
                policy.as_str()
            ));
        } else if !object.spec.management_policies.allow(ManagementPolicy::Create) {
            let remedy = ManagementPolicy::Create.remedy();
            plan.left.push(format!("blueprint {name} is not added: spec.{remedy}"));
        } else if recorded.is_none() {
            // On record before anything is sent: the deletion of the object must know what to look for.
            plan.sync = Sync::Agreed(BlueprintStatus { name, ..BlueprintStatus::default() });
        } else {
            plan.steps
                .push(ColonyStep::AddBlueprint(Box::new(new_blueprint(snapshot, &name, colony, &ours))));
        }
        return plan;
    };
    if !is_ours(blueprint, snapshot, &colony.spec.inbound) {
        plan.sync = Sync::NameTaken(format!(
            "colony {} has a blueprint {name} that was not made for this object: rename this object, or remove the blueprint (colonies blueprint remove --name {name})",
            colony.spec.colony_name
        ));
        return plan;
    }
    match SharedSpec::of_blueprint(&blueprint.spec) {
        Err(error) => plan.sync = Sync::Invalid(format!("blueprint {name}: {error}")),
        Ok(theirs) => {
            // What the colony owns and hides is known here alone.
            let is_shown = object.sync_policy() == SyncPolicy::KubernetesWins;
            let ours = if is_shown { ours } else { ours.hidden_like(&theirs) };
            plan.sync_specs(snapshot, colony, blueprint, &ours, &theirs);
        }
    }
    if object.spec.runtime == Runtime::Kubernetes
        && let Some(status) = changed_status(&blueprint.status, &snapshot.pods, snapshot.now)
    {
        plan.steps.push(ColonyStep::UpdateBlueprintStatus { name, status });
    }
    plan
}

/// Ends the blueprint of an object that is going away. One that the colony owns stays, and will be met by a new object.
pub(super) fn plan_end(snapshot: &ExecutorDeploymentSnapshot) -> BlueprintPlan {
    let mut plan = BlueprintPlan::default();
    let object = &snapshot.object;
    let ends = object.metadata.deletion_timestamp.is_some()
        && object.spec.management_policies.deletion(object.spec.deletion_policy) == DeletionPolicy::Delete
        && object.sync_policy() == SyncPolicy::KubernetesWins;
    let Some(name) = object.blueprint_name().filter(|_| ends) else { return plan };
    // Nothing was ever sent: nothing can be there.
    let was_there = object.status.as_ref().is_some_and(|status| status.blueprint.is_some());
    match &snapshot.blueprint {
        Observed::Unknown(why) if was_there => {
            plan.awaiting.push(format!("the colony to remove blueprint {name}: {why}"));
        }
        Observed::Known(Some(blueprint))
            if snapshot
                .colony
                .resolved()
                .is_some_and(|colony| is_ours(blueprint, snapshot, &colony.spec.inbound)) =>
        {
            plan.awaiting.push(format!("blueprint {name} to be removed"));
            plan.steps.push(ColonyStep::RemoveBlueprint { name });
        }
        Observed::Known(None)
            if was_there && snapshot.in_flight.blueprint.is_some_and(|until| snapshot.now < until) =>
        {
            plan.awaiting.push(format!("an earlier add of blueprint {name} that may still arrive"));
        }
        Observed::Unknown(_) | Observed::Known(_) => {}
    }
    plan
}

impl BlueprintPlan {
    fn sync_specs(
        &mut self,
        snapshot: &ExecutorDeploymentSnapshot,
        colony: &ResolvedColony,
        blueprint: &Blueprint,
        ours: &SharedSpec,
        theirs: &SharedSpec,
    ) {
        let object = &snapshot.object;
        let sides = SyncSides {
            policy: object.sync_policy(),
            hand_over: "set syncPolicy ColonyWins",
            recorded: object.status.as_ref().and_then(|status| status.blueprint.as_ref()),
            blueprint,
            object_is_as_written: is_as_written(object),
            ours,
            theirs,
        };
        let (sync, written) = sides.agree();
        let told_first = sides.told_first(&sync);
        self.sync = sync;
        let (name, generation) = (&blueprint.metadata.name, blueprint.metadata.generation);
        match written {
            None => {
                self.respell(snapshot, blueprint, ours);
                return;
            }
            Some(WrittenSide::Object) => {
                let spec = theirs.object_spec(&colony.name, Some(&object.spec));
                match granted(&spec, colony) {
                    Ok(granted) => {
                        let why = format!("blueprint {name} generation {generation} requests it");
                        let hash = Some(SharedSpec::of_object(&granted).hash());
                        self.object = Some(KubernetesStep::UpdateSpec { spec, hash, why });
                    }
                    Err(why) => {
                        self.sync = Sync::Invalid(format!("blueprint {name}: {why}"));
                        return;
                    }
                }
            }
            Some(WrittenSide::Blueprint)
                if !object.spec.management_policies.allow(ManagementPolicy::Update) =>
            {
                let remedy = ManagementPolicy::Update.remedy();
                let message = format!("{}; spec.{remedy}", describe(ours, theirs, name, generation));
                let agreed = object.status.as_ref().and_then(|status| status.blueprint.clone());
                self.sync = Sync::Differs { agreed, message };
                return;
            }
            // Undone once that is on record. What follows from the object's own spec goes on.
            Some(WrittenSide::Blueprint) if told_first.is_some() => {}
            Some(WrittenSide::Blueprint) => self.steps.push(ColonyStep::UpdateBlueprint {
                name: name.clone(),
                spec: ours.fleet_blueprint_spec(),
                hash: ours.hash(),
                seen_generation: generation,
            }),
        }
        if let Some(told_first) = told_first {
            self.sync = told_first;
        }
    }

    /// Writes a blueprint anew that says the same in words that its reconciler does not read.
    fn respell(&mut self, snapshot: &ExecutorDeploymentSnapshot, blueprint: &Blueprint, ours: &SharedSpec) {
        let object = &snapshot.object;
        if object.sync_policy() == SyncPolicy::KubernetesWins
            && object.spec.management_policies.allow(ManagementPolicy::Update)
            && matches!(self.sync, Sync::Agreed(_))
            && ours.is_spelled_otherwise(&blueprint.spec)
        {
            self.steps.push(ColonyStep::UpdateBlueprint {
                name: blueprint.metadata.name.clone(),
                spec: ours.fleet_blueprint_spec(),
                hash: ours.hash(),
                seen_generation: blueprint.metadata.generation,
            });
        }
    }
}

/// Whether a blueprint was made for this very object, or, when it originates in the colony, belongs to the object's
/// namespace, or did so when both sides last agreed. The annotation of the object alone is not enough: every user
/// who may edit the object can write it.
fn is_ours(blueprint: &Blueprint, snapshot: &ExecutorDeploymentSnapshot, inbound: &Inbound) -> bool {
    let object = &snapshot.object;
    if let Some(origin) = blueprint.metadata.annotations.get(BLUEPRINT_ORIGIN_ANNOTATION) {
        let cluster = &snapshot.cluster;
        return *origin == names::blueprint_origin(cluster, &object.uid().unwrap_or_default())
            || was_made_for_its_name(blueprint, cluster, EXECUTOR_DEPLOYMENT_KIND, &object.metadata);
    }
    let namespace = namespace_of(&blueprint.metadata).or(inbound.default_namespace());
    let recorded = object.status.as_ref().and_then(|status| status.blueprint.as_ref());
    let has_agreed = recorded
        .is_some_and(|recorded| recorded.name == blueprint.metadata.name && !recorded.agreed.is_empty());
    object.annotations().contains_key(BLUEPRINT_ANNOTATION)
        && (has_agreed || namespace == object.metadata.namespace.as_deref())
}

/// Whether the object was not edited since it was written from its blueprint, or since both agreed while the colony hid
/// what it may show by now.
fn is_as_written(object: &ExecutorDeployment) -> bool {
    let spec = SharedSpec::of_object(&object.spec);
    let is_noted = object.annotations().get(WRITTEN_SPEC_ANNOTATION) == Some(&spec.hash());
    let recorded = object.status.as_ref().and_then(|status| status.blueprint.as_ref());
    is_noted || recorded.is_some_and(|recorded| recorded.agreed == spec.without_variables().hash())
}

/// The spec that the colony wrote, if the object may have it.
fn granted(spec: &Map<String, Value>, colony: &ResolvedColony) -> Result<ExecutorDeploymentSpec, String> {
    let trust = match &colony.access {
        ColonyAccess::Refused(why) => return Err(why.clone()),
        ColonyAccess::Granted(trust) => *trust,
    };
    let spec =
        serde_json::from_value(Value::Object(spec.clone())).map_err(|error| format!("spec: {error}"))?;
    check_from_colony(&spec, trust, &colony.spec.inbound).map_err(|error| error.to_string())?;
    Ok(spec)
}

fn new_blueprint(
    snapshot: &ExecutorDeploymentSnapshot,
    name: &str,
    colony: &ResolvedColony,
    spec: &SharedSpec,
) -> Blueprint {
    let object = &snapshot.object;
    let (uid, namespace) = (object.uid().unwrap_or_default(), object.namespace().unwrap_or_default());
    let submitted_as = names::submitted_as(&snapshot.cluster, &uid, &namespace, &object.name_any());
    Blueprint {
        kind: EXECUTOR_DEPLOYMENT_KIND.to_owned(),
        metadata: BlueprintMetadata {
            name: name.to_owned(),
            colony: colony.spec.colony_name.clone(),
            location: object.spec.location_in(colony.spec.location.as_deref()).unwrap_or_default().to_owned(),
            // The server keeps what it is given, and counts from there.
            generation: 1,
            annotations: BTreeMap::from([
                (BLUEPRINT_ORIGIN_ANNOTATION.to_owned(), names::blueprint_origin(&snapshot.cluster, &uid)),
                (BLUEPRINT_NAMESPACE_ANNOTATION.to_owned(), namespace),
                (SUBMITTED_AS_ANNOTATION.to_owned(), submitted_as),
            ]),
            ..BlueprintMetadata::default()
        },
        spec: spec.fleet_blueprint_spec(),
        ..Blueprint::default()
    }
}

/// The definition by which blueprints become fleets of clusters. It has no schema: the schemas of a colony express
/// less than an API server checks.
///
/// # Errors
///
/// When the colony has a name that no colony can have.
pub fn definition(colony: &str) -> Result<BlueprintDefinition, InvalidField> {
    let mut definition = BlueprintDefinition::new(
        colony,
        BLUEPRINT_DEFINITION,
        EXECUTOR_DEPLOYMENT_KIND,
        RECONCILER_EXECUTOR_TYPE,
        RECONCILER_FUNCTION,
    )?;
    let spec = &mut definition.spec;
    COMPUTE_GROUP.clone_into(&mut spec.group);
    VERSION.clone_into(&mut spec.version);
    "Namespaced".clone_into(&mut spec.scope);
    "ExecutorDeploymentList".clone_into(&mut spec.names.list_kind);
    "executordeployment".clone_into(&mut spec.names.singular);
    "executordeployments".clone_into(&mut spec.names.plural);
    Ok(definition)
}

/// The status of a blueprint, if it is to be written: what others wrote stays. The time of the last change is no change.
fn changed_status(
    current: &Map<String, Value>,
    pods: &[Pod],
    now: jiff::Timestamp,
) -> Option<Map<String, Value>> {
    let mut pods: Vec<&Pod> = pods.iter().collect();
    pods.sort_by_key(|pod| pod.name_any());
    let instances: Vec<Value> = pods.iter().map(|pod| instance(pod)).collect();
    let running = instances.iter().filter(|instance| instance["state"] == "running").count();
    let mut status = current.clone();
    status.insert("totalInstances".to_owned(), json!(instances.len()));
    status.insert("runningInstances".to_owned(), json!(running));
    status.insert("stoppedInstances".to_owned(), json!(instances.len() - running));
    status.insert("instances".to_owned(), Value::Array(instances));
    if status == *current {
        return None;
    }
    status.insert("lastUpdated".to_owned(), json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    Some(status)
}

/// One pod as the colony's tools show instances.
fn instance(pod: &Pod) -> Value {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let leaving = pod.metadata.deletion_timestamp.is_some();
    let state = if leaving { "stopping".to_owned() } else { phase.to_lowercase() };
    let image =
        pod.spec.as_ref().and_then(|spec| spec.containers.first()).and_then(|first| first.image.clone());
    json!({
        "id": pod.uid().unwrap_or_default(),
        "name": pod.name_any(),
        "type": "pod",
        "state": state,
        "created": pod.creation_timestamp().map(|created| created.0.to_string()),
        "image": image,
    })
}
