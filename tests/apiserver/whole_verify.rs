//! `colonyos-operator verify` compares the whole cluster with its colonies, which no other test may use meanwhile.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use colonyos_operator::{
    api::{
        colony_process::ColonyProcess,
        executor_deployment::ExecutorDeployment,
        mirror::MirrorState,
        names::{executor_origin, identity_secret, operator_secret, process_label},
        work::WorkState,
    },
    colony::{ExecutorState, FunctionSpec, NewExecutor, PrivateKey, ProcessId, ProcessState},
};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_alone,
    environment,
    operator::Signal,
    stage::{Stage, with_operator},
    wait::eventually,
};

/// Runs the command; its exit code and what it printed.
fn verify(stage: &Stage, more: &[&str]) -> (Option<i32>, Value) {
    let built = env!("CARGO_BIN_EXE_colonyos-operator");
    let output = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built))
        .args(["verify", "--output", "json", "--namespace", &stage.namespace.name])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let found = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), found)
}

/// How many findings of each class there are.
fn classes(found: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for finding in found["findings"].as_array().unwrap() {
        *counts.entry(finding["class"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// How many objects a healthy stack has: more than the server lists of a state. `VERIFY_OBJECTS` sets another number; what was
/// measured stands in `verify.txt` in Cargo's folder for such files.
fn objects() -> usize {
    environment::variable("VERIFY_OBJECTS").map_or(120, |text| text.parse().unwrap())
}

/// The number of requests does not depend on the number of objects, but for the pages of a list.
#[tokio::test]
async fn nothing_is_found_on_a_healthy_stack_of_many_objects_and_few_requests_are_made() {
    let connection = connect_alone().await;
    with_operator(&connection, "verify-many", async |stage| {
        let (many, fleets) = (objects(), 4);
        for number in 0..fleets {
            stage.apply(&format!("fleet-{number}"), &json!({ "replicas": 1 })).await;
        }
        let spec = json!({ "colony": stage.colony.name, "function": "wait", "conditions": { "executorType": "unserved-type" } });
        let create = async |number: usize| {
            let object = json!({ "metadata": { "name": format!("p-{number:04}") }, "spec": spec });
            stage.create::<ColonyProcess>(object).await.unwrap();
        };
        stream::iter(fleets..many).map(create).buffer_unordered(16).collect::<Vec<()>>().await;
        let processes: Api<ColonyProcess> = stage.api();
        eventually("all processes wait", Duration::from_mins(5), async || {
            let list = processes.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let is_bound = |object: &&ColonyProcess| {
                object.status.as_ref().is_some_and(|status| status.state == Some(WorkState::Waiting))
            };
            let bound = list.iter().filter(is_bound).count();
            (bound == many - fleets).then_some(()).ok_or_else(|| format!("{bound} do"))
        })
        .await;
        for number in 0..fleets {
            stage.wait_until_ready(&format!("fleet-{number}"), 1).await;
        }
        let found = eventually("all is in order", Duration::from_mins(1), async || {
            let (code, found) = verify(stage, &[]);
            (code == Some(0) && classes(&found).is_empty()).then_some(found.clone()).ok_or_else(|| format!("{found:#}"))
        })
        .await;
        let measured = format!("{many} objects: {} requests, {} s", found["requests"], found["seconds"]);
        fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify.txt"), &measured).unwrap();
        println!("{measured}");
        let at_least = |what: &str, least: usize| {
            assert!(found["compared"][what].as_u64().unwrap() >= least as u64, "{what}: {found:#}");
        };
        at_least("objects", many);
        at_least("processes", many - fleets);
        at_least("executors", fleets);
        at_least("secrets", fleets);
        let requests = |side: &str| usize::try_from(found["requests"][side].as_u64().unwrap()).unwrap();
        assert!(requests("kubernetes") <= 20 + many / 100, "{found:#}");
        assert!(requests("colonies") <= 20, "{found:#}");
    })
    .await;
}

async fn set_mirror(objects: &Api<ColonyProcess>, name: &str, mirror: Value) {
    let patch = Patch::Merge(json!({ "status": { "mirror": mirror } }));
    objects.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn planted_faults_of_every_class_are_found_and_what_no_object_wants_is_taken_away() {
    let connection = connect_alone().await;
    with_operator(&connection, "verify", async |stage| {
        let (cluster, colony) = (stage.cluster().await, stage.colony.name.clone());
        stage.apply("fleet", &json!({ "replicas": 1 })).await;
        stage.wait_until_ready("fleet", 1).await;
        let mut ids = BTreeMap::new();
        for name in ["waits", "lost", "stale", "shares"] {
            let spec = json!({ "colony": colony, "function": "wait", "conditions": { "executorType": "unserved-type" } });
            stage.create::<ColonyProcess>(json!({ "metadata": { "name": name }, "spec": spec })).await.unwrap();
        }
        for name in ["waits", "lost", "stale", "shares"] {
            let status = stage.until_state::<ColonyProcess>(name, WorkState::Waiting).await;
            let mirror = status.mirror.unwrap();
            ids.insert(name, (ProcessId::new(mirror.process_id.unwrap()), mirror.label));
        }
        // Whatever is on its way arrives.
        eventually("all is in order", Duration::from_mins(1), async || {
            let (code, found) = verify(stage, &[]);
            let is_in_order = code == Some(0) && found["inOrder"] == true && classes(&found).is_empty();
            is_in_order.then_some(()).ok_or_else(|| format!("{found:#}"))
        })
        .await;

        stage.operator.signal(Signal::Stop);
        let secrets: Api<Secret> = stage.api();
        let own = secrets.get(&operator_secret(&colony)).await.unwrap();
        let key = String::from_utf8(own.data.unwrap()["prvKey"].0.clone()).unwrap();
        let (client, owner) = (stage.colony.owner.client(), &stage.colony.owner);
        let member = client.session(&colony, PrivateKey::from_hex(&key).unwrap());
        let function = |label: &str| {
            FunctionSpec::new(&colony, "unserved-type", "wait").unwrap().label(label).unwrap()
        };
        let gone = "0a8e8a43-3d5c-4f0e-9a2f-000000000002";
        let second = member.submit(&function(&ids["waits"].1)).await.unwrap();
        let orphan = member.submit(&function(&process_label(&cluster, gone, 1))).await.unwrap();
        let theirs = stage.colony.member.submit(&function(&process_label(&cluster, gone, 1))).await.unwrap();
        let id = client.session(&colony, PrivateKey::generate().unwrap()).id().clone();
        let origin = executor_origin(&cluster, gone, &stage.namespace.name, "left");
        owner.add_executor(&NewExecutor::new(&colony, "left", "t", id).unwrap().blueprint(&origin, 0)).await.unwrap();
        let secret = json!({
            "metadata": { "name": identity_secret("left"), "labels": { "app.kubernetes.io/managed-by": "colonyos-operator" } },
            "stringData": { "COLONIES_EXECUTOR_NAME": "never-registered" },
        });
        stage.create::<Secret>(secret).await.unwrap();
        let objects: Api<ColonyProcess> = stage.api();
        set_mirror(&objects, "lost", json!({ "processId": "ab".repeat(32) })).await;
        set_mirror(&objects, "stale", json!({ "state": MirrorState::Successful.as_str() })).await;
        set_mirror(&objects, "shares", json!({ "processId": ids["waits"].0.as_str() })).await;
        let fleets: Api<ExecutorDeployment> = stage.api();
        let serves = fleets.get("fleet").await.unwrap().status.unwrap().executor.unwrap().name;
        let executor = Patch::Merge(json!({ "status": { "executor": { "name": "unknown" } } }));
        fleets.patch_status("fleet", &PatchParams::default(), &executor).await.unwrap();

        let (code, found) = verify(stage, &[]);
        let planted = BTreeMap::from(
            [
                // The second one of `waits`, and those that `lost` and `shares` are not bound to any more.
                ("DuplicateProcess", 3),
                ("MissingExecutor", 1),
                ("MissingProcess", 1),
                ("OrphanedExecutor", 1),
                ("OrphanedProcess", 1),
                ("OrphanedSecret", 1),
                ("SharedProcess", 1),
                ("StaleStatus", 1),
            ]
            .map(|(class, count)| (class.to_owned(), count)),
        );
        assert_eq!((code, classes(&found)), (Some(1), planted), "{found:#}");
        assert!(!found.to_string().contains(&key), "a key is shown");

        let (code, found) = verify(stage, &["--fix"]);
        assert_eq!(code, Some(1), "what no step mends is left: {found:#}");
        let findings = found["findings"].as_array().unwrap();
        let is_mended = |finding: &&Value| finding["mended"] == true;
        assert_eq!(findings.iter().filter(is_mended).count(), 6, "{found:#}");
        let tester = &stage.colony.member;
        let state = async |id: &ProcessId| tester.process(id).await.unwrap().state;
        for process in [&second, &orphan] {
            assert_eq!(state(&process.id).await, ProcessState::Cancelled);
        }
        for id in [&ids["waits"].0, &theirs.id, &ids["stale"].0] {
            assert_eq!(state(id).await, ProcessState::Waiting, "what is healthy, or no step mends, is untouched");
        }
        assert_eq!(tester.executor("left").await.unwrap().state, ExecutorState::Unregistered);
        assert_eq!(tester.executor(&serves).await.unwrap().state, ExecutorState::Approved);
        assert!(secrets.get_opt(&identity_secret("left")).await.unwrap().is_none());
        assert!(secrets.get_opt(&identity_secret("fleet")).await.unwrap().is_some());
        let (_, found) = verify(stage, &[]);
        let left: Vec<String> = classes(&found).into_keys().collect();
        assert_eq!(left, ["MissingExecutor", "MissingProcess", "SharedProcess", "StaleStatus"], "{found:#}");
        stage.operator.signal(Signal::Continue);
    })
    .await;
}
