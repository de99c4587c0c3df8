//! The kinds that are shipped: each is taken as it stands, with nothing wrong in it, and its instance becomes what its
//! README says.

use std::{fs, path::Path};

use serde_json::json;

use super::*;
use crate::{api::resource_definition::ResourceDefinition, kinds::definition::check_composition};

fn read(path: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kinds").join(path);
    serde_norway::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn definition(kind: &str) -> ResourceDefinition {
    serde_json::from_value(read(&format!("{kind}/definition.yaml"))).unwrap()
}

/// Every example, known to each other.
fn kinds() -> Kinds {
    let mut kinds = Kinds::ours();
    for kind in ["database", "web-service", "worker-pool"] {
        let definition = definition(kind);
        let spec = &definition.spec;
        let name =
            ObjectKind::new(format!("{}/{}", spec.group, spec.versions[0].name), spec.names.kind.clone());
        kinds.define(name, &spec.versions[0].schema.open_api_v3_schema);
    }
    kinds
}

fn compiled(kind: &str) -> Composition {
    check_composition(&definition(kind).spec, &kinds()).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// The instance that is shipped, as an API server would have it: with defaults, which the test knows.
fn instance(path: &str, defaults: &Value) -> Instance {
    let mut object = read(path);
    object["metadata"]["uid"] = json!("u-1");
    for (name, value) in defaults.as_object().into_iter().flatten() {
        if object["spec"].get(name).is_none() {
            object["spec"][name] = value.clone();
        }
    }
    Instance::of(&object).unwrap()
}

fn desired(composition: &Composition, instance: &Instance, world: &TestCluster) -> Desired {
    composition.desired(instance, &world.0, &BTreeSet::new()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_workflow_is_one_graph_for_each_generation() {
    let composition = compiled("workflow");
    let mut world = TestCluster::default();
    // As an API server would have it.
    let mut object = read("workflow/instance.yaml");
    object["metadata"]["uid"] = json!("u-1");
    object["metadata"]["generation"] = json!(1);
    for step in object["spec"]["steps"].as_array_mut().unwrap() {
        for (name, default) in [("args", json!([])), ("needs", json!([])), ("maxExecTime", json!("1h"))] {
            if step.get(name).is_none() {
                step[name] = default;
            }
        }
    }
    let film = Instance::of(&object).unwrap();
    let first = desired(&composition, &film, &world);
    assert_eq!(outline(&first), ["graph: film-1"]);
    let Wanted::Objects(objects) = &first.resources[0].wanted else { panic!("{first:?}") };
    let node = json!({
        "name": "picture", "function": "encode", "args": [], "dependencies": ["cut"], "maxExecTime": "1h",
        "conditions": {"executorType": "video-encoder"},
    });
    assert_eq!(objects[0].object["spec"]["nodes"][1], node);
    world.obey(
        &first,
        |_| json!({"state": "Running", "progress": "1/4", "nodes": [{"name": "cut", "state": "Succeeded"}]}),
    );
    let running = desired(&composition, &film, &world);
    assert_eq!(
        Value::Object(running.status.clone()),
        json!({"state": "Running", "progress": "1/4", "outputs": []})
    );
    assert!(!running.is_finished && !running.is_ready());
    world.obey(&first, |_| {
        json!({"state": "Succeeded", "progress": "4/4", "nodes": [{"name": "film", "state": "Succeeded", "output": ["s3://out"]}]})
    });
    let done = desired(&composition, &film, &world);
    assert_eq!(done.status["outputs"], json!([{"step": "film", "output": ["s3://out"]}]));
    assert!(done.is_finished && done.is_ready());
    object["metadata"]["generation"] = json!(2);
    let changed = Instance::of(&object).unwrap();
    assert_eq!(outline(&desired(&composition, &changed, &world)), ["graph: film-2"]);
}

#[test]
fn an_app_is_pods_with_an_address() {
    let composition = compiled("app");
    let mut world = TestCluster::default();
    let app = instance("app/instance.yaml", &json!({}));
    let first = desired(&composition, &app, &world);
    assert_eq!(outline(&first), ["deployment: my-app", "service: my-app"]);
    let Wanted::Objects(objects) = &first.resources[0].wanted else { panic!("{first:?}") };
    assert_eq!(objects[0].object["spec"]["template"]["spec"]["containers"][0]["image"], "nginx");
    world.obey(&first, |child| match child.kind.kind.as_str() {
        "Deployment" => json!({"observedGeneration": 1, "availableReplicas": 2}),
        _ => json!({}),
    });
    assert_eq!(desired(&composition, &app, &world).status["replicas"], json!(2));
}

#[test]
fn a_goop_is_jobs_or_a_pod_on_every_node() {
    let composition = compiled("goop");
    let mut world = TestCluster::default();
    let jobs = instance("goop/instance.yaml", &json!({"spread": false}));
    let first = desired(&composition, &jobs, &world);
    assert_eq!(outline(&first), ["worker: greeter-0 greeter-1 greeter-2", "everywhere: "]);
    assert_eq!(Value::Object(first.status.clone()), json!({"completed": 0, "state": "Running"}));
    world.obey(&first, |_| json!({"succeeded": 1}));
    let done = desired(&composition, &jobs, &world);
    assert_eq!(Value::Object(done.status.clone()), json!({"completed": 3, "state": "Completed"}));
    assert!(done.is_finished && done.is_ready());

    let mut world = TestCluster::default();
    let spread = instance("goop/instance.yaml", &json!({"spread": true}));
    let first = desired(&composition, &spread, &world);
    assert_eq!(outline(&first), ["worker: ", "everywhere: greeter"]);
    assert_eq!(Value::Object(first.status.clone()), json!({"state": "Running"}));
    assert!(!first.is_finished);
    let nodes = |ready: i32| {
        move |_: &DesiredChild| {
            json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": ready,
        "updatedNumberScheduled": 2, "numberAvailable": ready, "currentNumberScheduled": 2, "numberMisscheduled": 0})
        }
    };
    world.obey(&first, nodes(1));
    assert!(!desired(&composition, &spread, &world).is_finished);
    world.obey(&first, nodes(2));
    let done = desired(&composition, &spread, &world);
    assert_eq!(Value::Object(done.status.clone()), json!({"completed": 2, "state": "Completed"}));
    assert!(done.is_finished && done.is_ready(), "{done:?}");
}

#[test]
fn a_foo_is_a_deployment() {
    let composition = compiled("foo");
    let first = desired(&composition, &instance("foo/instance.yaml", &json!({})), &TestCluster::default());
    assert_eq!(outline(&first), ["deployment: example-foo"]);
    assert_eq!(Value::Object(first.status), json!({"availableReplicas": 0}));
}

#[test]
fn a_database_has_what_it_needs_before_it_starts() {
    let composition = compiled("database");
    let orders = instance("database/instance.yaml", &json!({}));
    let mut world = TestCluster::default();
    let first = desired(&composition, &orders, &world);
    assert_eq!(
        outline(&first),
        ["credentials: orders-credentials", "disk: orders-data", "service: orders", "server: ?"]
    );
    world.obey(&first, |_| json!({}));
    let second = desired(&composition, &orders, &world);
    assert_eq!(outline(&second)[3], "server: orders");
    let expected = json!({"host": "orders.default.svc", "secret": "orders-credentials"});
    assert_eq!(Value::Object(second.status.clone()), expected);
    let Wanted::Objects(server) = &second.resources[3].wanted else { panic!("{second:?}") };
    assert_eq!(server[0].object["spec"]["template"]["spec"]["containers"][0]["image"], "postgres:16");
}

#[test]
fn an_application_is_its_components_databases_first() {
    let composition = compiled("application");
    let mut world = TestCluster::default();
    let app = instance("application/instance.json", &json!({}));
    let first = desired(&composition, &app, &world);
    assert_eq!(outline(&first), ["database: my-app-database", "web: ?", "workers: ?"]);
    let ready = |_: &DesiredChild| json!({"conditions": [{"type": "Ready", "status": "True"}]});
    world.obey(&first, ready);
    let second = desired(&composition, &app, &world);
    assert_eq!(
        outline(&second),
        ["database: my-app-database", "web: my-app-webservice", "workers: my-app-workerpool"]
    );
    assert_eq!(Value::Object(second.status.clone()), json!({"components": 3, "ready": 1}));
    let Wanted::Objects(workers) = &second.resources[2].wanted else { panic!("{second:?}") };
    assert_eq!(
        workers[0].object["spec"],
        json!({"executorType": "app-worker", "image": "localhost/worker:dev", "replicas": 3})
    );
    world.obey(&second, ready);
    let last = desired(&composition, &app, &world);
    assert_eq!(last.status["ready"], 3);
    assert!(last.is_ready());
}

#[test]
fn components_of_one_kind_need_names() {
    let mut object = read("application/instance.json");
    object["metadata"]["uid"] = json!("u-1");
    let twice = object["spec"]["components"][0].clone();
    object["spec"]["components"].as_array_mut().unwrap().push(twice);
    let error = compiled("application")
        .desired(&Instance::of(&object).unwrap(), &Children::new(), &BTreeSet::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("Database my-app-database: is the name of two objects"), "{error}");
}

#[test]
fn the_others_are_taken_as_they_stand() {
    for (kind, expected) in
        [("web-service", vec!["servers: shop", "service: ?"]), ("worker-pool", vec!["executors: encoders"])]
    {
        let instance = instance(&format!("{kind}/instance.yaml"), &json!({"port": 8080}));
        assert_eq!(outline(&desired(&compiled(kind), &instance, &TestCluster::default())), expected);
    }
}

/// The example with which kro's guide begins, in our words.
#[test]
fn the_application_of_another_guide_is_what_it_says_there() {
    let composition = compiled("web-application");
    let mut world = TestCluster::default();
    let app = instance("web-application/instance.yaml", &json!({"image": "nginx"}));
    let first = desired(&composition, &app, &world);
    assert_eq!(outline(&first), ["deployment: my-awesome-app", "service: ?", "ingress: ?"]);
    let running = |child: &DesiredChild| match child.kind.kind.as_str() {
        "Deployment" => {
            json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
            "conditions": [{"type": "Available", "status": "True"}]})
        }
        _ => json!({}),
    };
    for _ in 0..2 {
        let next = desired(&composition, &app, &world);
        world.obey(&next, running);
    }
    let last = desired(&composition, &app, &world);
    world.obey(&last, running);
    let last = desired(&composition, &app, &world);
    assert_eq!(
        outline(&last),
        ["deployment: my-awesome-app", "service: my-awesome-app-service", "ingress: my-awesome-app-ingress"]
    );
    assert!(last.is_ready(), "{last:?}");
    assert_eq!(last.status["availableReplicas"], 3);
    assert_eq!(last.status["deploymentConditions"][0]["type"], "Available");
}
