//! Kinds of mode `blueprint`: instances are blueprints of a colony, on the real servers. The reconcilers are the tests' own.

use std::{fs, time::Duration};

use colonyos_operator::{
    api::names::blueprint_id,
    colony::{Blueprint, BlueprintDefinition, Process, ProcessState, Session},
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Map, Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::{self, assigned},
    commands::kubectl,
    conditions::Conditions as _,
    database::Database,
    operator::{Operator, Signal, configuration},
    own_kind::{OwnKind, is_ready, shipped_file},
    server::letters,
    stage::{SOON, Stage, with_operator},
    wait::{eventually, throughout},
};

const RECONCILER: &str = "docker-reconciler";

/// The shipped kind, under a policy. The kind has a name of its own: the server asks for the clean-up of a blueprint the handler of the
/// definition of its kind that was added first, in whatever colony.
fn kind_of(stage: &Stage, policy: &str) -> OwnKind {
    let shipped = fs::read_to_string(shipped_file("docker-deployment", "definition.yaml")).unwrap();
    let own = format!("DockerDeployment{}", letters());
    let mut kind = OwnKind::new(&stage.namespace, &shipped.replace("DockerDeployment", &own));
    kind.whole["spec"]["handler"]["colony"] = json!(stage.colony.name);
    kind.whole["spec"]["handler"]["blueprint"]["syncPolicy"] = json!(policy);
    kind
}

fn gateway(replicas: i32) -> Value {
    json!({ "image": "gateway:2", "replicas": replicas })
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

async fn until_blueprint(
    stage: &Stage,
    name: &str,
    what: &str,
    is_so: impl Fn(&Blueprint) -> bool,
) -> Blueprint {
    colony::until_blueprint(&stage.colony.member, name, what, SOON, is_so).await
}

async fn until_reason(kind: &OwnKind, name: &str, of: &str, reason: &str) -> (DynamicObject, String) {
    let is_so = |object: &DynamicObject| object.reason(of) == reason;
    let found = kind.until_instance(name, &format!("{of} is {reason}"), is_so).await;
    let said = found.message(of);
    (found, said)
}

/// Waits until both sides are known to say the same.
async fn until_in_sync(kind: &OwnKind, name: &str) -> DynamicObject {
    until_reason(kind, name, "Conflict", "InSync").await.0
}

/// Edits a blueprint as its own tools do: the whole document is sent.
async fn edit(stage: &Stage, name: &str, field: &str, value: Value) -> Blueprint {
    let mut found = stage.colony.member.blueprint(name).await.unwrap();
    found.spec.insert(field.to_owned(), value);
    stage.colony.member.update_blueprint(&found, false).await.unwrap()
}

/// The next process of a function. The server's own cron asks for the kind as a whole meanwhile.
async fn asked_for(reconciler: &Session, function: &str) -> Process {
    loop {
        let process = assigned(reconciler).await;
        if process.spec.function == function && process.spec.kwargs.contains_key("blueprintName") {
            return process;
        }
        reconciler.close_successful(&process.id, &[]).await.unwrap();
    }
}

/// What a server cannot be told, or that cannot change there, is refused where it is written.
#[tokio::test]
async fn what_a_server_cannot_be_told_is_refused_at_admission() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-admission", async |stage| {
        let kind = kind_of(stage, "KubernetesWins");
        kind.define().await;
        let handler = async |change: Value| {
            let patch = Patch::Merge(json!({ "spec": { "handler": change } }));
            let refusal = kind.definitions.patch(&kind.name, &PatchParams::default(), &patch).await;
            refusal.expect_err(&change.to_string()).to_string()
        };
        for (change, expected) in [
            (json!({ "priority": 3 }), "the colony's server submits the processes"),
            (json!({ "maxExecTime": "1m" }), "the colony's server submits the processes"),
            (json!({ "executorNames": ["a"] }), "the colony's server submits the processes"),
            (json!({ "cleanupFunction": "clean" }), "cleanupFunction is for mode process"),
            (json!({ "location": "lab" }), "location cannot change"),
            (json!({ "mode": "process", "blueprint": null }), "mode cannot change"),
            (json!({ "blueprint": { "syncPolicy": "Both" } }), "syncPolicy"),
        ] {
            let refusal = handler(change).await;
            assert!(refusal.contains(expected), "{refusal}");
        }
    })
    .await;
}

/// The main way: an instance becomes a blueprint, and shows what its reconciler says.
#[tokio::test]
async fn an_instance_is_a_blueprint_and_shows_what_its_reconciler_says() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint", async |stage| {
        let kind = kind_of(stage, "KubernetesWins");
        kind.define().await;
        let status = kind.until("is ready without executors", |status| status.is_true("Ready")).await;
        assert_eq!(status.reason("Handled"), "HandlerNotFound");
        let reconciler = stage.colony.executor("reconciler", RECONCILER).await;
        let status = kind.until("has executors", |status| status.is_true("Handled")).await;
        let said = status.message("Handled");
        assert!(said.contains("as blueprints") && said.contains("replicas.maximum"), "{said}");
        let defined = stage.colony.member.blueprint_definition(&kind.name).await.unwrap();
        assert_eq!(defined.id, format!("k8s:{}/{}", stage.cluster().await, kind.name));
        assert_eq!(
            (defined.spec.names.kind.as_str(), defined.spec.handler.function.as_str()),
            (kind.resource.kind.as_str(), "reconcile")
        );
        let schema = defined.spec.schema.unwrap();
        assert_eq!(schema["required"], json!(["image"]));
        assert_eq!(schema["properties"]["replicas"]["type"], "integer");

        let created = kind.create("gateway", gateway(2)).await;
        let process = asked_for(&reconciler, "reconcile").await;
        assert_eq!(process.spec.kwargs["blueprintName"], "gateway");
        reconciler.close_successful(&process.id, &[]).await.unwrap();
        let made = stage.colony.member.blueprint("gateway").await.unwrap();
        assert_eq!(made.id, blueprint_id(&stage.cluster().await, &created.uid().unwrap()));
        assert_eq!((made.kind.as_str(), made.metadata.generation), (kind.resource.kind.as_str(), 1));
        assert_eq!(made.spec["restart"], "always", "the default of the schema");
        let carried = until_in_sync(&kind, "gateway").await;
        assert!(carried.is_true("Mirrored") && carried.is_false("Ready"), "{}", carried.data);
        assert_eq!(carried.finalizers(), ["colonies.io/instance"]);

        // What the reconciler reports arrives, but for what the kind does not describe.
        let mut report = json!({
            "runningInstances": 2, "totalInstances": 2, "lastUpdated": "2026-11-26T10:00:00Z",
            "instances": [{ "name": "gateway-0", "state": "running", "id": "4711" }],
        });
        reconciler.update_blueprint_status("gateway", &map(&report)).await.unwrap();
        let ready = kind.until_instance("gateway", "is ready", is_ready).await;
        let told = &ready.data["status"];
        assert_eq!((&told["runningInstances"], &told["lastUpdated"]), (&json!(2), &Value::Null));
        assert_eq!(told["instances"], json!([{ "name": "gateway-0", "state": "running" }]));
        let target = format!("{}/gateway", kind.name);
        let space = kind.namespace.as_str();
        let shown = kubectl(&["get", &target, "-n", space]);
        let cells: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells[..5], ["gateway", "gateway:2", "2", "2", "True"], "{shown}");

        // A change is one generation more, and takes nothing away that the reconciler wrote.
        kubectl(&["scale", &target, "-n", space, "--replicas=3"]);
        let process = asked_for(&reconciler, "reconcile").await;
        reconciler.close_successful(&process.id, &[]).await.unwrap();
        let scaled =
            until_blueprint(stage, "gateway", "is scaled", |found| found.spec["replicas"] == 3).await;
        assert_eq!((scaled.metadata.generation, &scaled.status["runningInstances"]), (2, &json!(2)));
        kind.until_instance("gateway", "is not ready any more", |object| {
            object.reason("Ready") == "BlueprintNotReady" && object.data["status"]["submittedGeneration"] == 2
        })
        .await;
        report["runningInstances"] = json!(3);
        reconciler.update_blueprint_status("gateway", &map(&report)).await.unwrap();
        kind.until_instance("gateway", "is ready again", is_ready).await;

        at_rest(stage, &kind).await;
        impact(&kind).await;
    })
    .await;
}

/// Nothing is written at rest, on either side.
async fn at_rest(stage: &Stage, kind: &OwnKind) {
    kind.until("counts", |status| status.instances.is_some_and(|counts| counts.ready == 1)).await;
    let versions = async || {
        let definition = kind.definitions.get(&kind.name).await.unwrap().resource_version();
        let instance = kind.instances.get("gateway").await.unwrap().resource_version();
        let blueprint = stage.colony.member.blueprint("gateway").await.unwrap();
        let defined = stage.colony.member.blueprint_definition(&kind.name).await.unwrap();
        (definition, instance, blueprint, defined)
    };
    let before = versions().await;
    // Longer than the colony is looked at anew.
    throughout("nothing is written at rest", Duration::from_secs(8), async || {
        let now = versions().await;
        (now == before).then_some(()).ok_or_else(|| format!("{before:?} became {now:?}"))
    })
    .await;
}

/// A schema that an instance does not fit is not carried out, and says which one.
async fn impact(kind: &OwnKind) {
    let mut versions = kind.whole["spec"]["versions"].clone();
    let at = "/0/schema/openAPIV3Schema/properties/spec/properties/replicas/maximum";
    *versions.pointer_mut(at).unwrap() = json!(2);
    kind.change(json!({ "spec": { "versions": versions } })).await;
    let status = kind.until("names what breaks", |status| status.impact.is_some()).await;
    let (_, reason, said) = status.told("Ready");
    assert_eq!(reason, "BreaksInstances");
    assert!(said.contains("gateway") && said.contains("spec.replicas"), "{said}");
}

/// Of the first blueprints of a kind that arrive at once, the server takes all but one away again.
#[tokio::test]
async fn the_first_instances_of_a_kind_are_each_added_once() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-first", async |stage| {
        let kind = kind_of(stage, "KubernetesWins");
        kind.define().await;
        kind.until_ready().await;
        let names: Vec<String> = (0..12).map(|number| format!("gateway-{number}")).collect();
        let created = futures::future::join_all(names.iter().map(|name| kind.create(name, gateway(1)))).await;
        for (name, object) in names.iter().zip(created) {
            until_in_sync(&kind, name).await;
            let id = blueprint_id(&stage.cluster().await, &object.uid().unwrap());
            let history = stage.colony.member.blueprint_history(&id, None).await.unwrap();
            assert_eq!(history.len(), 1, "{name} was added once: {history:?}");
        }
    })
    .await;
}

/// Whenever the operator dies, an instance is one blueprint.
#[tokio::test]
async fn a_crash_makes_no_second_blueprint() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-crash", async |stage| {
        let kind = kind_of(stage, "KubernetesWins");
        kind.define().await;
        kind.until_ready().await;
        let mut created = Vec::new();
        for round in 0..3 {
            for number in 0..3 {
                created.push(kind.create(&format!("gateway-{round}-{number}"), gateway(1)).await);
            }
            let first = format!("gateway-{round}-{}", round % 3);
            kind.until_instance(&first, "is intended", |object| {
                object.data["status"]["blueprint"].is_object()
            })
            .await;
            stage.restart().await;
        }
        // The add was carried out, and its answer never came.
        stage.operator.signal(Signal::Kill);
        let lost = kind.create("lost", gateway(1)).await;
        let mut added = Blueprint::new(&stage.colony.name, &kind.resource.kind, "lost").unwrap();
        added.id = blueprint_id(&stage.cluster().await, &lost.uid().unwrap());
        added.spec = map(&lost.data["spec"]);
        stage.colony.member.add_blueprint(&added).await.unwrap();
        stage.operator = Operator::start(configuration(&kind.namespace), &kind.namespace, &stage.turn).await;
        created.push(lost);
        for object in &created {
            let name = object.name_any();
            until_in_sync(&kind, &name).await;
            let id = blueprint_id(&stage.cluster().await, &object.uid().unwrap());
            assert_eq!(stage.colony.member.blueprint(&name).await.unwrap().id, id);
            let history = stage.colony.member.blueprint_history(&id, None).await.unwrap();
            assert_eq!(history.len(), 1, "{name} was added once and never written again: {history:?}");
        }
        let listed = stage.colony.member.blueprints(None, None).await.unwrap();
        assert_eq!(listed.len(), created.len(), "{listed:?}");
        if let Some(database) = Database::find() {
            let colony = &stage.colony.name;
            let query = format!(
                "SELECT COUNT(*), COUNT(DISTINCT ID) FROM PROD_BLUEPRINTS WHERE COLONY_NAME='{colony}'"
            );
            let count = created.len().to_string();
            assert_eq!(database.query(&query).await, [[count.clone(), count]]);
        }
    })
    .await;
}

#[tokio::test]
async fn kubernetes_owns_the_spec() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-ours", async |stage| {
        let kind = kind_of(stage, "KubernetesWins");
        kind.define().await;
        kind.until_ready().await;
        kind.create("gateway", gateway(2)).await;
        until_in_sync(&kind, "gateway").await;

        // An edit in the colony is replaced, in one write, and both values are shown.
        let edited = edit(stage, "gateway", "replicas", json!(7)).await;
        let (object, said) = until_reason(&kind, "gateway", "Conflict", "Overruled").await;
        assert!(said.contains("spec.replicas: 2 in Kubernetes, 7 in the colony"), "{said}");
        let replaced = stage.colony.member.blueprint("gateway").await.unwrap();
        assert_eq!(
            (&replaced.spec["replicas"], replaced.metadata.generation),
            (&json!(2), edited.metadata.generation + 1)
        );
        assert_eq!(object.metadata.generation, Some(1), "the instance was not written");
        throughout("nothing goes back and forth", Duration::from_secs(6), async || {
            let now = stage.colony.member.blueprint("gateway").await.map_err(|error| error.to_string())?;
            (now == replaced).then_some(()).ok_or_else(|| format!("{replaced:?} became {now:?}"))
        })
        .await;
        // Once the owner has moved on, no edit is overruled any more.
        kind.change_instance("gateway", json!({ "spec": { "replicas": 3 } })).await;
        until_blueprint(stage, "gateway", "follows", |found| found.spec["replicas"] == 3).await;
        until_in_sync(&kind, "gateway").await;

        // One that is removed is made again, and it is told.
        stage.colony.member.remove_blueprint("gateway").await.unwrap();
        let (_, said) = until_reason(&kind, "gateway", "Conflict", "Overruled").await;
        assert!(said.contains("was removed in the colony, and created again"), "{said}");
        let again = stage.colony.member.blueprint("gateway").await.unwrap();
        assert_eq!((&again.spec["replicas"], again.metadata.generation), (&json!(3), 1));
    })
    .await;
}

#[tokio::test]
async fn the_colony_or_no_side_owns_the_spec() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-theirs", async |stage| {
        let kind = kind_of(stage, "ColonyWins");
        kind.define().await;
        kind.until_ready().await;
        kind.create("gateway", gateway(2)).await;
        until_in_sync(&kind, "gateway").await;

        edit(stage, "gateway", "replicas", json!(5)).await;
        let followed =
            kind.until_instance("gateway", "follows", |object| object.data["spec"]["replicas"] == 5).await;
        assert_eq!(followed.metadata.generation, Some(2));
        // An edit with kubectl is replaced: one write for it, and one for its replacement.
        kind.change_instance("gateway", json!({ "spec": { "replicas": 4 } })).await;
        let (object, said) = until_reason(&kind, "gateway", "Conflict", "Overruled").await;
        assert!(said.contains("spec.replicas: 4 in Kubernetes, 5 in the colony"), "{said}");
        let object = if object.data["spec"]["replicas"] == 5 {
            object
        } else {
            kind.instances.get("gateway").await.unwrap()
        };
        assert_eq!((&object.data["spec"]["replicas"], object.metadata.generation), (&json!(5), Some(4)));
        assert_eq!(stage.colony.member.blueprint("gateway").await.unwrap().metadata.generation, 2);

        // What the kind does not have is told and not dropped in silence; what runs stays.
        edit(stage, "gateway", "colour", json!("red")).await;
        let (object, said) = until_reason(&kind, "gateway", "Degraded", "BlueprintInvalid").await;
        assert!(said.contains("spec.colour"), "{said}");
        assert_eq!(object.data["spec"]["replicas"], 5);
        let mut corrected = stage.colony.member.blueprint("gateway").await.unwrap();
        corrected.spec.remove("colour");
        // A field that goes there goes here, too.
        corrected.spec.remove("restart");
        corrected.spec.insert("command".to_owned(), json!(["serve"]));
        stage.colony.member.update_blueprint(&corrected, false).await.unwrap();
        kind.until_instance("gateway", "has the command", |object| {
            object.data["spec"]["command"] == json!(["serve"])
        })
        .await;
        until_in_sync(&kind, "gateway").await;

        // Without an owner, the difference is shown and both sides stay.
        kind.change(json!({ "spec": { "handler": { "blueprint": { "syncPolicy": "Observe" } } } })).await;
        kind.until("is accepted", |status| status.accepted_generation == Some(2)).await;
        edit(stage, "gateway", "replicas", json!(6)).await;
        let (object, said) = until_reason(&kind, "gateway", "Conflict", "Differs").await;
        assert!(said.contains("spec.replicas: 5 in Kubernetes, 6 in the colony"), "{said}");
        assert_eq!(object.data["spec"]["replicas"], 5);
        kind.change_instance("gateway", json!({ "spec": { "replicas": 6 } })).await;
        until_in_sync(&kind, "gateway").await;
        stage.colony.member.remove_blueprint("gateway").await.unwrap();
        let (_, said) = until_reason(&kind, "gateway", "Degraded", "BlueprintLost").await;
        assert!(said.contains("syncPolicy Observe"), "{said}");
        assert!(stage.colony.member.blueprint("gateway").await.unwrap_err().is_not_found());
        kind.instances.delete("gateway", &DeleteParams::default()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_strangers_have_in_the_colony_is_left_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-strangers", async |stage| {
        let kind = kind_of(stage, "KubernetesWins");
        let member = &stage.colony.member;
        // A definition of the kind that names another handler for blueprints.
        let theirs = BlueprintDefinition::new(
            &stage.colony.name,
            "theirs",
            &kind.resource.kind,
            "other-reconciler",
            "act",
        )
        .unwrap();
        let theirs = stage.colony.owner.add_blueprint_definition(&theirs).await.unwrap();
        kind.define().await;
        let status = kind.until("says whose it is", |status| status.reason("Ready") == "ForeignObject").await;
        let said = status.message("Handled");
        assert!(said.contains("BlueprintDefinition theirs") && said.contains("other-reconciler"), "{said}");
        kind.create("gateway", gateway(1)).await;
        let (_, said) = until_reason(&kind, "gateway", "Degraded", "ForeignObject").await;
        assert!(said.contains("theirs"), "{said}");
        assert_eq!(member.blueprints(None, None).await.unwrap(), []);
        assert_eq!(member.blueprint_definitions().await.unwrap(), [theirs]);
        stage.colony.owner.remove_blueprint_definition("theirs").await.unwrap();
        kind.until_ready().await;
        until_in_sync(&kind, "gateway").await;

        // A blueprint of the name.
        let mut taken = Blueprint::new(&stage.colony.name, &kind.resource.kind, "taken").unwrap();
        taken.spec = map(&gateway(9));
        let taken = member.add_blueprint(&taken).await.unwrap();
        kind.create("taken", gateway(1)).await;
        let (_, said) = until_reason(&kind, "taken", "Degraded", "BlueprintNameTaken").await;
        assert!(
            said.contains("colonies.io/blueprint") && said.contains("colonies blueprint remove"),
            "{said}"
        );
        let annotation = json!({ "metadata": { "annotations": { "colonies.io/blueprint": "taken-here" } } });
        kind.instances.patch("taken", &PatchParams::default(), &Patch::Merge(annotation)).await.unwrap();
        until_in_sync(&kind, "taken").await;
        assert_eq!(member.blueprint("taken-here").await.unwrap().spec["replicas"], 1);
        kind.create("second", gateway(1)).await;
        until_in_sync(&kind, "second").await;
        let renaming = json!({ "metadata": { "annotations": { "colonies.io/blueprint": "taken" } } });
        kind.instances.patch("second", &PatchParams::default(), &Patch::Merge(renaming)).await.unwrap();
        kind.instances.delete("second", &DeleteParams::default()).await.unwrap();
        kind.instances.delete("taken", &DeleteParams::default()).await.unwrap();
        eventually("their own blueprints are gone", SOON, async || {
            let left = member.blueprints(None, None).await.map_err(|error| error.to_string())?;
            let names: Vec<_> = left.iter().map(|one| one.metadata.name.clone()).collect();
            (names == ["gateway", "taken"]).then_some(()).ok_or_else(|| format!("{names:?}"))
        })
        .await;
        assert_eq!(member.blueprint("taken").await.unwrap(), taken, "as it was");
    })
    .await;
}

#[tokio::test]
async fn deletion_takes_the_blueprint_along_and_waits_for_its_clean_up() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-gone", async |stage| {
        let kind = kind_of(stage, "KubernetesWins");
        let reconciler = stage.colony.executor("reconciler", RECONCILER).await;
        kind.define().await;
        kind.until_ready().await;
        for name in ["gateway", "left"] {
            kind.create(name, gateway(1)).await;
            until_in_sync(&kind, name).await;
        }
        kind.instances.delete("gateway", &DeleteParams::default()).await.unwrap();
        let (held, said) = until_reason(&kind, "gateway", "Ready", "CleanupRunning").await;
        assert_eq!(held.finalizers(), ["colonies.io/instance"], "{said}");
        assert!(stage.colony.member.blueprint("gateway").await.unwrap_err().is_not_found());
        // A crash in the middle changes nothing.
        stage.restart().await;
        let cleanup = asked_for(&reconciler, "cleanup").await;
        assert_eq!(cleanup.spec.kwargs["blueprintName"], "gateway");
        assert_eq!(kind.instances.get("gateway").await.unwrap().finalizers(), ["colonies.io/instance"]);
        reconciler.close_successful(&cleanup.id, &[]).await.unwrap();
        kind.until_gone("gateway").await;

        // The definition goes with the last instance; with Orphan everything stays.
        let patch = Patch::Merge(json!({ "spec": { "deletionPolicy": "Orphan" } }));
        kind.definitions.patch(&kind.name, &PatchParams::default(), &patch).await.unwrap();
        kind.until("is accepted", |status| status.accepted_generation == Some(2)).await;
        kind.instances.delete("left", &DeleteParams::default()).await.unwrap();
        kind.until_gone("left").await;
        assert_eq!(stage.colony.member.blueprint("left").await.unwrap().spec["replicas"], 1);
        stage.colony.member.remove_blueprint("left").await.unwrap();
        let patch = Patch::Merge(json!({ "spec": { "deletionPolicy": "Delete" } }));
        kind.definitions.patch(&kind.name, &PatchParams::default(), &patch).await.unwrap();
        kind.until("is accepted", |status| status.accepted_generation == Some(3)).await;
        kind.definitions.delete(&kind.name, &DeleteParams::default()).await.unwrap();
        eventually("the definition is gone on both sides", SOON, async || {
            let left = kind.definitions.get_opt(&kind.name).await.map_err(|error| error.to_string())?;
            if let Some(left) = left {
                return Err(format!("{:?}", left.status));
            }
            let there =
                stage.colony.member.blueprint_definitions().await.map_err(|error| error.to_string())?;
            there.is_empty().then_some(()).ok_or_else(|| format!("{there:?}"))
        })
        .await;
        assert!(kind.crds.get_opt(&kind.name).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn what_the_colony_cannot_say_is_refused_and_a_definition_in_use_stays() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-schema", async |stage| {
        let mut kind = kind_of(stage, "KubernetesWins");
        kind.whole["spec"]["handler"]["blueprint"]["untranslatable"] = json!("Refuse");
        kind.define().await;
        let status = kind.until("says what it cannot", |status| status.is_false("Ready")).await;
        let (_, reason, said) = status.told("Ready");
        assert_eq!(reason, "InvalidSpec");
        let path = "spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.image.minLength: 1: ";
        assert!(said.starts_with(path) && said.contains("KeepHere"), "{said}");
        assert!(kind.crds.get_opt(&kind.name).await.unwrap().is_none(), "nothing was made of it");
        assert_eq!(stage.colony.member.blueprint_definitions().await.unwrap(), []);
        kind.change(json!({ "spec": { "handler": { "blueprint": { "untranslatable": "KeepHere" } } } }))
            .await;
        kind.until_ready().await;

        // Without blueprints the definition changes; with some it cannot, and neither does the kind.
        kind.change(json!({ "spec": { "handler": { "functionName": "act" } } })).await;
        eventually("the definition has changed", SOON, async || {
            let found = stage
                .colony
                .member
                .blueprint_definition(&kind.name)
                .await
                .map_err(|error| error.to_string())?;
            (found.spec.handler.function == "act").then_some(()).ok_or_else(|| format!("{found:?}"))
        })
        .await;
        kind.create("gateway", gateway(1)).await;
        until_in_sync(&kind, "gateway").await;
        // A further field is taken there without being described.
        let mut versions = kind.whole["spec"]["versions"].clone();
        let at = "/0/schema/openAPIV3Schema/properties/spec/properties";
        versions.pointer_mut(at).unwrap()["network"] = json!({ "type": "string" });
        kind.change(json!({ "spec": { "versions": versions } })).await;
        let status = kind
            .until("lags", |status| {
                status.is_true("Ready") && status.message("Handled").contains("changes once")
            })
            .await;
        let before = kind.definitions.get(&kind.name).await.unwrap().metadata.generation;
        assert_eq!(status.accepted_generation, before);
        kind.change_instance("gateway", json!({ "spec": { "network": "lab" } })).await;
        until_blueprint(stage, "gateway", "has the field", |found| {
            found.spec.get("network") == Some(&json!("lab"))
        })
        .await;
        kind.change(json!({ "spec": { "handler": { "functionName": "other" } } })).await;
        let status = kind.until("is in use", |status| status.reason("Ready") == "DefinitionInUse").await;
        assert_eq!(status.accepted_generation, before);
        let said = status.message("Ready");
        assert!(said.contains("handler.functionName") && said.contains("1 blueprints"), "{said}");
        kind.change_instance("gateway", json!({ "spec": { "replicas": 2 } })).await;
        until_blueprint(stage, "gateway", "follows all the same", |found| found.spec["replicas"] == 2).await;
        kind.instances.delete("gateway", &DeleteParams::default()).await.unwrap();
        let abandon = json!({ "metadata": { "annotations": { "colonies.io/abandon-remote": "true" } } });
        until_reason(&kind, "gateway", "Ready", "CleanupRunning").await;
        kind.instances.patch("gateway", &PatchParams::default(), &Patch::Merge(abandon)).await.unwrap();
        kind.until_gone("gateway").await;
        kind.until("is carried out now", |status| status.is_true("Ready")).await;
        let found = stage.colony.member.blueprint_definition(&kind.name).await.unwrap();
        assert_eq!(found.spec.handler.function, "other");
        let waiting = stage
            .colony
            .member
            .processes(&colonyos_operator::colony::ProcessQuery::new(ProcessState::Waiting))
            .await
            .unwrap();
        assert!(
            waiting.iter().any(|process| process.spec.function == "cleanup"),
            "nothing was cleaned up: {waiting:?}"
        );
    })
    .await;
}

/// With `Orphan` its blueprint stays, as it does when a cluster is lost; an object that comes again has another UID.
#[tokio::test]
async fn an_instance_that_comes_again_has_its_blueprint_again() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "blueprint-again", async |stage| {
        let mut kind = kind_of(stage, "KubernetesWins");
        kind.whole["spec"]["deletionPolicy"] = json!("Orphan");
        kind.define().await;
        kind.until_ready().await;
        kind.create("gateway", gateway(1)).await;
        until_in_sync(&kind, "gateway").await;
        let before = stage.colony.member.blueprint("gateway").await.unwrap();
        kind.instances.delete("gateway", &DeleteParams::default()).await.unwrap();
        kind.until_gone("gateway").await;

        kind.create("gateway", gateway(2)).await;
        until_in_sync(&kind, "gateway").await;
        let after = stage.colony.member.blueprint("gateway").await.unwrap();
        assert_eq!((&after.id, after.spec["replicas"].as_i64()), (&before.id, Some(2)));
        let delete = Patch::Merge(json!({ "spec": { "deletionPolicy": "Delete" } }));
        kind.definitions.patch(&kind.name, &PatchParams::default(), &delete).await.unwrap();
        kind.until("is accepted", |status| status.accepted_generation == Some(2)).await;
        kind.instances.delete("gateway", &DeleteParams::default()).await.unwrap();
        eventually("its blueprint goes with it", SOON, async || {
            let left = stage.colony.member.blueprints(None, None).await.map_err(|error| error.to_string())?;
            left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}"))
        })
        .await;
    })
    .await;
}
