use std::{collections::BTreeMap, time::Duration};

use colonyos_client::Id;
use jiff::Timestamp;

use super::*;
use crate::{
    fleet::Template,
    name::FleetName,
    snapshot::{Host, Member, Patience},
};

fn snapshot(status: Map<String, Value>) -> Snapshot {
    let fleet = Fleet {
        name: FleetName::parse("ml").unwrap(),
        id: "b1".to_owned(),
        generation: 2,
        replicas: 2,
        template: Template::default(),
        notes: Vec::new(),
        status,
    };
    let member = |name: &str, host: &str| Member {
        name: ReplicaName::parse(name).unwrap(),
        id: Id::parse(&"a".repeat(64)).unwrap(),
        is_gone: false,
        has_asked: true,
        blueprint: "b1".to_owned(),
        host: Some(Host(host.to_owned())),
    };
    let replica = Replica {
        name: ReplicaName::parse("ml-0-1").unwrap(),
        id: "c0ffee".to_owned(),
        host_name: "ml-0-1".to_owned(),
        executor_id: "a".repeat(64),
        blueprint: "b1".to_owned(),
        generation: 2,
        template: Template::default().digest(),
        image: "i:1".to_owned(),
        state: State::Running,
        created: Timestamp::from_second(1_000).unwrap(),
        is_own: true,
    };
    Snapshot {
        now: Timestamp::from_second(2_000).unwrap(),
        elapsed: Duration::ZERO,
        host: Host("here".to_owned()),
        wishes: vec![Wish::Fleet(Box::new(fleet))],
        members: vec![member("ml-0-1", "here"), member("ml-1-1", "there")],
        replicas: vec![replica],
        work: BTreeMap::new(),
        patience: Patience { drain: Duration::ZERO, grace: Duration::ZERO },
        forced: BTreeMap::new(),
    }
}

fn told(snapshot: &Snapshot) -> Option<Map<String, Value>> {
    status(snapshot, &snapshot.wishes[0], None, Kind::Docker)
}

#[test]
fn it_has_the_words_of_the_stock_reconciler() {
    let status = told(&snapshot(Map::new())).unwrap();
    let expected = json!({
        "id": "c0ffee", "name": "ml-0-1", "type": "container", "state": "running",
        "created": "1970-01-01T00:16:40Z", "image": "i:1", "lastCheck": "1970-01-01T00:33:20Z",
    });
    assert_eq!(status["instances"], json!([expected]));
    let counts = [
        "runningInstances",
        "stoppedInstances",
        "totalInstances",
        "replicas",
        "readyReplicas",
        "observedGeneration",
    ];
    assert_eq!(counts.map(|name| status[name].as_i64().unwrap()), [1, 0, 1, 2, 1, 2]);
    assert_eq!(status["lastUpdated"], "1970-01-01T00:33:20Z");
    assert!(!status.contains_key("message"));
}

/// A server written in Go gives numbers back as floating point, and time alone is no news.
#[test]
fn a_status_that_says_the_same_is_not_written() {
    let mut written = told(&snapshot(Map::new())).unwrap();
    written["totalInstances"] = json!(1.0);
    let mut later = snapshot(written);
    later.now += Duration::from_mins(1);
    assert_eq!(told(&later), None);
    later.replicas[0].state = State::Ended("exit status: 1".to_owned());
    assert_eq!(told(&later).unwrap()["stoppedInstances"], 1);
}

#[test]
fn what_others_wrote_stays_and_what_is_gone_goes() {
    let instance = |name: &str| json!({"name": name, "state": "running"});
    let before =
        json!({"theirs": 7, "instances": [instance("ml-1-1"), instance("ml-5-1"), instance("other-1-1")]});
    let status = told(&snapshot(before.as_object().unwrap().clone())).unwrap();
    let names: Vec<_> =
        status["instances"].as_array().unwrap().iter().map(|instance| instance["name"].clone()).collect();
    assert_eq!(names, ["ml-0-1", "ml-1-1"]);
    assert_eq!((&status["theirs"], &status["runningInstances"]), (&json!(7), &json!(2)));
}

#[test]
fn why_it_cannot_be_carried_out_is_told() {
    let refused = Refused {
        name: "ml".into(),
        reasons: vec!["spec.image: it is missing".into()],
        generation: 3,
        status: Map::new(),
    };
    let mut snapshot = snapshot(Map::new());
    snapshot.wishes = vec![Wish::Refused(refused)];
    let status = told(&snapshot).unwrap();
    assert!(status["message"].as_str().unwrap().contains("spec.image: it is missing"), "{status:?}");
    assert_eq!(status["observedGeneration"], 3);
}
