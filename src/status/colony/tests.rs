use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    api::names::COLONY_FINALIZER,
    colony::model::{ServerInfo, Statistics},
    snapshot::{ColonyUser, Leftovers},
};

fn statistics() -> Statistics {
    serde_json::from_value(json!({
        "colonies": 1, "executors": 0, "activeexecutors": 0, "unregisteredexecutors": 0, "waitingprocesses": 0,
        "runningprocesses": 0, "successfulprocesses": 0, "failedprocesses": 0, "cancelledprocesses": 0,
    }))
    .unwrap()
}

/// A `Colony` that answers as one of its members.
fn snapshot(metadata: &Value, status: &Value) -> ColonySnapshot {
    let mut object = json!({
        "apiVersion": "colonies.io/v1", "kind": "Colony",
        "metadata": { "name": "dev", "uid": "c1", "generation": 1 },
        "spec": { "server": { "host": "h" }, "colonyName": "dev", "credentialsSecretName": "s" },
        "status": status,
    });
    object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    ColonySnapshot {
        object: serde_json::from_value(object).unwrap(),
        cluster: "k".to_owned(),
        leftovers: Leftovers::default(),
        refused_blueprints: BTreeMap::new(),
        credentials: Credentials::Complete,
        server: Observed::Known(ServerInfo {
            version: "1".to_owned(),
            built_at: String::new(),
            backends: Vec::new(),
        }),
        membership: Membership::Member(statistics()),
        member_id: Some("m1".to_owned()),
        knows_earlier_member: None,
        executors: Observed::Known(Vec::new()),
        busy_executors: None,
        operator_executors: Vec::new(),
        definitions: Observed::Known(Vec::new()),
        blueprints: Observed::Known(Vec::new()),
        users: Observed::Known(Vec::new()),
        other_default: None,
        now: "2026-11-21T10:00:00Z".parse().unwrap(),
    }
}

fn user(name: &str, colony_uid: &str) -> ColonyUser {
    ColonyUser { object: format!("ColonyProcess ns/{name}"), colony_uid: colony_uid.to_owned() }
}

fn shown(snapshot: &ColonySnapshot) -> Vec<String> {
    plan_colony(snapshot).steps.iter().map(ToString::to_string).collect()
}

fn conditions(snapshot: &ColonySnapshot) -> Vec<(String, String)> {
    let status = compute(snapshot, None);
    status.conditions.into_iter().map(|condition| (condition.reason, condition.message)).collect()
}

/// `kubectl delete -f dir/` deletes the Colony first: whatever was in its colony was released at once, and ran on.
#[test]
fn a_colony_that_is_deleted_stays_for_what_is_in_it() {
    assert_eq!(shown(&snapshot(&json!({}), &json!({}))), ["kubernetes  add the finalizer"]);
    let held = json!({
        "deletionTimestamp": "2026-11-21T09:59:00Z", "finalizers": [COLONY_FINALIZER],
    });
    let mut leaving = snapshot(&held, &json!({}));
    leaving.users = Observed::Known((0..10).map(|number| user(&number.to_string(), "c1")).collect());
    assert_eq!(shown(&leaving), [""; 0]);
    let (reason, message) = conditions(&leaving).remove(0);
    assert_eq!(reason, "ColonyInUse");
    assert!(message.contains("10 objects") && message.contains("ns/7 and 2 more"), "{message}");
    leaving.users = Observed::Unknown("not yet".to_owned());
    assert_eq!(shown(&leaving), [""; 0], "what is not known may be there");
    leaving.object.annotations_mut().insert(ABANDON_ANNOTATION.to_owned(), "true".to_owned());
    assert_eq!(shown(&leaving), ["kubernetes  remove the finalizer"]);
    let mut unused = snapshot(&held, &json!({}));
    let last = ["colony      remove the operator's member", "kubernetes  remove the finalizer"];
    assert_eq!(shown(&unused), last);
    unused.server = Observed::Unknown("away".to_owned());
    unused.executors = Observed::Unknown("away".to_owned());
    assert_eq!(shown(&unused), last[1..], "a colony that is gone holds nothing");
    unused.object.metadata.finalizers = None;
    assert_eq!(shown(&unused), [""; 0]);
}

/// The record of the member may be lost, and so may the keys: each way the colony could have been another.
#[test]
fn a_colony_that_may_have_forgotten_is_believed_when_a_user_says_so() {
    let recorded = json!({ "member": "m1" });
    let stranger = |status: &Value| {
        let stranger = snapshot(&json!({}), status);
        ColonySnapshot { membership: Membership::Stranger, ..stranger }
    };
    let is_doubtful = |snapshot: &ColonySnapshot| {
        let is_reset = conditions(snapshot).iter().any(|(reason, _)| reason == "ColonyReset");
        assert_eq!(is_reset, snapshot.is_doubtful());
        assert_eq!(is_reset, shown(snapshot).is_empty());
        is_reset
    };
    assert!(!is_doubtful(&stranger(&json!({}))), "it was never connected");
    assert!(is_doubtful(&stranger(&recorded)));
    // The record is gone, and the objects that are there say that there was one.
    let mut unrecorded = stranger(&json!({}));
    unrecorded.users = Observed::Known(vec![user("a", "c1")]);
    assert!(is_doubtful(&unrecorded));
    // The keys are gone, and there are new ones.
    let mut new_keys = stranger(&recorded);
    new_keys.member_id = Some("m2".to_owned());
    assert!(!is_doubtful(&new_keys), "it is asked as a member");
    new_keys.membership = Membership::Member(statistics());
    new_keys.knows_earlier_member = Some(true);
    assert!(!is_doubtful(&new_keys));
    new_keys.knows_earlier_member = Some(false);
    assert!(is_doubtful(&new_keys));
    let status = compute(&new_keys, None);
    assert_eq!(status.member.as_deref(), Some("m1"), "until it is accepted");
    // The Colony is another one of the same name.
    let mut anew = snapshot(&json!({}), &json!({}));
    anew.users = Observed::Known(vec![user("a", "c0")]);
    assert!(is_doubtful(&anew));
    let accepted = anew.reset_token();
    anew.object.annotations_mut().insert(ACCEPT_RESET_ANNOTATION.to_owned(), accepted);
    assert!(!is_doubtful(&anew));
}

/// What a user copies from the condition stays valid while the server is away for a moment.
#[test]
fn the_word_that_accepts_a_reset_stays_the_same() {
    let mut reset = ColonySnapshot {
        membership: Membership::Stranger,
        ..snapshot(&json!({}), &json!({ "member": "m1" }))
    };
    let word = reset.reset_token();
    for (membership, second) in
        [(Membership::Stranger, 10), (Membership::Unknown("away".to_owned()), 20), (Membership::Stranger, 30)]
    {
        reset.object.status = Some(compute(&reset, None));
        reset.now = format!("2026-11-21T10:00:{second}Z").parse().unwrap();
        reset.membership = membership;
    }
    assert_eq!(reset.reset_token(), word);
    reset.object.status = Some(compute(&reset, None));
    reset.membership = Membership::Member(statistics());
    assert_eq!(compute(&reset, None).reset_at, None);
}

/// Their owner sees nothing of it in the colony, where no process asks for them.
#[test]
fn blueprints_that_get_no_object_are_named_with_the_reason() {
    let mut refusing = snapshot(&json!({}), &json!({}));
    assert!(conditions(&refusing).iter().all(|(reason, _)| reason != "BlueprintRefused"));
    let named =
        |number: usize| (format!("b{number}"), format!("blueprint b{number}: spec.hue: no such field"));
    refusing.refused_blueprints = (1..=5).map(named).collect();
    let (reason, message) = conditions(&refusing).remove(0);
    assert_eq!(reason, "BlueprintRefused");
    assert!(
        message.starts_with("5 blueprints of colony dev") && message.contains("b3: spec.hue"),
        "{message}"
    );
    assert!(!message.contains("b4") && message.contains("and 2 more"), "{message}");
}

#[test]
fn another_operator_on_the_same_objects_is_told() {
    let mut shared = snapshot(&json!({}), &json!({}));
    shared.leftovers.other_intent = Some("k8s:c/u/7".to_owned());
    let (reason, message) = conditions(&shared).remove(0);
    assert_eq!(reason, "AnotherInstallation");
    assert!(message.contains("k8s:c/u/7") && message.contains("watchNamespaces"), "{message}");
}

#[test]
fn a_second_default_is_told() {
    let mut second = snapshot(&json!({}), &json!({}));
    second.other_default = Some("prod".to_owned());
    let told = conditions(&second);
    assert!(
        told.iter().any(|(reason, message)| reason == "DefaultTaken" && message.contains("prod")),
        "{told:?}"
    );
}
