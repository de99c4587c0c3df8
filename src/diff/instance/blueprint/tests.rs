use serde_json::{Value, json};

use super::*;
use crate::{
    api::{
        instance::InstanceKind,
        names::{self, ABANDON_ANNOTATION, INSTANCE_FINALIZER, SUBMITTED_AS_ANNOTATION},
    },
    colony::{ProcessState, model::FunctionSpec},
    desired,
    snapshot::{ColonyInstanceState, fixtures},
};

fn kind(policy: &str, deletion: &str) -> InstanceKind {
    let handler = json!({
        "mode": "blueprint", "executorType": "t", "functionName": "reconcile", "location": "lab",
        "blueprint": { "syncPolicy": policy },
    });
    let schema = json!({ "properties": { "spec": { "type": "object", "properties": {
        "size": { "type": "integer", "default": 1 }, "image": { "type": "string" } } } } });
    fixtures::kind(json!({ "handler": handler, "deletionPolicy": deletion }), Some(schema))
}

fn hash(spec: &Value) -> String {
    SharedSpec::of_instance(spec.as_object().unwrap()).hash()
}

/// An instance of size 2 whose status has `recorded` for a blueprint, if any, which the colony has as `found`.
fn snapshot(policy: &str, recorded: Value, found: Option<Blueprint>) -> InstanceSnapshot {
    let mut object = json!({
        "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 2,
                      "finalizers": [INSTANCE_FINALIZER] },
        "spec": { "size": 2 }, "status": {},
    });
    if !recorded.is_null() {
        object["status"]["blueprint"] = recorded;
    }
    InstanceSnapshot {
        header: fixtures::header(fixtures::colony(), Observed::Known(Vec::new())),
        in_colony: ColonyInstanceState {
            handler_state: Some(HandlerState::Handled),
            blueprint: Observed::Known(found),
            ..ColonyInstanceState::default()
        },
        ..fixtures::instance(kind(policy, "Delete"), object)
    }
}

fn blueprint(id: &str, generation: i64, spec: &Value) -> Blueprint {
    let mut found = Blueprint::new("dev", "Thing", "n").unwrap();
    id.clone_into(&mut found.id);
    found.metadata.generation = generation;
    found.spec = spec.as_object().unwrap().clone();
    found
}

fn ours(generation: i64, spec: &Value) -> Blueprint {
    blueprint("k8s:c/u", generation, spec)
}

fn agreed(spec: &Value) -> Value {
    json!({ "name": "n", "generation": 1, "agreed": hash(spec) })
}

fn intended() -> Value {
    json!({ "name": "n", "generation": 0, "agreed": "" })
}

fn planned(snapshot: &InstanceSnapshot) -> Plan {
    plan(snapshot, &desired::instance::blueprint(snapshot, &fixtures::resolved()).unwrap())
}

fn colony_steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

/// What is sent before it is on record is lost with a crash.
#[test]
fn the_intent_is_on_record_before_anything_is_sent() {
    let first = planned(&snapshot("KubernetesWins", Value::Null, None));
    assert_eq!(colony_steps(&first), [] as [&str; 0]);
    assert!(matches!(&first.sync, Sync::Agreed(intent) if intent.name == "n" && intent.agreed.is_empty()));
    let second = planned(&snapshot("KubernetesWins", intended(), None));
    let [Step::Colony(ColonyStep::AddBlueprint(added))] = second.steps.as_slice() else { panic!("{second}") };
    assert_eq!((added.id.as_str(), added.metadata.generation), ("k8s:c/u", 1));
    assert_eq!(added.metadata.location, "lab");
    assert_eq!(Value::Object(added.spec.clone()), json!({ "size": 2 }));
    let mut unheld = snapshot("KubernetesWins", Value::Null, None);
    unheld.object.metadata.finalizers = None;
    assert_eq!(colony_steps(&planned(&unheld)), ["kubernetes  add the finalizer"]);
}

/// The reply to an add may be lost: a blueprint for this very instance is bound, whoever added it.
#[test]
fn what_was_added_and_not_answered_is_taken_up() {
    let plan = planned(&snapshot("KubernetesWins", intended(), Some(ours(1, &json!({ "size": 2 })))));
    assert_eq!(plan.steps, []);
    assert!(matches!(&plan.sync, Sync::Agreed(now) if now.agreed == hash(&json!({ "size": 2 }))));
}

#[test]
fn a_blueprint_of_a_stranger_is_left_alone_whatever_it_says() {
    for policy in ["KubernetesWins", "ColonyWins", "Observe"] {
        for recorded in [intended(), agreed(&json!({ "size": 2 }))] {
            let plan = planned(&snapshot(policy, recorded, Some(blueprint("x", 1, &json!({ "size": 9 })))));
            assert_eq!(plan.steps, []);
            assert!(matches!(&plan.sync, Sync::NameTaken(why) if why.contains("colonies blueprint remove")));
        }
    }
    // Another name is the way out.
    let mut renamed = snapshot("KubernetesWins", intended(), Some(blueprint("x", 1, &json!({}))));
    renamed.object.metadata.annotations =
        Some([(BLUEPRINT_ANNOTATION.to_owned(), "other".to_owned())].into_iter().collect());
    assert!(matches!(planned(&renamed).sync, Sync::Agreed(intent) if intent.name == "other"));
}

/// There is one object of a kind, namespace and name at a time: the one that it was made for is gone.
#[test]
fn a_restored_instance_takes_its_blueprint_up_again() {
    let mut found = blueprint("k8s:c/before", 3, &json!({ "size": 2 }));
    let said = names::submitted_as("c", "before", "ns", "n");
    found.metadata.annotations.insert(SUBMITTED_AS_ANNOTATION.to_owned(), said);
    let plan = planned(&snapshot("KubernetesWins", intended(), Some(found.clone())));
    assert_eq!(plan.steps, []);
    assert!(matches!(&plan.sync, Sync::Agreed(now) if now.generation == 3), "{:?}", plan.sync);
    let mut copied = snapshot("KubernetesWins", intended(), Some(found));
    copied.object.metadata.name = Some("copy".to_owned());
    copied.object.metadata.annotations =
        Some([(BLUEPRINT_ANNOTATION.to_owned(), "n".to_owned())].into_iter().collect());
    assert!(matches!(planned(&copied).sync, Sync::NameTaken(_)));
}

#[test]
fn an_edit_travels_one_way() {
    let (old, new) = (json!({ "size": 1 }), json!({ "size": 2 }));
    // The instance was edited.
    let here = planned(&snapshot("KubernetesWins", agreed(&old), Some(ours(1, &old))));
    let [Step::Colony(ColonyStep::UpdateBlueprint { spec, seen_generation: 1, .. })] = here.steps.as_slice()
    else {
        panic!("{here}")
    };
    assert_eq!(Value::Object(spec.clone()), new);
    assert!(matches!(&here.sync, Sync::Agreed(now) if now.overruled.is_none() && now.generation == 2));
    // The blueprint was edited.
    let there = json!({ "size": 9, "image": "i" });
    // On record before it is undone: the status that would tell of it afterwards may not be written.
    let told = planned(&snapshot("KubernetesWins", agreed(&new), Some(ours(2, &there))));
    assert_eq!(told.steps, []);
    let Sync::Undoes(now) = &told.sync else { panic!("{:?}", told.sync) };
    let overruled = now.overruled.as_deref().unwrap();
    assert!(overruled.contains("spec.size: 2 in Kubernetes, 9 in the colony"), "{overruled}");
    assert_eq!(now.generation, 2);
    let recorded = serde_json::to_value(now).unwrap();
    let replaced = planned(&snapshot("KubernetesWins", recorded.clone(), Some(ours(2, &there))));
    assert_eq!(replaced.steps.len(), 1);
    assert!(
        matches!(&replaced.sync, Sync::Agreed(after) if after.overruled == now.overruled && after.generation == 3)
    );
    let equal = planned(&snapshot("KubernetesWins", recorded, Some(ours(3, &new))));
    assert!(
        matches!(&equal.sync, Sync::Agreed(after) if after.overruled == now.overruled),
        "{:?}",
        equal.sync
    );

    let followed = planned(&snapshot("ColonyWins", agreed(&new), Some(ours(2, &there))));
    let [Step::Kubernetes(KubernetesStep::UpdateSpec { spec, .. })] = followed.steps.as_slice() else {
        panic!("{followed}")
    };
    assert_eq!(Value::Object(spec.clone()), there);
    assert!(matches!(&followed.sync, Sync::Agreed(now) if now.overruled.is_none()));

    let observed = planned(&snapshot("Observe", agreed(&new), Some(ours(2, &there))));
    assert_eq!(observed.steps, []);
    assert!(matches!(&observed.sync, Sync::Differs { message, .. } if message.contains("spec.size")));
}

/// A write after which status could not be written, since the owner of the spec edited it at that moment.
#[test]
fn what_this_operator_wrote_is_no_edit_of_the_other_side() {
    let (first, second, third) = (json!({ "size": 1 }), json!({ "size": 3 }), json!({ "size": 2 }));
    let overruled = |world: &InstanceSnapshot| match planned(world).sync {
        Sync::Agreed(now) | Sync::Undoes(now) => now.overruled,
        other => panic!("{other:?}"),
    };
    let noted = |written: &Value| [(WRITTEN_SPEC_ANNOTATION.to_owned(), hash(written))].into_iter().collect();

    let mut world = snapshot("KubernetesWins", agreed(&first), Some(ours(2, &second)));
    assert!(overruled(&world).is_some(), "an edit in the colony");
    let Observed::Known(Some(found)) = &mut world.in_colony.blueprint else { panic!("it is there") };
    found.metadata.annotations = noted(&first);
    assert!(overruled(&world).is_some(), "an edit after the operator's own write");
    let Observed::Known(Some(found)) = &mut world.in_colony.blueprint else { panic!("it is there") };
    found.metadata.annotations = noted(&second);
    assert_eq!(overruled(&world), None);

    let mut world = snapshot("ColonyWins", agreed(&first), Some(ours(3, &second)));
    assert!(overruled(&world).is_some(), "an edit of the object");
    world.object.metadata.annotations = Some(noted(&third));
    assert_eq!(overruled(&world), None);
}

/// At rest, and after its own write, the same plan must come out empty.
#[test]
fn what_says_the_same_is_left_in_peace() {
    let spec = json!({ "size": 2 });
    for policy in ["KubernetesWins", "ColonyWins", "Observe"] {
        for spelled in [json!({ "size": 2 }), json!({ "size": 2.0 }), json!({ "size": 2, "image": null })] {
            let plan = planned(&snapshot(policy, agreed(&spec), Some(ours(1, &spelled))));
            assert!(plan.is_idle(), "{policy} {spelled}: {plan}");
            assert!(matches!(plan.sync, Sync::Agreed(_)), "{policy}");
        }
    }
}

/// Who leaves a field out where the colony is heard means its default; where Kubernetes is, the colony is updated.
#[test]
fn a_default_that_nobody_wrote_is_no_edit_of_the_colony() {
    let one = json!({ "size": 1 });
    for (policy, writes) in [("ColonyWins", 0), ("Observe", 0), ("KubernetesWins", 1)] {
        let mut world = snapshot(policy, agreed(&one), Some(ours(2, &json!({}))));
        world.object.spec = one.clone();
        if let Sync::Undoes(told) = planned(&world).sync {
            world.object.status.as_mut().unwrap().blueprint = Some(told);
        }
        let plan = planned(&world);
        assert_eq!(plan.steps.len(), writes, "{policy}: {plan}");
        assert!(matches!(plan.sync, Sync::Agreed(_)), "{policy}");
    }
}

/// The API server would drop it, and the edit would be made again for ever.
#[test]
fn a_field_that_the_kind_does_not_have_is_no_edit() {
    let plan =
        planned(&snapshot("ColonyWins", agreed(&json!({ "size": 2 })), Some(ours(2, &json!({ "hue": 1 })))));
    assert_eq!(plan.steps, []);
    assert!(matches!(&plan.sync, Sync::Invalid(why) if why.contains("spec.hue")), "{:?}", plan.sync);
}

#[test]
fn a_blueprint_that_was_removed_comes_back_where_kubernetes_owns_it() {
    let spec = json!({ "size": 2 });
    let told = planned(&snapshot("KubernetesWins", agreed(&spec), None));
    assert_eq!(told.steps, []);
    let Sync::Undoes(recorded) = &told.sync else { panic!("{:?}", told.sync) };
    assert!(recorded.overruled.as_deref().is_some_and(|said| said.contains("removed in the colony")));
    let recorded = serde_json::to_value(recorded).unwrap();
    let remade = planned(&snapshot("KubernetesWins", recorded, None));
    assert_eq!(colony_steps(&remade), ["colony      add blueprint n"]);
    assert!(matches!(&remade.sync, Sync::Agreed(now) if now.overruled.is_some()));
    for policy in ["ColonyWins", "Observe"] {
        let lost = planned(&snapshot(policy, agreed(&spec), None));
        assert_eq!(lost.steps, []);
        assert!(matches!(&lost.sync, Sync::Lost(why) if why.contains("removed in the colony")));
    }
}

/// Unknown is not empty, and no other handler may handle it.
#[test]
fn nothing_is_written_on_the_strength_of_what_is_not_known() {
    let mut world = snapshot("KubernetesWins", agreed(&json!({ "size": 1 })), None);
    world.in_colony.blueprint = Observed::Unknown("away".to_owned());
    assert_eq!((planned(&world).steps, planned(&world).sync), (Vec::new(), Sync::Unchanged));
    for handler_state in [None, Some(HandlerState::Missing), Some(HandlerState::Foreign("why".to_owned()))] {
        for found in [None, Some(ours(1, &json!({ "size": 1 })))] {
            let mut world = snapshot("KubernetesWins", agreed(&json!({ "size": 1 })), found);
            world.in_colony.handler_state.clone_from(&handler_state);
            let plan = planned(&world);
            assert_eq!((plan.steps.len(), plan.awaiting.len()), (0, 1), "{handler_state:?}");
        }
    }
}

fn deleted(found: Option<Blueprint>) -> InstanceSnapshot {
    let mut world = snapshot("KubernetesWins", agreed(&json!({ "size": 2 })), found);
    world.object.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-11-26T10:00:00Z")).unwrap());
    world
}

fn cleanup(state: ProcessState) -> Process {
    let spec = FunctionSpec::new("dev", "cleanup", "t").unwrap();
    serde_json::from_value(json!({
        "processid": "p1", "state": state.number(), "submissiontime": "2026-11-26T10:00:01Z",
        "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
        "spec": serde_json::to_value(spec).unwrap(),
    }))
    .unwrap()
}

#[test]
fn deletion_removes_the_blueprint_and_waits_for_the_clean_up() {
    let first = plan_deletion(&deleted(Some(ours(1, &json!({})))));
    assert_eq!(colony_steps(&first), ["colony      remove blueprint n"]);
    assert_eq!(colony_steps(&plan_deletion(&deleted(None))), ["kubernetes  remove the finalizer"]);

    let mut world = deleted(None);
    world.in_colony.cleanups = Observed::Known(vec![cleanup(ProcessState::Waiting)]);
    let found = plan_deletion(&world);
    assert_eq!(found.steps, []);
    assert!(matches!(&found.mirror, Mirror::Found { process_id, generation: 0, .. } if process_id == "p1"));

    let status = world.object.status.as_mut().unwrap();
    status.mirror = Some(
        serde_json::from_value(json!({
            "label": "k8s:c/u/0", "generation": 0, "processId": "p1", "state": "Waiting",
            "intendedAt": "2026-11-26T10:00:02Z",
        }))
        .unwrap(),
    );
    world.header.processes = Observed::Known(vec![cleanup(ProcessState::Running)]);
    let followed = plan_deletion(&world);
    assert!(followed.steps.is_empty() && followed.due.is_some(), "{followed}");
    assert!(matches!(followed.mirror, Mirror::Observed { .. }));
    // No deletion waits forever.
    world.header.now = "2026-11-26T10:06:00Z".parse().unwrap();
    assert_eq!(colony_steps(&plan_deletion(&world)), ["kubernetes  remove the finalizer"]);
    assert!(remaining_in_colony(&world).unwrap().contains("p1"));
}

#[test]
fn deletion_leaves_what_is_to_be_left() {
    let with = |change: fn(&mut InstanceSnapshot)| {
        let mut world = deleted(Some(ours(1, &json!({}))));
        change(&mut world);
        colony_steps(&plan_deletion(&world))
    };
    let let_go = ["kubernetes  remove the finalizer"];
    assert_eq!(with(|world| world.kind = kind("KubernetesWins", "Orphan")), let_go);
    let foreign = Some(blueprint("x", 1, &json!({})));
    assert_eq!(colony_steps(&plan_deletion(&deleted(foreign))), let_go);
    assert_eq!(
        with(|world| {
            let annotations = [(ABANDON_ANNOTATION.to_owned(), "true".to_owned())];
            world.object.metadata.annotations = Some(annotations.into_iter().collect());
        }),
        let_go
    );
    assert_eq!(
        with(|world| world.in_colony.blueprint = Observed::Unknown("away".to_owned())),
        [] as [&str; 0]
    );
    assert_eq!(with(|world| world.object.status = None), let_go, "nothing was ever sent");
}

/// Actions that are not listed are withheld in the colony and reported.
#[test]
fn the_colony_is_written_to_only_as_far_as_that_is_listed() {
    let managed = |mut snapshot: InstanceSnapshot, policies: &[&str]| {
        let mut terms = snapshot.kind.terms().clone();
        terms.accepted.handler.management_policies = serde_json::from_value(json!(policies)).unwrap();
        snapshot.kind = InstanceKind::new(terms);
        snapshot
    };
    for recorded in [Value::Null, intended(), agreed(&json!({ "size": 2 }))] {
        let plan =
            planned(&managed(snapshot("KubernetesWins", recorded.clone(), None), &["Observe", "Update"]));
        assert_eq!((&plan.steps[..], &plan.sync), (&[][..], &Sync::Unchanged), "{recorded}");
        assert!(plan.left[0].contains("do not list Create"), "{:?}", plan.left);
    }
    let edited =
        || snapshot("KubernetesWins", agreed(&json!({ "size": 1 })), Some(ours(1, &json!({ "size": 1 }))));
    assert_eq!(planned(&managed(edited(), &["Observe", "Update"])).steps.len(), 1);
    let plan = planned(&managed(edited(), &["Observe", "Create"]));
    assert_eq!(plan.steps, []);
    let Sync::Differs { message, .. } = &plan.sync else { panic!("{:?}", plan.sync) };
    assert!(
        message.contains("size: 2 in Kubernetes, 1 in the colony") && message.contains("add Update"),
        "{message}"
    );

    let gone = managed(deleted(Some(ours(1, &json!({ "size": 2 })))), &["Observe", "Create", "Update"]);
    assert_eq!(colony_steps(&plan_deletion(&gone)), ["kubernetes  remove the finalizer"]);
}

/// When a namespace is no longer admitted, the colony must not change its objects.
#[test]
fn a_namespace_that_is_not_admitted_any_more_keeps_its_specs() {
    let changed = ours(2, &json!({ "size": 3 }));
    let mut world = snapshot("ColonyWins", agreed(&json!({ "size": 2 })), Some(changed));
    assert_eq!(planned(&world).steps.len(), 1, "the colony owns the spec");
    if let crate::snapshot::ColonyReference::Resolved(colony) = &mut world.header.colony {
        colony.is_admitted = false;
    }
    let plan = planned(&world);
    assert!(plan.steps.is_empty(), "{:?}", plan.steps);
    assert!(
        matches!(&plan.sync, Sync::Differs { message, .. } if message.contains("does not admit")),
        "{:?}",
        plan.sync
    );
}
