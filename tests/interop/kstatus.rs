//! What kstatus makes of objects: the library by which Flux and others decide whether what they applied has arrived. The states
//! are those of the golden rung and of plans, and, on a real API server, those that a real operator reports.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use colonyos_operator::{cli::plan::render, runtime::config::OperatorConfiguration};
use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::OwnColony,
    environment,
    namespace::{TestNamespace, in_namespace},
    object::SOON,
    operator::{Operator, TEST_LABEL, Turn, configuration},
    wait::eventually,
};

/// When the passes happen.
const NOW: &str = "2026-11-21T10:00:00Z";

/// What kstatus makes of each object, with its message.
pub fn kstatus(objects: &[Value]) -> Vec<(String, String)> {
    let binary = environment::variable("KSTATUS_IN_GO_BIN").expect(
        "KSTATUS_IN_GO_BIN is not set: run `cargo xtask test --rung interop`, which builds the program",
    );
    let mut program =
        Command::new(binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let lines: Vec<String> = objects.iter().map(ToString::to_string).collect();
    let lines = lines.join("\n") + "\n";
    program.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "it reads every object");
    let said = String::from_utf8(output.stdout).unwrap();
    let split = |line: &str| line.split_once('\t').map(|(status, why)| (status.to_owned(), why.to_owned()));
    let said: Vec<_> = said.lines().filter_map(split).collect();
    assert_eq!(said.len(), objects.len());
    said
}

fn documents(text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// Compares what kstatus makes of objects with what is expected, of all of them at once.
fn assert_all(cases: &[(String, &str, Value)]) {
    let objects: Vec<Value> = cases.iter().map(|(_, _, object)| object.clone()).collect();
    let wrong: Vec<String> = kstatus(&objects)
        .into_iter()
        .zip(cases)
        .filter(|((status, _), (_, expected, _))| status != expected)
        .map(|((status, why), (name, expected, object))| {
            format!("{name}: {status} ({why}), not {expected}: {}", object["status"])
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Cases of the golden rung.
const FLEETS: [(&str, &str); 31] = [
    ("new_object", "InProgress"),
    ("identity_made", "InProgress"),
    ("ready_closes_process", "Current"),
    ("converged", "Current"),
    ("scaled", "InProgress"),
    ("superseded_waits", "Current"),
    ("workload_changed", "InProgress"),
    ("suspended_deployment", "InProgress"),
    ("job_running", "Current"),
    ("job_completed", "Current"),
    ("job_failed", "Failed"),
    ("job_finished_is_left", "Current"),
    ("foreign_deployment", "Failed"),
    ("foreign_secret", "Failed"),
    ("host_path_refused", "Failed"),
    ("privileged_template_refused", "Failed"),
    ("service_account_refused", "Failed"),
    ("image_cannot_be_pulled", "Failed"),
    ("pods_refused", "Failed"),
    ("colony_not_found", "InProgress"),
    ("runtime_docker", "InProgress"),
    ("docker_blueprint_reports", "InProgress"),
    ("docker_blueprint_name_taken", "InProgress"),
    ("blueprint_agreed", "Current"),
    ("blueprint_changed_in_colony", "InProgress"),
    ("born_of_process", "Current"),
    ("only_observed", "InProgress"),
    ("deleting_with_pods", "Terminating"),
    ("deleting_at_last", "Terminating"),
    ("deleting_waits_for_others", "Terminating"),
    ("deleting_abandoned", "Terminating"),
];

#[test]
fn kstatus_of_fleets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/executor_deployment");
    let case = |(name, expected): &(&str, &'static str)| {
        let read = |file: &str| documents(&fs::read_to_string(folder.join(name).join(file)).unwrap());
        let mut objects = read("given.yaml");
        objects.retain(|object| object["kind"] == "ExecutorDeployment");
        let mut object = objects.remove(0);
        object["status"] = read("status.yaml").remove(0);
        ((*name).to_owned(), *expected, object)
    };
    assert_all(&FLEETS.iter().map(case).collect::<Vec<_>>());
}

/// An object of a kind in a state, and what is in the colony besides; and what kstatus makes of the status that a pass writes.
const PASSES: &str = include_str!("kstatus-passes.yaml");

#[test]
fn kstatus_after_a_pass() {
    let now: Timestamp = NOW.parse().unwrap();
    let mut cases = Vec::new();
    for case in documents(PASSES) {
        let name = case["name"].as_str().unwrap().to_owned();
        let world = case["world"].as_array().unwrap();
        let text: Vec<String> = world.iter().map(|one| serde_norway::to_string(one).unwrap()).collect();
        let plans = render(&text.join("---\n"), &OperatorConfiguration::default(), now).unwrap();
        // Of a definition there is no status here, and of a second object none is asked for.
        let plan = plans.iter().find(|plan| !plan.status.is_empty());
        let plan = plan.unwrap_or_else(|| panic!("{name} has no status: {plans:?}"));
        let mut object = world[0].clone();
        object["status"] = serde_norway::from_str(&plan.status).unwrap();
        let expected = case["kstatus"].as_str().unwrap();
        cases.push((name, expected.to_owned(), object));
    }
    assert_all(
        &cases
            .iter()
            .map(|(name, expected, object)| (name.clone(), expected.as_str(), object.clone()))
            .collect::<Vec<_>>(),
    );
    let kinds: Vec<&Value> = cases.iter().map(|(_, _, object)| &object["kind"]).collect();
    for kind in ["ColonyProcess", "ColonyWorkflow", "ColonyCron", "RequestFlow", "RequestState", "Model"] {
        assert!(kinds.contains(&&json!(kind)), "no case of {kind}");
    }
}

/// Objects on a real API server, with what kstatus is to make of them once the operator has looked at them.
struct Applied {
    namespace: TestNamespace,
    expected: Vec<(Api<DynamicObject>, String, &'static str)>,
}

impl Applied {
    async fn apply(&mut self, mut object: Value, expected: &'static str) {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let client = self.namespace.kubernetes.calls.clone();
        let api: Api<DynamicObject> = if ["Colony", "ResourceDefinition"].contains(&kind.as_str()) {
            object["metadata"]["labels"] = json!({ TEST_LABEL: self.namespace.name });
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, &self.namespace.name, &resource)
        };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        self.expected.push((api, name, expected));
    }

    async fn assert(&self, what: &str, expected: impl Fn(&'static str) -> &'static str) {
        eventually(what, SOON, async || {
            let mut objects = Vec::new();
            for (api, name, _) in &self.expected {
                let object = api.get(name).await.map_err(|error| error.to_string())?;
                objects.push(serde_json::to_value(object).unwrap());
            }
            let found = kstatus(&objects).into_iter().zip(&self.expected).zip(&objects);
            let wrong: Vec<String> = found
                .filter(|(((status, _), (_, _, wanted)), _)| status != expected(wanted))
                .map(|(((status, why), (_, name, wanted)), object)| {
                    format!("{} {name}: {status} ({why}), not {wanted}", object["kind"])
                })
                .collect();
            wrong.is_empty().then_some(()).ok_or_else(|| wrong.join("; "))
        })
        .await;
    }
}

/// Without a status they would be taken for done before the operator has looked at them.
#[tokio::test]
async fn kstatus_on_an_api_server_from_new_to_gone() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "kstatus", async |namespace| {
        let (group, colony) = (format!("{}.example.com", namespace.name), OwnColony::create(&namespace).await);
        let mut applied = Applied { namespace: namespace.clone(), expected: Vec::new() };
        let (name, work) = (&colony.name, "colonies.io/v1");
        let mut of = async |api_version: &str, kind: &str, name: &str, spec: Value, expected: &'static str| {
            let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name }, "spec": spec });
            applied.apply(object, expected).await;
        };
        let fleet = |more: &Value| {
            let mut spec = json!({ "colony": name, "executorType": "kstatus", "image": "registry.example.com/e:1",
                "nodeSelector": { "colonies.io/node": "kwok" }, "tolerations": [{ "operator": "Exists" }] });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spec
        };
        of("compute.colonies.io/v1", "ExecutorDeployment", "fleet", fleet(&json!({})), "Current").await;
        let host_path = json!({ "config": { "volumes": [{ "source": "/etc", "target": "/etc" }] } });
        of("compute.colonies.io/v1", "ExecutorDeployment", "refused", fleet(&host_path), "Failed").await;
        let call = json!({ "colony": name, "function": "f", "conditions": { "executorType": "nowhere" } });
        of(work, "ColonyProcess", "waits", call.clone(), "InProgress").await;
        let mut cancelled = call.clone();
        cancelled["cancel"] = json!(true);
        of(work, "ColonyProcess", "cancelled", cancelled, "Current").await;
        let nodes = json!({ "colony": name, "nodes": [{ "name": "a", "function": "f", "conditions": { "executorType": "nowhere" } }] });
        of(work, "ColonyWorkflow", "waits", nodes, "InProgress").await;
        let cron = |zone: &str| {
            json!({ "schedule": "0 0 1 1 *", "timeZone": zone, "processTemplate": { "spec": call } })
        };
        of(work, "ColonyCron", "yearly", cron("Europe/Stockholm"), "Current").await;
        of(work, "ColonyCron", "never", cron("Mars/Olympus"), "Failed").await;
        let flow = |argument: &str| json!({ "jobs": [{ "name": "A", "function": { "name": "f", "executorType": "t", "args": [argument] } }] });
        of(work, "RequestFlow", "good", flow("a"), "Current").await;
        of(work, "RequestFlow", "broken", flow("${jobs.B.output[0]}"), "Failed").await;
        let server = json!({ "host": "127.0.0.1", "port": 9, "insecure": true });
        let connection = |secret: &str| json!({ "server": server, "colonyName": "c", "credentialsSecretName": secret });
        let away = format!("away-{name}");
        of(work, "Colony", &away, connection("absent"), "InProgress").await;
        let schema = json!({ "openAPIV3Schema": { "type": "object", "properties": { "spec": { "type": "object", "properties": { "text": { "type": "string" } } } } } });
        let definition = |plural: &str, kind: &str, data: &str| {
            json!({ "group": group, "names": { "kind": kind, "plural": plural },
                "versions": [{ "name": "v1", "storage": true, "schema": schema }],
                "handler": { "mode": "compose", "resources": [{ "id": "map", "template": {
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "${self.metadata.name}" },
                    "data": { "text": data } } }] } })
        };
        let (told, wrongs) = (format!("notes.{group}"), format!("wrongs.{group}"));
        let good = definition("notes", "Note", "${self.spec.text}");
        of(work, "ResourceDefinition", &told, good, "Current").await;
        of(work, "ResourceDefinition", &wrongs, definition("wrongs", "Wrong", "${self.spec.txt}"), "Failed").await;
        applied.assert("all are new", |_| "InProgress").await;
        // Programs of others move requests too, and leave no word of what they have looked at.
        let request = json!({ "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "waits" }, "spec": { "request-uid": "r", "job": "JOB1", "state": "REQUESTED" } });
        applied.apply(request, "InProgress").await;

        let turn = Turn::take().await;
        let operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        colony.wait_until_ready().await;
        applied.assert("all are looked at", |expected| expected).await;

        // Its operator is away while an instance is created.
        drop(operator);
        let note = json!({ "apiVersion": format!("{group}/v1"), "kind": "Note", "metadata": { "name": "note" }, "spec": { "text": "t" } });
        applied.expected.clear();
        applied.apply(note, "Current").await;
        applied.assert("the instance is new", |_| "InProgress").await;
        let _operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        applied.assert("the instance is looked at", |expected| expected).await;
        let (api, name, _) = &applied.expected[0];
        let held = Patch::Merge(json!({ "metadata": { "finalizers": ["example.com/held"] } }));
        api.patch(name, &PatchParams::default(), &held).await.unwrap();
        api.delete(name, &DeleteParams::default()).await.unwrap();
        applied.assert("the instance is going", |_| "Terminating").await;
        colony.remove().await;
    })
    .await;
}
