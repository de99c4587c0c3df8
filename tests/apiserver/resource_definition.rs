//! `ResourceDefinition`: kinds that users make up, from `kubectl apply` to what executors say of their instances, on the real
//! servers. The executors are the tests' own.

use std::{fs, time::Duration};

use colonyos_operator::{
    api::{names::process_label, resource_definition::ResourceDefinition},
    colony::{Process, ProcessState},
};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::{Connection, connect_with_crds},
    colony::{OwnColony, assigned},
    commands::kubectl,
    conditions::Conditions as _,
    environment,
    namespace::{TestNamespace, in_namespace},
    object,
    operator::{Operator, Turn, configuration},
    own_kind::{OwnKind, is_ready, shipped, shipped_file},
    stage::{SOON, Stage, with_operator},
    wait::{eventually, throughout},
};

/// Everything that was ever submitted for a generation of an instance.
async fn submitted(stage: &Stage, instance: &DynamicObject, generation: i64) -> Vec<Process> {
    let label = process_label(&stage.cluster().await, &instance.uid().unwrap(), generation);
    stage.colony.member.processes_labelled(&label).await.unwrap()
}

pub(super) fn model() -> Value {
    json!({ "image": "registry.example.com/llama:3", "framework": "pytorch" })
}

/// The main way: a definition becomes a kind, and an instance what its executor says.
#[tokio::test]
async fn a_kind_is_made_up_and_its_instances_are_carried_out() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind", async |stage| {
        let kind = OwnKind::of(stage);
        kind.define().await;
        let status = kind.until("is ready without executors", |status| status.is_true("Ready")).await;
        assert_eq!(status.accepted_generation, Some(1));
        let (_, reason, said) = status.told("Handled");
        assert_eq!(reason, "HandlerNotFound");
        assert!(said.contains("ml-model-controller") && said.contains(&stage.colony.name), "{said}");
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.until("has executors", |status| status.is_true("Handled")).await;

        let plural = kind.name.as_str();
        let explained =
            kubectl(&["explain", "mlmodels", "--recursive", "--api-version", &kind.resource.api_version]);
        assert!(explained.contains("framework") && explained.contains("submittedGeneration"), "{explained}");
        let mut bad = model();
        bad["framework"] = json!("caffe");
        let bad = DynamicObject::new("bad", &kind.resource).data(json!({ "spec": bad }));
        let refusal = kind.instances.create(&PostParams::default(), &bad).await.unwrap_err().to_string();
        assert!(refusal.contains("spec.framework"), "{refusal}");

        let created = kind.create("llama", model()).await;
        let process = assigned(&executor).await;
        assert_eq!(process.spec.function, "reconcile_ml_model");
        assert_eq!(process.spec.max_exec_seconds, 600);
        let arguments = Value::Object(process.spec.kwargs.clone().into_iter().collect());
        assert_eq!(arguments["apiVersion"], kind.resource.api_version.as_str());
        assert_eq!(arguments["kind"], "MLModel");
        assert_eq!(arguments["metadata"]["name"], "llama");
        assert!(arguments["metadata"]["managedFields"].is_null());
        assert_eq!(arguments["spec"]["replicas"], 1, "the default of the schema");
        let running = kind.until_instance("llama", "runs", |object| object.is_true("Running")).await;
        assert!(running.is_true("Mirrored") && running.is_false("Ready"), "{}", running.data);
        assert_eq!(running.finalizers(), ["colonies.io/instance"]);

        let output = [json!({ "endpoint": "http://llama.example.com", "replicas": 1 })];
        executor.close_successful(&process.id, &output).await.unwrap();
        let target = format!("{plural}/llama");
        let space = kind.namespace.as_str();
        kubectl(&["wait", "--for=condition=Ready", &target, "-n", space, "--timeout=5m"]);
        kubectl(&["wait", "--for=condition=Finished", &target, "-n", space, "--timeout=5m"]);
        let shown = kubectl(&["get", plural, "-n", space]);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "FRAMEWORK", "ENDPOINT", "READY", "PAUSED", "AGE"]);
        assert_eq!(lines[1][..4], ["llama", "pytorch", "http://llama.example.com", "True"]);
        assert_eq!(submitted(stage, &created, 1).await.len(), 1);

        kubectl(&["scale", &target, "-n", space, "--replicas=3"]);
        let second = assigned(&executor).await;
        assert_eq!(second.spec.kwargs["spec"]["replicas"], 3);
        executor
            .close_successful(&second.id, &[json!({ "endpoint": "http://x", "replicas": 3 })])
            .await
            .unwrap();
        let scaled = kind
            .until_instance("llama", "is scaled", |object| {
                is_ready(object) && object.data["status"]["replicas"] == 3
            })
            .await;
        assert_eq!(scaled.data["status"]["submittedGeneration"], 2);
        let status =
            kind.until("counts", |status| status.instances.is_some_and(|counts| counts.ready == 1)).await;
        assert_eq!(status.instances.unwrap().total, 1);

        // At rest nothing is written.
        let versions = async || {
            let definition = kind.definitions.get(&kind.name).await.unwrap().resource_version();
            let crd = kind.crds.get(&kind.name).await.unwrap().resource_version();
            (definition, crd, kind.instances.get("llama").await.unwrap().resource_version())
        };
        let before = versions().await;
        throughout("nothing is written at rest", Duration::from_secs(4), async || {
            let now = versions().await;
            (now == before).then_some(()).ok_or_else(|| format!("{before:?} became {now:?}"))
        })
        .await;
        assert_eq!(submitted(stage, &created, 1).await.len() + submitted(stage, &created, 2).await.len(), 2);
    })
    .await;
}

/// Whenever the operator dies, each generation is one process.
#[tokio::test]
async fn a_crash_submits_nothing_twice_and_loses_nothing() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-crash", async |stage| {
        let kind = OwnKind::of(stage);
        kind.define().await;
        kind.until_ready().await;
        let mut created = Vec::new();
        for round in 0..3 {
            for number in 0..3 {
                created.push(kind.create(&format!("model-{round}-{number}"), model()).await);
            }
            // Somewhere between the first write for them and the last.
            let first = format!("model-{round}-{}", round % 3);
            kind.until_instance(&first, "is being worked on", |object| object.data["status"].is_object())
                .await;
            stage.restart().await;
        }
        for object in &created {
            kind.until_instance(&object.name_any(), "is submitted", |object| {
                object.data["status"]["mirror"]["processId"].is_string()
            })
            .await;
            let processes = submitted(stage, object, 1).await;
            let live = processes.iter().filter(|process| !process.state.is_final()).count();
            assert_eq!(live, 1, "{}: {processes:?}", object.name_any());
        }
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        for _ in &created {
            let process = assigned(&executor).await;
            executor
                .close_successful(&process.id, &[json!({ "endpoint": "e", "replicas": 1 })])
                .await
                .unwrap();
        }
        for object in &created {
            kind.until_instance(&object.name_any(), "is ready", is_ready).await;
        }
        assert!(executor.assign(Duration::from_secs(2)).await.unwrap().is_none(), "no work is left");
    })
    .await;
}

#[tokio::test]
async fn a_newer_generation_takes_the_place_of_the_older() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-update", async |stage| {
        let kind = OwnKind::of(stage);
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.define().await;
        kind.until_ready().await;
        let change = async |image: &str| {
            kind.change_instance("llama", json!({ "spec": { "image": image } })).await;
        };
        let created = kind.create("llama", model()).await;
        assigned(&executor).await;
        change("second").await;
        let second = assigned(&executor).await;
        assert_eq!(second.spec.kwargs["spec"]["image"], "second");
        assert_eq!(submitted(stage, &created, 1).await[0].state, ProcessState::Cancelled);

        // From here on the older one is waited for; the handler takes effect without a restart.
        kind.change(json!({ "spec": { "handler": { "updatePolicy": "WaitForRunning" } } })).await;
        kind.until("is accepted", |status| status.accepted_generation == Some(2)).await;
        change("third").await;
        kind.until_instance("llama", "says what it waits for", |object| {
            object.is_false("Mirrored") && object.message("Mirrored").contains("generation 2 still runs")
        })
        .await;
        assert_eq!(submitted(stage, &created, 3).await, []);
        executor.close_failed(&second.id, &["disk full".to_owned()]).await.unwrap();
        let third = assigned(&executor).await;
        assert_eq!(third.spec.kwargs["spec"]["image"], "third");
        executor.close_failed(&third.id, &["still full".to_owned()]).await.unwrap();
        let failed = kind.until_instance("llama", "has failed", |object| object.is_true("Finished")).await;
        assert!(failed.is_true("Degraded") && failed.is_false("Ready"), "{}", failed.data);
        assert!(failed.message("Ready").contains("still full"), "{}", failed.data);
    })
    .await;
}

#[tokio::test]
async fn deletion_ends_what_runs_and_cleans_up_once() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-deleted", async |stage| {
        let kind = OwnKind::of(stage);
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.define().await;
        kind.until_ready().await;
        let created = kind.create("llama", model()).await;
        let running = assigned(&executor).await;
        kind.until_instance("llama", "runs", |object| object.is_true("Running")).await;
        kind.instances.delete("llama", &DeleteParams::default()).await.unwrap();
        let cleanup = assigned(&executor).await;
        assert_eq!(cleanup.spec.function, "delete_ml_model");
        assert_eq!(cleanup.spec.kwargs["metadata"]["name"], "llama");
        assert_eq!(stage.colony.member.process(&running.id).await.unwrap().state, ProcessState::Cancelled);
        let waiting = kind
            .until_instance("llama", "says that it is cleaned up", |object| {
                object.reason("Ready") == "CleanupRunning" && object.message("Ready").contains("Running")
            })
            .await;
        assert_eq!(waiting.finalizers(), ["colonies.io/instance"]);

        // A crash in the middle changes nothing, and neither does an edit, which makes a further generation.
        stage.restart().await;
        let patch = Patch::Merge(json!({ "spec": { "image": "other" } }));
        kind.instances.patch("llama", &PatchParams::default(), &patch).await.unwrap();
        executor.close_successful(&cleanup.id, &[]).await.unwrap();
        kind.until_gone("llama").await;
        assert_eq!(submitted(stage, &created, 0).await.len(), 1, "one clean-up");
        for generation in 2..5 {
            assert_eq!(submitted(stage, &created, generation).await, [], "generation {generation}");
        }

        // What never reached the colony goes freely, and what is to be left is left.
        kind.change(json!({ "spec": { "deletionPolicy": "Orphan" } })).await;
        kind.until("is accepted", |status| status.accepted_generation == Some(2)).await;
        kind.create("left", model()).await;
        let left = assigned(&executor).await;
        kind.until_instance("left", "runs", |object| object.is_true("Running")).await;
        kind.instances.delete("left", &DeleteParams::default()).await.unwrap();
        kind.until_gone("left").await;
        assert_eq!(stage.colony.member.process(&left.id).await.unwrap().state, ProcessState::Running);
        assert!(executor.assign(Duration::from_secs(1)).await.unwrap().is_none(), "no clean-up");
    })
    .await;
}

/// A clean-up that fails is told, repeated, and can be given up.
#[tokio::test]
async fn a_failed_clean_up_holds_the_instance_until_a_user_decides() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-cleanup", async |stage| {
        let kind = OwnKind::of(stage);
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.define().await;
        kind.until_ready().await;
        let created = kind.create("llama", model()).await;
        let process = assigned(&executor).await;
        executor.close_successful(&process.id, &[json!({ "endpoint": "e", "replicas": 1 })]).await.unwrap();
        kind.until_instance("llama", "is ready", is_ready).await;
        kind.instances.delete("llama", &DeleteParams::default()).await.unwrap();
        let cleanup = assigned(&executor).await;
        executor.close_failed(&cleanup.id, &["volume is in use".to_owned()]).await.unwrap();
        let held =
            kind.until_instance("llama", "says why it stays", |object| object.is_true("Degraded")).await;
        let (_, reason, said) = held.told("Degraded");
        assert_eq!(reason, "CleanupFailed");
        assert!(said.contains("volume is in use") && said.contains("colonies.io/abandon-remote"), "{said}");
        let again = assigned(&executor).await;
        assert_eq!(again.spec.function, "delete_ml_model");
        assert_eq!(submitted(stage, &created, -1).await.len(), 1);
        let patch =
            Patch::Merge(json!({ "metadata": { "annotations": { "colonies.io/abandon-remote": "true" } } }));
        kind.instances.patch("llama", &PatchParams::default(), &patch).await.unwrap();
        kind.until_gone("llama").await;
    })
    .await;
}

#[tokio::test]
async fn a_definition_that_cannot_be_says_why_and_breaks_nothing() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-bad", async |stage| {
        let kind = OwnKind::of(stage);
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        let mut broken = serde_json::to_value(kind.definition()).unwrap();
        let at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/image";
        *broken.pointer_mut(at).unwrap() = json!({ "type": "text" });
        let broken: ResourceDefinition = serde_json::from_value(broken).unwrap();
        kind.definitions.create(&PostParams::default(), &broken).await.unwrap();
        let status = kind.until("says what is wrong", |status| status.is_false("Ready")).await;
        let (_, reason, said) = status.told("Ready");
        assert_eq!(reason, "InvalidSpec");
        let expected = "spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.image.type: text";
        assert!(said.starts_with(expected), "{said}");
        assert!(kind.crds.get_opt(&kind.name).await.unwrap().is_none(), "nothing was made of it");

        // What only the API server knows, it says.
        let rules = json!([{ "rule": "self.nothing > 3" }]);
        let mut versions = serde_json::to_value(kind.definition().spec.versions).unwrap();
        versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = rules;
        kind.change(json!({ "spec": { "versions": versions } })).await;
        let status = kind.until("says what the API server says", |status| status.reason("Ready") == "ApplyFailed").await;
        assert!(status.message("Ready").contains("undefined field"), "{status:?}");

        let good = serde_json::to_value(kind.definition().spec.versions).unwrap();
        kind.change(json!({ "spec": { "versions": good } })).await;
        kind.until_ready().await;
        let accepted = kind.definitions.get(&kind.name).await.unwrap().metadata.generation;

        // A revision that cannot be leaves instances with the last that could, also after a restart.
        kind.change(json!({ "spec": { "handler": { "functionName": "other", "status": { "endpoint": "${output[" } } } })).await;
        let status = kind.until("refuses the revision", |status| status.is_false("Ready")).await;
        assert_eq!(status.accepted_generation, accepted);
        let (_, reason, said) = status.told("Ready");
        assert_eq!(reason, "InvalidSpec");
        assert!(said.starts_with("spec.handler.status.endpoint") && said.contains("instances stay"), "{said}");
        stage.restart().await;
        kind.create("llama", model()).await;
        let process = assigned(&executor).await;
        assert_eq!(process.spec.function, "reconcile_ml_model");
    })
    .await;
}

/// What a new schema would break is told by name, touches nothing, and is carried out once a user accepts it.
#[tokio::test]
async fn a_schema_that_breaks_instances_is_carried_out_when_accepted() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-impact", async |stage| {
        let kind = OwnKind::of(stage);
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.define().await;
        kind.until_ready().await;
        let mut fitting = model();
        fitting["image"] = json!("trusted/llama:3");
        for (name, spec) in [("llama", model()), ("fits", fitting)] {
            kind.create(name, spec).await;
            let process = assigned(&executor).await;
            let output = [json!({ "endpoint": "http://x", "replicas": 1 })];
            executor.close_successful(&process.id, &output).await.unwrap();
            kind.until_instance(name, "is ready", is_ready).await;
        }
        let first =
            kind.until("counts", |status| status.instances.is_some_and(|counts| counts.ready == 2)).await;
        assert_eq!(first.revisions.len(), 1);
        let versions = async || {
            let crd = kind.crds.get(&kind.name).await.unwrap().resource_version();
            let mut all = vec![crd];
            for name in ["llama", "fits"] {
                all.push(kind.instances.get(name).await.unwrap().resource_version());
            }
            all
        };
        let before = versions().await;

        let mut changed = serde_json::to_value(kind.definition().spec.versions).unwrap();
        changed[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["image"]["pattern"] =
            json!("^trusted/");
        kind.change(json!({ "spec": { "versions": changed } })).await;
        let refused =
            async || kind.until("is refused", |status| status.reason("Ready") == "BreaksInstances").await;
        let status = refused().await;
        let impact = status.impact.clone().unwrap();
        assert_eq!((impact.breaking, impact.checked, impact.instances.len()), (1, 2, 1), "{impact:?}");
        let broken = &impact.instances[0];
        assert_eq!(
            (broken.namespace.as_deref(), broken.name.as_str()),
            (Some(kind.namespace.as_str()), "llama")
        );
        assert!(broken.why.contains("spec.image") && broken.why.contains("^trusted/"), "{broken:?}");
        let line = format!(
            "kubectl annotate rd {} colonies.io/accept-impact={} --overwrite",
            kind.name, impact.hash
        );
        let said = status.message("Ready");
        assert!(said.contains(&line) && said.contains("llama") && said.contains("generation 1"), "{said}");
        assert_eq!((status.accepted_generation, status.revisions.len()), (Some(1), 1));

        // Who starts knows no instances yet, and takes that for no answer.
        stage.restart().await;
        assert_eq!(refused().await.impact.unwrap().hash, impact.hash);
        let at_rest = async || {
            let definition = kind.definitions.get(&kind.name).await.unwrap();
            (versions().await, definition.resource_version(), definition.status)
        };
        eventually("the restart has been told", SOON, async || {
            let status = kind.definitions.get(&kind.name).await.unwrap().status.unwrap();
            (status.reason("Handled") == "HandlerFound" && status.reason("Ready") == "BreaksInstances")
                .then_some(())
                .ok_or_else(|| format!("{status:?}"))
        })
        .await;
        let calm = at_rest().await;
        assert_eq!(calm.0, before, "neither the CRD nor an instance was written");
        throughout("nothing is written at rest", Duration::from_secs(12), async || {
            let now = at_rest().await;
            (now == calm).then_some(()).ok_or_else(|| format!("{calm:?} became {now:?}"))
        })
        .await;

        let accept = format!("colonies.io/accept-impact={}", impact.hash);
        kubectl(&["annotate", "rd", &kind.name, &accept, "--overwrite"]);
        let status = kind.until("is carried out", |status| status.is_true("Ready")).await;
        assert_eq!((status.impact, status.accepted_generation), (None, Some(2)));
        let generations: Vec<i64> = status.revisions.iter().map(|revision| revision.generation).collect();
        assert_eq!(generations, [1, 2]);
        assert_eq!(status.revisions[0], first.revisions[0]);
        assert_ne!(status.revisions[0].hash, status.revisions[1].hash);
        let bad = DynamicObject::new("bad", &kind.resource).data(json!({ "spec": model() }));
        let refusal = eventually("the API server has the schema", SOON, async || {
            match kind.instances.create(&PostParams { dry_run: true, ..PostParams::default() }, &bad).await {
                Ok(_) => Err("it is admitted".to_owned()),
                Err(error) => Ok(error.to_string()),
            }
        })
        .await;
        assert!(refusal.contains("spec.image"), "{refusal}");
        assert_eq!(versions().await[1..], before[1..], "instances are as they were");
    })
    .await;
}

/// What an executor says may not fit the kind; everything else is said all the same.
#[tokio::test]
async fn what_does_not_fit_the_schema_is_left_out_and_told() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-unfit", async |stage| {
        let kind = OwnKind::of(stage);
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        kind.define().await;
        kind.until_ready().await;
        kind.create("llama", model()).await;
        let process = assigned(&executor).await;
        let output = [json!({ "endpoint": "http://x", "replicas": "many" })];
        executor.close_successful(&process.id, &output).await.unwrap();
        let object = kind.until_instance("llama", "is ready", is_ready).await;
        let (_, reason, said) = object.told("Warnings");
        assert_eq!(reason, "ApplyFailed");
        assert!(said.contains("status.replicas"), "{said}");

        kind.create("terse", model()).await;
        let process = assigned(&executor).await;
        executor.close_successful(&process.id, &[json!({ "endpoint": "http://x" })]).await.unwrap();
        let object = kind.until_instance("terse", "is ready", is_ready).await;
        assert_eq!(object.data["status"]["endpoint"], "http://x");
        let (_, reason, said) = object.told("Warnings");
        assert_eq!(reason, "InvalidExpression");
        assert!(said.contains("handler.status.replicas"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_crd_of_a_stranger_is_left_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-foreign", async |stage| {
        let kind = OwnKind::of(stage);
        let crd = json!({
            "metadata": { "name": kind.name },
            "spec": {
                "group": kind.resource.group, "scope": "Namespaced",
                "names": { "kind": "MLModel", "plural": "mlmodels" },
                "versions": [{ "name": "v1alpha1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }],
            },
        });
        let foreign = serde_json::from_value(crd).unwrap();
        let foreign = kind.crds.create(&PostParams::default(), &foreign).await.unwrap();
        kind.define().await;
        let status = kind.until("says whose it is", |status| status.is_false("Ready")).await;
        let (_, reason, said) = status.told("Ready");
        assert_eq!(reason, "ForeignObject");
        assert!(said.contains(&kind.name) && said.contains("left unchanged"), "{said}");
        kind.definitions.delete(&kind.name, &DeleteParams::default()).await.unwrap();
        object::until_gone(&kind.definitions, &kind.name).await;
        let seen = kind.crds.get(&kind.name).await.unwrap();
        assert_eq!((seen.uid(), seen.spec), (foreign.uid(), foreign.spec), "untouched");
    })
    .await;
}

/// With the CRD every instance would go: a definition waits for them, or leaves them.
#[tokio::test]
async fn a_deleted_definition_loses_no_instance() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-gone", async |stage| {
        let kind = OwnKind::of(stage);
        kind.define().await;
        kind.until_ready().await;
        kind.create("llama", model()).await;
        kind.until_instance("llama", "is submitted", |object| object.is_true("Mirrored")).await;
        for policy in [DeleteParams::default(), DeleteParams::foreground()] {
            kind.definitions.delete(&kind.name, &policy).await.unwrap();
        }
        let status =
            kind.until("says what it waits for", |status| status.reason("Ready") == "InstancesLeft").await;
        assert!(status.message("Ready").contains("1 instances"), "{status:?}");
        throughout("the instance stays", Duration::from_secs(2), async || {
            kind.instances.get("llama").await.map(drop).map_err(|error| error.to_string())
        })
        .await;

        // It can be changed still: the instance is let go as it is, and so are the CRD and the process.
        kind.change(json!({ "spec": { "deletionPolicy": "Orphan" } })).await;
        object::until_gone(&kind.definitions, &kind.name).await;
        let left = kind.instances.get("llama").await.unwrap();
        assert_eq!(left.finalizers(), [""; 0], "nothing would remove it later");
        assert_eq!(submitted(stage, &left, 1).await[0].state, ProcessState::Waiting);
        assert!(stage.operator.log().contains("looking after instances no more"));

        // The same definition takes both up again, and submits nothing twice.
        kind.define().await;
        kind.until_ready().await;
        kind.until("counts", |status| status.instances.is_some_and(|counts| counts.total == 1)).await;
        kind.until_instance("llama", "is held again", |object| !object.finalizers().is_empty()).await;
        assert_eq!(submitted(stage, &left, 1).await.len(), 1);
        kind.definitions.delete(&kind.name, &DeleteParams::default()).await.unwrap();
        kind.instances.delete("llama", &DeleteParams::default()).await.unwrap();
        eventually("its process is ended", SOON, async || {
            let state = submitted(stage, &left, 1).await[0].state;
            (state == ProcessState::Cancelled).then_some(()).ok_or_else(|| format!("{state:?}"))
        })
        .await;
        let executor = stage.colony.executor("controller", "ml-model-controller").await;
        let cleanup = assigned(&executor).await;
        assert_eq!(cleanup.spec.function, "delete_ml_model");
        executor.close_successful(&cleanup.id, &[]).await.unwrap();
        kind.until_removed().await;
    })
    .await;
}

/// A user that may do what the chart grants when no group is named, as a kubeconfig.
pub async fn ordinary_operator(
    connection: &Connection,
    namespace: &TestNamespace,
) -> tempfile::NamedTempFile {
    let accounts: Api<ServiceAccount> = namespace.api();
    let name = namespace.name.as_str();
    let account = json!({ "metadata": { "name": "operator" } });
    accounts.create(&PostParams::default(), &serde_json::from_value(account).unwrap()).await.unwrap();
    let all = json!(["*"]);
    let groups = json!([
        "",
        "colonies.io",
        "compute.colonies.io",
        "com.redhat.ecosystem.sample",
        "apps",
        "batch",
        "coordination.k8s.io",
        "events.k8s.io",
    ]);
    grant(namespace, name, json!([{ "apiGroups": groups, "resources": all, "verbs": all }])).await;
    let (parameters, request) = (PostParams::default(), TokenRequest::default());
    let token = accounts.create_token_request("operator", &parameters, &request).await.unwrap();
    let token = token.status.unwrap().token;
    let ours = environment::variable("KUBECONFIG").unwrap();
    let mut config: Value = serde_norway::from_str(&fs::read_to_string(ours).unwrap()).unwrap();
    for user in config["users"].as_array_mut().unwrap() {
        user["user"] = json!({ "token": token });
    }
    assert!(connection.server.starts_with("https"), "a token needs TLS: {}", connection.server);
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, &config).unwrap();
    file
}

/// Gives the account rights in the whole cluster; takes them away with the namespace.
pub async fn grant(namespace: &TestNamespace, name: &str, rules: Value) {
    let client = &namespace.kubernetes.calls;
    let spaces: Api<Namespace> = Api::all(client.clone());
    let owner = spaces.get(&namespace.name).await.unwrap();
    let metadata = json!({ "name": name, "ownerReferences": [{
        "apiVersion": "v1", "kind": "Namespace", "name": namespace.name, "uid": owner.uid() }] });
    let role = json!({ "metadata": metadata, "rules": rules });
    let binding = json!({
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": "operator", "namespace": namespace.name }],
    });
    let cluster_roles: Api<ClusterRole> = Api::all(client.clone());
    cluster_roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

/// The operator has rights for the groups that its installer named, finds out by itself, and needs no restart.
#[tokio::test]
async fn a_group_without_rights_says_which_line_grants_them() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "kind-rights", async |namespace| {
        let turn = Turn::take().await;
        let colony = OwnColony::create(&namespace).await;
        let kubeconfig = ordinary_operator(&connection, &namespace).await;
        let settings = [("KUBECONFIG", kubeconfig.path().to_str().unwrap())];
        let name = namespace.name.as_str();
        let operator = Operator::start_in(configuration(name), name, &settings).await;
        colony.wait_until_ready().await;
        let kind = OwnKind::within(&namespace, &colony.name, "ml-model");
        kind.define().await;
        let status = kind.until("says what it lacks", |status| status.is_false("Authorized")).await;
        let (_, reason, said) = status.told("Ready");
        assert_eq!(reason, "RightsMissing");
        assert!(said.contains("--reset-then-reuse-values --set-json 'userKinds.groups=["), "{said}");
        assert!(said.contains(&kind.resource.group) && said.contains(&format!("--namespace {name}")), "{said}");
        assert!(kind.crds.get_opt(&kind.name).await.unwrap().is_none(), "nothing is begun");
        let object = kind.definitions.get(&kind.name).await.unwrap();
        assert_eq!(object.finalizers(), [""; 0], "nothing holds what was not begun");

        // As the chart grants them.
        let crds = json!(["get", "list", "watch", "create", "update", "delete"]);
        let groups = json!([kind.resource.group]);
        grant(&namespace, &format!("{name}-kinds"), json!([
            { "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": crds },
            { "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions/status"], "verbs": ["update"] },
            { "apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "watch", "patch"] },
            { "apiGroups": groups, "resources": ["*/status"], "verbs": ["update"] },
        ]))
        .await;
        kind.until_ready().await;
        let executor = colony.executor("controller", "ml-model-controller").await;
        kind.create("llama", model()).await;
        let process = assigned(&executor).await;
        executor.close_successful(&process.id, &[json!({ "endpoint": "e", "replicas": 1 })]).await.unwrap();
        kind.until_instance("llama", "is ready", is_ready).await;

        // The CRD is edited: it is corrected.
        let columns = Patch::Json::<()>(serde_json::from_value(json!([
            { "op": "replace", "path": "/spec/versions/0/additionalPrinterColumns/0/name", "value": "Edited" },
        ]))
        .unwrap());
        kind.crds.patch(&kind.name, &PatchParams::default(), &columns).await.unwrap();
        eventually("the CRD is put right", SOON, async || {
            let crd = kind.crds.get(&kind.name).await.map_err(|error| error.to_string())?;
            let columns = crd.spec.versions[0].additional_printer_columns.clone().unwrap_or_default();
            let first = columns.first().map(|column| column.name.clone());
            (first.as_deref() == Some("Framework")).then_some(()).ok_or_else(|| format!("{first:?}"))
        })
        .await;
        drop(operator);
        drop(turn);
        colony.remove().await;
    })
    .await;
}

/// Without the finalizer, the definition is gone at once; nothing may be written for it any more.
#[tokio::test]
async fn a_definition_that_goes_although_it_is_held_takes_its_watch_along() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kind-forced", async |stage| {
        let kind = OwnKind::of(stage);
        kind.define().await;
        kind.until_ready().await;
        kind.definitions.delete(&kind.name, &DeleteParams::default()).await.unwrap();
        let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        // The operator may let it go before, since there is no instance.
        let _ = kind.definitions.patch(&kind.name, &PatchParams::default(), &release).await;
        eventually("its instances are looked after no more", SOON, async || {
            let log = stage.operator.log();
            log.contains("looking after instances no more").then_some(()).ok_or_else(|| "they are".to_owned())
        })
        .await;
    })
    .await;
}

/// Bad input is refused with field, value and remedy before anything else happens.
#[tokio::test]
async fn bad_definitions_are_refused_at_admission() {
    let connection = connect_with_crds().await;
    let definitions: Api<DynamicObject> =
        Api::all_with(connection.calls.clone(), &ApiResource::erase::<ResourceDefinition>(&()));
    let whole = shipped("ml-model", "definition.yaml");
    for (at, value, expected) in [
        ("/metadata/name", json!("models.ml.colonies.io"), "call it mlmodels.ml.colonies.io"),
        ("/spec/group", json!("colonies.io"), "the operator's own kinds"),
        ("/spec/group", json!("apps"), "is not an API group"),
        ("/spec/group", json!("batch.k8s.io"), "belongs to Kubernetes"),
        ("/spec/names/kind", json!("mlModel"), "is not a kind"),
        ("/spec/names/plural", json!("MLModels"), "is not a plural"),
        ("/spec/versions/0/name", json!("1.0"), "is not a version"),
        ("/spec/versions/0/storage", json!(false), "exactly one version"),
        ("/spec/versions/0/served", json!(false), "must be served"),
        (
            "/spec/names",
            json!({ "kind": "MLModel", "plural": "mlmodels", "categories": ["mlmodels"] }),
            "has the plural of a kind",
        ),
        (
            "/spec/names",
            json!({ "kind": "MLModel", "plural": "mlmodels", "categories": ["all", "colonies"] }),
            "has the plural of a kind",
        ),
        (
            "/spec/versions/0/additionalPrinterColumns/0/jsonPath",
            json!("spec.x"),
            "does not begin with a dot",
        ),
        ("/spec/versions/0/additionalPrinterColumns/0/type", json!("text"), "type"),
        ("/spec/versions/0/scale/specReplicasPath", json!(".status.x"), "specReplicasPath"),
        ("/spec/handler/executorType", json!("a:b"), "is not a type"),
        ("/spec/handler/executorType", json!("kubernetes-reconciler"), "is reserved for the operator"),
        ("/spec/handler/functionName", Value::Null, "needs executorType and functionName"),
        ("/spec/handler/mode", json!("compose"), "mode compose calls no function"),
        ("/spec/handler/mode", json!("magic"), "mode"),
        ("/spec/handler/mode", json!("blueprint"), "cleanupFunction is for mode process"),
        ("/spec/handler/maxExecTime", json!("0s"), "maxExecTime is 0"),
        ("/spec/handler/status", json!({ "mirror": "${output[0]}" }), "kept by the operator"),
        ("/spec/handler/status", json!({ "blueprint": "${output[0]}" }), "kept by the operator"),
        ("/spec/handler/status", json!({ "a-b": "${output[0]}" }), "letters, digits"),
    ] {
        let mut bad = whole.clone();
        *bad.pointer_mut(at).unwrap() = value.clone();
        let sent = serde_json::from_value(bad).unwrap();
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        let refusal = definitions.create(&parameters, &sent).await;
        let refusal = refusal.expect_err(&format!("{at}: {value}")).to_string();
        assert!(refusal.contains(expected), "{at}: {value}: {refusal}");
    }
}

/// The shipped examples are admitted as they stand, and make kinds that take their instances.
#[tokio::test]
async fn the_shipped_kinds_are_admitted() {
    let _connection = connect_with_crds().await;
    for kind in ["ml-model", "hpc-job", "ai-job", "docker-deployment"] {
        let file = shipped_file(kind, "definition.yaml");
        let said = kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", file.to_str().unwrap()]);
        assert!(said.contains("resourcedefinition.colonies.io/"), "{said}");
        let definition: Value = serde_norway::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let mut definition: ResourceDefinition = serde_json::from_value(definition).unwrap();
        definition.metadata.generation = Some(1);
        let crd = colonyos_operator::kinds::definition::build(&definition).unwrap();
        let whole = serde_json::to_string(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": crd.metadata, "spec": crd.spec,
        }));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crd.json");
        fs::write(&path, whole.unwrap()).unwrap();
        kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", path.to_str().unwrap()]);
    }
}

/// Each shipped kind, from its manifests to what its executor says.
#[tokio::test]
async fn the_shipped_kinds_are_carried_out() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "kinds-shipped", async |stage| {
        for (example, executor_type, output, expected) in [
            (
                "ml-model",
                "ml-model-controller",
                json!({ "endpoint": "http://x", "replicas": 2 }),
                json!({ "endpoint": "http://x", "replicas": 2 }),
            ),
            (
                "hpc-job",
                "hpc-scheduler",
                json!({ "jobId": "4711", "state": "COMPLETED" }),
                json!({ "jobId": "4711", "state": "COMPLETED" }),
            ),
            (
                "ai-job",
                "ai-trainer",
                json!({ "accuracy": 0.98 }),
                json!({ "phase": "Trained", "accuracy": 0.98 }),
            ),
        ] {
            let kind = OwnKind::within(&stage.namespace, &stage.colony.name, example);
            kind.define().await;
            kind.until_ready().await;
            let instance = shipped(example, "instance.yaml");
            let name = instance["metadata"]["name"].as_str().unwrap();
            kind.create(name, instance["spec"].clone()).await;
            let executor = stage.colony.executor(&format!("of-{example}"), executor_type).await;
            let process = assigned(&executor).await;
            for (field, value) in instance["spec"].as_object().unwrap() {
                assert_eq!(process.spec.kwargs["spec"][field], *value, "{example}: {field}");
            }
            executor.close_successful(&process.id, &[output]).await.unwrap();
            let done = kind.until_instance(name, "is ready", is_ready).await;
            for (field, value) in expected.as_object().unwrap() {
                assert_eq!(
                    done.data["status"][field], *value,
                    "{example}: {field} in {}",
                    done.data["status"]
                );
            }
            assert!(done.condition("Warnings").is_none(), "{example}: {}", done.data);
        }
    })
    .await;
}
