//! Compares all that a cluster and its colonies have of each other, and finds what does not fit together. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{ColonyStep, KubernetesStep, Step, duplicates, orphans};
use crate::{
    api::{
        mirror::{MirrorState, MirrorStatus},
        names::parse_executor_origin,
    },
    colony::{Executor, ExecutorState, Process, ProcessState},
};

/// What can be wrong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::IntoStaticStr, strum::VariantArray,
)]
pub enum Class {
    /// A process of an object besides the one that it is bound to.
    DuplicateProcess,
    /// A process whose object is gone.
    OrphanedProcess,
    /// An object whose status names a process that the colony does not have.
    MissingProcess,
    /// An object whose status says another state of its process than the colony.
    StaleStatus,
    /// Objects that are bound to the same process.
    SharedProcess,
    /// An executor that was registered for an object that is gone, or that has another by now.
    OrphanedExecutor,
    /// A fleet whose status names an executor that the colony does not have.
    MissingExecutor,
    /// A Secret with the key of an executor that neither an object nor a registered executor has.
    OrphanedSecret,
}

/// Something that does not fit together.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub class: Class,
    /// The `Colony`, where one is concerned.
    pub colony: Option<String>,
    /// What it is about, for a person: an object, a process, an executor or a Secret.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// What mends it; none if the operator does so by itself, or a person has to.
    pub step: Option<Step>,
    /// Where the step is carried out.
    pub namespace: Option<String>,
    /// What to do where no step mends it.
    pub remedy: Option<String>,
}

/// An object that may have a process.
#[derive(Clone, Debug, Default)]
pub struct ObjectRecord {
    /// Kind, namespace and name.
    pub name: String,
    pub uid: String,
    pub mirror: Option<MirrorStatus>,
    /// The executor of a fleet that is registered, as status says.
    pub executor: Option<String>,
}

/// A Secret with the key of an executor.
#[derive(Clone, Debug)]
pub struct SecretRecord {
    pub namespace: String,
    pub name: String,
    /// UIDs of its owners.
    pub owners: Vec<String>,
    pub executor: String,
    /// Whether it is that of one pod.
    pub is_of_pod: bool,
}

/// A colony, as its `Colony` reaches it.
#[derive(Clone, Debug, Default)]
pub struct ColonySide {
    pub name: String,
    /// Id of the operator's member.
    pub member: String,
    /// What waits or runs, of every submitter.
    pub live: Vec<Process>,
    pub executors: Vec<Executor>,
    /// UIDs of objects whose process outlives them by a policy.
    pub left: BTreeSet<String>,
    /// Why nothing may be ended for the lack of an object, if so.
    pub withheld: Option<String>,
}

/// Both sides.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// What the cluster is called in colonies.
    pub cluster: String,
    pub colonies: Vec<ColonySide>,
    /// Whether these are all colonies: what none of them has may be in another.
    pub is_whole: bool,
    pub objects: Vec<ObjectRecord>,
    /// None where Secrets may not be listed.
    pub secrets: Option<Vec<SecretRecord>>,
    /// UIDs of objects that exist although their kind is not looked after.
    pub elsewhere: BTreeSet<String>,
    /// Processes and workflows that were asked for by themselves: the state that a colony reports, none if no colony has it. One that
    /// a colony could not be asked for is not among them.
    pub asked: HashMap<String, Option<ProcessState>>,
}

impl Sides {
    /// UIDs under labels of this cluster that no object has, with the processes that bear them.
    #[must_use]
    pub fn unknown(&self) -> BTreeMap<String, Vec<Process>> {
        let known: BTreeSet<&str> = self.objects.iter().map(|object| object.uid.as_str()).collect();
        let mut unknown = BTreeMap::new();
        for side in &self.colonies {
            let labelled = orphans::labelled(&side.live, &self.cluster, &side.member);
            unknown.extend(labelled.into_iter().filter(|(uid, _)| !known.contains(uid.as_str())));
        }
        unknown
    }

    /// Ids of what status says to live and no colony has listed: to be asked for by itself.
    #[must_use]
    pub fn unlisted(&self) -> Vec<String> {
        let listed = self.listed();
        let live = self.objects.iter().filter_map(|object| object.mirror.as_ref());
        let live =
            live.filter(|mirror| mirror.state.is_live()).filter_map(|mirror| mirror.process_id.clone());
        live.filter(|id| !listed.contains_key(id.as_str())).collect()
    }

    /// The state of what lives, by the id of the process and of its workflow.
    fn listed(&self) -> HashMap<&str, ProcessState> {
        let live = self.colonies.iter().flat_map(|side| &side.live);
        let ids = live.flat_map(|process| {
            [(process.id.as_str(), process.state), (process.graph_id.as_str(), process.state)]
        });
        ids.filter(|(id, _)| !id.is_empty()).collect()
    }
}

/// What does not fit together, in the order of the classes.
#[must_use]
pub fn findings(sides: &Sides) -> Vec<Finding> {
    let mut found = Vec::new();
    for side in &sides.colonies {
        processes(sides, side, &mut found);
        executors(sides, side, &mut found);
    }
    statuses(sides, &mut found);
    secrets(sides, &mut found);
    found.sort_by(|a, b| (a.class, &a.what).cmp(&(b.class, &b.what)));
    found
}

fn processes(sides: &Sides, side: &ColonySide, found: &mut Vec<Finding>) {
    let of_uid: HashMap<&str, &ObjectRecord> =
        sides.objects.iter().map(|object| (object.uid.as_str(), object)).collect();
    let recorded = |uid: &str| of_uid.get(uid).and_then(|object| object.mirror.clone());
    for (uid, processes) in duplicates::find(&side.live, &sides.cluster, &side.member, recorded) {
        let object = of_uid.get(uid.as_str()).map(|object| object.name.clone()).unwrap_or_default();
        found.extend(processes.iter().map(|process| Finding {
            class: Class::DuplicateProcess,
            colony: Some(side.name.clone()),
            what: format!("process {}", process.id),
            seen: format!("{object} is bound to another"),
            step: Some(orphans::cancel_step(process)),
            namespace: None,
            remedy: None,
        }));
    }
    for (uid, processes) in orphans::labelled(&side.live, &sides.cluster, &side.member) {
        let is_wanted =
            of_uid.contains_key(uid.as_str()) || side.left.contains(&uid) || sides.elsewhere.contains(&uid);
        if is_wanted {
            continue;
        }
        found.extend(processes.iter().map(|process| Finding {
            class: Class::OrphanedProcess,
            colony: Some(side.name.clone()),
            what: format!("process {}", process.id),
            seen: format!(
                "{:?}; the object that its label {} names is gone",
                process.state, process.spec.label
            ),
            step: side.withheld.is_none().then(|| orphans::cancel_step(process)),
            namespace: None,
            remedy: side.withheld.clone(),
        }));
    }
}

fn executors(sides: &Sides, side: &ColonySide, found: &mut Vec<Finding>) {
    let of_uid: HashMap<&str, &ObjectRecord> =
        sides.objects.iter().map(|object| (object.uid.as_str(), object)).collect();
    let is_there =
        |executor: &&Executor| matches!(executor.state, ExecutorState::Approved | ExecutorState::Pending);
    for executor in side.executors.iter().filter(is_there) {
        let Some((cluster, uid, namespace, fleet)) = parse_executor_origin(&executor.blueprint_id) else {
            continue;
        };
        // Without the right to list Secrets it is not known whether pods serve as it.
        let Some(secrets) = sides.secrets.as_ref().filter(|_| cluster == sides.cluster) else { continue };
        let serves = secrets.iter().any(|secret| secret.executor == executor.name);
        let is_recorded = of_uid
            .get(uid)
            .is_some_and(|object| object.executor.as_ref().is_none_or(|recorded| *recorded == executor.name));
        if serves || is_recorded {
            continue;
        }
        let step = ColonyStep::RemoveExecutor { name: executor.name.clone() };
        found.push(Finding {
            class: Class::OrphanedExecutor,
            colony: Some(side.name.clone()),
            what: format!("executor {}", executor.name),
            seen: match of_uid.get(uid) {
                Some(object) => format!("{} serves as another", object.name),
                None => format!("ExecutorDeployment {namespace}/{fleet} is gone, and so is its Secret"),
            },
            step: side.withheld.is_none().then_some(Step::Colony(step)),
            namespace: None,
            remedy: side.withheld.clone(),
        });
    }
}

/// What status says, and what the colonies say.
fn statuses(sides: &Sides, found: &mut Vec<Finding>) {
    const REMEDY: &str =
        "have it looked at: kubectl annotate --overwrite OBJECT colonies.io/reconcile-at=\"$(date)\"";
    let listed = sides.listed();
    let finding = |class, object: &ObjectRecord, seen| Finding {
        class,
        colony: None,
        what: object.name.clone(),
        seen,
        step: None,
        namespace: None,
        remedy: Some(REMEDY.to_owned()),
    };
    let mut bound: BTreeMap<&str, Vec<&ObjectRecord>> = BTreeMap::new();
    let registered: BTreeSet<&str> = sides
        .colonies
        .iter()
        .flat_map(|side| &side.executors)
        .map(|executor| executor.name.as_str())
        .collect();
    for object in &sides.objects {
        let is_missing = |name: &&str| sides.is_whole && !registered.contains(name);
        if let Some(name) = object.executor.as_deref().filter(is_missing) {
            found.push(finding(
                Class::MissingExecutor,
                object,
                format!("no colony has executor {name}, as which it is registered by its status"),
            ));
        }
        let Some(mirror) = &object.mirror else { continue };
        let Some(id) = mirror.process_id.as_deref() else { continue };
        let live = listed.get(id);
        if mirror.state.is_live() || live.is_some() {
            bound.entry(id).or_default().push(object);
        }
        let reported = match live {
            Some(state) => Some(Some(*state)),
            None => sides.asked.get(id).copied(),
        };
        match (mirror.state, reported) {
            (state, Some(None)) if state.is_live() => found.push(finding(
                Class::MissingProcess,
                object,
                format!("no colony has {id}, which is {} by its status", state.as_str()),
            )),
            (state, Some(Some(reported))) if !is_same(state, reported) => found.push(finding(
                Class::StaleStatus,
                object,
                format!("{id} is {reported:?} in the colony, and {} by its status", state.as_str()),
            )),
            _ => {}
        }
    }
    for (id, objects) in bound.into_iter().filter(|(_, objects)| objects.len() > 1) {
        let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        found.push(Finding {
            class: Class::SharedProcess,
            colony: None,
            what: format!("process {id}"),
            seen: format!("several objects are bound to it: {}", names.join(", ")),
            step: None,
            namespace: None,
            remedy: Some("delete all but one of them, with deletionPolicy: Orphan".to_owned()),
        });
    }
}

/// Whether a recorded state can be one that a colony reports. Of a workflow any node is listed: it waits or runs.
fn is_same(recorded: MirrorState, reported: ProcessState) -> bool {
    match reported {
        ProcessState::Waiting | ProcessState::Running => recorded.is_live(),
        ProcessState::Successful => recorded == MirrorState::Successful,
        ProcessState::Failed => recorded == MirrorState::Failed,
        ProcessState::Cancelled => recorded == MirrorState::Cancelled,
    }
}

fn secrets(sides: &Sides, found: &mut Vec<Finding>) {
    let uids: BTreeSet<&str> = sides.objects.iter().map(|object| object.uid.as_str()).collect();
    let is_there = |executor: &&Executor| executor.state != ExecutorState::Unregistered;
    let registered: BTreeSet<&str> = sides
        .colonies
        .iter()
        .flat_map(|side| &side.executors)
        .filter(is_there)
        .map(|executor| executor.name.as_str())
        .collect();
    // That of a pod goes with the pod.
    let of_fleets = sides.secrets.iter().flatten().filter(|secret| !secret.is_of_pod);
    for secret in of_fleets.filter(|_| sides.is_whole) {
        let is_owned = secret.owners.iter().any(|uid| uids.contains(uid.as_str()));
        // One without an owner may be left to pods on purpose: then its executor is registered.
        if is_owned || registered.contains(secret.executor.as_str()) {
            continue;
        }
        found.push(Finding {
            class: Class::OrphanedSecret,
            colony: None,
            what: format!("Secret {}/{}", secret.namespace, secret.name),
            seen: format!("its object is gone, and executor {} is registered nowhere", secret.executor),
            step: Some(Step::Kubernetes(KubernetesStep::DeleteIdentity {
                name: secret.name.clone(),
                uid: None,
            })),
            namespace: Some(secret.namespace.clone()),
            remedy: None,
        });
    }
}

/// The findings that were there before, too: what was on its way has arrived.
#[must_use]
pub fn confirmed(now: Vec<Finding>, before: &[Finding]) -> Vec<Finding> {
    let was_there = |finding: &Finding| {
        before.iter().any(|before| {
            (before.class, &before.what, &before.seen) == (finding.class, &finding.what, &finding.seen)
        })
    };
    now.into_iter().filter(was_there).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(id: &str, label: &str, state: u8) -> Process {
        serde_json::from_value(json!({
            "processid": id, "state": state, "assignedexecutorid": "", "initiatorid": "m", "processgraphid": "",
            "submissiontime": "2026-11-21T09:58:00Z", "starttime": "0001-01-01T00:00:00Z",
            "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": label, "conditions": { "colonyname": "c", "executortype": "t" } },
        }))
        .unwrap()
    }

    fn executor(name: &str, origin: &str) -> Executor {
        serde_json::from_value(json!({
            "executorid": "a".repeat(64), "executorname": name, "executortype": "t", "colonyname": "dev",
            "state": 1, "commissiontime": "2026-11-21T09:58:00Z", "lastheardfromtime": "2026-11-21T09:58:00Z",
            "blueprintid": origin,
        }))
        .unwrap()
    }

    fn object(uid: &str, id: &str, state: &str) -> ObjectRecord {
        let mirror = json!({
            "label": format!("k8s:c/{uid}/1"), "generation": 1, "processId": id, "state": state,
            "intendedAt": "2026-11-21T09:57:00Z",
        });
        ObjectRecord {
            name: format!("ColonyProcess ns/{uid}"),
            uid: uid.to_owned(),
            mirror: serde_json::from_value(mirror).unwrap(),
            executor: None,
        }
    }

    fn healthy() -> Sides {
        let fleet = ObjectRecord { executor: Some("serving".to_owned()), ..object("f", "pf", "Running") };
        let secret = |name: &str, owners: &[&str], executor: &str| SecretRecord {
            namespace: "ns".to_owned(),
            name: name.to_owned(),
            owners: owners.iter().map(|uid| (*uid).to_owned()).collect(),
            executor: executor.to_owned(),
            is_of_pod: false,
        };
        Sides {
            cluster: "c".to_owned(),
            colonies: vec![ColonySide {
                name: "dev".to_owned(),
                member: "m".to_owned(),
                live: vec![
                    process("pf", "k8s:c/f/1", 1),
                    process("pa", "k8s:c/a/1", 0),
                    process("theirs", "k8s:other/x/1", 0),
                    process("left", "k8s:c/left/1", 1),
                    process("made", "k8s:c/elsewhere/1", 1),
                ],
                executors: vec![
                    executor("serving", "k8s:c/f/ns/fleet"),
                    executor("kept", "k8s:c/gone/ns/kept"),
                    executor("their-own", ""),
                    executor("of-another", "k8s:d/gone/ns/fleet"),
                ],
                left: BTreeSet::from(["left".to_owned()]),
                withheld: None,
            }],
            objects: vec![fleet, object("a", "pa", "Waiting"), object("b", "pb", "Successful")],
            is_whole: true,
            secrets: Some(vec![secret("fleet", &["f"], "serving"), secret("kept", &[], "kept")]),
            elsewhere: BTreeSet::from(["elsewhere".to_owned()]),
            asked: HashMap::new(),
        }
    }

    fn classes(sides: &Sides) -> Vec<Class> {
        findings(sides).into_iter().map(|finding| finding.class).collect()
    }

    #[test]
    fn a_healthy_pair_has_no_findings() {
        assert_eq!(findings(&healthy()), []);
        assert_eq!(healthy().unlisted(), [""; 0]);
        assert_eq!(healthy().unknown().len(), 2, "those of which only a note or the API server knows");
    }

    /// What is planted is found, and nothing else.
    #[test]
    fn each_class_is_found() {
        use Class::{
            DuplicateProcess, MissingExecutor, MissingProcess, OrphanedExecutor, OrphanedProcess,
            OrphanedSecret, SharedProcess, StaleStatus,
        };
        let planted = |plant: &dyn Fn(&mut Sides)| {
            let mut sides = healthy();
            plant(&mut sides);
            classes(&sides)
        };
        let live = |process: Process| move |sides: &mut Sides| sides.colonies[0].live.push(process.clone());
        assert_eq!(planted(&live(process("second", "k8s:c/a/1", 0))), [DuplicateProcess]);
        assert_eq!(planted(&live(process("orphan", "k8s:c/gone/1", 0))), [OrphanedProcess]);
        assert_eq!(planted(&live(process("pb", "k8s:c/b/1", 1))), [StaleStatus]);
        assert_eq!(planted(&|sides| sides.objects.push(object("d", "pa", "Waiting"))), [SharedProcess]);
        let lost = |reported: Option<ProcessState>| {
            move |sides: &mut Sides| {
                sides.objects.push(object("l", "pl", "Running"));
                assert_eq!(sides.unlisted(), ["pl"]);
                sides.asked.insert("pl".to_owned(), reported);
            }
        };
        assert_eq!(planted(&lost(None)), [MissingProcess]);
        assert_eq!(planted(&lost(Some(ProcessState::Failed))), [StaleStatus]);
        let unanswered = |sides: &mut Sides| sides.objects.push(object("l", "pl", "Running"));
        assert_eq!(planted(&unanswered), [], "a colony that does not answer has not lost it");
        let registered = |name: &'static str, origin: &'static str| {
            move |sides: &mut Sides| sides.colonies[0].executors.push(executor(name, origin))
        };
        assert_eq!(planted(&registered("x", "k8s:c/gone/ns/x")), [OrphanedExecutor]);
        assert_eq!(planted(&registered("earlier", "k8s:c/f/ns/fleet")), [OrphanedExecutor]);
        let without_right = |sides: &mut Sides| {
            registered("x", "k8s:c/gone/ns/x")(sides);
            sides.secrets = None;
        };
        assert_eq!(planted(&without_right), []);
        assert_eq!(
            planted(&|sides| sides.objects[0].executor = Some("unknown".to_owned())),
            [MissingExecutor],
            "its Secret says as what it serves"
        );
        let secret = |sides: &mut Sides| {
            let secret = SecretRecord {
                namespace: "ns".to_owned(),
                name: "s".to_owned(),
                owners: vec!["gone".to_owned()],
                executor: "unregistered".to_owned(),
                is_of_pod: false,
            };
            sides.secrets.as_mut().unwrap().push(secret);
        };
        assert_eq!(planted(&secret), [OrphanedSecret]);
        let of_another_colony = |sides: &mut Sides| {
            secret(sides);
            sides.objects[0].executor = Some("of-another-colony".to_owned());
            sides.is_whole = false;
        };
        assert_eq!(planted(&of_another_colony), [], "which does not answer, or is not looked at");
    }

    #[test]
    fn nothing_is_ended_for_the_lack_of_an_object_where_another_installation_is_heard() {
        let mut sides = healthy();
        sides.colonies[0].live.push(process("orphan", "k8s:c/gone/1", 0));
        sides.colonies[0].executors.push(executor("x", "k8s:c/gone/ns/x"));
        let found = findings(&sides);
        assert!(found.len() == 2 && found.iter().all(|finding| finding.step.is_some()), "{found:?}");
        sides.colonies[0].withheld = Some("another is heard".to_owned());
        assert!(findings(&sides).iter().all(|finding| finding.step.is_none() && finding.remedy.is_some()));
        assert_eq!(confirmed(found.clone(), &found).len(), 2);
        assert_eq!(confirmed(found, &[]).len(), 0, "it was on its way");
    }
}
