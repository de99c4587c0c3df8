//! Which processes are an object's. Status is a claim: others may have written it. So is a label, which every member of a colony can
//! write: what is looked up by it counts as far as an operator has submitted it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Observed;
use crate::{
    api::{
        mirror::{MirrorStatus, Mirrored},
        names::{
            CLEANUP_FUNCTION, GATE_NODE, SUBMITTED_AS_ANNOTATION, cleanup_attempt, parse_process_label,
            parse_submitted_as, process_label,
        },
    },
    colony::model::Process,
};

/// By what the processes of an object are known.
#[derive(Clone, Debug)]
pub struct Belonging {
    cluster: String,
    uid: String,
    /// Cluster and UID as which the object was submitted before it was restored.
    before: Option<(String, String)>,
    adopted_id: Option<String>,
    /// Kind and name of the blueprint that mirrors the object.
    blueprint: Option<(String, String)>,
}

impl Belonging {
    /// By what those of the object with this metadata are known.
    #[must_use]
    pub fn new(cluster: &str, object: &ObjectMeta) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let said = object.annotations.as_ref().and_then(|all| all.get(SUBMITTED_AS_ANNOTATION));
        let (namespace, name) = (text(&object.namespace), text(&object.name));
        let before = said.and_then(|said| parse_submitted_as(said, &namespace, &name));
        Self {
            cluster: cluster.to_owned(),
            uid: text(&object.uid),
            before: before.map(|(cluster, uid)| (cluster.to_owned(), uid.to_owned())),
            adopted_id: None,
            blueprint: None,
        }
    }

    /// Also the process or workflow with this id, which the spec names.
    #[must_use]
    pub fn adopting(self, id: &str) -> Self {
        Self { adopted_id: Some(id.to_owned()), ..self }
    }

    /// Also the process by which the server cleans up after a blueprint, which bears no label.
    #[must_use]
    pub fn cleaned_up(self, kind: String, blueprint: String) -> Self {
        Self { blueprint: Some((kind, blueprint)), ..self }
    }

    /// The object, without a record of what was submitted for another one. If something may live under such a record, what lives
    /// under the label of the object instead is to be looked up.
    #[must_use]
    pub fn believed<K: Mirrored + Clone>(&self, object: &K) -> K {
        let mut object = object.clone();
        let Some(recorded) = object.mirror() else { return object };
        let of = parse_process_label(&recorded.label).map(|(cluster, uid, _)| (cluster, uid));
        let before = self.before.as_ref().map(|(cluster, uid)| (cluster.as_str(), uid.as_str()));
        let (is_own, may_live) = (of == Some((&self.cluster, &self.uid)), recorded.may_live());
        let was_before_restored = of.is_some() && of == before;
        // What was submitted before the object was restored is recorded once it is over.
        if is_own || (was_before_restored && !may_live) {
            return object;
        }
        let label = process_label(&self.cluster, &self.uid, recorded.generation);
        if may_live && !was_before_restored {
            object.unbind();
        }
        if let Some(recorded) = object.mirror_mut() {
            recorded.take_if(|_| !may_live || was_before_restored);
            if let Some(recorded) = recorded {
                recorded.label = label;
            }
        }
        object
    }

    /// Whether what was `found` for the record of an object is its own. If not, the id in the record is unknown: it is taken
    /// out of the object, and what there is is to be looked up by label. Of a record that is over, what is not its own is taken
    /// out of what was found.
    #[must_use]
    pub fn verify<K: Mirrored>(&self, object: &mut K, found: &mut Observed<Vec<Process>>) -> bool {
        let (Some(recorded), Observed::Known(processes)) = (object.mirror(), &mut *found) else {
            return true;
        };
        if !recorded.may_live() {
            processes.retain(|process| self.has(process, recorded));
            return true;
        }
        let Some(id) = recorded.process_id.as_deref() else { return true };
        let has_gate = |gate: &Process| {
            gate.spec.node_name == GATE_NODE
                && processes.iter().any(|run| {
                    run.parents.contains(&gate.id)
                        && run.spec.label == gate.spec.label
                        && self.has(run, recorded)
                })
        };
        let is_process = processes.iter().any(|process| process.id.as_str() == id);
        let is_own = processes.iter().all(|process| {
            (is_process || process.graph_id == id) && (self.has(process, recorded) || has_gate(process))
        });
        if !is_own {
            object.unbind();
        }
        is_own
    }

    /// Whether the operator has submitted a process for the object: nothing that users of the object can write says so.
    #[must_use]
    pub fn has_submitted(&self, process: &Process) -> bool {
        parse_process_label(&process.spec.label)
            .is_some_and(|(cluster, uid, _)| (cluster, uid) == (&self.cluster, &self.uid))
    }

    fn has(&self, process: &Process, recorded: &MirrorStatus) -> bool {
        let is_labelled = self.has_submitted(process);
        let is_adopted = self.adopted_id.as_deref().is_some_and(|id| {
            recorded.process_id.as_deref() == Some(id)
                && (process.id.as_str() == id || process.graph_id == id)
        });
        is_labelled || is_adopted || self.cleans_up(process, recorded)
    }

    fn cleans_up(&self, process: &Process, recorded: &MirrorStatus) -> bool {
        let Some((kind, blueprint)) = &self.blueprint else { return false };
        let says = |argument: &str| process.spec.kwargs.get(argument).and_then(|value| value.as_str());
        cleanup_attempt(recorded.generation).is_some()
            && process.spec.function == CLEANUP_FUNCTION
            && says("kind") == Some(kind)
            && says("blueprintName") == Some(blueprint)
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{
        colony_process::ColonyProcess, colony_workflow::ColonyWorkflow, mirror::MirrorState, work::WorkState,
    };

    fn object(label: &str, id: &str, state: &str) -> ColonyProcess {
        serde_json::from_value(json!({
            "metadata": { "name": "n", "namespace": "ns", "uid": "u",
                          "annotations": { SUBMITTED_AS_ANNOTATION: "k8s:c/before/ns/n" } },
            "spec": { "function": "f", "conditions": { "executorType": "t" } },
            "status": { "mirror": { "label": label, "generation": 1, "processId": id, "state": state,
                                    "intendedAt": "2026-11-26T10:00:00Z" } },
        }))
        .unwrap()
    }

    fn process(id: &str, label: &str, more: &Value) -> Process {
        let mut whole = json!({
            "processid": id, "state": 1, "submissiontime": "2026-11-26T09:00:00Z",
            "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": label, "conditions": { "colonyname": "dev", "executortype": "t" } },
        });
        for (field, value) in more.as_object().unwrap() {
            whole[field] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    fn belonging(object: &ColonyProcess) -> Belonging {
        Belonging::new("c", object.meta())
    }

    /// Users may write annotations of their objects; labels of processes they may not.
    #[test]
    fn only_a_label_says_for_which_object_a_process_was_submitted() {
        let belonging = belonging(&object("k8s:c/victim/1", "p", "Successful")).adopting("p");
        let has = |label: &str| belonging.has_submitted(&process("p", label, &json!({})));
        assert!(has("k8s:c/u/1") && has("k8s:c/u/7"));
        for label in ["k8s:c/victim/1", "k8s:c/before/1", "k8s:other/u/1", "", "k8s:c/u/1/2"] {
            assert!(!has(label), "{label}");
        }
    }

    /// What status says was enough to have another's process cancelled, and its output shown.
    #[test]
    fn a_process_with_the_label_of_another_is_unknown() {
        for label in ["k8s:c/victim/1", "k8s:other/u/1", "", "their own"] {
            let mut object = object("k8s:c/u/1", "p", "Running");
            let mut found = Observed::Known(vec![process("p", label, &json!({}))]);
            assert!(!belonging(&object).verify(&mut object, &mut found), "{label}");
            let mirror = object.mirror().unwrap();
            assert!(mirror.is_unbound() && mirror.label == "k8s:c/u/1", "{mirror:?}");
        }
        let mut own = object("k8s:c/u/1", "p", "Running");
        let mut found = Observed::Known(vec![process("p", "k8s:c/u/1", &json!({}))]);
        assert!(belonging(&own).verify(&mut own, &mut found));
        assert_eq!(own.mirror().unwrap().process_id.as_deref(), Some("p"));
        let mut unread = Observed::Unknown("away".to_owned());
        assert!(belonging(&own).verify(&mut own, &mut unread), "nothing is known");
        assert_eq!(own.mirror().unwrap().state, MirrorState::Running);
    }

    #[test]
    fn what_the_spec_adopts_is_its_own() {
        let mut object = object("k8s:c/u/1", "p", "Running");
        let theirs = || Observed::Known(vec![process("p", "their own", &json!({}))]);
        assert!(belonging(&object).adopting("p").verify(&mut object, &mut theirs()));
        assert!(!belonging(&object).adopting("other").verify(&mut object, &mut theirs()));
    }

    #[test]
    fn a_gate_is_its_own_with_the_process_behind_it() {
        let gate = |label: &str| {
            let spec = json!({ "funcname": "g", "nodename": GATE_NODE, "label": label,
                               "conditions": { "colonyname": "dev", "executortype": "t" } });
            process("g", "", &json!({ "spec": spec, "processgraphid": "w" }))
        };
        let run = |label: &str| process("p", label, &json!({ "parents": ["g"], "processgraphid": "w" }));
        let mut object = object("k8s:c/u/1", "p", "Waiting");
        let of = |processes| Observed::Known(processes);
        let own = "k8s:c/u/1";
        assert!(belonging(&object).verify(&mut object, &mut of(vec![run(own), gate(own)])));
        let adopting = belonging(&object).adopting("p");
        assert!(adopting.verify(&mut object, &mut of(vec![run("k8s:c/gone/1"), gate("k8s:c/gone/1")])));
        assert!(!adopting.verify(&mut object, &mut of(vec![run("k8s:c/gone/1"), gate("k8s:c/other/1")])));
    }

    /// The whole workflow that status names would be cancelled.
    #[test]
    fn nodes_of_its_own_do_not_make_another_workflow_its_own() {
        let workflow: ColonyWorkflow = serde_json::from_value(json!({
            "metadata": { "name": "n", "namespace": "ns", "uid": "u" },
            "spec": { "nodes": [{ "name": "a", "function": "f", "conditions": { "executorType": "t" } }] },
            "status": {
                "nodes": [{ "name": "a", "state": "Running", "processId": "p" }, { "name": "x", "state": "Failed" }],
                "mirror": { "label": "k8s:c/u/1", "generation": 1, "processId": "victims", "state": "Running",
                            "intendedAt": "2026-11-26T10:00:00Z" },
            },
        }))
        .unwrap();
        let belonging = Belonging::new("c", workflow.meta());
        let node = |graph: &str| vec![process("p", "k8s:c/u/1", &json!({ "processgraphid": graph }))];
        let mut object = workflow.clone();
        assert!(!belonging.verify(&mut object, &mut Observed::Known(node("its own"))));
        assert!(object.mirror().unwrap().is_unbound());
        let nodes = &object.status.as_ref().unwrap().nodes;
        let states: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.state)).collect();
        assert_eq!(states, [("a", WorkState::Pending)]);
        let mut object = workflow;
        assert!(belonging.verify(&mut object, &mut Observed::Known(node("victims"))));
    }

    #[test]
    fn a_record_with_the_label_of_another_is_no_record() {
        let own = |generation| format!("k8s:c/u/{generation}");
        for (label, state, wanted) in [
            ("k8s:c/u/1", "Running", Some((own(1), MirrorState::Running))),
            ("k8s:c/u/7", "Intended", Some((own(7), MirrorState::Intended))),
            // What is under its own label is looked up.
            ("k8s:c/victim/1", "Intended", Some((own(1), MirrorState::Intended))),
            ("k8s:other/u/1", "Running", Some((own(1), MirrorState::Intended))),
            ("", "Running", Some((own(1), MirrorState::Intended))),
            ("k8s:c/victim/1", "Successful", None),
            // It was restored from a backup.
            ("k8s:c/before/1", "Successful", Some(("k8s:c/before/1".to_owned(), MirrorState::Successful))),
            ("k8s:c/before/1", "Running", None),
        ] {
            let object = object(label, "p", state);
            let believed = belonging(&object).believed(&object);
            let found = believed.mirror().map(|mirror| (mirror.label.clone(), mirror.state));
            assert_eq!(found, wanted, "{label} {state}");
            let is_unbound = believed.mirror().is_some_and(MirrorStatus::is_unbound);
            assert_eq!(
                is_unbound,
                label != "k8s:c/u/7" && wanted.is_some_and(|(_, state)| state == MirrorState::Intended)
            );
        }
    }

    #[test]
    fn of_what_is_over_nothing_of_others_is_found() {
        let mut lost = object("k8s:c/u/1", "p", "Lost");
        let all = vec![process("p", "k8s:c/victim/1", &json!({})), process("q", "k8s:c/u/1", &json!({}))];
        let mut found = Observed::Known(all);
        assert!(belonging(&lost).verify(&mut lost, &mut found));
        let left = found.known().unwrap();
        assert_eq!(left.iter().map(|process| process.id.as_str()).collect::<Vec<_>>(), ["q"]);
    }

    #[test]
    fn the_server_cleans_up_after_its_blueprint() {
        let mut object = object("k8s:c/u/0", "p", "Waiting");
        object.mirror_mut().unwrap().as_mut().unwrap().generation = 0;
        let cleanup = |blueprint: &str| {
            let spec = json!({ "funcname": CLEANUP_FUNCTION, "label": "",
                "kwargs": { "kind": "Thing", "blueprintName": blueprint },
                "conditions": { "colonyname": "dev", "executortype": "t" } });
            Observed::Known(vec![process("p", "", &json!({ "spec": spec }))])
        };
        let belonging = belonging(&object).cleaned_up("Thing".to_owned(), "mine".to_owned());
        assert!(belonging.verify(&mut object, &mut cleanup("mine")));
        assert!(!belonging.verify(&mut object, &mut cleanup("theirs")));
    }
}
