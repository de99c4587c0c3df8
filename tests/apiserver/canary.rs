//! Known keys and Secrets, planted before a run with everything logged, are found where they belong and nowhere else.

use std::{fmt::Write as _, fs};

use colonyos_operator::{
    api::{
        colony::Colony,
        colony_process::ColonyProcess,
        executor_deployment::ExecutorDeployment,
        names::{identity_secret, operator_secret},
        work::WorkState,
    },
    colony::{ProcessQuery, ProcessState},
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
    core::DynamicObject,
    discovery::{Discovery, Scope, verbs},
};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::{OwnColony, assigned},
    conditions::Conditions as _,
    namespace::in_namespace,
    object::until,
    operator::{Operator, TEST_LABEL, Turn, configuration},
    stage::Stage,
};

/// A value that is nowhere by accident, and not a key of anything.
fn canary(of: &str) -> String {
    format!("canary-{of}-{:032x}", rand::rng().random::<u128>())
}

/// Something planted, as it may show: as it is, and as the API server shows Secrets.
struct Planted {
    what: &'static str,
    forms: [String; 2],
}

impl Planted {
    fn new(what: &'static str, value: &str) -> Self {
        use base64::Engine as _;
        assert!(value.len() > 30, "{what}: it is there");
        Self { what, forms: [value.to_owned(), base64::engine::general_purpose::STANDARD.encode(value)] }
    }

    fn is_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form))
    }
}

fn assert_nowhere(place: &str, text: &str, planted: &[Planted]) {
    for one in planted {
        let at = one.forms.iter().find_map(|form| text.find(form.as_str()));
        let around = at.map(|at| text[..at].chars().rev().take(300).collect::<String>());
        let around = around.map(|text| text.chars().rev().collect::<String>());
        assert!(around.is_none(), "{} is in {place}, after {around:?}", one.what);
    }
}

async fn secret(stage: &Stage, name: &str, kind: &str, data: Value) {
    let object = json!({ "metadata": { "name": name }, "type": kind, "stringData": data });
    stage.create::<Secret>(object).await.unwrap();
}

async fn kept(stage: &Stage, name: &str, key: &str) -> String {
    let secret = stage.api::<Secret>().get(name).await.unwrap();
    String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap()
}

/// Every object of the namespace, and every object of the cluster that names it, but Secrets.
async fn everything_but_secrets(stage: &Stage) -> String {
    let client = stage.namespace.kubernetes.calls.clone();
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let mut seen = String::new();
    let kinds = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    for (resource, capabilities) in kinds {
        if resource.kind == "Secret" || !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Namespaced => Api::namespaced_with(client.clone(), &stage.namespace.name, &resource),
            Scope::Cluster => Api::all_with(client.clone(), &resource),
        };
        // Kinds of other tests come and go.
        for object in api.list(&ListParams::default()).await.into_iter().flatten() {
            seen.push_str(&serde_json::to_string(&object).unwrap());
            seen.push('\n');
        }
    }
    // Events of objects without a namespace are there.
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(client, "default");
    for event in events.list(&ListParams::default()).await.unwrap() {
        seen.push_str(&serde_json::to_string(&event).unwrap());
    }
    seen
}

/// Everything of the colony that its members can read.
async fn everything_in_the_colony(stage: &Stage) -> String {
    let member = &stage.colony.member;
    let mut seen = String::new();
    for state in ProcessState::ALL {
        for process in member.processes(&ProcessQuery::new(state)).await.unwrap() {
            // What is shown for debugging leaves out what may be secret.
            let spec = &process.spec;
            writeln!(seen, "{process:?} {:?} {:?} {:?}", spec.args, spec.kwargs, spec.env.0).unwrap();
            seen.extend(process.attributes.iter().map(|attribute| attribute.value.clone() + "\n"));
        }
    }
    seen.push_str(&serde_json::to_string(&member.blueprints(None, None).await.unwrap()).unwrap());
    writeln!(seen, "{:?}", member.blueprint_definitions().await.unwrap()).unwrap();
    writeln!(seen, "{:?}", member.executors().await.unwrap()).unwrap();
    writeln!(seen, "{:?}", member.users().await.unwrap()).unwrap();
    seen
}

/// What each process of the machine was started with.
fn command_lines() -> String {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect()
}

#[tokio::test]
async fn what_is_secret_is_nowhere_but_in_its_secret_when_everything_is_logged() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "canary", async |namespace| {
        let turn = Turn::take().await;
        let colony = OwnColony::create(&namespace).await;
        let trace = [("RUST_LOG", "trace")];
        let operator = Operator::start_in(configuration(&namespace.name), &namespace.name, &trace).await;
        colony.wait_until_ready().await;
        let stage = Stage { namespace, colony, operator, turn };
        a_run_with_canaries(&stage).await;
        stage.colony.remove().await;
    })
    .await;
}

async fn a_run_with_canaries(stage: &Stage) {
    // The user's, the registry's, one that goes to the colony as its author asks for, and three that are no keys.
    let (users, registrys, sent) = (canary("user"), canary("registry"), canary("sent"));
    let (no_key, no_identity) = (canary("no-key"), canary("no-identity"));
    secret(stage, "users", "Opaque", json!({ "TOKEN": users })).await;
    secret(stage, "sent", "Opaque", json!({ "k": sent })).await;
    let login = json!({ "auths": { "registry.example.com": { "username": "u", "password": registrys } } });
    secret(
        stage,
        "registry",
        "kubernetes.io/dockerconfigjson",
        json!({ ".dockerconfigjson": login.to_string() }),
    )
    .await;
    secret(stage, "no-key", "Opaque", json!({ "colonyPrvKey": no_key })).await;
    let identity =
        json!({ "COLONIES_PRVKEY": no_identity, "COLONIES_EXECUTOR_NAME": "n", "COLONIES_EXECUTOR_ID": "i" });
    secret(stage, &identity_secret("spoilt"), "Opaque", identity).await;

    // Fleets: one that works, one of another runtime, one whose Secret holds no key.
    let config = json!({ "envFrom": [{ "secretRef": { "name": "users" } }], "volumes": [{ "source": "secret/users", "target": "/s" }] });
    let template = json!({ "spec": { "imagePullSecrets": [{ "name": "registry" }] } });
    stage.apply("encoders", &json!({ "replicas": 1, "config": config, "template": template })).await;
    stage.apply("elsewhere", &json!({ "runtime": "docker", "config": config })).await;
    stage.apply("spoilt", &json!({ "adoptionPolicy": "adopt" })).await;
    stage.wait_until_ready("encoders", 1).await;
    stage.wait_for_status("spoilt", "is not ready", |status| status.is_false("Ready")).await;
    // A Colony whose Secret holds no key.
    let name = format!("{}-no-key", stage.colony.name);
    let colonies: Api<Colony> = Api::all(stage.namespace.kubernetes.calls.clone());
    let broken = json!({
        "apiVersion": "colonies.io/v1", "kind": "Colony",
        "metadata": { "name": name, "labels": { TEST_LABEL: stage.namespace.name } },
        "spec": { "server": { "host": "127.0.0.1", "port": 9, "insecure": true }, "colonyName": name, "credentialsSecretName": "no-key" },
    });
    colonies
        .create(&kube::api::PostParams::default(), &serde_json::from_value(broken).unwrap())
        .await
        .unwrap();
    let is_told = |colony: &Colony| colony.status.as_ref().is_some_and(|status| status.is_false("Ready"));
    until(&colonies, &name, "is not ready", is_told).await;

    // Work: to its end, and one that fails.
    let executor = stage.colony.executor("worker", "encoder").await;
    for name in ["good", "bad"] {
        let env =
            json!([{ "name": "SENT", "valueFrom": { "secretKeyRef": { "name": "sent", "key": "k" } } }]);
        let object = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name },
            "spec": { "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": "encoder" }, "env": env },
        });
        stage.create::<ColonyProcess>(object).await.unwrap();
        let process = assigned(&executor).await;
        assert_eq!(process.spec.env.0["SENT"], sent, "its author asked for it");
        if name == "good" {
            executor.close_successful(&process.id, &[json!(1)]).await.unwrap();
            stage.until_state::<ColonyProcess>(name, WorkState::Succeeded).await;
        } else {
            executor.close_failed(&process.id, &["no".to_owned()]).await.unwrap();
            stage.until_state::<ColonyProcess>(name, WorkState::Failed).await;
        }
    }

    let operators = operator_secret(&stage.colony.name);
    let identity = kept(stage, &identity_secret("encoders"), "COLONIES_PRVKEY").await;
    let mut planted = vec![
        Planted::new("the owner's key", &stage.colony.owner_key),
        Planted::new("the operator's key as a member", &kept(stage, &operators, "prvKey").await),
        Planted::new("the controller's key", &kept(stage, &operators, "executorPrvKey").await),
        Planted::new("the reconciler's key", &kept(stage, &operators, "reconcilerPrvKey").await),
        Planted::new("the executor's key", &identity),
        Planted::new("the user's Secret", &users),
        Planted::new("the registry's Secret", &registrys),
        Planted::new("what is no key", &no_key),
        Planted::new("what is no identity", &no_identity),
    ];
    let in_colony = everything_in_the_colony(stage).await;
    assert_nowhere("the colony", &in_colony, &planted);
    let sent = Planted::new("what was sent", &sent);
    assert!(sent.is_in(&in_colony), "the search finds what is there");
    planted.push(sent);

    let pods = stage.api::<Pod>().list(&ListParams::default()).await.unwrap();
    let spec = serde_json::to_string(&pods.items[0].spec).unwrap();
    for name in ["\"users\"", "\"registry\"", &identity_secret("encoders")] {
        assert!(spec.contains(name), "the pod refers to {name}: {spec}");
    }
    let objects = everything_but_secrets(stage).await;
    assert!(objects.contains("\"encoders\"") && objects.contains("\"kind\":\"Colony\""), "objects are there");
    assert_nowhere("an object", &objects, &planted);
    assert_nowhere("a command line", &command_lines(), &planted);
    let pages =
        stage.operator.get("/metrics").await.unwrap().1 + &stage.operator.get("/readyz").await.unwrap().1;
    assert_nowhere("the operator's pages", &pages, &planted);

    for name in ["encoders", "elsewhere"] {
        stage.api::<ExecutorDeployment>().delete(name, &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ExecutorDeployment>(name).await;
    }
    colonies.delete(&name, &DeleteParams::default()).await.unwrap();
    let log = stage.operator.log();
    assert!(log.contains("\"TRACE\"") && log.contains("encoders"), "everything is logged");
    assert_nowhere("the log", &log, &planted);
}
