use serde_json::json;

use super::*;

fn blueprint(spec: &Value) -> Blueprint {
    let mut blueprint = Blueprint::new("dev", KIND, "ml").unwrap();
    blueprint.id = "b1".to_owned();
    blueprint.spec = spec.as_object().unwrap().clone();
    blueprint
}

fn allowed() -> Allowed {
    Allowed { folders: vec!["/data".to_owned()], privileged: false }
}

fn docker(spec: &Value) -> Result<Fleet, Refused> {
    parse(&blueprint(spec), Kind::Docker, &allowed())
}

fn reasons(spec: &Value) -> Vec<String> {
    docker(spec).unwrap_err().reasons
}

#[test]
fn the_example_is_carried_out_in_either_spelling() {
    let of_cluster = docker(&json!({
        "runtime": "docker", "replicas": 3, "executorType": "ml-executor", "image": "colonyos/ml-executor:latest",
        "config": {"env": {"MODEL_CACHE_DIR": "/models", "BATCH_SIZE": "32"},
            "volumes": [{"source": "/data/models", "target": "/models"}]},
    }))
    .unwrap();
    let stock = docker(&json!({
        "replicas": 3.0, "executorType": "ml-executor", "image": "colonyos/ml-executor:latest",
        "env": {"MODEL_CACHE_DIR": "/models", "BATCH_SIZE": 32},
        "volumes": [{"host": "/data/models", "container": "/models", "readOnly": false}],
    }))
    .unwrap();
    assert_eq!(of_cluster, stock);
    assert_eq!(stock.replicas, 3);
    assert_eq!(stock.template.environment.0["BATCH_SIZE"], "32");
    let volume = Volume { host: "/data/models".into(), container: "/models".into(), read_only: false };
    assert_eq!(stock.template.volumes, [volume]);
    assert!(stock.notes.is_empty(), "{:?}", stock.notes);
}

#[test]
fn limits_and_ports_are_read_in_the_usual_spellings() {
    let fleet = docker(&json!({
        "executorType": "t", "image": "i", "cpu": "500m", "memory": "2Gi",
        "ports": [{"host": 8080, "container": 80}, "53/udp", 9000],
    }))
    .unwrap();
    assert_eq!(fleet.template.limits, Limits { millicores: Some(500), bytes: Some(2 << 30) });
    let ports: Vec<_> =
        fleet.template.ports.iter().map(|port| (port.host, port.container, port.udp)).collect();
    assert_eq!(ports, [(Some(8080), 80, false), (None, 53, true), (None, 9000, false)]);
    let cpu = |value: &Value| {
        docker(&json!({"executorType": "t", "image": "i", "cpu": value})).unwrap().template.limits.millicores
    };
    assert_eq!((cpu(&json!("0.5")), cpu(&json!(2)), cpu(&json!("1"))), (Some(500), Some(2000), Some(1000)));
}

/// One blueprint has many mistakes: all of them are told at once.
#[test]
fn what_cannot_be_read_is_refused_with_field_value_and_remedy() {
    let found = reasons(&json!({
        "replicas": 501, "image": "a b", "executorType": "a:b", "cpu": "many", "memory": "1Xi", "privileged": true,
        "env": {"COLONIES_PRVKEY": "x", "A=B": "", "LIST": []}, "command": [1],
        "volumes": [{"host": "/etc", "container": "/etc"}, {"host": "data", "container": "/x"},
            {"host": "/data/../etc", "container": "/x"}, {"host": "/data", "container": "/x:ro"}, {"emptyDir": {}}],
        "ports": [70000, "x"],
    }));
    for part in [
        "spec.replicas: \"501\"",
        "spec.image: \"a b\"",
        "spec.executorType: \"a:b\"",
        "spec.cpu: \"many\"",
        "spec.memory: \"1Xi\"",
        "--allow-privileged",
        "spec.env.COLONIES_PRVKEY",
        "spec.env: \"A=B\"",
        "spec.env.LIST",
        "spec.command",
        "--allow-volume /etc",
        "spec.volumes[1]: host \"data\"",
        "spec.volumes[2]: host \"/data/../etc\"",
        "spec.volumes[3]: container \"/x:ro\"",
        "spec.volumes[4]: \"emptyDir\"",
        "spec.ports[0]",
        "spec.ports[1]",
    ] {
        assert!(found.iter().any(|reason| reason.contains(part)), "{part}: {found:#?}");
    }
    assert_eq!(found.len(), 17, "{found:#?}");
    assert_eq!(reasons(&json!({})).len(), 2);
    assert!(reasons(&json!({"executorType": "t", "image": "i", "replicas": -1}))[0].contains("0 to 500"));
    assert!(
        reasons(&json!({"executorType": "t", "image": "i", "replicas": 2, "ports": ["80:80"]}))[0]
            .contains("one replica")
    );
}

/// A folder is allowed with what is below it, and not with what only begins like it.
#[test]
fn a_folder_beside_an_allowed_one_is_not_allowed() {
    let with = |host: &str| {
        docker(&json!({"executorType": "t", "image": "i", "volumes": [{"host": host, "container": "/x"}]}))
    };
    assert!(with("/data").is_ok() && with("/data/a/b").is_ok());
    assert!(with("/database").is_err() && with("/").is_err());
}

#[test]
fn a_local_process_needs_a_command_and_has_no_mounts() {
    let local = |spec: &Value| parse(&blueprint(spec), Kind::Local, &allowed());
    let refused = local(&json!({"executorType": "t"})).unwrap_err();
    assert!(refused.reasons[0].starts_with("spec.command: it is missing"), "{refused:?}");
    let fleet =
        local(&json!({"executorType": "t", "command": "/bin/x", "args": ["-v"], "cpu": "1"})).unwrap();
    assert_eq!(fleet.template.words(), ["/bin/x", "-v"]);
    assert_eq!(fleet.notes.len(), 1);
    let mounted =
        json!({"executorType": "t", "command": ["x"], "volumes": [{"host": "/a", "container": "/b"}]});
    assert!(local(&mounted).unwrap_err().reasons[0].contains("the same path"));
}

#[test]
fn a_suspended_fleet_has_no_replicas_and_unknown_fields_are_named() {
    let fleet = docker(&json!({"executorType": "t", "image": "i", "replicas": 4, "suspend": true, "nodeSelector": {"a": "b"}})).unwrap();
    assert_eq!((fleet.replicas, fleet.notes.len()), (0, 1));
    assert!(fleet.notes[0].starts_with("spec.nodeSelector"));
}

#[test]
fn a_spec_without_end_is_refused_before_it_is_read() {
    let found = reasons(&json!({"executorType": "t", "image": "i", "command": "x".repeat(SPEC_MAX)}));
    assert!(found.len() == 1 && found[0].starts_with("spec: it has"), "{found:?}");
}
