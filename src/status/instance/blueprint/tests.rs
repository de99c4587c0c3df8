use serde_json::{Value, json};

use super::*;
use crate::{
    act::outcome::StepResult,
    api::{executor_deployment::BlueprintStatus, instance::InstanceKind},
    diff::Plan,
    snapshot::{ColonyInstanceState, Observed, Workforce, fixtures},
};

fn kind(handler: &Value) -> InstanceKind {
    let mut whole = json!({ "mode": "blueprint", "executorType": "t", "functionName": "reconcile" });
    whole.as_object_mut().unwrap().extend(handler.as_object().unwrap().clone());
    let schema = json!({ "properties": { "status": { "type": "object", "properties": {
        "conditions": { "type": "array", "default": [], "items": { "type": "object" } }, "phase": { "type": "string" }, "count": { "type": "integer", "default": 0 } } } } });
    fixtures::kind(json!({ "handler": whole }), Some(schema))
}

fn hash() -> String {
    SharedSpec::of_instance(json!({ "size": 2 }).as_object().unwrap()).hash()
}

/// An instance that agrees with its blueprint, for which a reconciler reports `said`.
fn snapshot(handler: &Value, said: &Value) -> InstanceSnapshot {
    let object = json!({
        "metadata": { "name": "n", "namespace": "ns", "uid": "u", "generation": 2 }, "spec": { "size": 2 },
        "status": { "blueprint": { "name": "n", "generation": 3, "agreed": hash() } },
    });
    let mut blueprint = Blueprint::new("dev", "Thing", "n").unwrap();
    "k8s:c/u".clone_into(&mut blueprint.id);
    blueprint.metadata.generation = 3;
    blueprint.status = said.as_object().unwrap().clone();
    InstanceSnapshot {
        in_colony: ColonyInstanceState {
            handler_state: Some(HandlerState::Handled),
            blueprint: Observed::Known(Some(blueprint)),
            ..ColonyInstanceState::default()
        },
        ..fixtures::instance(kind(handler), object)
    }
}

fn calm(world: &InstanceSnapshot) -> InstanceStatus {
    let recorded = world.object.status.clone().unwrap().blueprint.unwrap();
    with(world, Sync::Agreed(recorded))
}

fn with(world: &InstanceSnapshot, sync: Sync) -> InstanceStatus {
    let plan = Plan { sync, ..Plan::default() };
    compute(world, Ok(&Outcome { plan, ..Outcome::default() }))
}

fn said(status: &InstanceStatus, kind: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    let found = found.unwrap_or_else(|| panic!("no {kind} in {status:?}"));
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

/// What the API server drops or adds would be a difference on every pass.
#[test]
fn the_status_of_the_blueprint_is_taken_as_the_api_server_keeps_it() {
    let mut world =
        snapshot(&json!({}), &json!({ "phase": "Running", "extra": 1, "conditions": [], "mirror": 3 }));
    let status = calm(&world);
    assert_eq!(Value::Object(status.fields.clone()), json!({ "phase": "Running", "count": 0 }));
    assert_eq!(said(&status, "Ready").0, "True");
    assert_eq!(said(&status, "Mirrored").1, "CarriedByBlueprint");
    assert_eq!(said(&status, "Conflict").1, "InSync");
    assert_eq!(status.submitted_generation, Some(2));
    world.object.status = Some(status.clone());
    assert_eq!(calm(&world), status, "nothing new to say");
    // Fields that are no longer reported are removed.
    let Observed::Known(Some(blueprint)) = &mut world.in_colony.blueprint else { panic!() };
    blueprint.status = json!({ "count": 4 }).as_object().unwrap().clone();
    assert_eq!(Value::Object(calm(&world).fields), json!({ "count": 4 }));
}

#[test]
fn expressions_say_what_becomes_of_it_and_when_it_is_ready() {
    let handler = json!({
        "status": { "where": "${blueprint.status.host + ':' + string(self.spec.size)}", "late": "${blueprint.status.no}" },
        "blueprint": { "readyWhen": ["${blueprint.status.running == self.spec.size}"] },
    });
    let status = calm(&snapshot(&handler, &json!({ "host": "h", "running": 1 })));
    assert_eq!(Value::Object(status.fields.clone()), json!({ "where": "h:2" }));
    let (holds, reason, message) = said(&status, "Ready");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "BlueprintNotReady"));
    assert!(message.contains("blueprint.status.running == self.spec.size"), "{message}");
    assert_eq!(said(&status, "Progressing").0, "True");
    assert!(said(&status, "Warnings").2.contains("late"));
    assert_eq!(said(&calm(&snapshot(&handler, &json!({ "running": 2 }))), "Ready").0, "True");
    assert_eq!(said(&calm(&snapshot(&handler, &json!({}))), "Ready").0, "False");
}

/// Ready for this generation, its readers would use what is replaced in the next moment.
#[test]
fn an_edit_that_is_about_to_be_undone_is_not_ready() {
    let mut world = snapshot(&json!({}), &json!({ "phase": "Running" }));
    world.object.status.as_mut().unwrap().submitted_generation = Some(1);
    let recorded = world.object.status.clone().unwrap().blueprint.unwrap();
    let told = BlueprintStatus { overruled: Some("spec.size: 2 in Kubernetes".to_owned()), ..recorded };
    let status = with(&world, Sync::Undoes(told));
    let (holds, reason, message) = said(&status, "Ready");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "Overruled"));
    assert!(message.contains("about to be undone: spec.size"), "{message}");
    assert_eq!(said(&status, "Progressing").0, "True");
    assert_eq!(said(&status, "Conflict").1, "Overruled");
    assert_eq!(status.submitted_generation, Some(1));
}

/// Without a report of the reconciler, its state is unknown.
#[test]
fn silence_is_not_readiness() {
    let status = calm(&snapshot(&json!({}), &json!({})));
    let (holds, _, message) = said(&status, "Ready");
    assert!(holds == "False" && message.contains("has not written a status"), "{message}");
}

#[test]
fn what_needs_somebody_is_degraded_and_says_why() {
    let world = snapshot(&json!({}), &json!({ "phase": "Running" }));
    for (sync, reason) in [
        (Sync::Invalid("why".to_owned()), "BlueprintInvalid"),
        (Sync::NameTaken("why".to_owned()), "BlueprintNameTaken"),
        (Sync::Lost("why".to_owned()), "BlueprintLost"),
    ] {
        let status = with(&world, sync);
        assert_eq!(said(&status, "Degraded"), ("True".to_owned(), reason.to_owned(), "why".to_owned()));
        assert_eq!(
            (said(&status, "Ready").0.as_str(), said(&status, "Conflict").1.as_str()),
            ("False", reason)
        );
        assert_eq!(status.blueprint, world.object.status.as_ref().unwrap().blueprint);
    }
    let differs = with(&world, Sync::Differs { agreed: None, message: "why".to_owned() });
    assert_eq!(
        (said(&differs, "Degraded").0, said(&differs, "Ready").1),
        ("False".to_owned(), "Differs".to_owned())
    );
    let mut foreign = world;
    foreign.in_colony.handler_state = Some(HandlerState::Foreign("why".to_owned()));
    assert_eq!(said(&calm(&foreign), "Degraded").1, "ForeignObject");
}

/// A server that is away comes back: its silence is no news.
#[test]
fn a_colony_that_is_away_takes_nothing_back() {
    let mut world = snapshot(&json!({}), &json!({ "phase": "Running" }));
    let before = calm(&world);
    world.object.status = Some(before.clone());
    world.in_colony.blueprint = Observed::Unknown("away".to_owned());
    let status = with(&world, Sync::Unchanged);
    assert_eq!(said(&status, "Ready"), said(&before, "Ready"));
    assert_eq!(status.fields, before.fields);
    assert!(said(&status, "Mirrored").2.contains("away"));
    world.object.metadata.generation = Some(3);
    assert_eq!(said(&with(&world, Sync::Unchanged), "Ready").0, "Unknown");
}

/// What was to be written and was not is not agreed.
#[test]
fn a_write_that_failed_is_not_recorded() {
    let mut world = snapshot(&json!({}), &json!({}));
    let status = world.object.status.as_mut().unwrap();
    let recorded = status.blueprint.as_mut().unwrap();
    "older".clone_into(&mut recorded.agreed);
    let recorded = recorded.clone();
    let step = crate::diff::Step::Colony(crate::diff::ColonyStep::UpdateBlueprint {
        name: "n".to_owned(),
        spec: Map::new(),
        hash: String::new(),
        seen_generation: 3,
    });
    let failure = crate::act::outcome::StepFailure { kind: FailureKind::Refused, message: "no".to_owned() };
    let agreed = BlueprintStatus { agreed: hash(), ..recorded.clone() };
    let plan = Plan { steps: vec![step], sync: Sync::Agreed(agreed), ..Plan::default() };
    let outcome = Outcome { plan, results: vec![StepResult::Failed(failure)], resource_version: None };
    let status = compute(&world, Ok(&outcome));
    assert_eq!(said(&status, "Degraded").1, "ColonyRefused");
    assert_eq!((status.blueprint, status.submitted_generation), (Some(recorded), None));
}

/// Until a reconciler says something, that there is none is the cause.
#[test]
fn a_blueprint_that_no_reconciler_serves_says_so() {
    let mut world = snapshot(&json!({}), &json!({}));
    assert_eq!(said(&calm(&world), "Ready").1, "BlueprintNotReady", "nothing is known of executors");
    world.header.colony = fixtures::colony();
    world.header.workforce = Some(Workforce::default().into());
    let (status, reason, message) = said(&calm(&world), "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NoReconciler"));
    assert!(message.contains("an executor of type t: none is registered in colony"), "{message}");
    let mut spoken = snapshot(&json!({}), &json!({ "phase": "Running" }));
    spoken.header.colony = fixtures::colony();
    spoken.header.workforce = Some(Workforce::default().into());
    assert_eq!(said(&calm(&spoken), "Ready").1, "BlueprintReady", "it has reconciled");
}
