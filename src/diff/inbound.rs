//! Plans a process that originates in a colony: which object to make, change or delete, and, once the object is where
//! it should be or will never get there, what to answer. Pure.
//!
//! The object of a blueprint is only made and deleted here; as long as both are there, the pass of the object keeps them
//! alike.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt as _, api::ObjectMeta};
use serde_json::{Value, json};

use super::{Answer, KubernetesStep, Step};
use crate::{
    api::{
        blueprint::is_for_another_runtime,
        condition::ConditionType,
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentSpec, Workload},
        names::{
            APP_MANAGED_BY_LABEL, BLUEPRINT_ANNOTATION, BLUEPRINT_ORIGIN_ANNOTATION, OPERATOR,
            ORIGIN_BLUEPRINT, ORIGIN_LABEL, ORIGIN_PROCESS, PROCESS_ANNOTATION, PROCESS_SPEC_ANNOTATION,
            PROCESS_TIME_ANNOTATION, RESTART_ANNOTATION,
        },
        namespace::ColonyTrust,
        policy::{SyncPolicy, is_paused},
    },
    colony::model::{Blueprint, Process},
    desired::{
        executor_deployment::check_from_colony,
        inbound::{DesiredObject, Request, object_of},
    },
    snapshot::{InboundProcess, InboundSnapshot, NamespaceState, Observed},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct InboundPlan {
    /// Writes to the cluster, in order.
    pub steps: Vec<Step>,
    /// What to answer, if it is time to. It is given after the steps.
    pub answer: Option<Answer>,
}

/// Namespace and name of the object that a step of such a plan writes.
#[must_use]
pub fn object_of_step(step: &Step) -> Option<(String, String)> {
    match step {
        Step::Kubernetes(KubernetesStep::CreateFleet(object) | KubernetesStep::ReplaceFleet(object)) => {
            Some((object.namespace().unwrap_or_default(), object.name_any()))
        }
        Step::Kubernetes(KubernetesStep::DeleteFleet { namespace, name, .. }) => {
            Some((namespace.clone(), name.clone()))
        }
        _ => None,
    }
}

/// Nothing to do but to answer.
fn failed(why: impl Into<String>) -> InboundPlan {
    InboundPlan { steps: Vec::new(), answer: Some(Answer::Failed(why.into())) }
}

/// Nothing but to look again later.
fn wait() -> InboundPlan {
    InboundPlan::default()
}

fn do_first(step: Step) -> InboundPlan {
    InboundPlan { steps: vec![step], answer: None }
}

#[must_use]
pub fn plan(snapshot: &InboundSnapshot, inbound: &InboundProcess, request: &Request) -> InboundPlan {
    match request {
        Request::Apply(wanted) => apply(snapshot, inbound, wanted),
        Request::Reconcile { blueprint, force } => reconcile(snapshot, inbound, blueprint, *force),
        Request::ReconcileAll => reconcile_all(snapshot),
        Request::CleanUp { blueprint } => clean_up(snapshot, blueprint),
    }
}

/// The creation of a blueprint's object, if it is still to be made and it is known that it may be. `made` objects were
/// created since the snapshot was taken.
///
/// # Errors
///
/// When it cannot be made; why, for a person.
pub fn missing_object(
    blueprint: &Blueprint,
    snapshot: &InboundSnapshot,
    made: usize,
) -> Result<Option<Step>, String> {
    let name = &blueprint.metadata.name;
    if of_blueprint(snapshot, name).is_some() {
        return Ok(None);
    }
    let wanted =
        object_of(blueprint, &snapshot.spec).map_err(|error| format!("blueprint {name}: {error}"))?;
    if let Some(stranger) = named(snapshot, &wanted) {
        return Err(taken(stranger));
    }
    let labels = [(ORIGIN_LABEL, ORIGIN_BLUEPRINT)];
    let annotations = [(BLUEPRINT_ANNOTATION, name.as_str())];
    if let Some(origin) = blueprint.metadata.annotations.get(BLUEPRINT_ORIGIN_ANNOTATION) {
        return Err(format!(
            "blueprint {name} was made for an object of a cluster ({origin}): create that object with kubectl, or remove the blueprint (colonies blueprint remove --name {name})"
        ));
    }
    create(snapshot, &wanted, made, &labels, &annotations)
}

fn apply(snapshot: &InboundSnapshot, inbound: &InboundProcess, wanted: &DesiredObject) -> InboundPlan {
    let process = &inbound.process;
    let hash = wanted.spec.hash();
    let time = process.submitted_at.to_string();
    let annotations = [
        (PROCESS_ANNOTATION, process.id.as_str()),
        (PROCESS_SPEC_ANNOTATION, hash.as_str()),
        (PROCESS_TIME_ANNOTATION, time.as_str()),
    ];
    let Some(object) = named(snapshot, wanted) else {
        if inbound.was_seen {
            return failed(format!(
                "ExecutorDeployment {}/{} was deleted before it was ready",
                wanted.namespace, wanted.name
            ));
        }
        return match create(snapshot, wanted, 0, &[(ORIGIN_LABEL, ORIGIN_PROCESS)], &annotations) {
            Ok(Some(step)) => do_first(step),
            Ok(None) => wait(),
            Err(why) => failed(why),
        };
    };
    if object.metadata.deletion_timestamp.is_some() {
        return wait();
    }
    let born_of = object.annotations().get(PROCESS_ANNOTATION);
    if born_of.is_some_and(|id| id == process.id.as_str()) {
        return answer(object);
    }
    let is_open = born_of.is_some() || object.spec.sync_policy == Some(SyncPolicy::ColonyWins);
    if !is_open
        || object.spec.sync_policy == Some(SyncPolicy::KubernetesWins)
        || object.originates_from_blueprint()
    {
        return failed(taken(object));
    }
    if is_newer(object, process) {
        let newer = born_of.cloned().unwrap_or_default();
        return failed(format!("superseded: process {newer} asked for the same object later"));
    }
    if is_paused(&object.metadata) {
        return wait();
    }
    let trust = match trust(snapshot, wanted.namespace.as_str()) {
        Ok(Some(trust)) => trust,
        Ok(None) => return wait(),
        Err(why) => return failed(why),
    };
    let mut changed = object.clone();
    match object_spec(snapshot, wanted, trust, Some(&object.spec)) {
        Ok(spec) => changed.spec = spec,
        Err(why) => return failed(why),
    }
    changed.annotations_mut().extend(owned(&annotations));
    do_first(Step::Kubernetes(KubernetesStep::ReplaceFleet(Box::new(changed))))
}

fn reconcile(snapshot: &InboundSnapshot, inbound: &InboundProcess, name: &str, force: bool) -> InboundPlan {
    let Observed::Known(blueprints) = &snapshot.blueprints else { return wait() };
    let Some(blueprint) = blueprints.iter().find(|blueprint| blueprint.metadata.name == name) else {
        return failed(format!("there is no blueprint {name} (any more)"));
    };
    let Some(object) = of_blueprint(snapshot, name) else {
        if is_for_another_runtime(blueprint) {
            // The handler of the kind is this operator, and the reconciler of the runtime finds the blueprint by itself.
            let runtime = blueprint.spec.get("runtime");
            let answer = Answer::Successful(json!({ "blueprint": name, "runtime": runtime }));
            return InboundPlan { answer: Some(answer), ..InboundPlan::default() };
        }
        return match missing_object(blueprint, snapshot, 0) {
            Ok(Some(step)) => do_first(step),
            Ok(None) => wait(),
            Err(why) => failed(why),
        };
    };
    if object.metadata.deletion_timestamp.is_some() || is_paused(&object.metadata) {
        return wait();
    }
    match trust(snapshot, &object.namespace().unwrap_or_default()) {
        Ok(Some(_)) => {}
        Ok(None) => return wait(),
        Err(why) => return failed(why),
    }
    let process = inbound.process.id.as_str();
    if force && object.annotations().get(RESTART_ANNOTATION).is_none_or(|done| done != process) {
        let mut changed = object.clone();
        changed.annotations_mut().insert(RESTART_ANNOTATION.to_owned(), process.to_owned());
        return do_first(Step::Kubernetes(KubernetesStep::ReplaceFleet(Box::new(changed))));
    }
    let status = object.status.as_ref();
    if force && status.and_then(|status| status.restarted_for.as_deref()) != Some(process) {
        return wait();
    }
    if let Some(conflict) = condition(object, ConditionType::Conflict)
        && conflict.status == "True"
        && object.sync_policy() != SyncPolicy::ColonyWins
    {
        return failed(conflict.message.clone());
    }
    let followed = status.and_then(|status| status.blueprint.as_ref());
    match followed {
        Some(followed) if followed.generation >= blueprint.metadata.generation => answer(object),
        _ => wait(),
    }
}

/// The server asks for this every minute. Existing objects are reconciled anyway, so only missing ones are created.
fn reconcile_all(snapshot: &InboundSnapshot) -> InboundPlan {
    let Observed::Known(blueprints) = &snapshot.blueprints else { return wait() };
    let here = snapshot.spec.location.as_deref().unwrap_or_default();
    let concerned = |blueprint: &&Blueprint| {
        (blueprint.metadata.location.is_empty() || blueprint.metadata.location == here)
            && !is_for_another_runtime(blueprint)
    };
    let (mut steps, mut problems, mut count) = (Vec::new(), Vec::new(), 0);
    for blueprint in blueprints.iter().filter(concerned) {
        count += 1;
        match missing_object(blueprint, snapshot, steps.len()) {
            Ok(step) => steps.extend(step),
            Err(why) => problems.push(why),
        }
    }
    let answer = if problems.is_empty() {
        Answer::Successful(json!({ "blueprints": count, "created": steps.len() }))
    } else {
        Answer::Failed(problems.join("; "))
    };
    InboundPlan { steps, answer: Some(answer) }
}

fn clean_up(snapshot: &InboundSnapshot, name: &str) -> InboundPlan {
    let Observed::Known(blueprints) = &snapshot.blueprints else { return wait() };
    let deleted = |deleted: bool| InboundPlan {
        steps: Vec::new(),
        answer: Some(Answer::Successful(json!({ "blueprint": name, "deleted": deleted }))),
    };
    // It was added again in the meantime: that is what holds.
    if blueprints.iter().any(|blueprint| blueprint.metadata.name == name) {
        return deleted(false);
    }
    match of_blueprint(snapshot, name) {
        None => deleted(true),
        Some(object) if object.metadata.deletion_timestamp.is_some() || is_paused(&object.metadata) => wait(),
        Some(object) if object.originates_from_blueprint() => {
            match trust(snapshot, &object.namespace().unwrap_or_default()) {
                Ok(Some(_)) => {}
                Ok(None) => return wait(),
                Err(why) => return failed(why),
            }
            do_first(Step::Kubernetes(KubernetesStep::DeleteFleet {
                namespace: object.namespace().unwrap_or_default(),
                name: object.name_any(),
                uid: object.uid().unwrap_or_default(),
            }))
        }
        // It originates in the cluster: its blueprint is not what it hangs on.
        Some(_) => deleted(false),
    }
}

/// The result that the conditions of an object give to a waiting process.
fn answer(object: &ExecutorDeployment) -> InboundPlan {
    let Some(status) = &object.status else { return wait() };
    if status.observed_generation != object.metadata.generation {
        return wait();
    }
    let holds = |kind| condition(object, kind).filter(|condition| condition.status == "True");
    if let Some(problem) = holds(ConditionType::Degraded) {
        return failed(format!("{}: {}", problem.reason, problem.message));
    }
    let is_job = object.spec.workload == Workload::Job && !object.spec.suspend;
    let is_there = if is_job {
        holds(ConditionType::Finished).is_some()
    } else {
        let settled = condition(object, ConditionType::Progressing)
            .is_some_and(|condition| condition.status == "False");
        settled && (holds(ConditionType::Ready).is_some() || object.spec.suspend)
    };
    if !is_there {
        return wait();
    }
    let output = json!({
        "namespace": object.namespace(),
        "name": object.name_any(),
        "observedGeneration": status.observed_generation,
        "replicas": status.replicas,
        "readyReplicas": status.ready_replicas,
        "workload": status.workload,
    });
    InboundPlan { steps: Vec::new(), answer: Some(Answer::Successful(output)) }
}

fn condition(object: &ExecutorDeployment, kind: ConditionType) -> Option<&Condition> {
    object.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// The object that is kept for a blueprint of this colony.
fn of_blueprint<'a>(snapshot: &'a InboundSnapshot, name: &str) -> Option<&'a ExecutorDeployment> {
    snapshot.objects.of_blueprint(&snapshot.colony, name)
}

fn named<'a>(snapshot: &'a InboundSnapshot, wanted: &DesiredObject) -> Option<&'a ExecutorDeployment> {
    snapshot.objects.named(wanted.namespace.as_str(), &wanted.name)
}

/// Whether an object was last changed for a process that was submitted after this one.
fn is_newer(object: &ExecutorDeployment, process: &Process) -> bool {
    let time = object.annotations().get(PROCESS_TIME_ANNOTATION);
    let time = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let id = object.annotations().get(PROCESS_ANNOTATION).map(String::as_str);
    time.is_some_and(|time| (time, id) > (process.submitted_at, Some(process.id.as_str())))
}

fn taken(object: &ExecutorDeployment) -> String {
    format!(
        "ExecutorDeployment {}/{} exists and is not this one's to change: choose another name, or delete it with kubectl",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

fn create(
    snapshot: &InboundSnapshot,
    wanted: &DesiredObject,
    made: usize,
    labels: &[(&str, &str)],
    annotations: &[(&str, &str)],
) -> Result<Option<Step>, String> {
    let DesiredObject { namespace, name, .. } = wanted;
    let Some(trust) = trust(snapshot, namespace.as_str())? else { return Ok(None) };
    let most = usize::try_from(snapshot.spec.inbound.max_objects).unwrap_or_default();
    if snapshot.originated + made >= most {
        return Err(format!(
            "{most} objects of this cluster originate in the colony, the most that Colony {} grants: remove one, or have spec.inbound.maxObjects raised",
            snapshot.colony
        ));
    }
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        namespace: Some(namespace.to_string()),
        labels: Some(owned(labels).into_iter().chain(owned(&[(APP_MANAGED_BY_LABEL, OPERATOR)])).collect()),
        annotations: Some(owned(annotations)),
        ..ObjectMeta::default()
    };
    let spec = object_spec(snapshot, wanted, trust, None)?;
    Ok(Some(Step::Kubernetes(KubernetesStep::CreateFleet(Box::new(ExecutorDeployment {
        metadata,
        spec,
        status: None,
    })))))
}

/// What a namespace accepts from the colony; none while that is not known.
fn trust(snapshot: &InboundSnapshot, namespace: &str) -> Result<Option<ColonyTrust>, String> {
    match snapshot.namespaces.get(namespace) {
        Some(Observed::Known(NamespaceState::Admitted(trust))) => Ok(Some(*trust)),
        None | Some(Observed::Unknown(_)) => Ok(None),
        Some(Observed::Known(NamespaceState::NotReached(why))) => Err(why.clone()),
        Some(Observed::Known(NamespaceState::NotAllowed)) => Err(format!(
            "Colony {} does not admit namespace {namespace}: name another, or have spec.allowedNamespaces changed",
            snapshot.colony
        )),
        Some(Observed::Known(NamespaceState::NotFound)) => {
            Err(format!("there is no namespace {namespace}: create it, or name another"))
        }
        Some(Observed::Known(NamespaceState::NotWatched)) => {
            Err(format!("the operator does not watch namespace {namespace}: name another"))
        }
    }
}

fn object_spec(
    snapshot: &InboundSnapshot,
    wanted: &DesiredObject,
    trust: ColonyTrust,
    before: Option<&ExecutorDeploymentSpec>,
) -> Result<ExecutorDeploymentSpec, String> {
    let spec = serde_json::from_value(Value::Object(wanted.spec.object_spec(&snapshot.colony, before)))
        .map_err(|error| format!("spec: {error}"))?;
    check_from_colony(&spec, trust, &snapshot.spec.inbound).map_err(|error| error.to_string())?;
    Ok(spec)
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;

    use super::*;
    use crate::{api::names::PAUSED_ANNOTATION, colony::model::Blueprint};
    use crate::{api::namespace::NamespaceName, snapshot::InboundObjects};

    fn snapshot(objects: Vec<ExecutorDeployment>, blueprints: Vec<Blueprint>) -> InboundSnapshot {
        let spec = json!({
            "server": {"host": "h"}, "colonyName": "hive", "credentialsSecretName": "s", "location": "edge-7",
            "inbound": {"policy": "Accept", "namespaces": ["team"]},
        });
        let admitted = NamespaceState::Admitted(ColonyTrust::Restricted);
        let namespaces = [
            ("team", admitted),
            ("closed", NamespaceState::NotAllowed),
            ("beyond", NamespaceState::NotReached("namespace beyond accepts nothing".to_owned())),
        ];
        InboundSnapshot {
            colony: "dev".to_owned(),
            spec: serde_json::from_value(spec).unwrap(),
            blueprints: Observed::Known(blueprints),
            originated: objects.len(),
            objects: InboundObjects::new(
                objects.into_iter().map(|object| DeserializeGuard(Ok(object)).into()),
            ),
            namespaces: namespaces.map(|(name, state)| (name.to_owned(), Observed::Known(state))).into(),
        }
    }

    fn process(id: &str, second: u8) -> InboundProcess {
        let process = serde_json::from_value(json!({
            "processid": id, "state": 1, "submissiontime": format!("2026-11-21T10:00:{second:02}Z"),
            "starttime": "2026-11-21T10:01:00Z", "endtime": "0001-01-01T00:00:00Z",
            "spec": {"funcname": "reconcile"},
        }));
        InboundProcess { process: process.unwrap(), was_seen: false }
    }

    fn wanted(namespace: &str, replicas: i32) -> DesiredObject {
        let spec = json!({"image": "i:1", "executorType": "cli", "replicas": replicas});
        let spec = crate::desired::SharedSpec::of_blueprint(spec.as_object().unwrap()).unwrap();
        DesiredObject {
            namespace: NamespaceName::parse(namespace).unwrap(),
            name: "workers".to_owned(),
            spec,
        }
    }

    fn blueprint(generation: i64) -> Blueprint {
        let mut blueprint = Blueprint::new("hive", "ExecutorDeployment", "workers").unwrap();
        blueprint.spec = json!({"image": "i:1", "executorType": "cli"}).as_object().unwrap().clone();
        blueprint.metadata.generation = generation;
        "edge-7".clone_into(&mut blueprint.metadata.location);
        blueprint
    }

    /// The object that a plan creates, as an API server would give it back.
    fn created(plan: &InboundPlan) -> ExecutorDeployment {
        let [Step::Kubernetes(KubernetesStep::CreateFleet(object))] = plan.steps.as_slice() else {
            panic!("{plan:?}")
        };
        let mut object = object.as_ref().clone();
        object.metadata.uid = Some("u".to_owned());
        object.metadata.generation = Some(1);
        object
    }

    fn with_conditions(
        mut object: ExecutorDeployment,
        conditions: &[(&str, &str)],
        blueprint: i64,
    ) -> ExecutorDeployment {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status)| {
                json!({"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-11-21T10:00:00Z"})
            })
            .collect();
        let status = json!({
            "observedGeneration": 1, "readyReplicas": 2, "conditions": conditions,
            "blueprint": {"name": "workers", "generation": blueprint, "agreed": "a"},
        });
        object.status = Some(serde_json::from_value(status).unwrap());
        object
    }

    fn failure(plan: &InboundPlan) -> &str {
        let Some(Answer::Failed(why)) = &plan.answer else { panic!("{plan:?}") };
        why
    }

    const READY: [(&str, &str); 2] = [("Progressing", "False"), ("Ready", "True")];

    #[test]
    fn an_object_is_made_waited_for_and_answered() {
        let request = Request::Apply(wanted("team", 2));
        let object = created(&plan(&snapshot(vec![], vec![]), &process("p1", 1), &request));
        assert_eq!(object.labels()["colonies.io/origin"], "process");
        assert_eq!(object.spec.colony.as_deref(), Some("dev"));
        assert_eq!(plan(&snapshot(vec![object.clone()], vec![]), &process("p1", 1), &request), wait());
        let ready = with_conditions(object.clone(), &READY, 0);
        let answered = plan(&snapshot(vec![ready], vec![]), &process("p1", 1), &request);
        let Some(Answer::Successful(output)) = answered.answer else { panic!("{answered:?}") };
        assert_eq!(output["readyReplicas"], 2);
        let broken = with_conditions(object, &[("Degraded", "True"), ("Ready", "False")], 0);
        let answered = plan(&snapshot(vec![broken], vec![]), &process("p1", 1), &request);
        assert_eq!(failure(&answered), "R: m");
    }

    /// An answer about an older generation would be about another spec.
    #[test]
    fn nothing_is_answered_on_the_strength_of_an_old_status() {
        let request = Request::Apply(wanted("team", 2));
        let object = created(&plan(&snapshot(vec![], vec![]), &process("p1", 1), &request));
        let mut stale = with_conditions(object, &READY, 0);
        stale.metadata.generation = Some(2);
        assert_eq!(plan(&snapshot(vec![stale], vec![]), &process("p1", 1), &request), wait());
    }

    /// Two processes for one object would otherwise take it from each other for ever.
    #[test]
    fn the_later_of_two_processes_has_the_object() {
        let object =
            created(&plan(&snapshot(vec![], vec![]), &process("p1", 1), &Request::Apply(wanted("team", 2))));
        let world = snapshot(vec![object], vec![]);
        let later = plan(&world, &process("p2", 2), &Request::Apply(wanted("team", 3)));
        let [Step::Kubernetes(KubernetesStep::ReplaceFleet(changed))] = later.steps.as_slice() else {
            panic!("{later:?}")
        };
        assert_eq!((changed.spec.replicas, changed.annotations()[PROCESS_ANNOTATION].as_str()), (3, "p2"));
        let world = snapshot(vec![changed.as_ref().clone()], vec![]);
        let earlier = plan(&world, &process("p1", 1), &Request::Apply(wanted("team", 2)));
        assert!(failure(&earlier).contains("superseded: process p2"), "{earlier:?}");
    }

    #[test]
    fn what_was_born_in_the_cluster_is_left_alone() {
        let mut object =
            created(&plan(&snapshot(vec![], vec![]), &process("p1", 1), &Request::Apply(wanted("team", 2))));
        object.metadata.annotations = None;
        let world = snapshot(vec![object], vec![blueprint(1)]);
        assert!(
            failure(&plan(&world, &process("p2", 2), &Request::Apply(wanted("team", 3)))).contains("exists")
        );
        let request = Request::Reconcile { blueprint: "workers".to_owned(), force: false };
        assert!(failure(&plan(&world, &process("p2", 2), &request)).contains("exists"));
    }

    /// Creating it again would fight with the client that deleted it.
    #[test]
    fn an_object_that_somebody_deleted_is_not_made_again() {
        let request = Request::Apply(wanted("team", 2));
        let seen = InboundProcess { was_seen: true, ..process("p1", 1) };
        assert!(failure(&plan(&snapshot(vec![], vec![]), &seen, &request)).contains("deleted"));
    }

    #[test]
    fn namespaces_are_those_that_the_colony_may_use() {
        let closed = plan(&snapshot(vec![], vec![]), &process("p1", 1), &Request::Apply(wanted("closed", 1)));
        assert!(failure(&closed).contains("does not admit namespace closed"), "{closed:?}");
        // Unknown is not refused: it is looked at again.
        let unknown = plan(&snapshot(vec![], vec![]), &process("p1", 1), &Request::Apply(wanted("other", 1)));
        assert_eq!(unknown, wait());
    }

    /// The key of any executor is enough to submit such a process.
    #[test]
    fn a_colony_gets_neither_secrets_nor_other_namespaces_nor_more_than_its_share() {
        let beyond = plan(&snapshot(vec![], vec![]), &process("p1", 1), &Request::Apply(wanted("beyond", 1)));
        assert!(failure(&beyond).contains("namespace beyond accepts nothing"), "{beyond:?}");
        let secrets = |namespace: &str| {
            let spec = json!({"image": "i:1", "executorType": "cli", "config": {"envFrom": [{"secretRef": {"name": "k"}}]}});
            let spec = crate::desired::SharedSpec::of_blueprint(spec.as_object().unwrap()).unwrap();
            Request::Apply(DesiredObject { spec, ..wanted(namespace, 1) })
        };
        let new = plan(&snapshot(vec![], vec![]), &process("p1", 1), &secrets("team"));
        assert!(failure(&new).contains("spec.config.envFrom"), "{new:?}");
        let object =
            created(&plan(&snapshot(vec![], vec![]), &process("p1", 1), &Request::Apply(wanted("team", 1))));
        let changed = plan(&snapshot(vec![object.clone()], vec![]), &process("p2", 2), &secrets("team"));
        assert!(failure(&changed).contains("spec.config.envFrom"), "{changed:?}");
        let mut full = snapshot(vec![], vec![]);
        full.originated = 20;
        let more = plan(&full, &process("p1", 1), &Request::Apply(wanted("team", 1)));
        assert!(failure(&more).contains("maxObjects"), "{more:?}");
    }

    /// What the `Colony` no longer reaches is neither restarted nor deleted for it.
    #[test]
    fn an_object_beyond_reach_is_left_as_it_is() {
        let reconcile = Request::Reconcile { blueprint: "workers".to_owned(), force: true };
        let object = created(&plan(&snapshot(vec![], vec![blueprint(1)]), &process("p1", 1), &reconcile));
        let beyond = |blueprints| {
            let mut world = snapshot(vec![object.clone()], blueprints);
            let state = NamespaceState::NotReached("not reached".to_owned());
            world.namespaces.insert("team".to_owned(), Observed::Known(state));
            world
        };
        let forced = plan(&beyond(vec![blueprint(1)]), &process("p2", 2), &reconcile);
        assert_eq!((failure(&forced), forced.steps.len()), ("not reached", 0));
        let clean_up = Request::CleanUp { blueprint: "workers".to_owned() };
        let cleaned = plan(&beyond(vec![]), &process("p2", 2), &clean_up);
        assert_eq!((failure(&cleaned), cleaned.steps.len()), ("not reached", 0));
    }

    #[test]
    fn a_blueprint_that_mirrors_an_object_of_some_cluster_becomes_no_other_object() {
        let mut mirror = blueprint(1);
        let origin = "k8s:other/uid".to_owned();
        mirror.metadata.annotations.insert(BLUEPRINT_ORIGIN_ANNOTATION.to_owned(), origin);
        let request = Request::Reconcile { blueprint: "workers".to_owned(), force: false };
        let answered = plan(&snapshot(vec![], vec![mirror]), &process("p1", 1), &request);
        assert!(failure(&answered).contains("was made for an object of a cluster"), "{answered:?}");
    }

    /// The fleet is at the location of this cluster, where a reconciler of Docker is, too.
    #[test]
    fn a_blueprint_for_another_runtime_is_no_request() {
        let mut mirror = blueprint(1);
        mirror.spec.insert("runtime".to_owned(), json!("docker"));
        assert!(!is_for_another_runtime(&mirror), "it was born in the colony");
        let origin = "k8s:this/uid".to_owned();
        mirror.metadata.annotations.insert(BLUEPRINT_ORIGIN_ANNOTATION.to_owned(), origin);
        assert!(is_for_another_runtime(&mirror));
        let one = Request::Reconcile { blueprint: "workers".to_owned(), force: false };
        for request in [one, Request::ReconcileAll] {
            let answered = plan(&snapshot(vec![], vec![mirror.clone()]), &process("p1", 1), &request);
            assert!(matches!(answered.answer, Some(Answer::Successful(_))), "{answered:?}");
            assert_eq!(answered.steps, []);
        }
        mirror.spec.insert("runtime".to_owned(), json!("kubernetes"));
        assert!(!is_for_another_runtime(&mirror));
    }

    #[test]
    fn a_blueprint_is_answered_when_its_object_has_followed() {
        let request = Request::Reconcile { blueprint: "workers".to_owned(), force: false };
        let none = plan(&snapshot(vec![], vec![]), &process("p1", 1), &request);
        assert!(failure(&none).contains("no blueprint workers"));
        let object = created(&plan(&snapshot(vec![], vec![blueprint(2)]), &process("p1", 1), &request));
        assert_eq!(object.annotations()[BLUEPRINT_ANNOTATION], "workers");
        let behind = with_conditions(object.clone(), &READY, 1);
        assert_eq!(plan(&snapshot(vec![behind], vec![blueprint(2)]), &process("p1", 1), &request), wait());
        let followed = with_conditions(object, &READY, 2);
        let answered =
            plan(&snapshot(vec![followed.clone()], vec![blueprint(2)]), &process("p1", 1), &request);
        assert!(matches!(answered.answer, Some(Answer::Successful(_))), "{answered:?}");

        let force = Request::Reconcile { blueprint: "workers".to_owned(), force: true };
        let forced = plan(&snapshot(vec![followed], vec![blueprint(2)]), &process("p1", 1), &force);
        let [Step::Kubernetes(KubernetesStep::ReplaceFleet(changed))] = forced.steps.as_slice() else {
            panic!("{forced:?}")
        };
        assert_eq!(changed.annotations()[RESTART_ANNOTATION], "p1");
        let world = snapshot(vec![changed.as_ref().clone()], vec![blueprint(2)]);
        assert_eq!(plan(&world, &process("p1", 1), &force), wait(), "until the pods were started anew");
    }

    #[test]
    fn a_blueprint_that_is_gone_takes_its_object_along_and_nothing_else() {
        let request = Request::CleanUp { blueprint: "workers".to_owned() };
        let reconcile = Request::Reconcile { blueprint: "workers".to_owned(), force: false };
        let object = created(&plan(&snapshot(vec![], vec![blueprint(1)]), &process("p1", 1), &reconcile));
        let gone = plan(&snapshot(vec![object.clone()], vec![]), &process("p2", 2), &request);
        assert!(
            matches!(gone.steps.as_slice(), [Step::Kubernetes(KubernetesStep::DeleteFleet { name, .. })] if name == "workers")
        );
        let back = plan(&snapshot(vec![object], vec![blueprint(1)]), &process("p2", 2), &request);
        assert!(back.steps.is_empty() && back.answer.is_some(), "{back:?}");
        let unread =
            InboundSnapshot { blueprints: Observed::Unknown("x".into()), ..snapshot(vec![], vec![]) };
        assert_eq!(plan(&unread, &process("p2", 2), &request), wait(), "unknown is not gone");
    }

    /// The colony must not change or delete a paused object.
    #[test]
    fn an_object_that_is_paused_is_changed_for_nobody() {
        let request = Request::Reconcile { blueprint: "workers".to_owned(), force: true };
        let mut paused = created(&plan(&snapshot(vec![], vec![blueprint(1)]), &process("p1", 1), &request));
        paused.annotations_mut().insert(PAUSED_ANNOTATION.to_owned(), "true".to_owned());
        let world = snapshot(vec![paused.clone()], vec![blueprint(1)]);
        assert_eq!(plan(&world, &process("p2", 2), &request), wait());
        let clean_up = Request::CleanUp { blueprint: "workers".to_owned() };
        assert_eq!(plan(&snapshot(vec![paused], vec![]), &process("p2", 2), &clean_up), wait());

        let apply = |name| Request::Apply(wanted("team", name));
        let mut born = created(&plan(&snapshot(vec![], vec![]), &process("p1", 1), &apply(1)));
        born.annotations_mut().insert(PAUSED_ANNOTATION.to_owned(), "true".to_owned());
        assert_eq!(plan(&snapshot(vec![born], vec![]), &process("p2", 2), &apply(2)), wait());
    }

    /// It comes each minute: it must not wait for pods, nor be stopped by one invalid blueprint.
    #[test]
    fn all_of_a_kind_are_made_and_the_broken_ones_named() {
        let mut broken = blueprint(1);
        "broken".clone_into(&mut broken.metadata.name);
        broken.spec.insert("privileged".to_owned(), json!(true));
        let mut elsewhere = blueprint(1);
        "elsewhere".clone_into(&mut elsewhere.metadata.name);
        "edge-8".clone_into(&mut elsewhere.metadata.location);
        let all = plan(
            &snapshot(vec![], vec![blueprint(1), broken, elsewhere]),
            &process("p1", 1),
            &Request::ReconcileAll,
        );
        assert_eq!(all.steps.len(), 1);
        assert!(failure(&all).contains("blueprint broken: spec.privileged"));
    }
}
