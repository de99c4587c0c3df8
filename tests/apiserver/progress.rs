//! How far the process of an instance is, while it runs: what its executor attaches, puts out and writes reaches the instance
//! and the commands that show it, on the real servers. Nothing tells of it but the rounds of lists.

use std::time::Duration;

use colonyos_operator::{
    api::resource_definition::ResourceDefinition,
    colony::{AttributeKind, NewAttribute, ProcessQuery, ProcessState},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use crate::{
    resource_definition::model,
    support::{
        cluster::connect_with_crds,
        colony,
        conditions::Conditions as _,
        operator::{Operator, Signal, configuration},
        own_kind::OwnKind,
        stage::{Stage, with_operator},
        wait::throughout,
    },
};

/// More than two rounds of lists, of which there is one each two seconds in tests.
const REST: Duration = Duration::from_secs(5);

/// Runs a command about an object; whether it succeeded, and what it said.
async fn typed(stage: &Stage, command: &str, object: &str) -> (bool, String) {
    let output = stage.command(command, object).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn what_an_executor_says_while_it_works_reaches_the_instance() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "progress", async |stage| {
        let mut kind = OwnKind::of(stage);
        kind.whole["spec"]["handler"]["status"] = json!({
            "epochs": "${attributes.filter(key, key.startsWith('epoch-')).size()}",
            "phase": "${output[0].phase}",
            "endpoint": "${output[0].endpoint}",
        });
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.define().await;
        kind.until_ready().await;
        kind.create("llama", model()).await;
        let process = colony::assigned(&executor).await;
        kind.until_instance("llama", "runs", |object| object.is_true("Running")).await;

        let colony = executor.colony().to_owned();
        let attach = async |key: &str| {
            let kind = AttributeKind::Output;
            let attribute = NewAttribute::new(&colony, process.id.clone(), kind, key, "0.5").unwrap();
            executor.add_attribute(&attribute).await.unwrap();
        };
        for epoch in 1..=2 {
            attach(&format!("epoch-{epoch}")).await;
            kind.until_instance("llama", "tells of an epoch", |object| {
                object.data["status"]["epochs"] == epoch
            })
            .await;
        }
        executor.set_output(&process.id, &[json!({ "phase": "training" })]).await.unwrap();
        kind.until_instance("llama", "tells of its phase", |object| {
            object.data["status"]["phase"] == "training"
        })
        .await;
        executor.add_log(&process.id, "epoch 1 of 5\n").await.unwrap();
        executor.add_log(&process.id, "epoch 2 of 5\u{7}\n").await.unwrap();
        let told = kind
            .until_instance("llama", "shows the last line", |object| {
                object.message("Running").ends_with("its executor wrote: epoch 2 of 5")
            })
            .await;
        assert!(told.is_true("Running") && told.is_false("Finished"), "{}", told.data);

        // At rest nothing is written, and a restart is no news although it has forgotten the line.
        let unchanged = async |what: &str, before: &DynamicObject| {
            let version = before.resource_version();
            throughout(what, REST, async || {
                let now = kind.instances.get("llama").await.unwrap();
                let is_same = now.resource_version() == version;
                is_same.then_some(()).ok_or_else(|| format!("{} became {}", before.data, now.data))
            })
            .await;
        };
        unchanged("nothing is written at rest", &told).await;
        stage.operator.signal(Signal::Kill);
        let namespace = stage.namespace.name.clone();
        stage.operator = Operator::start(configuration(&namespace), &namespace, &stage.turn).await;
        kind.create("second", model()).await;
        kind.until_instance("second", "is submitted", |object| {
            object.data["status"]["mirror"]["processId"].is_string()
        })
        .await;
        unchanged("nothing is written after a restart", &told).await;

        let object = format!("{}/llama", kind.name);
        let (is_done, text) = typed(stage, "process", &object).await;
        assert!(is_done && text.contains(process.id.as_str()) && text.contains("training"), "{text}");
        let (is_done, text) = typed(stage, "logs", &object).await;
        assert!(is_done && text.starts_with("epoch 1 of 5\nepoch 2 of 5"), "{text}");
        let (is_done, text) = typed(stage, "process", &format!("{}/other", kind.name)).await;
        assert!(!is_done && text.contains("MLModel") && text.contains("not found"), "{text}");

        executor.close_successful(&process.id, &[json!({ "endpoint": "e", "phase": "done" })]).await.unwrap();
        let over = kind.until_instance("llama", "is over", |object| object.is_true("Finished")).await;
        assert_eq!(
            (&over.data["status"]["phase"], &over.data["status"]["epochs"]),
            (&json!("done"), &json!(2))
        );
        assert!(!over.message("Running").contains("epoch"), "{}", over.data);
    })
    .await;
}

/// What no process carries says what it is made of; an unknown one says what there is.
#[tokio::test]
async fn commands_know_the_kinds_that_are_defined() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "commands", async |stage| {
        let definitions: Api<ResourceDefinition> = Api::all(stage.namespace.kubernetes.calls.clone());
        let group = format!("{}.example.com", stage.namespace.name);
        let define = async |kind: &str, plural: &str, handler: Value| {
            let name = format!("{plural}.{group}");
            let definition = json!({
                "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition", "metadata": { "name": name },
                "spec": {
                    "group": group, "names": { "kind": kind, "plural": plural, "shortNames": [format!("{plural}x")] },
                    "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }],
                    "handler": handler,
                },
            });
            let definition = serde_json::from_value(definition).unwrap();
            definitions.create(&PostParams::default(), &definition).await.unwrap();
            name
        };
        let unique = stage.namespace.name.replace('-', "");
        let plural = format!("s{unique}");
        let template = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
        let name = define("Shop", &plural, json!({ "mode": "compose", "resources": [{ "id": "a", "template": template }] })).await;
        for called in [plural.clone(), name.clone(), format!("{plural}x")] {
            let (is_done, text) = typed(stage, "process", &format!("{called}/corner")).await;
            assert!(!is_done && text.contains("Shop corner has no process: it is composed of ConfigMap (v1)"), "{text}");
        }
        let (is_done, text) = typed(stage, "logs", "nothings/corner").await;
        assert!(!is_done && text.contains("colonyprocess/NAME") && text.contains(&name), "{text}");
        definitions.delete(&name, &DeleteParams::default()).await.unwrap();
    })
    .await;
}

/// Every list has what executors attach and put out: a change is found without asking for each process.
#[tokio::test]
async fn lists_of_processes_have_what_executors_say() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "lists", async |stage| {
        let member = &stage.colony.member;
        let executor = stage.colony.executor("worker", "lister").await;
        let spec = colonyos_operator::colony::FunctionSpec::new(executor.colony(), "lister", "f").unwrap();
        let submitted = member.submit(&spec).await.unwrap();
        let running = colony::assigned(&executor).await;
        assert_eq!(running.id, submitted.id);
        let attribute =
            NewAttribute::new(executor.colony(), running.id.clone(), AttributeKind::Output, "k", "v")
                .unwrap();
        executor.add_attribute(&attribute).await.unwrap();
        executor.set_output(&running.id, &[json!({ "a": 1 })]).await.unwrap();
        let mut views =
            vec![member.processes(&ProcessQuery::new(ProcessState::Running).limit(100)).await.unwrap()];
        views.push(member.process_history(None, 3600, ProcessState::Running).await.unwrap());
        for view in views {
            let listed = view.iter().find(|process| process.id == running.id).expect("it runs");
            assert_eq!(listed.output, [json!({ "a": 1 })]);
            assert_eq!(listed.reported().into_iter().collect::<Vec<_>>(), [("k", "v")]);
        }
        executor.close_successful(&running.id, &[]).await.unwrap();
    })
    .await;
}
