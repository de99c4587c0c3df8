//! What an instance is made of, and when.

use serde_json::json;

use super::*;

fn goop() -> Definition {
    Definition::new(
        &json!({"jobCount": {"type": "integer"}, "cmd": {"type": "string"}}),
        r#"
resources:
  - id: worker
    forEach: {index: "${range(self.spec.jobCount)}"}
    readyWhen: ["${worker.status.succeeded == 1}"]
    template:
      apiVersion: batch/v1
      kind: Job
      metadata: {name: "${self.metadata.name}-${index}"}
      spec:
        template:
          spec:
            restartPolicy: OnFailure
            containers: [{name: worker, image: busybox, command: [sh, -c, "${self.spec.cmd}"]}]
status:
  completed: "${worker.filter(w, w.status.succeeded == 1).size()}"
  state: "${worker.all(w, w.status.succeeded == 1) ? 'Completed' : 'Running'}"
finishedWhen: "${worker.all(w, w.status.succeeded == 1)}"
"#,
    )
}

/// A database, and a web server that needs its address; a monitor when asked.
fn application() -> Definition {
    Definition::new(
        &json!({"monitoring": {"type": "boolean"}, "size": {"type": "string"}}),
        r#"
resources:
  - id: monitor
    includeWhen: ["${self.spec.monitoring}"]
    template: {apiVersion: v1, kind: ConfigMap, metadata: {name: monitor}, data: {watches: "${web.metadata.uid}"}}
  - id: web
    template: {apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {database: "${database.status.address}"}}
  - id: database
    readyWhen: ["${database.status.phase == 'Running'}"]
    template: {apiVersion: db.example.com/v1, kind: Database, metadata: {name: "${self.metadata.name}-db"}, spec: {size: "${self.spec.size}"}}
  - id: alert
    template: {apiVersion: v1, kind: ConfigMap, metadata: {name: alert}, data: {of: "${monitor.metadata.name}"}}
status:
  address: "${database.status.address}"
  monitor: "${monitor.metadata.uid}"
"#,
    )
}

#[test]
fn a_number_of_objects_is_counted_from_the_beginning() {
    let composition = goop().compiled();
    let instance = instance(&json!({"jobCount": 3, "cmd": "true"}));
    let mut world = TestCluster::default();
    let first = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(outline(&first), ["worker: one-0 one-1 one-2"]);
    assert_eq!(Value::Object(first.status.clone()), json!({"completed": 0, "state": "Running"}));
    assert!(!first.is_ready() && !first.is_finished);

    world.obey(
        &first,
        |child| if child.name == "one-1" { json!({"succeeded": 1}) } else { json!({"active": 1}) },
    );
    let second = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(Value::Object(second.status.clone()), json!({"completed": 1, "state": "Running"}));
    assert!(!second.is_ready() && !second.is_finished);
    let Readiness::Waiting(why) = &second.resources[0].readiness else { panic!("{second:?}") };
    assert_eq!(why, "1 of 3 are ready; ${worker.status.succeeded == 1} does not hold");

    world.obey(&first, |_| json!({"succeeded": 1}));
    let third = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(Value::Object(third.status.clone()), json!({"completed": 3, "state": "Completed"}));
    assert!(third.is_ready() && third.is_finished);
}

/// An instance without objects is not finished.
#[test]
fn an_instance_whose_objects_cannot_be_read_is_not_finished() {
    let composition = goop().compiled();
    let unread = Observed::Unknown("no rights".to_owned());
    let children = Children::from([(ObjectKind::new("batch/v1", "Job"), unread)]);
    let desired = composition
        .desired(&instance(&json!({"jobCount": 1, "cmd": ""})), &children, &BTreeSet::new())
        .unwrap();
    assert!(!desired.is_ready() && !desired.is_finished);
    assert_eq!(desired.status.len(), 0);
    let unknown =
        |field: &str| Unreported { field: field.to_owned(), why: "worker".to_owned(), is_unknown: true };
    assert_eq!(desired.unreported, [unknown("completed"), unknown("state")]);
    let expected = "Job (batch/v1) cannot be read: no rights".to_owned();
    assert_eq!(desired.resources[0].readiness, Readiness::Waiting(expected));
}

#[test]
fn an_object_has_what_says_whose_it_is() {
    let composition = goop().compiled();
    let desired = composition
        .desired(&instance(&json!({"jobCount": 1, "cmd": "a"})), &Children::new(), &BTreeSet::new())
        .unwrap();
    let Wanted::Objects(objects) = &desired.resources[0].wanted else { panic!("{desired:?}") };
    let metadata = &objects[0].object["metadata"];
    assert_eq!(metadata["namespace"], "team");
    assert_eq!(
        metadata["labels"],
        json!({
            "app.kubernetes.io/managed-by": "colonyos-operator", "app.kubernetes.io/name": "thing",
            "app.kubernetes.io/instance": "one", "app.kubernetes.io/component": "worker",
            "colonies.io/instance": "one", "colonies.io/resource": "worker",
        })
    );
    assert_eq!(
        metadata["ownerReferences"],
        json!([{"apiVersion": "test.example.com/v1", "kind": "Thing", "name": "one", "uid": "u-1",
                "controller": true, "blockOwnerDeletion": true}])
    );
    assert_eq!(
        objects[0].object["spec"]["template"]["spec"]["containers"][0]["command"],
        json!(["sh", "-c", "a"])
    );
    let again = composition
        .desired(&instance(&json!({"jobCount": 1, "cmd": "a"})), &Children::new(), &BTreeSet::new())
        .unwrap();
    assert_eq!(again, desired);
}

#[test]
fn what_refers_to_an_object_waits_for_it() {
    let composition = application().compiled();
    let instance = instance(&json!({"monitoring": true, "size": "1Gi"}));
    let mut world = TestCluster::default();
    let first = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(outline(&first), ["database: one-db", "web: ?", "monitor: ?", "alert: ?"]);
    let Wanted::Unknown(why) = &first.resources[1].wanted else { panic!("{first:?}") };
    assert_eq!(why, "${database.status.address}: there is no \"status\" yet");
    let Wanted::Unknown(why) = &first.resources[2].wanted else { panic!("{first:?}") };
    assert_eq!(why, "web to be known");

    // The address is there, the database is not ready: the server is known, but not made.
    world.obey(&first, |_| json!({"address": "10.0.0.1"}));
    let second = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(outline(&second), ["database: one-db", "web!: web", "monitor: ?", "alert: ?"]);
    assert_eq!(
        second.resources[1].held_back.as_deref(),
        Some("database to be ready: ${database.status.phase == 'Running'} does not hold")
    );

    let ready = |child: &DesiredChild| match child.kind.kind.as_str() {
        "Database" => json!({"address": "10.0.0.1", "phase": "Running"}),
        _ => json!({}),
    };
    world.obey(&second, ready);
    let third = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(outline(&third), ["database: one-db", "web: web", "monitor: ?", "alert: ?"]);
    for _ in 0..3 {
        let next = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
        world.obey(&next, ready);
    }
    let last = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(outline(&last), ["database: one-db", "web: web", "monitor: monitor", "alert: alert"]);
    assert!(last.is_ready());
    assert_eq!(Value::Object(last.status), json!({"address": "10.0.0.1", "monitor": "uid-of-monitor"}));
}

#[test]
fn what_is_not_wanted_takes_along_what_refers_to_it() {
    let composition = application().compiled();
    let desired = composition
        .desired(&instance(&json!({"monitoring": false, "size": "1Gi"})), &Children::new(), &BTreeSet::new())
        .unwrap();
    assert_eq!(outline(&desired), ["database: one-db", "web: ?", "monitor: ", "alert: "]);
    assert_eq!(desired.unreported.len(), 1, "{:?}", desired.unreported);
}

/// Others cannot rely on an object of another owner, or on one that is being deleted.
#[test]
fn only_the_instance_s_own_objects_count() {
    let composition = application().compiled();
    let instance = instance(&json!({"monitoring": false, "size": "1Gi"}));
    let mut world = TestCluster::default();
    world.put(json!({"apiVersion": "db.example.com/v1", "kind": "Database", "metadata": {"name": "one-db"},
                     "status": {"address": "evil", "phase": "Running"}}));
    let desired = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(outline(&desired)[1], "web: ?");
    assert!(!desired.status.contains_key("address"));

    let first = composition.desired(&instance, &Children::new(), &BTreeSet::new()).unwrap();
    world.obey(&first, |_| json!({"address": "a", "phase": "Running"}));
    for found in world.0.values_mut() {
        if let Observed::Known(objects) = found {
            objects[0]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
    }
    let desired = composition.desired(&instance, &world.0, &BTreeSet::new()).unwrap();
    assert_eq!(desired.resources[1].held_back.as_deref(), Some("database to be ready: it is being deleted"));
}

#[test]
fn every_combination_is_an_object() {
    let definition = Definition::new(
        &json!({"regions": {"type": "array", "items": {"type": "string"}}}),
        r#"
resources:
  - id: cell
    forEach: {region: "${self.spec.regions}", tier: "${['web', 'api']}"}
    template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${region}-${tier}"}}
"#,
    );
    let composition = definition.compiled();
    let desired = composition
        .desired(&instance(&json!({"regions": ["eu", "us"]})), &Children::new(), &BTreeSet::new())
        .unwrap();
    assert_eq!(outline(&desired), ["cell: eu-web eu-api us-web us-api"]);
    let error = composition
        .desired(&instance(&json!({"regions": ["eu", "eu"]})), &Children::new(), &BTreeSet::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "spec.handler.resources[0].template.metadata.name: ConfigMap eu-web: is the name of two objects, cell with region = \
         \"eu\", tier = \"web\" and cell with region = \"eu\", tier = \"web\": give each a name of its own"
    );
    let none =
        composition.desired(&instance(&json!({"regions": []})), &Children::new(), &BTreeSet::new()).unwrap();
    assert!(none.is_ready());
}

#[test]
fn an_instance_that_cannot_be_made_says_why() {
    let definition = |rest: &str| {
        Definition::new(
            &json!({"n": {"type": "integer"}, "text": {"type": "string"}, "map": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}),
            &format!("resources: [{{id: a, template: {{apiVersion: v1, kind: ConfigMap, {rest}}}}}]"),
        )
        .compiled()
    };
    let at = "spec.handler.resources[0].template";
    let long = "x".repeat(300);
    for (rest, spec, expected) in [
        (
            "metadata: {name: a}, data: {x: \"${self.spec.text}\"}",
            json!({}),
            format!(
                "{at}.data.x: ${{self.spec.text}}: there is no \"text\": correct the name, or guard with has()"
            ),
        ),
        (
            "metadata: {name: \"${self.spec.text}\"}",
            json!({"text": "Not A Name"}),
            format!("{at}.metadata.name: \"Not A Name\": let it give at most 253 lower case letters"),
        ),
        (
            "metadata: {name: \"${self.spec.text}\"}",
            json!({"text": long}),
            format!("{at}.metadata.name: \"xxx"),
        ),
        (
            "metadata: {name: a, labels: \"${self.spec.map}\"}",
            json!({"map": {"x": 1}}),
            format!("{at}.metadata.labels: {{\"x\":1}}: let it give a map from strings to strings"),
        ),
        (
            "metadata: {name: a}, data: {x: \"${1 / self.spec.n}\"}",
            json!({"n": 0}),
            format!("{at}.data.x: ${{1 / self.spec.n}}: it divides by zero"),
        ),
    ] {
        let rest = rest.replace("${1 / self.spec.n}", "${string(1 / self.spec.n)}");
        let expected = expected.replace("${1 / self.spec.n}", "${string(1 / self.spec.n)}");
        let error = definition(&rest)
            .desired(&instance(&spec), &Children::new(), &BTreeSet::new())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(&expected), "{error}\nis not\n{expected}");
    }
}

#[test]
fn nobody_can_ask_for_too_much() {
    let desired = |count: i64, cmd: &str| {
        let instance = instance(&json!({"jobCount": count, "cmd": cmd}));
        goop()
            .compiled()
            .desired(&instance, &Children::new(), &BTreeSet::new())
            .map(|desired| desired.count())
    };
    assert_eq!(desired(1_000, "a"), Ok(1_000));
    for (count, cmd, expected) in [
        (1_001, "a".to_owned(), "1001 objects"),
        (i64::MAX, "a".to_owned(), "it costs more than an expression may"),
        (1, "a".repeat(MAX_OBJECT_BYTES), "one-0 has "),
        (100, "a".repeat(MAX_OBJECT_BYTES / 2), " bytes and more: reduce them: all objects"),
    ] {
        let error = desired(count, &cmd).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
